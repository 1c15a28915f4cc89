from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fixtures_data import Tune
from flipbook.data.generated.write import GeneratedData
from flipbook.score.prediction import Prediction
from flipbook.train.examining.followed import FollowedAnswers
from flipbook.train.lines import keep_until
from flipbook.train.progress import Throughput


def _prediction(record_id: str, answer: str) -> Prediction:
    return Prediction(
        record_id=record_id,
        number=1,
        task="order",
        kind="open",
        video="a.mp4",
        question="Which?",
        reference="red",
        answer=answer,
        value=float(answer == "red"),
    )


def _followed(path: Path, record_ids: tuple[str, ...] = ("a", "b")) -> FollowedAnswers:
    keys = [SimpleNamespace(key=(record_id, 1)) for record_id in record_ids]
    examination: Any = SimpleNamespace(questions=keys)
    answers = [_prediction(record_id, "blue") for record_id in record_ids]
    return FollowedAnswers(path, examination, answer=lambda asked: answers, throughput=Throughput())


def _state(step: int, *, is_first: bool = True) -> Any:
    return SimpleNamespace(global_step=step, is_world_process_zero=is_first)


def _begin(followed: FollowedAnswers, step: int, *, eval_on_start: bool = False) -> None:
    followed.on_train_begin(SimpleNamespace(eval_on_start=eval_on_start), _state(step), None)


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_each_evaluation_writes_a_line_for_each_followed_question(tmp_path: Path) -> None:
    followed = _followed(tmp_path / "f.jsonl")
    _begin(followed, 0)
    followed.note([_prediction(name, "red") for name in ("a", "x", "b")], _state(5))
    lines = _lines(tmp_path / "f.jsonl")
    assert [(line["step"], line["record_id"], line["value"]) for line in lines] == [
        (0, "a", 0.0),
        (0, "b", 0.0),
        (5, "a", 1.0),
        (5, "b", 1.0),
    ]
    assert lines[0] == {
        "step": 0,
        "record_id": "a",
        "number": 1,
        "task": "order",
        "question": "Which?",
        "reference": "red",
        "answer": "blue",
        "value": 0.0,
    }


def test_other_processes_write_nothing(tmp_path: Path) -> None:
    _followed(tmp_path / "f.jsonl").note([_prediction("a", "red")], _state(1, is_first=False))
    assert not (tmp_path / "f.jsonl").exists()


def test_what_is_evaluated_at_the_start_is_not_asked_twice(tmp_path: Path) -> None:
    _begin(_followed(tmp_path / "f.jsonl"), 0, eval_on_start=True)
    assert not (tmp_path / "f.jsonl").exists()


def test_a_run_that_goes_on_takes_out_what_comes_again(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    followed = _followed(path)
    _begin(followed, 0)
    for step in (2, 4, 6):
        followed.note([_prediction("a", f"\u2028{step}")], _state(step))
    with path.open("a") as file:
        file.write('{"step": 8, "rec')  # the process was killed here
    _begin(followed, 4)
    assert [line["step"] for line in _lines_of_steps(path)] == [0, 0, 2, 4]
    followed.note([_prediction("a", "red")], _state(6))
    assert [line["step"] for line in _lines_of_steps(path)] == [0, 0, 2, 4, 6]


def _lines_of_steps(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").rstrip("\n").split("\n")]


def test_a_run_that_begins_anew_takes_nothing_over(tmp_path: Path) -> None:
    followed = _followed(tmp_path / "f.jsonl")
    _begin(followed, 0)
    _begin(followed, 0)  # such as with a smaller batch, after the memory was too small
    assert [line["step"] for line in _lines(tmp_path / "f.jsonl")] == [0, 0]


def test_no_file_is_no_lines(tmp_path: Path) -> None:
    keep_until(tmp_path / "f.jsonl", 3)
    assert not list(tmp_path.iterdir())


SETTINGS: dict[str, Any] = {
    "max_steps": 4,
    "eval_strategy": "steps",
    "eval_steps": 2,
    "save_strategy": "steps",
    "save_steps": 2,
    "eval_num_answers": 6,
    "follow_num_answers": 3,
    "max_new_tokens": 3,
}


def test_a_resumed_run_has_the_file_of_a_straight_one(
    tune: Tune, tmp_path: Path, generated: GeneratedData
) -> None:
    settings = SETTINGS | {"validation_data_path": generated.validation}
    straight = tune(tmp_path / "straight", **settings)
    (tmp_path / "resumed").mkdir()
    for name in ("checkpoint-2", "followed.jsonl"):
        (straight.run_folder / name).rename(tmp_path / "resumed" / name)
    expected = (tmp_path / "resumed" / "followed.jsonl").read_text()
    tune(tmp_path / "resumed", resume_from_checkpoint="latest", **settings)
    assert (tmp_path / "resumed" / "followed.jsonl").read_text() == expected
    lines = _lines(tmp_path / "resumed" / "followed.jsonl")
    assert [line["step"] for line in lines] == [0, 0, 0, 2, 2, 2, 4, 4, 4]
    assert len({line["task"] for line in lines}) == 3


def test_to_follow_changes_no_loss(tune: Tune, tmp_path: Path, generated: GeneratedData) -> None:
    settings = SETTINGS | {"validation_data_path": generated.validation, "lora_r": 2}
    losses = []
    for number in (0, 3):
        run = tune(tmp_path / str(number), **settings | {"follow_num_answers": number})
        assert (run.run_folder / "followed.jsonl").exists() == (number > 0)
        log = _lines(run.run_folder / "log.jsonl")
        losses.append([line["loss"] for line in log if "loss" in line])
    assert losses[0] == losses[1]


def test_no_more_questions_are_followed_than_are_asked(
    tune: Tune, generated: GeneratedData
) -> None:
    changed = {"follow_num_answers": 50, "eval_num_answers": 2, "max_steps": 2}
    run = tune(**SETTINGS | changed | {"validation_data_path": generated.validation})
    assert len({line["record_id"] for line in _lines(run.run_folder / "followed.jsonl")}) == 2
