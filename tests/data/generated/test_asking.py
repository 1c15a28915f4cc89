"""The two forms of a question mean the same, and are read as what they are."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from flipbook.data.generated.asking import options_of, rows_about, task_of, tasks_asked
from flipbook.data.generated.scenes import SUITE_TASKS, make_rivals
from flipbook.data.records import Record, read_records


def _rows(task: str, *, seed: int, form: str = "both") -> list[dict]:
    rivals = make_rivals(task, seed=seed)
    shown = seed % len(rivals)
    path = f"clips/test-{task}-0007.mp4"
    return rows_about(path, task=task, rivals=rivals, shown=shown, form=form, seed=seed)


def _read(rows: list[dict], folder: Path) -> tuple[Record, ...]:
    for row in rows:
        (folder / row["video"]).parent.mkdir(exist_ok=True)
        (folder / row["video"]).write_bytes(b"a clip")
    (folder / "rows.json").write_text(json.dumps(rows))
    found = read_records(str(folder / "rows.json"))
    assert not found.rejected
    return found.records


@pytest.mark.parametrize("task", SUITE_TASKS)
def test_rows_are_records_of_both_forms(task: str, tmp_path: Path) -> None:
    records = _read(_rows(task, seed=5), tmp_path)
    rivals = make_rivals(task, seed=5)
    movie = rivals[5 % len(rivals)]
    assert len(records) == 2 * len(movie.questions)
    for number, question in enumerate(movie.questions):
        words, choice = records[2 * number : 2 * number + 2]
        assert words.conversations[0][0].text.strip() == question.text
        assert words.conversations[0][1].text == question.answer
        assert words.task == question.task
        assert words.extras.spans == question.spans
        assert choice.task == f"{question.task}_choice"
        assert choice.extras.kind == "multiple_choice"
        assert sorted(choice.extras.options) == sorted(options_of(rivals, number))
        assert choice.extras.answer == question.answer
        letter = choice.conversations[0][1].text
        assert f"\n{letter}. {question.answer}\n" in choice.conversations[0][0].text
        assert choice.conversations[0][0].text.strip().startswith(question.text)
        assert {words.extras.group, choice.extras.group} == {f"test-{task}-0007"}


def test_kinds_are_told_where_they_apply() -> None:
    kinds = {task: _rows(task, seed=1, form="words")[0].get("kind") for task in SUITE_TASKS}
    told = {task: kind for task, kind in kinds.items() if kind}
    assert told == {"count": "count", "bounces": "count", "span": "when"}


def test_no_letter_is_right_more_often_than_others() -> None:
    for task, least in (("direction", 80), ("bounces", 45)):
        rows = [_rows(task, seed=seed, form="choice")[0] for seed in range(200)]
        letters = Counter(row["conversations"][1]["value"] for row in rows)
        assert min(letters.values()) > least
        assert len(letters) == len(rows[0]["options"])


def test_one_form_has_its_rows_alone() -> None:
    both = _rows("order", seed=2)
    assert [row["id"] for row in both] == [
        "test-order-0007-0",
        "test-order-0007-0_choice",
        "test-order-0007-1",
        "test-order-0007-1_choice",
    ]
    assert _rows("order", seed=2, form="words") == both[::2]
    assert _rows("order", seed=2, form="choice") == both[1::2]


def test_tasks_of_rows_belong_to_tasks_of_the_suite() -> None:
    assert tasks_asked(["span", "order"], "both") == [
        "span",
        "order",
        "span_choice",
        "order_choice",
    ]
    assert tasks_asked(["span"], "choice") == ["span_choice"]
    assert {task_of(name) for name in tasks_asked(list(SUITE_TASKS), "both")} == set(SUITE_TASKS)
