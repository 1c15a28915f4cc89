"""Which records say again what an earlier one said, or something else instead?

    Record, Record, ... -> duplicate (all of it was said before), contradiction (another answer)

    paths with hashes     -> same_content: the same file under several names

The first two are about the same video or image in the same view. Of what was said, 16 bytes are
remembered.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from xxhash import xxh3_128_digest

from flipbook.data.doctor.findings import Finding
from flipbook.data.records import Record
from flipbook.data.turns import Media, Turn
from flipbook.errors import one_line

SEVERAL_ANSWERS = ("caption", "feedback")  # kinds of question that more than one answer is right of
NUM_NAMES_SHOWN = 3


class Repeats:
    """What was said in the records so far."""

    def __init__(self) -> None:
        self._said: dict[bytes, str] = {}
        self._answered: dict[bytes, tuple[bytes, str]] = {}

    def look_at(self, record: Record, *, split: str) -> list[Finding]:
        """Return what is found in a record by what the ones before it in its split say."""
        findings: list[Finding] = []
        digests = [_digest(split, turns) for turns in record.conversations]
        first = self._said.get(digests[0])
        if first is not None and all(digest in self._said for digest in digests):
            reason = (
                f"asks and answers what record {first} does, about the same; keep one of the two"
            )
            findings.append(Finding("duplicate", one_line(reason)))
        elif record.extras.kind not in SEVERAL_ANSWERS:
            findings += self._contradictions(record, split)
        for digest in digests:
            self._said.setdefault(digest, record.id)
        return findings

    def _contradictions(self, record: Record, split: str) -> list[Finding]:
        """Return a note where single questions have had another answer."""
        findings: list[Finding] = []
        for turns in record.conversations:
            if sum(turn.role == "user" for turn in turns) != 1:
                continue
            asked, answer = _digest(split, turns[:-1]), _digest("", turns[-1:])
            known, first = self._answered.setdefault(asked, (answer, record.id))
            if known != answer and not findings:
                said = turns[-1].text.strip()
                reason = f"answers {_short(said)!r} to a question that record {first} answers "
                findings.append(
                    Finding("contradiction", one_line(f"{reason}otherwise, about the same"))
                )
        return findings


def find_same_content(contents: Iterable[tuple[str, str]]) -> list[Finding]:
    """Return a note for each content that stands under several names.

    Args:
        contents: hashes and paths.
    """
    names: dict[str, dict[str, None]] = {}
    for content, path in contents:
        names.setdefault(content, {})[path] = None
    return [_same_content([*paths]) for paths in names.values() if len(paths) > 1]


def _same_content(paths: Sequence[str]) -> Finding:
    others = ", ".join(paths[1 : 1 + NUM_NAMES_SHOWN])
    more = len(paths) - 1 - NUM_NAMES_SHOWN
    rest = f" and {more} more" if more > 0 else ""
    return Finding("same_content", one_line(f"has the same content as {others}{rest}"), paths[0])


def _digest(split: str, turns: Sequence[Turn]) -> bytes:
    said = [split, *([turn.role, *map(_part, turn.parts)] for turn in turns)]
    return xxh3_128_digest(json.dumps(said).encode())


def _part(part: str | Media) -> object:
    return part.strip() if isinstance(part, str) else [part.path, part.frames, part.view.as_dict()]


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
