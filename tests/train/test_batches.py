"""Training is the same however questions are joined, batched, stored and spread."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from fixtures_data import SHORT_RUN, Tune
from fixtures_model import make_tokenizer
from flipbook.data.dataset import LazySupervisedDataset
from flipbook.data.generated.write import GeneratedData
from flipbook.data.sample import Sample
from flipbook.errors import ArgumentError, MediaError
from flipbook.train import run as train_run
from flipbook.train.arguments import DataArguments
from flipbook.train.batches import BatchRules
from flipbook.train.run import RunResult

QUESTIONS = ("Which way?", "What is red?", "How many are lit, and when?", "Why?", "Where is it?")
ANSWERS = ("Left.", "A circle.", "Three, at the end.", "It grows.", "In the upper half.")


@pytest.fixture(scope="module")
def clips_with_questions(tmp_path_factory: pytest.TempPathFactory, generated: GeneratedData) -> str:
    """Three clips with five questions each, one of them of two turns, and a text."""
    folder = tmp_path_factory.mktemp("questions")
    clips = sorted((generated.folder / "clips").glob("train-*.mp4"))[:3]
    rows: list[dict[str, Any]] = []
    for number, (question, answer) in enumerate(zip(QUESTIONS, ANSWERS, strict=True)):
        for clip in clips:
            turns = [("human", f"<video>\n{question}"), ("gpt", answer)]
            turns += [("human", "Sure?"), ("gpt", "Yes.")] if number == 2 else []
            rows.append(
                {
                    "id": f"{clip.stem}-{number}",
                    "video": str(clip),
                    "conversations": [{"from": who, "value": text} for who, text in turns],
                }
            )
    turns = [("human", "Who are you?"), ("gpt", "A reader of clips.")]
    rows.append({"id": "t", "conversations": [{"from": w, "value": v} for w, v in turns]})
    path = folder / "rows.json"
    path.write_text(json.dumps(rows))
    return str(path)


@pytest.fixture
def ask(tune: Tune, clips_with_questions: str, generated: GeneratedData, tmp_path: Path) -> Tune:
    """Return a function: name, flags -> a run on these questions in a folder of that name."""

    def run(name: Path | None = None, **flags: object) -> RunResult:
        folder = tmp_path / str(name)
        return tune(
            folder,
            **{
                "data_path": clips_with_questions,
                "image_folder": generated.folder,
                "per_device_train_batch_size": 16,
                "max_steps": 3,
                "learning_rate": 1e-3,
            }
            | flags,
        )

    return run


def log_of(result: RunResult) -> list[dict[str, float]]:
    return [json.loads(line) for line in (result.run_folder / "log.jsonl").read_text().splitlines()]


def losses(result: RunResult, name: str = "loss") -> list[float]:
    return [line[name] for line in log_of(result) if name in line]


def weights(result: RunResult) -> dict[str, torch.Tensor]:
    return load_file(result.model_folder / "model.safetensors")


def assert_same_weights(one: RunResult, other: RunResult, *, tolerance: float = 0.0) -> None:
    first, second = weights(one), weights(other)
    for name, tensor in first.items():
        assert torch.allclose(tensor, second[name], rtol=0, atol=tolerance), name


def test_questions_behind_one_copy_of_their_clip_train_the_same(ask: Tune) -> None:
    together = ask(Path("together"), questions_per_pass=8)
    alone = ask(Path("alone"), questions_per_pass=1)
    assert losses(together) == pytest.approx(losses(alone), rel=1e-6)
    tokens = [
        log_of(run)[-1]["tokens_per_s"] / log_of(run)[-1]["samples_per_s"]
        for run in (together, alone)
    ]
    assert tokens[0] < 0.7 * tokens[1]
    assert "train_samples_per_second" not in log_of(together)[-1]  # of batches of another size


def test_the_validation_loss_does_not_change_with_batches(
    ask: Tune, clips_with_questions: str
) -> None:
    def validation_loss(name: str, **flags: object) -> float:
        shared = {"max_steps": 1, "eval_strategy": "steps", "eval_steps": 1}
        shared |= {"learning_rate": 1e-30, "train_parts": "language_model"}  # no weight but 0 moves
        run = ask(Path(name), validation_data_path=clips_with_questions, **shared, **flags)
        (loss,) = losses(run, "eval_loss")
        return loss

    expected = validation_loss("a", questions_per_pass=1, per_device_eval_batch_size=1)
    assert validation_loss("b", per_device_eval_batch_size=16) == pytest.approx(expected, rel=1e-6)
    assert validation_loss("c", max_batch_tokens=150) == pytest.approx(expected, rel=1e-6)


def test_stored_features_train_bit_for_bit_as_live_ones(ask: Tune, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"frame_sampler": "segments", "max_steps": 4, "feature_views": 9}
    store: dict[str, Any] = {"frame_features": "store", "feature_store": tmp_path / "features"}
    live = ask(Path("live"), **settings)
    filling = ask(Path("filling"), **settings, **store)
    filled = len(list((tmp_path / "features").rglob("*.safetensors")))
    full = ask(Path("full"), **settings, **store)
    assert filled == len(list((tmp_path / "features").rglob("*.safetensors"))) == 3 * 4
    for run in (filling, full):
        assert losses(run) == losses(live)
        assert_same_weights(run, live)


@pytest.mark.slow
def test_a_run_on_packed_batches_goes_on_where_it_stopped(ask: Tune, tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "max_batch_tokens": 220,
        "max_steps": 7,
        "frame_features": "store",
        "frame_sampler": "segments",
        "feature_views": 2,
        "gradient_accumulation_steps": 2,
        "dataloader_num_workers": 1,
        "save_strategy": "steps",
        "save_steps": 3,
        "save_total_limit": 3,
    }
    straight = ask(Path("straight"), **settings)
    (tmp_path / "stopped").mkdir()
    kept = straight.run_folder / "checkpoint-3"
    kept.rename(tmp_path / "stopped" / kept.name)
    resumed = ask(Path("stopped"), resume_from_checkpoint="latest", **settings)
    assert losses(resumed) == losses(straight)[3:]
    assert_same_weights(resumed, straight)


def test_an_epoch_has_every_question_once(
    ask: Tune, clips_with_questions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flipbook.train import trainer

    seen: list[str] = []
    real = trainer.supervised_loss

    def noting(model: Any, batch: dict[str, Any], **kwargs: Any) -> Any:
        seen.extend(batch["record_ids"])
        return real(model, batch, **kwargs)

    monkeypatch.setattr(trainer, "supervised_loss", noting)
    ask(Path("run"), max_batch_tokens=300, max_steps=-1, num_train_epochs=2)
    rows = json.loads(Path(clips_with_questions).read_text())
    assert sorted(seen[: len(rows)]) == sorted(seen[len(rows) :]) == sorted(r["id"] for r in rows)
    assert seen[: len(rows)] != seen[len(rows) :]


def test_a_filler_is_seen_and_not_learned(
    clips_with_questions: str, generated: GeneratedData
) -> None:
    arguments = DataArguments(num_video_frames=2, frame_size=128)
    arguments.image_folder = str(generated.folder)
    dataset = LazySupervisedDataset(clips_with_questions, make_tokenizer(), arguments)
    rules = BatchRules(questions_per_pass=8)
    batches = rules.pack(dataset, batch_size=16, num_processes=6, seed=0)
    samples: list[Sample] = []
    for batch in batches:
        samples += [sample for sample in dataset.__getitems__(batch) if isinstance(sample, Sample)]
    fillers = [sample for sample in samples if sample.is_filler]
    assert len(samples) - len(fillers) == 4
    assert len(fillers) == 2
    assert all((sample.labels == -100).all() for sample in fillers)
    names = [name for sample in samples if not sample.is_filler for name in sample.record_ids]
    assert len(names) == len(set(names)) == 16


def test_a_filler_weighs_nothing_however_losses_are_averaged(
    ask: Tune, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[torch.Tensor] = []
    save = train_run.save_run

    def note_and_save(trainer: Any, *args: Any, **kwargs: Any) -> Path:
        filler = trainer.data_collator([trainer.train_dataset[(-1,)]])
        for num_items in (torch.tensor(0), torch.tensor(7), None):
            trainer.model.train()
            found.append(trainer.compute_loss(trainer.model, filler, num_items_in_batch=num_items))
        return save(trainer, *args, **kwargs)

    monkeypatch.setattr(train_run, "save_run", note_and_save)
    ask(Path("run"), max_steps=1)
    assert [loss.item() for loss in found] == [0.0, 0.0, 0.0]
    assert all(loss.requires_grad for loss in found)


def test_a_validation_record_longer_than_a_batch_is_said_before_training(
    ask: Tune, clips_with_questions: str, tmp_path: Path
) -> None:
    rows = json.loads(Path(clips_with_questions).read_text())
    rows[0]["conversations"][1]["value"] = "word " * 99
    (tmp_path / "long.json").write_text(json.dumps(rows))
    message = rf"--max_batch_tokens 300: record {rows[0]['id']} alone has \d+ tokens"
    with pytest.raises(ArgumentError, match=message):
        ask(Path("run"), max_batch_tokens=300, validation_data_path=tmp_path / "long.json")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("place", [0, 1, 3])
def test_a_broken_clip_is_named_wherever_in_a_step_it_is(
    ask: Tune, clips_with_questions: str, tmp_path: Path, place: int
) -> None:
    rows = json.loads(Path(clips_with_questions).read_text())[:4]
    (tmp_path / "torn.mp4").write_bytes(b"\x00\x00\x00\x18ftypmp42" + bytes(5000))
    rows[place]["video"] = str(tmp_path / "torn.mp4")
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    settings = {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 4}
    with pytest.raises(MediaError, match=r"torn\.mp4"):
        ask(Path("run"), data_path=tmp_path / "rows.json", **settings)


def test_two_processes_learn_what_one_does(
    ask: Tune,
    tmp_path: Path,
    clips_with_questions: str,
    generated: GeneratedData,
    fast_vlm_folder: Path,
) -> None:
    """Four passes, one a batch, make one step of three processes with the help of two fillers."""
    settings: dict[str, Any] = {
        "questions_per_pass": 8,
        "max_steps": -1,
        "num_train_epochs": 1,
        "lr_scheduler_type": "constant",
        "warmup_steps": 0,
    }
    words = {
        **SHORT_RUN,
        "model_name_or_path": fast_vlm_folder,
        "data_path": clips_with_questions,
        "image_folder": generated.folder,
        "output_dir": tmp_path / "spread",
        "per_device_train_batch_size": 5,
        "gradient_accumulation_steps": 2,
    } | settings
    flags = [f"--{name}={value}" for name, value in words.items()]
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "3", "--standalone",
        "-m", "flipbook", "train", *flags,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    one = ask(Path("one"), per_device_train_batch_size=99, **settings)
    spread = RunResult(tmp_path / "spread", tmp_path / "spread" / "model", is_main_process=True)
    assert losses(spread) == pytest.approx(losses(one), rel=1e-5)
    assert_same_weights(spread, one, tolerance=2e-4)
