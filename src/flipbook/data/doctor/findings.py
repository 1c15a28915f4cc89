"""What can be wrong with a record or a file, and by which short name is that called?

    MediaError, RecordError -> Finding: code, reason in one line, path

Codes are for programs and do not change; reasons are for people. A finding of a code in `FAULTS`
takes its records out of the clean manifest, one of a code in `NOTES` does not.

An error has its code by its type, and where several faults share a type, by its words. To add a
code: a line in `FAULTS` or `NOTES`, and one in `_WORDS` where an error tells of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from flipbook.errors import (
    ArgumentError,
    BudgetError,
    DataError,
    LabelError,
    MediaError,
    RecordError,
    one_line,
)

FAULTS = {
    # of a file
    "missing": "the file is not there",
    "empty": "the file or folder has nothing in it",
    "outside": "the path leads out of the data set's folders",
    "refused": "an address, a pipe, a device, or a file that may not be read",
    "wrong_type": "no video or picture, whatever its name says",
    "audio_only": "sound without pictures",
    "unreadable": "damaged, cut short or of an unknown kind",
    "truncated": "fewer frames than the file declares",
    "damaged": "frames that cannot be decoded",
    "too_large": "pictures with too many pixels",
    "one_frame": "a clip of a single frame, in which nothing moves",
    "hanging": "reading it did not end in time",
    "crashed": "reading it ended the process",
    "memory": "reading it needs too much memory",
    # of a record and its file together
    "outside_clip": "the record shows what comes after the clip's end",
    "no_rate": "pictures of which nobody says how many are a second",
    "settings": "the record's own way to read its clips cannot be meant",
    # of a record
    "not_json": "the row is no JSON",
    "duplicate_key": "the row holds a key twice",
    "structure": "the row is not built like a record",
    "roles": "user and assistant do not take turns, or the answer is not there",
    "empty_answer": "an answer without words",
    "empty_question": "a question without words that shows nothing",
    "placeholders": "places for media and media do not match",
    "options": "options without the right answer, a blank one, or none at all",
    "task": "a task with the name under which the average over tasks is reported",
    "unjudged": "an evaluation split's record that does not tell what is right",
    "budget": "more tokens than the model may read",
    "labels": "labels that cannot be proven",
    # of the data set as a whole
    "leak_clip": "a clip that an evaluation split shows too",
    "leak_group": "a group that an evaluation split has too",
}
NOTES = {
    "variable_rate": "frames come at uneven intervals; instants are taken by the clock",
    "rotated": "the picture is stored turned, and shown upright",
    "repeated_frames": "fewer frames than are asked for, so some are shown more than once",
    "very_long": "longer than an hour",
    "same_content": "the same content under several names",
    "duplicate_id": "a name that an earlier record has; the clean manifest gives it its own",
    "duplicate": "the same question and answer about the same clip as an earlier record",
    "contradiction": "another answer to the same question about the same clip",
    "unjudged_in_training": "does not tell what is right, as evaluation would need it",
    "token_difference": "encoding the whole text at once gives a few other tokens",
}

_TYPES: tuple[tuple[type[DataError], str], ...] = (
    (BudgetError, "budget"),
    (LabelError, "labels"),
)
_WORDS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (code, re.compile(words))
    for code, words in (
        ("missing", r"^does not exist"),
        ("empty", r"^is empty \(0 bytes\)|^is a folder without pictures|^a clip is an empty list"),
        ("outside", r"leads outside of |leads out of its folder"),
        (
            "refused",
            r"is an address, and only|^is a (pipe|socket|device|folder), |^may not be read|"
            r"^cannot be opened|is no name that a file can have",
        ),
        ("audio_only", r"^has no video stream|^is no video but an audio file"),
        ("too_large", r"more than \d+ pixels|pixels, more than \d+;|^has too many pixels"),
        (
            "wrong_type",
            r"^is no video but |^is no image of a known kind|file, not a video;|^is coded as |"
            r"stands in a list of pictures and is none",
        ),
        ("unreadable", r"^cannot be read"),
        ("truncated", r"^\d+ frames declared, \d+ decodable"),
        ("outside_clip", r"and the clip ends at "),
        ("no_rate", r"nobody says how many of them are a second"),
        ("settings", r"^'clip' holds |which might change what is shown|^'times_s' is "),
        ("duplicate_key", r"^holds the key .* twice; keep one$"),
        (
            "not_json",
            r"^is not JSON|^is nested too deeply|which is no JSON; write|digits; write it as text$|"
            r"^is no text in UTF-8",
        ),
        ("empty_answer", r"^turn \d+ is a blank answer"),
        ("empty_question", r"^turn \d+ is a blank question"),
        (
            "roles",
            r"^turn \d+ is of \w+ where |^unknown role |^the last \w+ turn |"
            r"^the conversation is empty|^has no conversation|holds media; ",
        ),
        ("placeholders", r"^has placeholders for |stands in no turn, though|^shows nothing, but "),
        (
            "options",
            r"which is none of its options|^is of kind \w+ and has no 'options'|"
            r"^option \d+ under 'options' is blank",
        ),
        ("task", r"^'task' is 'mean', "),
    )
)


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        code: a key of `FAULTS` or `NOTES`.
        reason: what is wrong, with which value, and what to do; one line.
        path: of the file that it is about; empty where it is about the record alone.
    """

    code: str
    reason: str
    path: str = ""

    @property
    def rejects(self) -> bool:
        """Whether records with it are left out."""
        return self.code in FAULTS


def finding_of(error: MediaError | RecordError, *, otherwise: str, path: str = "") -> Finding:
    """Return what an error says, under its code.

    Args:
        otherwise: the code where neither type nor words tell it.
        path: of the file; that of a MediaError if not given.
    """
    cause = error.__cause__ if isinstance(error.__cause__, MediaError) else error
    if isinstance(cause, MediaError):
        path = path or cause.path
    code = next((code for kind, code in _TYPES if isinstance(error, kind)), None)
    if isinstance(error.__cause__, (ArgumentError, TypeError)):  # of a view
        code = "settings"
    if code is None:
        found = (code for code, words in _WORDS if words.search(cause.message))
        code = next(found, otherwise)
    return Finding(code, one_line(cause.message), path)
