"""A worker that dies, hangs or swells ends the run, with the record and the file that it read."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import DataLoader

from fixtures_data import Tune
from fixtures_model import make_tokenizer
from flipbook.data import media
from flipbook.data.batch import DataCollatorForSupervisedDataset
from flipbook.data.dataset import LazySupervisedDataset
from flipbook.data.generated.write import GeneratedData
from flipbook.data.workers import failing
from flipbook.data.workers.failing import Readings, batch_timeout_s, end_workers, naming_workers
from flipbook.errors import ArgumentError, FlipbookError, WorkerError
from flipbook.train.arguments import DataArguments
from flipbook.train.batches import BatchRules, make_loader, sound
from flipbook.train.parsing import parse_arguments

HANGS_S = 600.0
SOON_S = 0.3
FORKED = {"dataloader_num_workers": 2, "dataloader_multiprocessing_context": "fork"}
Broken = Callable[..., tuple[str, str]]
ReadAll = Callable[..., int]


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
    """Return a function: let something happen when one clip is read; return its record and file.

    `hurries`: that clip alone has little time, for the machine may be busy.
    """

    def let(
        happen: Callable[[Path], object],
        *,
        manifest: str,
        number: int = 3,
        hurries: bool = False,
    ) -> tuple[str, str]:
        rows = json.loads(Path(manifest).read_text())
        row = [row for row in rows if "video" in row][number]
        real = media.read_shown

        def read(item: Any, *args: Any, **kwargs: Any) -> Any:
            if item.path.endswith(row["video"]):
                happen(tmp_path)
            return real(item, *args, **kwargs)

        def time_for(item: Any, timeout_s: float) -> float:
            return SOON_S if item.path.endswith(row["video"]) else timeout_s

        monkeypatch.setattr(media, "read_shown", read)
        if hurries:
            monkeypatch.setattr(failing, "time_for", time_for)
        return row["id"], row["video"]

    return let


def loader_of(generated: GeneratedData, batch_size: int = 4, **flags: object) -> DataLoader[Any]:
    """Return a loader of the training records."""
    data_args = DataArguments(num_video_frames=2, frame_size=128)
    data_args.image_folder = str(generated.folder)
    dataset = LazySupervisedDataset(str(generated.train), make_tokenizer(), data_args)
    words = ["--data_path=rows.json", "--use_cpu=true"]
    words += [f"--{name}={value}" for name, value in (FORKED | flags).items()]
    return make_loader(
        dataset,
        BatchRules().pack(dataset, batch_size=batch_size, num_processes=1, seed=0),
        args=parse_arguments(words).training,
        collator=DataCollatorForSupervisedDataset(),
    )


@pytest.fixture
def read_all(generated: GeneratedData) -> Iterator[ReadAll]:
    """Return a function: read an epoch by two workers, and return how many batches it has."""

    def read(**flags: object) -> int:
        loader = loader_of(generated, **flags)
        with naming_workers():
            return sum(1 for batch in loader if sound(batch))

    yield read
    end_workers()


def failure(run: Callable[[], object]) -> str:
    with pytest.raises(WorkerError) as caught:
        run()
    assert caught.value.exit_code == 6
    return "\n".join([str(caught.value), *getattr(caught.value, "__notes__", ())])


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
    read_all: ReadAll,
    generated: GeneratedData,
    breaking: Broken,
    happen: Callable[[Path], object],
    words: str,
) -> None:
    record, file = breaking(happen, manifest=generated.train)
    told = failure(read_all)
    assert f"A worker ended while reading record {record}, file " in told
    assert file in told and words in told and "flipbook data check" in told


@pytest.mark.guarantee(7)
@pytest.mark.guarantee(8)
@pytest.mark.parametrize("happen", [sleep, hold_all, read_pipe])
def test_a_worker_that_hangs_is_ended_and_told(
    read_all: ReadAll, generated: GeneratedData, breaking: Broken, happen: Callable[[Path], object]
) -> None:
    record, file = breaking(happen, manifest=generated.train, hurries=True)
    told = failure(lambda: read_all(media_timeout_s=60))
    assert f"Reading record {record}, file " in told and file in told
    assert "did not end within 0.3 s" in told and "--media_timeout_s" in told


@pytest.mark.guarantee(7)
@pytest.mark.guarantee(8)
@pytest.mark.parametrize(
    ("happen", "words", "num_workers"),
    [
        (swell, "MemoryError; more memory than", 2),
        (fail_on_disk, "OSError: [Errno 5] Input/output", 2),
        (fail_on_disk, "OSError: [Errno 5] Input/output", 0),
    ],
    ids=["memory", "disk", "disk, without workers"],
)
def test_an_error_that_nobody_expects_names_its_record(
    read_all: ReadAll,
    generated: GeneratedData,
    breaking: Broken,
    happen: Callable[[Path], object],
    words: str,
    num_workers: int,
) -> None:
    record, file = breaking(happen, manifest=generated.train)
    told = failure(lambda: read_all(dataloader_num_workers=num_workers, media_memory_gb=0.25))
    assert f"Reading record {record}, file " in told and file in told and words in told


@pytest.mark.guarantee(8)
def test_a_worker_that_is_stopped_from_outside_does_not_hold_the_run(
    read_all: ReadAll,
    generated: GeneratedData,
    breaking: Broken,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its alarm does not reach it, and who takes a batch from it waits for ever."""
    monkeypatch.setattr(failing, "GRACE_S", 0.2)
    monkeypatch.setattr(failing, "LOOK_S", 0.1)
    record, file = breaking(die_of(signal.SIGSTOP), manifest=generated.train, hurries=True)
    told = failure(lambda: read_all(media_timeout_s=60))
    assert f"Reading record {record}, file " in told and file in told
    assert "did not end within 0.3 s" in told


@pytest.mark.guarantee(8)
def test_what_not_even_the_system_can_end_is_told() -> None:
    readings = Readings(2, timeout_s=5, room_bytes=0)
    readings.slots["record"] = [b"one", b"two"]
    readings.slots["limit_s"], readings.slots["since_s"] = [5, 5], [1, time.monotonic()]
    told = r"batch within 9 s\. Being read: record one\. The sys"
    with pytest.raises(WorkerError, match=told), naming_workers():
        raise RuntimeError("DataLoader timed out after 9 seconds")
    assert batch_timeout_s(8, 5) == 380 and batch_timeout_s(8, 0) == 0


def test_errors_about_something_else_stay_as_they_are() -> None:
    with pytest.raises(RuntimeError, match=r"^a matrix$"), naming_workers():
        raise RuntimeError("a matrix")


@pytest.mark.guarantee(8)
@pytest.mark.parametrize("limits", [(30, 4), (0, 0)], ids=["limits", "no limits"])
def test_workers_that_are_only_slow_are_waited_for(
    read_all: ReadAll, generated: GeneratedData, breaking: Broken, limits: tuple[float, float]
) -> None:
    breaking(lambda _: time.sleep(0.3), manifest=generated.train)
    assert read_all(media_timeout_s=limits[0], media_memory_gb=limits[1]) > 3


@pytest.mark.slow
@pytest.mark.guarantee(8)
@pytest.mark.parametrize("happen", [die_of(signal.SIGSEGV), sleep], ids=["crash", "hang"])
def test_the_workers_of_a_second_evaluation_are_told_too(
    tune: Tune,
    generated: GeneratedData,
    breaking: Broken,
    tmp_path: Path,
    happen: Callable[[Path], object],
) -> None:
    """The first evaluation goes well; the same workers read for the second one."""
    is_read = tmp_path / "is_read"

    def happen_the_second_time(folder: Path) -> None:
        if is_read.exists():
            happen(folder)
        is_read.touch()

    record, file = breaking(
        happen_the_second_time, manifest=generated.validation, number=0, hurries=True
    )
    told = failure(
        lambda: tune(
            **FORKED,
            validation_data_path=generated.validation,
            eval_strategy="steps",
            eval_steps=1,
            save_strategy="steps",
            save_steps=1,
            max_steps=2,
        )
    )
    assert f"record {record}, file " in told and file in told
    assert told.count(f"Kept is {tmp_path / 'run' / 'checkpoint-1'}, ") == 1


def test_no_worker_begins_that_would_get_no_batch(generated: GeneratedData) -> None:
    num_records = len(json.loads(generated.train.read_text()))
    assert loader_of(generated, batch_size=num_records).num_workers == 1
    assert loader_of(generated, batch_size=1).num_workers == 2


@pytest.mark.parametrize("flag", ["media_timeout_s", "media_memory_gb"])
@pytest.mark.parametrize("value", ["-1", "inf", "nan"])
def test_limits_are_numbers(flag: str, value: str) -> None:
    with pytest.raises(ArgumentError, match=rf"--{flag} is {value}.*: give a number from 0"):
        parse_arguments(["--data_path", "rows.json", "--use_cpu=true", f"--{flag}={value}"])


def test_ours_are_no_errors_of_workers() -> None:
    assert not issubclass(FlipbookError, RuntimeError)
