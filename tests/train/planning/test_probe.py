"""The probe runs the longest batch, and leaves everything as it was, bit for bit."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from fixtures_data import Tune
from flipbook.data.generated.write import GeneratedData
from flipbook.errors import MediaError, TrainingError
from flipbook.train import run as train_run
from flipbook.train.batches import BatchRules
from flipbook.train.planning import probe as module
from flipbook.train.planning.probe import Probe, probe_longest, should_probe

OnTrainer = Callable[..., None]


@pytest.fixture
def on_trainer(tune: Tune, monkeypatch: pytest.MonkeyPatch) -> OnTrainer:
    """Return a function: what to do with a trainer before it trains, flags of its run."""

    class Seen(Exception):  # noqa: N818  (no error: it ends the run there)
        pass

    def call(look: Callable[[Any], None], **flags: object) -> None:
        def look_and_stop(trainer: Any, **_settings: Any) -> None:
            look(trainer)
            raise Seen

        monkeypatch.setattr(train_run.FlipbookTrainer, "train", look_and_stop)
        with pytest.raises(Seen):
            tune(**flags)

    return call


def batches_of(trainer: Any, **how: Any) -> Any:
    settings = {"batch_size": 4, "num_processes": 1, "seed": trainer.arguments.order_seed}
    return BatchRules(8).pack(trainer.train_dataset, **settings | how)


def state_of(trainer: Any) -> dict[str, Any]:
    """All that a run reads: weights, buffers, modes, random numbers, counters."""
    model = trainer.model
    return {
        "weights": {name: tensor.clone() for name, tensor in model.state_dict().items()},
        "modes": [module.training for module in model.modules()],
        "gradients": [p.grad for p in model.parameters()],
        "torch": torch.get_rng_state(),
        "numpy": [np.asarray(part).tolist() for part in np.random.get_state()],  # noqa: NPY002
        "python": random.getstate(),
        "counted": vars(trainer.progress.throughput).copy(),
        "twice": model.is_activation_checkpointing,
        "optimizer": trainer.optimizer,
    }


def assert_same(before: dict[str, Any], after: dict[str, Any]) -> None:
    for name, tensor in before.pop("weights").items():
        assert torch.equal(tensor, after["weights"][name]), name
    assert torch.equal(before.pop("torch"), after["torch"])
    for name, value in before.items():
        assert value == after[name], name


@pytest.mark.parametrize(
    "flags",
    [
        {},
        {"lora_r": 2, "lora_dropout": 0.5},
        {"train_parts": "vision_tower projector language_model", "train_batch_norm": True},
        {"activation_checkpointing": True},
        {"bf16": True},
    ],
    ids=str,
)
def test_nothing_is_changed(on_trainer: OnTrainer, flags: dict[str, Any]) -> None:
    def look(trainer: Any) -> None:
        before = state_of(trainer)
        passes: list[bool] = []
        real = trainer.compute_loss

        def draw_and_compute(*args: Any, **kwargs: Any) -> Any:
            passes.append(trainer.model.is_activation_checkpointing)
            random.random()
            np.random.rand()  # noqa: NPY002
            torch.rand(1)
            loss = real(*args, **kwargs)
            assert loss.item() > 0
            return loss

        trainer.compute_loss = draw_and_compute
        probe = probe_longest(trainer, batches_of(trainer))
        trainer.compute_loss = real
        assert_same(before, state_of(trainer))
        assert passes == [bool(flags.get("activation_checkpointing"))]
        assert probe.peak_bytes is None
        assert probe.seconds > 0

    on_trainer(look, **flags)


def test_the_run_is_the_one_without_a_probe(
    tune: Tune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {"lora_r": 2, "lora_dropout": 0.3, "max_steps": 2}
    plain = tune(tmp_path / "plain", **settings)
    train = train_run.FlipbookTrainer.train

    def probe_and_train(trainer: Any, *args: Any, **kwargs: Any) -> Any:
        probe_longest(trainer, batches_of(trainer))
        return train(trainer, *args, **kwargs)

    monkeypatch.setattr(train_run.FlipbookTrainer, "train", probe_and_train)
    probed = tune(tmp_path / "probed", **settings)
    expected, found = (
        (run.model_folder / "model.safetensors").read_bytes() for run in (plain, probed)
    )
    assert expected == found


def test_the_longest_batch_is_run(on_trainer: OnTrainer) -> None:
    def look(trainer: Any) -> None:
        batches = batches_of(trainer)
        shown = io.StringIO()
        console = Console(file=shown, width=300)
        probe = probe_longest(trainer, batches, predicted_bytes=2 * 10**9, console=console)
        assert probe.num_tokens == batches.longest_tokens
        assert probe.num_questions == 4
        assert f"{probe.num_tokens:,} tokens of 4 questions" in shown.getvalue()
        assert "peak memory is not measured on this device (predicted: 2.00 GB)" in shown.getvalue()

    on_trainer(look)


def test_a_filler_is_never_the_longest(on_trainer: OnTrainer) -> None:
    def look(trainer: Any) -> None:
        num_processes = len(trainer.train_dataset) + 1
        batches = batches_of(trainer, batch_size=1, num_processes=num_processes)
        assert any(unit < 0 for batch in batches.batches(0) for unit in batch)
        assert probe_longest(trainer, batches).num_tokens == int(batches.units.num_tokens.max())

    on_trainer(look)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_too_little_memory_is_said_with_what_to_lower(
    on_trainer: OnTrainer, error: RuntimeError
) -> None:
    def look(trainer: Any) -> None:
        before = state_of(trainer)
        real = trainer.compute_loss

        def fail(*_args: Any, **_kwargs: Any) -> Any:
            raise error

        trainer.compute_loss = fail
        batches = batches_of(trainer)
        message = (
            rf"longest batch, {batches.longest_tokens:,} tokens of 4 questions, does not fit.*"
            r"--max_batch_tokens.*--num_video_frames.*--frame_size.*"
            r"--activation_checkpointing true.*--lora_r 16"
        )
        with pytest.raises(TrainingError, match=message):
            probe_longest(trainer, batches)
        trainer.compute_loss = real
        assert_same(before, state_of(trainer))

    on_trainer(look)


def test_another_error_stays_what_it_is(on_trainer: OnTrainer) -> None:
    def look(trainer: Any) -> None:
        def fail(*_args: Any, **_kwargs: Any) -> Any:
            raise RuntimeError("shapes do not fit")

        trainer.compute_loss = fail
        with pytest.raises(RuntimeError, match="shapes do not fit"):
            probe_longest(trainer, batches_of(trainer))

    on_trainer(look)


def test_a_broken_clip_of_the_longest_batch_is_named(
    on_trainer: OnTrainer, generated: GeneratedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    del generated

    def look(trainer: Any) -> None:
        def broken(_members: Any) -> list[Any]:
            return [MediaError("torn.mp4", "ends early")]

        monkeypatch.setattr(trainer.train_dataset, "__getitems__", broken)
        with pytest.raises(MediaError, match=r"torn\.mp4: ends early"):
            probe_longest(trainer, batches_of(trainer))

    on_trainer(look)


def test_what_was_measured_stands_beside_what_was_predicted() -> None:
    probe = Probe(1200, 3, 11_300_000_000, 10_900_000_000, 3.2)
    assert str(probe) == (
        "Probed the longest batch, 1,200 tokens of 3 questions: forward and backward in 3.20 s, "
        "11.30 GB of memory at most (predicted: 10.90 GB)."
    )


def test_on_a_cpu_a_run_begins_without_it(on_trainer: OnTrainer) -> None:
    on_trainer(lambda trainer: pytest.fail("probed") if should_probe(trainer.args) else None)


@pytest.mark.parametrize(("optim", "num_bytes"), [("adamw_torch", 8), ("sgd", 0)])
def test_moments_are_stood_in_for(
    on_trainer: OnTrainer, monkeypatch: pytest.MonkeyPatch, optim: str, num_bytes: int
) -> None:
    taken: list[int] = []
    real = torch.empty

    def note(*sizes: Any, **settings: Any) -> Any:
        if settings.get("dtype") == torch.uint8:
            taken.append(sizes[0])
        return real(*sizes, **settings)

    def look(trainer: Any) -> None:
        monkeypatch.setattr(module.torch, "empty", note)
        with module._in_place_of_moments(trainer):
            pass
        trained = sum(p.numel() for p in trainer.model.parameters() if p.requires_grad)
        assert taken == [num_bytes * trained]

    on_trainer(look, optim=optim)
