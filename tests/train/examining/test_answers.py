from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fixtures_data import SHORT_RUN, Tune
from flipbook.data.dataset import LazySupervisedDataset
from flipbook.data.formats.prompts import choice_question
from flipbook.data.generated.write import GeneratedData
from flipbook.errors import ArgumentError, DataError
from flipbook.model.checkpoint import load_checkpoint
from flipbook.score.prediction import Prediction
from flipbook.train.arguments import Arguments
from flipbook.train.examining.answers import Examination, make_examination, metrics_of
from flipbook.train.parsing import parse_arguments
from flipbook.train.start import fit_to_checkpoint

NOT_MEASURED = {"eval_runtime", "eval_samples_per_second", "eval_steps_per_second"}


def _prediction(value: float, *, task: str | None = None, kind: str = "open") -> Prediction:
    return Prediction(
        record_id="r",
        number=1,
        task=task,
        kind=kind,
        video="v",
        question="?",
        reference="3",
        answer="3",
        value=value,
        measures={"exact_match": value} if kind == "open" else {"accuracy": value},
    )


def _row(number: int, clip: str, question: str, reply: str, **more: Any) -> dict[str, Any]:
    turns = [{"from": "human", "value": f"<video>\n{question}"}, {"from": "gpt", "value": reply}]
    return {"id": f"r{number}", "video": clip, "conversations": turns, "task": f"t{number}", **more}


def _kinds(generated: GeneratedData, name: str = "kinds.json") -> Path:
    """Return a manifest with a question of every kind."""
    clips = [row["video"] for row in json.loads(generated.validation.read_text())]
    options = ["left", "right"]
    rows = [
        _row(0, clips[0], "Which way?", "left"),
        _row(
            1,
            clips[1],
            choice_question("Which way?", options),
            "A",
            kind="multiple_choice",
            options=options,
        ),
        _row(2, clips[2], "Which?", "left", kind="classification", options=options),
        _row(3, clips[3], "Describe it.", "A circle moves.", kind="caption"),
        _row(4, clips[4], "When?", "From 0.0 to 1.0 seconds.", kind="when"),
        _row(5, clips[5], "How often?", "twice, so 2", kind="count", answer="2"),
        _row(6, clips[6], "What should be better?", "Keep it up.", kind="feedback"),
    ]
    path = generated.folder / name
    path.write_text(json.dumps(rows))
    return path


def _arguments(folder: Path, manifest: Path, **flags: object) -> Arguments:
    named = {"model_name_or_path": folder, "data_path": manifest, "validation_data_path": manifest}
    settings = SHORT_RUN | {"eval_num_answers": 64} | named | flags
    return parse_arguments([f"--{name}={value}" for name, value in settings.items()])


def _examination(folder: Path, manifest: Path, **flags: object) -> Examination | None:
    arguments = _arguments(folder, manifest, **flags)
    checkpoint = load_checkpoint(folder)
    data_args = fit_to_checkpoint(arguments.data, checkpoint)
    dataset = LazySupervisedDataset(
        [str(manifest)], checkpoint.tokenizer, data_args, training=False
    )
    return make_examination(
        dataset, arguments.training, max_bad_fraction=data_args.max_bad_fraction
    )


def test_accuracy_weighs_questions_and_score_weighs_tasks() -> None:
    found = metrics_of(
        [
            _prediction(1.0, task="a"),
            _prediction(1.0, task="a"),
            _prediction(1.0, task="a"),
            _prediction(0.0, task="b"),
        ]
    )
    assert found == {"accuracy": 0.75, "score": 0.5, "open_exact_match": 0.75}


def test_measures_are_named_by_kind() -> None:
    found = metrics_of([_prediction(1.0), _prediction(0.0, kind="count")])
    assert found == {
        "accuracy": 0.5,
        "score": 0.5,
        "open_exact_match": 1.0,
        "count_accuracy": 0.0,
    }


def test_a_measure_that_says_nothing_is_left_out() -> None:
    silent = Prediction(**vars(_prediction(0.0, kind="count")) | {"measures": {"accuracy": 0.0}})
    assert "count_absolute_error" not in metrics_of([silent])
    assert metrics_of([silent])["count_accuracy"] == 0.0


def test_questions_are_spread_over_tasks(fast_vlm_folder: Path, generated: GeneratedData) -> None:
    examination = _examination(fast_vlm_folder, generated.validation, eval_num_answers=7)
    assert examination is not None
    assert len(examination.questions) == 7
    assert len({question.task for question in examination.questions}) == 7
    part = examination.part(3)
    assert {question.key for question in part.questions} < {
        question.key for question in examination.questions
    }
    assert len(part.questions) == 3


def test_no_answers_are_no_examination(fast_vlm_folder: Path, generated: GeneratedData) -> None:
    assert _examination(fast_vlm_folder, generated.validation, eval_num_answers=0) is None


def test_what_the_data_leave_out_is_not_asked(
    fast_vlm_folder: Path, generated: GeneratedData
) -> None:
    rows = json.loads(_kinds(generated).read_text())
    rows[0]["conversations"][1]["value"] = "left " * 200  # longer than the limit below
    rows[1]["video"] = "clips/gone.mp4"
    rows[2]["split"] = "train"
    manifest = generated.folder / "left_out.json"
    manifest.write_text(json.dumps(rows))
    settings = {"model_max_length": 300, "max_bad_fraction": 0.9}
    examination = _examination(fast_vlm_folder, manifest, **settings)
    assert examination is not None
    assert [question.record_id for question in examination.questions] == ["r3", "r4", "r5", "r6"]


def test_a_question_without_a_right_answer_is_told_before_the_first_step(
    fast_vlm_folder: Path, generated: GeneratedData
) -> None:
    rows = json.loads(_kinds(generated).read_text())
    rows[1]["conversations"][1]["value"] = "neither"
    manifest = generated.folder / "no_right_answer.json"
    manifest.write_text(json.dumps(rows))
    with pytest.raises(DataError, match=r"record r1: does not tell which of its options"):
        _examination(fast_vlm_folder, manifest)


@pytest.mark.parametrize(
    ("number", "changes", "message"),
    [
        (5, {"answer": "several"}, "record r5: asks for a number"),
        (0, {"task": "mean"}, "record r0: 'task' is 'mean'"),
    ],
)
def test_what_could_not_be_scored_at_the_end_is_refused_before_the_first_step(
    tune: Tune,
    generated: GeneratedData,
    number: int,
    changes: dict[str, str],
    message: str,
) -> None:
    """Also where nothing is asked on the way."""
    rows = json.loads(_kinds(generated).read_text())
    rows[number] |= changes
    manifest = generated.folder / "no_score.json"
    manifest.write_text(json.dumps(rows))
    with pytest.raises(DataError, match=message):
        tune("never", validation_data_path=manifest, eval_num_answers=0)


def _evaluations(result: Any) -> list[dict[str, float]]:
    text = (result.run_folder / "log.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    return [line for line in lines if "eval_loss" in line]


EVALUATED: dict[str, Any] = {
    "max_steps": 1,
    "eval_strategy": "steps",
    "eval_steps": 1,
    "eval_num_answers": 16,
    "max_new_tokens": 2,
}


def test_every_kind_is_measured_under_its_name(
    tune: Tune, generated: GeneratedData, fast_vlm_folder: Path
) -> None:
    manifest = _kinds(generated)
    (line,) = _evaluations(tune(**EVALUATED, validation_data_path=manifest))
    measured = {name for name in line if name.startswith("eval_")} - NOT_MEASURED
    expected = {
        "eval_accuracy",
        "eval_score",
        "eval_open_token_f1",
        "eval_multiple_choice_accuracy",
        "eval_multiple_choice_consistent",
        "eval_classification_top_1",
        "eval_caption_cider_d",
        "eval_when_tiou",
        "eval_count_within_one",
        "eval_feedback_rouge_l",
    }
    assert expected <= measured
    examination = _examination(fast_vlm_folder, manifest)
    assert examination is not None
    told = {"eval_loss", *(f"eval_{name}" for name in examination.names)}
    # An untrained model tells no number, so that there is no error of one.
    assert measured == told - {"eval_count_absolute_error"}


def test_the_best_checkpoint_is_chosen_by_any_measure(
    tune: Tune, generated: GeneratedData, tmp_path: Path
) -> None:
    settings = EVALUATED | {
        "max_steps": 2,
        "save_strategy": "steps",
        "save_steps": 1,
        "validation_data_path": _kinds(generated),
    }
    result = tune(**settings, metric_for_best_model="eval_multiple_choice_accuracy")
    (checkpoint,) = result.run_folder.glob("checkpoint-2")
    state = json.loads((checkpoint / "trainer_state.json").read_text())
    lines = _evaluations(result)
    assert state["best_metric"] == max(line["eval_multiple_choice_accuracy"] for line in lines)
    # No answer of this model is a number: nothing is best, and the run goes on to its end.
    silent = tune(tmp_path / "silent", **settings, metric_for_best_model="count_absolute_error")
    assert len(_evaluations(silent)) == 2


def test_a_measure_that_is_not_taken_is_refused_before_anything_is_written(
    tune: Tune, generated: GeneratedData, tmp_path: Path
) -> None:
    settings = EVALUATED | {"save_strategy": "steps", "save_steps": 1}
    with pytest.raises(ArgumentError, match=r"Did you mean 'eval_open_token_f1'\? It measures"):
        tune(
            **settings,
            validation_data_path=generated.validation,
            metric_for_best_model="open_token_f2",
        )
    assert not (tmp_path / "run").exists()


def test_stored_features_give_the_answers_of_live_ones(
    tune: Tune, generated: GeneratedData, tmp_path: Path
) -> None:
    settings = EVALUATED | {"validation_data_path": _kinds(generated)}
    live = tune(tmp_path / "live", **settings)
    stored = tune(tmp_path / "stored", **settings, frame_features="store")
    files = [(run.run_folder / "followed.jsonl").read_text() for run in (live, stored)]
    assert files[0] == files[1]
    measured = [
        {name: value for name, value in line.items() if name not in NOT_MEASURED}
        for run in (live, stored)
        for line in _evaluations(run)
    ]
    names = [name for name in measured[0] if name.startswith("eval_")]
    assert [measured[0][name] for name in names] == [measured[1][name] for name in names]
