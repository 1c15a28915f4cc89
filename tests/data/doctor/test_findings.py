"""Codes are told apart by what errors really say, and reasons fit on a line."""

from __future__ import annotations

import pytest

from flipbook.data.doctor.findings import FAULTS, NOTES, Finding, finding_of, one_line
from flipbook.errors import BudgetError, LabelError, MediaError, RecordError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BudgetError("a", "8 frames x 4"), "budget"),
        (LabelError("a", "does not exist"), "labels"),
        (RecordError("a", "something new"), "structure"),
        (RecordError("a", "turn 2 is a blank answer; write it"), "empty_answer"),
        (RecordError("a", "option 1 under 'options' is blank; write its words"), "options"),
        (RecordError("a", "'task' is 'mean', the name under which"), "task"),
        (MediaError("a.mp4", "30 frames declared, 18 decodable: cut"), "truncated"),
    ],
)
def test_types_come_first_then_words(error: RecordError | MediaError, code: str) -> None:
    assert finding_of(error, otherwise="structure").code == code


def test_what_is_wrong_with_a_file_names_the_file() -> None:
    cause = MediaError("/clips/does not exist.mp4", "is empty (0 bytes); copy it again")
    error = RecordError("a", str(cause))
    error.__cause__ = cause
    found = finding_of(error, otherwise="refused")
    assert found == Finding("empty", "is empty (0 bytes); copy it again", cause.path)
    assert finding_of(cause, otherwise="refused") == found


def test_reasons_are_one_line_that_can_be_written() -> None:
    assert one_line("two\nlines \t of\u2028half \ud83d") == "two lines of half \\ud83d"


def test_no_code_is_fault_and_note() -> None:
    assert not FAULTS.keys() & NOTES.keys()
    assert Finding("budget", "").rejects and not Finding("rotated", "").rejects
