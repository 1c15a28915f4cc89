"""A worker that dies, hangs or swells ends the run, with the record and the file that it read."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fixtures_data import Tune
from flipbook.data import media
from flipbook.data.generated.write import GeneratedData
from flipbook.errors import ArgumentError, FlipbookError, WorkerError
from flipbook.train.parsing import parse_arguments

HANGS_S = 600.0
FORKED = {"dataloader_num_workers": 2, "dataloader_multiprocessing_context": "fork"}
Broken = Callable[..., tuple[str, str]]


def read_pipe(folder: Path) -> None:
    """Wait for what never comes, in the system."""
    os.mkfifo(folder / "pipe")
    (folder / "pipe").read_bytes()


def swell(_: Path) -> None:
    bytearray(3 << 30)


def fail_on_disk(_: Path) -> None:
    raise OSError(5, "Input/output error")


def sleep(_: Path) -> None:
    time.sleep(HANGS_S)


def loop(_: Path) -> None:
    while True:
        pass


def hold_all(_: Path) -> None:
    """Hang in C, and let no other thread of the process run."""
    max(iter(int, 1))  # zeros without end


def die_of(number: signal.Signals) -> Callable[[Path], None]:
    return lambda _: os.kill(os.getpid(), number)


def leave(code: int) -> Callable[[Path], None]:
    return lambda _: os._exit(code)


@pytest.fixture
def breaking(
    generated: GeneratedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[str, str]]:
    """Return a function: let something happen when one clip is read; return its record and file."""

    def let(happen: Callable[[Path], object], *, manifest: str, number: int = 3) -> tuple[str, str]:
        rows = json.loads(Path(manifest).read_text())
        row = [row for row in rows if "video" in row][number]
        real = media.read_shown

        def read(item: Any, *args: Any, **kwargs: Any) -> Any:
            if item.path.endswith(row["video"]):
                happen(tmp_path)
            return real(item, *args, **kwargs)

        monkeypatch.setattr(media, "read_shown", read)
        return row["id"], row["video"]

    return let


def failure(run: Callable[[], object]) -> str:
    with pytest.raises(WorkerError) as caught:
        run()
    assert caught.value.exit_code == 6
    return str(caught.value)


@pytest.mark.guarantee(7)
@pytest.mark.guarantee(8)
@pytest.mark.parametrize(
    ("happen", "words"),
    [
        (die_of(signal.SIGSEGV), "(SIGSEGV)"),
        (die_of(signal.SIGKILL), "(SIGKILL). The memory of the machine may have run out"),
        (leave(3), "(exit code 3)"),
    ],
    ids=["crash", "kill", "exit"],
)
def test_a_worker_that_dies_is_told_with_its_record(
    tune: Tune,
    generated: GeneratedData,
    breaking: Broken,
    happen: Callable[[Path], object],
    words: str,
) -> None:
    record, file = breaking(happen, manifest=generated.train)
    told = failure(lambda: tune(**FORKED, max_steps=20))
    assert f"A worker ended while reading record {record}, file " in told
    assert file in told and words in told
    assert "flipbook data check" in told and "No checkpoint had been saved." in told


@pytest.mark.guarantee(7)
@pytest.mark.guarantee(8)
@pytest.mark.parametrize("happen", [sleep, loop, hold_all, read_pipe])
def test_a_worker_that_hangs_is_ended_and_told(
    tune: Tune, generated: GeneratedData, breaking: Broken, happen: Callable[[Path], object]
) -> None:
    record, file = breaking(happen, manifest=generated.train)
    told = failure(lambda: tune(**FORKED, max_steps=20, media_timeout_s=1))
    assert f"Reading record {record}, file " in told and file in told
    assert "did not end within 1 s" in told and "--media_timeout_s" in told


@pytest.mark.guarantee(7)
@pytest.mark.guarantee(8)
@pytest.mark.parametrize(
    ("happen", "words"),
    [(swell, "MemoryError; more memory than"), (fail_on_disk, "OSError: [Errno 5] Input/output")],
)
@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_error_that_nobody_expects_names_its_record(
    tune: Tune,
    generated: GeneratedData,
    breaking: Broken,
    happen: Callable[[Path], object],
    words: str,
    num_workers: int,
) -> None:
    if num_workers == 0 and happen is swell:
        pytest.skip("nothing bounds the memory of the process that trains")
    record, file = breaking(happen, manifest=generated.train)
    flags = {**FORKED, "dataloader_num_workers": num_workers}
    if num_workers == 0:
        del flags["dataloader_multiprocessing_context"]
    told = failure(lambda: tune(**flags, max_steps=20, media_memory_gb=0.25))
    assert f"Reading record {record}, file " in told and file in told and words in told


@pytest.mark.guarantee(8)
def test_a_worker_of_the_second_epoch_and_of_validation_is_told_too(
    tune: Tune, generated: GeneratedData, breaking: Broken, tmp_path: Path
) -> None:
    """The first evaluation goes well; the same workers read for the second one."""
    flag = tmp_path / "reads"

    def die_when_read_again(_: Path) -> None:
        if flag.exists():
            os.kill(os.getpid(), signal.SIGSEGV)
        flag.touch()

    record, file = breaking(die_when_read_again, manifest=generated.validation, number=0)
    told = failure(
        lambda: tune(
            **FORKED,
            validation_data_path=generated.validation,
            eval_strategy="steps",
            eval_steps=1,
            save_strategy="steps",
            save_steps=1,
            load_best_model_at_end=False,
            max_steps=2,
        )
    )
    assert f"record {record}, file " in told and file in told and "(SIGSEGV)" in told
    assert f"Kept: {tmp_path / 'run' / 'checkpoint-1'}; go on from there" in told


@pytest.mark.guarantee(8)
def test_a_worker_that_is_stopped_from_outside_does_not_hold_the_run(
    tune: Tune, generated: GeneratedData, breaking: Broken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even its alarm reaches it; so a batch that does not come ends the run."""
    monkeypatch.setattr("flipbook.data.workers.STARTING_S", 3.0)
    record, _ = breaking(die_of(signal.SIGSTOP), manifest=generated.train, number=0)
    told = failure(lambda: tune(**FORKED, max_steps=20, media_timeout_s=0.05))
    assert "No worker gave a batch within" in told and f"record {record}, file " in told


@pytest.mark.guarantee(8)
def test_workers_that_are_only_slow_are_waited_for(
    tune: Tune, generated: GeneratedData, breaking: Broken
) -> None:
    breaking(lambda _: time.sleep(1.0), manifest=generated.train)
    tune(**FORKED, max_steps=20, media_timeout_s=30)


def test_without_a_limit_any_time_is_waited(
    tune: Tune, generated: GeneratedData, breaking: Broken
) -> None:
    breaking(lambda _: time.sleep(0.3), manifest=generated.train)
    tune(**FORKED, max_steps=20, media_timeout_s=0, media_memory_gb=0)


@pytest.mark.parametrize("flag", ["media_timeout_s", "media_memory_gb"])
@pytest.mark.parametrize("value", ["-1", "inf", "nan"])
def test_limits_are_numbers(flag: str, value: str) -> None:
    with pytest.raises(ArgumentError, match=rf"--{flag} must be 0 or more, got {value}"):
        parse_arguments(["--data_path", "rows.json", "--use_cpu=true", f"--{flag}={value}"])


def test_ours_are_no_errors_of_workers() -> None:
    assert not issubclass(FlipbookError, RuntimeError)
