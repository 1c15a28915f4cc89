"""What is there to see of a record?

    row, Looker -> Card: facts, contact sheets, what the model reads, its budget, what is wrong

A record that cannot be used has its reason in place of what cannot be shown.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flipbook.apps.data.page.frames import Frame, contact_sheet, side_of
from flipbook.apps.data.page.pieces import Budget, Piece, budget_of, pieces_of
from flipbook.data.encoder import ConversationEncoder
from flipbook.data.media_folders import MediaFolders
from flipbook.data.records import NamedRow, Record, record_of
from flipbook.data.shown import read_shown
from flipbook.data.turns import Media, Turn
from flipbook.errors import ArgumentError, CheckpointError, MediaError, RecordError
from flipbook.video.clip import Clip

MOST_RAW_LETTERS = 4000  # shown of a row that is no record
_TAGS = ("task", "kind", "split")


@dataclass(frozen=True)
class Sheet:
    """What is seen of one video or image, or why nothing is.

    Attributes:
        name: of the file, from the folder of the records.
        facts: what is known of it, in a few words.
        view: what its record says of it, in words.
    """

    name: str
    kind: str
    facts: str
    view: str
    frames: tuple[Frame, ...] = ()
    side_px: int = 0
    fault: str = ""

    @property
    def num_columns(self) -> int:
        """In how many columns the frames stand on a wide page."""
        num_frames = len(self.frames)
        if num_frames == 1:
            return 2
        return next((columns for columns in (4, 6) if num_frames <= columns**2), 8)


@dataclass(frozen=True)
class Talk:
    """What the model reads of one conversation, or why it cannot."""

    pieces: tuple[Piece, ...] = ()
    budget: Budget | None = None
    fault: str = ""


@dataclass(frozen=True)
class Card:
    """All that is shown of a record.

    Attributes:
        number: of its row, from 1.
        faults: why it cannot be used; none where it can.
        raw: the row as it stands in the file, where it is no record.
        turns: what is said, where the model's reading cannot be shown.
    """

    number: int
    id: str
    facts: Mapping[str, str]
    options: tuple[str, ...] = ()
    answer: str | None = None
    sheets: tuple[Sheet, ...] = ()
    talks: tuple[Talk, ...] = ()
    turns: tuple[Turn, ...] = ()
    faults: tuple[str, ...] = ()
    raw: str = ""

    @property
    def tags(self) -> dict[str, str]:
        """What stands beside its id."""
        tags = {name: self.facts[name] for name in _TAGS if name in self.facts}
        if tags.get("kind") == tags.get("task"):
            tags.pop("kind", None)
        return tags

    @property
    def told(self) -> dict[str, str]:
        """What stands below its conversations."""
        answer = {} if self.answer in (None, *self.options) else {"answer": str(self.answer)}
        return answer | {name: fact for name, fact in self.facts.items() if name not in _TAGS}


@dataclass(frozen=True)
class Looker:
    """What records are looked at with.

    Attributes:
        encoder: of the model, without a limit, so that longer ones can be shown too.
        limit: the most tokens that may be read.
        folders: in which media may lie.
    """

    encoder: ConversationEncoder
    limit: int
    folders: MediaFolders

    def card(self, row: NamedRow, *, number: int) -> Card:
        """Return what is there to see of a row."""
        try:
            record = record_of(row, folders=self.folders)
        except RecordError as error:
            return Card(number, row.record_id, {}, faults=(error.message,), raw=_raw(row))
        clips: dict[Media, Clip | str] = {item: self._read(item) for item in record.media}
        sheets = tuple(self._sheet(item, clip, record) for item, clip in clips.items())
        talks = tuple(self._talk(turns, clips, record.id) for turns in record.conversations)
        faults = [sheet.fault for sheet in sheets] + [talk.fault for talk in talks]
        unread = [turn for turns in record.conversations for turn in turns]
        return Card(
            number=number,
            id=record.id,
            facts=_facts(record),
            options=record.extras.options,
            answer=record.extras.answer,
            sheets=sheets,
            talks=talks,
            turns=() if all(talk.pieces for talk in talks) else tuple(unread),
            faults=tuple(dict.fromkeys(filter(None, faults))),
        )

    def _read(self, item: Media) -> Clip | str:
        try:
            return read_shown(item, self.encoder.settings)
        except (MediaError, ArgumentError) as error:
            return str(error)

    def _sheet(self, item: Media, clip: Clip | str, record: Record) -> Sheet:
        name = os.path.relpath(item.path, self.folders.start).replace(os.sep, "/")
        own = item.view.as_dict()
        view = ", ".join(f"{key} {_plain(value)}" for key, value in own.items())
        if isinstance(clip, str):
            return Sheet(name, item.kind, "", view, fault=clip)
        is_still = item.kind == "image"
        spans = record.extras.spans
        frames = tuple(contact_sheet(clip, is_still=is_still, spans=spans))
        side_px, shown_px = clip.frames.shape[-1], side_of(len(frames))
        counted = "1 frame" if len(frames) == 1 else f"{len(frames)} frames"
        repeated = f", {clip.num_repeated} of them repeated" if clip.num_repeated else ""
        smaller = ", drawn smaller here" if shown_px < side_px else ""
        return Sheet(
            name=name,
            kind="picture" if is_still else "clip",
            facts=f"{counted} of {side_px} \u00d7 {side_px} px{repeated}{smaller}",
            view=view,
            frames=frames,
            side_px=min(shown_px, side_px),
        )

    def _talk(
        self, turns: tuple[Turn, ...], clips: Mapping[Media, Clip | str], record_id: str
    ) -> Talk:
        shown = [clips[item] for turn in turns for item in turn.media]
        frames = [len(clip.frames) for clip in shown if not isinstance(clip, str)]
        if len(frames) < len(shown):
            return Talk()  # the sheet says why
        try:
            encoded = self.encoder.encode(
                turns, frames_per_media=tuple(frames), record_id=record_id
            )
        except RecordError as error:
            return Talk(fault=error.message)
        except CheckpointError as error:
            return Talk(fault=str(error))
        token_id = self.encoder.image_token_id
        budget = budget_of(encoded, image_token_id=token_id, limit=self.limit)
        fault = ""
        if budget.free < 0:
            fault = (
                f"needs {budget.total:,} tokens, and the limit is {budget.limit:,}; it is never "
                "cut: show fewer or smaller frames, or raise the limit"
            )
        pieces = pieces_of(
            encoded,
            self.encoder.tokenizer,
            image_token_id=token_id,
            frames_per_media=frames,
        )
        return Talk(pieces, budget, fault)


def _facts(record: Record) -> dict[str, str]:
    extras = record.extras
    facts = {
        "task": extras.task or "",
        "kind": (extras.kind or "").replace("_", " "),
        "split": extras.split or "",
        "group": extras.group or "",
        "references": " \u00b7 ".join(extras.references),
        "spans": ", ".join(f"{start:g}\u2013{end:g} s" for start, end in extras.spans),
    }
    return {name: value for name, value in facts.items() if value}


def _plain(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " ".join(map(_plain, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _raw(row: NamedRow) -> str:
    if isinstance(row.content, RecordError):
        return ""
    text = json.dumps(row.content, ensure_ascii=False, indent=2)
    text = text.encode("utf-8", "backslashreplace").decode()
    left = len(text) - MOST_RAW_LETTERS
    return text if left <= 0 else f"{text[:MOST_RAW_LETTERS]}\n... and {left:,} letters more"
