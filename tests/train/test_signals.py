"""A run that is asked to stop: saved after a whole step, and going on as if nothing had been."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import signal
import subprocess
import threading
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from fixtures_checkpoints import write_small_checkpoint
from fixtures_data import Tune
from flipbook.apps.train import LastingConsole
from flipbook.data.generated.write import GeneratedData
from flipbook.errors import AskedToStop, MediaError, StoppedError, TrainingError
from flipbook.train.checkpoints.kept import command_to_go_on
from flipbook.train.parsing import parse_arguments
from flipbook.train.progress import ProgressCallback
from flipbook.train.record import write_arguments
from flipbook.train.run import RunResult
from flipbook.train.signals import StopRequest, begin_worker, stoppable

STEPS_OF_EPOCH = 4


def _lines(run_folder: Path, name: str) -> dict[int, float]:
    """Return a value of the log by step, as it was written last."""
    lines = map(json.loads, (run_folder / "log.jsonl").read_text().splitlines())
    return {line["step"]: line[name] for line in lines if name in line}


def _send(monkeypatch: pytest.MonkeyPatch, number: int, *, event: str, step: int) -> None:
    """Let a signal come once, at an event of a step."""
    sent: list[int] = []

    def send(self: Any, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == step and not sent:
            sent.append(step)
            os.kill(os.getpid(), number)

    monkeypatch.setattr(ProgressCallback, event, send, raising=False)


def _stop_and_go_on(
    tune: Tune, monkeypatch: pytest.MonkeyPatch, folder: Path, *, kept: int, **settings: Any
) -> RunResult:
    """Return a run that was stopped and went on."""
    told = rf"after step {kept} of .*checkpoint-{kept}\. .*\n  flipbook train .*config\.yaml --res"
    with pytest.raises(StoppedError, match=told):
        tune(folder, **settings)
    assert (folder / f"checkpoint-{kept}").is_dir()
    assert not (folder / "model").exists()
    monkeypatch.undo()
    return tune(folder, resume_from_checkpoint="latest", **settings)


def _assert_equal(run: RunResult, straight: RunResult) -> None:
    for name in ("loss", "eval_loss", "learning_rate"):
        assert _lines(run.run_folder, name) == _lines(straight.run_folder, name), name
    after, before = (load_file(r.model_folder / "model.safetensors") for r in (run, straight))
    assert all(torch.equal(after[name], before[name]) for name in before)


@pytest.mark.guarantee(1)
def test_a_run_that_is_stopped_goes_on_as_if_it_had_not_been(
    tune: Tune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Adapters with dropout, in the first of two batches of a step, without any save planned."""
    settings: dict[str, Any] = {"lora_r": 2, "frame_sampler": "segments", "max_steps": 4}
    settings |= {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}
    straight = tune(tmp_path / "straight", **settings)
    _send(monkeypatch, signal.SIGTERM, event="on_substep_end", step=1)
    run = _stop_and_go_on(tune, monkeypatch, tmp_path / "stopped", kept=2, **settings)
    _assert_equal(run, straight)


STEPWISE: dict[str, Any] = {"max_steps": 4, "eval_strategy": "steps", "eval_steps": 2}
EPOCHWISE: dict[str, Any] = {"max_steps": -1, "num_train_epochs": 2, "eval_strategy": "epoch"}
CASES: dict[str, tuple[int, str, int, int, dict[str, Any]]] = {
    "as a step begins": (
        *(signal.SIGUSR1, "on_step_begin", 1, 2),
        {"max_steps": 4, "dataloader_num_workers": 2},
    ),
    "where a save is due": (
        *(signal.SIGHUP, "on_step_begin", 1, 2),
        {"max_steps": 4, "save_strategy": "steps", "save_steps": 2, "save_total_limit": 1},
    ),
    "while it is evaluated": (signal.SIGINT, "on_prediction_step", 2, 2, STEPWISE),
    "at the end of an epoch": (
        *(signal.SIGTERM, "on_step_begin", STEPS_OF_EPOCH - 1, STEPS_OF_EPOCH),
        EPOCHWISE | {"save_strategy": "epoch", "dataloader_num_workers": 2},
    ),
    "while it is evaluated and only the best is saved": (
        *(signal.SIGTERM, "on_prediction_step", 2 * STEPS_OF_EPOCH, 2 * STEPS_OF_EPOCH),
        EPOCHWISE
        | {"num_train_epochs": 3, "save_strategy": "best", "metric_for_best_model": "score"},
    ),
}


@pytest.mark.slow
@pytest.mark.guarantee(1)
@pytest.mark.parametrize("case", CASES)
def test_whenever_the_signal_comes(
    tune: Tune, generated: GeneratedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    number, event, step, kept, settings = CASES[case]
    if "eval_strategy" in settings:
        watched = {"validation_data_path": generated.validation, "eval_num_answers": 2}
        settings = watched | {"max_new_tokens": 2} | settings
    straight = tune(tmp_path / "straight", lora_r=2, **settings)
    _send(monkeypatch, number, event=event, step=step)
    run = _stop_and_go_on(tune, monkeypatch, tmp_path / "stopped", kept=kept, lora_r=2, **settings)
    _assert_equal(run, straight)


def test_a_wish_at_the_last_step_ends_nothing_and_is_told(
    tune: Tune, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    _send(monkeypatch, signal.SIGTERM, event="on_train_end", step=1)
    result = tune(max_steps=1)
    assert result.asked_to_stop == "SIGTERM"
    assert (result.model_folder / "model.safetensors").is_file()
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.slow
def test_what_cannot_go_on_does_not_say_that_it_can(
    tune: Tune, monkeypatch: pytest.MonkeyPatch
) -> None:
    _send(monkeypatch, signal.SIGTERM, event="on_step_begin", step=0)
    with pytest.raises(AskedToStop) as caught:
        tune(save_only_model=True)
    assert caught.value.exit_code == 128 + signal.SIGTERM
    assert "--save_only_model keeps nothing that a run could go on from" in caught.value.told


def _trainer(run_folder: Path, *, step: int = 7) -> Any:
    return SimpleNamespace(
        args=SimpleNamespace(output_dir=str(run_folder), process_index=1),
        state=SimpleNamespace(global_step=step, max_steps=9),
    )


@pytest.mark.guarantee(10)
def test_a_second_interrupt_ends_at_once_and_says_what_is_left(tmp_path: Path) -> None:
    with pytest.raises(AskedToStop, match=r"after step 7 of 9\. .* holds no checkpoint yet"):
        _interrupt_twice(tmp_path)
    (tmp_path / "checkpoint-5").mkdir()
    kept = r"(?s)second Ctrl-C, after step 7 of 9\. Kept is .*checkpoint-5, .*--resume_from_checkp"
    with pytest.raises(StoppedError, match=kept):
        _interrupt_twice(tmp_path)


@pytest.mark.guarantee(10)
def test_what_only_a_model_is_left_of_does_not_say_that_it_goes_on(tmp_path: Path) -> None:
    write_small_checkpoint(tmp_path, 5, can_go_on=False)
    told = r"Kept is the model of .*checkpoint-5, and --save_only_model keeps nothing"
    with pytest.raises(AskedToStop, match=told) as caught:
        _interrupt_twice(tmp_path)
    assert "resume_from_checkpoint" not in caught.value.told
    write_small_checkpoint(tmp_path, 6)
    with pytest.raises(StoppedError, match=r"Kept is .*checkpoint-6, "):
        _interrupt_twice(tmp_path)


def _interrupt_twice(run_folder: Path) -> None:
    with closing(StopRequest()) as stop, stoppable(_trainer(run_folder), stop):
        os.kill(os.getpid(), signal.SIGTERM)  # a scheduler may repeat itself
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)


def test_torchrun_repeats_what_the_terminal_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "a")
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(AskedToStop):
            os.kill(os.getpid(), signal.SIGINT)
    assert stop.name == "Ctrl-C"


@pytest.mark.guarantee(10)
@pytest.mark.parametrize(
    "error", [TrainingError("a loss"), MediaError("a.mp4", "torn"), OSError("x"), RuntimeError("x")]
)
def test_every_error_of_a_run_says_what_is_kept(tmp_path: Path, error: Exception) -> None:
    (tmp_path / "checkpoint-20").mkdir()
    (tmp_path / "checkpoint-5").mkdir()
    stopped = pytest.raises(type(error))
    with closing(StopRequest()) as stop, stopped as caught, stoppable(_trainer(tmp_path), stop):
        raise error
    (note,) = caught.value.__notes__
    assert f"Kept is {tmp_path / 'checkpoint-20'}" in note
    assert command_to_go_on(tmp_path) in note


def test_signals_are_left_alone_elsewhere() -> None:
    """Those that were ignored before, and all of them outside of the main thread."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    seen: list[object] = []

    def look() -> None:
        with StopRequest():
            seen.append(signal.getsignal(signal.SIGTERM))

    try:
        with StopRequest() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.name is None
    finally:
        signal.signal(signal.SIGHUP, before)
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]


def _work(pipe: Connection) -> None:
    begin_worker(lambda worker_id: pipe.send(worker_id), 3)
    while True:
        pipe.send(pipe.recv())


@pytest.mark.guarantee(1)
def test_a_worker_ends_by_its_loader_alone() -> None:
    """A signal to all of a job must not end the workers before the step is finished."""
    ours, theirs = multiprocessing.Pipe()
    worker = multiprocessing.get_context("fork").Process(target=_work, args=(theirs,))
    worker.start()
    assert ours.recv() == 3
    for name in ("INT", "TERM", "HUP", "USR1"):
        subprocess.run(["kill", f"-{name}", str(worker.pid)], check=True)
        ours.send(name)
        assert ours.recv() == name
    worker.terminate()
    worker.join(60)
    assert worker.exitcode == 0


def _wait(pipe: Connection) -> None:
    pipe.send("ready")
    pipe.recv()


def test_a_copy_of_the_process_obeys_as_it_would_alone() -> None:
    ours, theirs = multiprocessing.Pipe()
    with StopRequest():
        copy = multiprocessing.get_context("fork").Process(target=_wait, args=(theirs,))
        copy.start()
        assert ours.recv() == "ready"
        copy.terminate()
        ours.send("go on, if you have not heard")
        copy.join(60)
    assert copy.exitcode == -signal.SIGTERM


def test_the_file_of_a_run_without_answers_starts_it_again(tmp_path: Path) -> None:
    words = ["--data_path=a.json", "--use_cpu", "--eval_num_answers=0"]
    path = write_arguments(tmp_path, parse_arguments(words))
    assert parse_arguments([str(path)]).training.eval_num_answers == 0


def test_a_run_goes_on_where_nobody_reads_what_it_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(os, "dup2", lambda *_: None)  # which would close that of the tests
    console = LastingConsole(file=Closed())
    console.print("step 1")
    assert console.quiet
