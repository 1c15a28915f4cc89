"""Exit codes: of every error, of real commands, of signals; as docs/exit_codes.md lists them."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fixtures_data import SHORT_RUN
from fixtures_limits import largest_file
from fixtures_stopping import die
from flipbook import cli, errors
from flipbook.cli import main
from flipbook.data.generated.write import GeneratedData
from flipbook.data.sources import Source
from flipbook.errors import EXIT_CODES, FlipbookError, MediaError, TrainingError, storage_words
from flipbook.train.arguments import Arguments
from flipbook.train.parsing import parse_arguments
from flipbook.train.record import write_arguments
from flipbook.train.run import RunResult

PAGE = Path(__file__).parents[1] / "docs" / "exit_codes.md"
pytestmark = pytest.mark.guarantee(10)


def _kinds(kind: type[FlipbookError]) -> Iterator[type[FlipbookError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _kinds(below)


def test_the_page_lists_all_codes() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+?) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert {int(code): about for code, about in rows} == EXIT_CODES


@pytest.mark.parametrize("kind", sorted(_kinds(FlipbookError), key=lambda kind: kind.__name__))
def test_every_error_has_a_code_that_is_listed(kind: type[FlipbookError]) -> None:
    assert kind.exit_code in EXIT_CODES
    assert kind.exit_code not in (0, 1)
    if kind.__module__ == errors.__name__:
        assert re.search(rf"\b{kind.__name__}\b", str(errors.__doc__))


def test_codes_stay_as_they_are() -> None:
    """Scripts of users depend on these numbers."""
    kinds = {kind.__name__: kind.exit_code for kind in _kinds(FlipbookError)}
    assert kinds.items() >= {
        ("ArgumentError", 2),
        ("NoModelError", 2),
        ("DataError", 3),
        ("ManifestError", 3),
        ("MediaError", 3),
        ("RecordError", 3),
        ("TrainingError", 4),
        ("StorageError", 5),
        ("CheckpointError", 5),
        ("WorkerError", 6),
        ("StoppedError", 75),
    }


def _train_words(model: Path, data: Path, run: Path, **flags: object) -> list[str]:
    paths = {"model_name_or_path": model, "data_path": data, "output_dir": run}
    return ["train", *(f"--{name}={value}" for name, value in (SHORT_RUN | paths | flags).items())]


def test_a_command_that_does_its_work(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "tiny"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["trian"], 2),
        (["info", "absent"], 2),
        (["info", __file__], 2),
        (["info", str(PAGE.parent)], 5),
        (["train", "--data_path", "absent.json"], 3),
        (["chat", "--model", "tiny", "--video", "absent.mp4", "What?"], 3),
    ],
)
def test_what_is_wrong_decides(
    words: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == code
    assert capsys.readouterr().err.startswith("flipbook: ")


def test_numbers_that_are_not_finite(
    fast_vlm_folder: Path,
    generated: GeneratedData,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    flags = {"max_steps": 40, "learning_rate": 1e30, "max_grad_norm": 0}
    words = _train_words(fast_vlm_folder, generated.train, tmp_path / "run", **flags)
    assert main(words) == 4
    told = capsys.readouterr().err
    assert "not finite" in told
    assert "holds no checkpoint yet, so it begins anew" in told


def test_files_that_may_not_grow(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--model", "tiny", "--layout", "hf", "--out", str(tmp_path / "out")]
    with largest_file(100_000):
        assert main(["export", *words]) == 5
    assert "File too large" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made(
    fast_vlm_folder: Path,
    generated: GeneratedData,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").touch()
    words = _train_words(fast_vlm_folder, generated.train, tmp_path / "file" / "run")
    assert main(words) == 5
    assert "cannot be written to (Not a directory)" in capsys.readouterr().err


def test_a_process_that_dies(
    generated: GeneratedData, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from flipbook.data.statistics import clip_facts

    monkeypatch.setattr(clip_facts, "MIN_PARALLEL_MEDIA", 0)
    monkeypatch.setattr(clip_facts, "facts_of", die)
    assert main(["data", "stats", str(generated.train), "--num_workers", "1"]) == 6
    assert "a process that read clips was ended" in capsys.readouterr().err


def _raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> list[str]:
    """Return the words of a command that meets an error."""
    from flipbook.apps import info

    def run(args: object) -> None:
        raise error

    monkeypatch.setattr(info, "run", run)
    return ["info", "tiny"]


@pytest.mark.parametrize("name", ["ENOSPC", "EROFS", "EDQUOT", "EFBIG", "EACCES", "EIO"])
def test_a_disk_that_refuses_is_no_traceback(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    number = getattr(errno, name)
    error = OSError(number, os.strerror(number), "runs/a/log.jsonl")
    error.add_note("Kept is checkpoint-3.")
    assert main(_raising(monkeypatch, error)) == 5
    told = capsys.readouterr().err
    assert told.startswith(f"flipbook: runs/a/log.jsonl: {os.strerror(number)}. What was there")
    assert told.endswith("\nKept is checkpoint-3.\n")


def test_safetensors_has_words_of_its_own() -> None:
    class SafetensorError(Exception):
        pass

    told = "Error while serializing: I/O error: No space left on device (os error 28)"
    assert "make room there" in str(storage_words(SafetensorError(told)))
    assert storage_words(SafetensorError("header too large")) is None
    assert storage_words(FileNotFoundError(errno.ENOENT, "No such file")) is None


def test_other_errors_of_the_system_are_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError):
        main(_raising(monkeypatch, FileNotFoundError(errno.ENOENT, "No such file")))
    with pytest.raises(BrokenPipeError):  # of a pipe that is not the output
        main(_raising(monkeypatch, BrokenPipeError(errno.EPIPE, "Broken pipe")))


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        type("OutOfMemoryError", (RuntimeError,), {})(
            "CUDA out of memory. Tried to allocate 2 GiB"
        ),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:75] DefaultCPUAllocator: can't allocate memory"
        ),
    ],
)
def test_too_little_memory_is_told(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(_raising(monkeypatch, error)) == TrainingError.exit_code
    assert "The memory does not suffice" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_ends_a_command_that_keeps_nothing(
    name: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from flipbook.apps import info

    number = getattr(signal, name)
    before = signal.getsignal(number)
    if before is signal.SIG_IGN:
        pytest.skip(f"{name} is ignored from the start, as under nohup")
    monkeypatch.setattr(info, "run", lambda args: os.kill(os.getpid(), number))
    assert main(["info", "tiny"]) == code
    named = "Ctrl-C" if name == "SIGINT" else name
    assert capsys.readouterr().err == f"flipbook: stopped by {named}\n"
    assert signal.getsignal(number) is before


def test_a_signal_within_a_finalizer_is_heard(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Python drops what is raised there, with a few lines on stderr."""
    from flipbook.apps import info

    class Closing:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    def work(_: object) -> None:
        kept = [Closing()]
        kept.clear()
        time.sleep(60)

    monkeypatch.setattr(info, "run", work)
    assert main(["info", "tiny"]) == 128 + signal.SIGTERM
    assert capsys.readouterr().err == "flipbook: stopped by SIGTERM\n"


def test_a_closed_output_is_quiet() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "flipbook", "--help"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_ranks_tell_the_same_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And each leaves its error where torchrun looks for it."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    told = []
    for rank, error in ((1, "all alike"), (0, "all alike"), (0, "a.mp4 is torn")):
        (tmp_path / str(rank)).mkdir(exist_ok=True)
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv(cli.ERROR_FILE, str(tmp_path / str(rank) / "error.json"))
        assert main(_raising(monkeypatch, TrainingError(error))) == 4
        left = json.loads((tmp_path / str(rank) / "error.json").read_text())["message"]
        told.append(capsys.readouterr().err)
        assert left["message"] == f"TrainingError: {error}"
        assert left["extraInfo"]["py_callstack"] == error
    assert told == ["flipbook (rank 1): all alike\n", "", "flipbook (rank 0): a.mp4 is torn\n"]


@pytest.mark.parametrize(
    ("asked", "error", "code", "words"),
    [
        (signal.SIGTERM, None, 75, "Stopped by SIGTERM after the last step. "),
        (None, KeyboardInterrupt(), 75, "Stopped by Ctrl-C while it was scored. "),
        (None, MediaError("a.mp4", "torn"), 3, "a.mp4: torn\n"),
    ],
)
def test_scoring_that_ends_early_says_that_the_model_is_there(
    asked: int | None,
    error: BaseException | None,
    code: int,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from flipbook.apps import train

    def stop(*_: Any, **__: Any) -> None:
        assert error is not None
        raise error

    result = RunResult(tmp_path, tmp_path / "model", True, (Source("b.json"),))
    result.stop.signal_number = asked
    monkeypatch.setattr(train, "train", lambda *_, then, **__: then(result))
    monkeypatch.setattr(train, "_claim", stop)
    assert main(["train", "--data_path", "a.json", "--use_cpu"]) == code
    assert capsys.readouterr().err == (
        f"flipbook: {words}The model is tuned and saved in {tmp_path / 'model'}; its scores are "
        f"missing. To score it:\n  flipbook evaluate --model {tmp_path} --data_path b.json\n"
    )


def test_a_run_that_begins_says_what_is_left_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from flipbook.apps import train

    monkeypatch.setattr(train, "train", lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM))
    words = ["train", "--data_path", "a.json", "--use_cpu", f"--output_dir={tmp_path}"]
    assert main(words) == 143
    assert "before the first step" in capsys.readouterr().err
    (tmp_path / "checkpoint-4").mkdir()
    assert main(words) == 75
    assert f"Kept is {tmp_path / 'checkpoint-4'}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("place", "when"), [("_release", "after the last step"), ("_claim", "while it was scored")]
)
def test_a_signal_when_the_model_is_there_tells_how_to_score_it(
    place: str,
    when: str,
    fast_vlm_folder: Path,
    generated: GeneratedData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from flipbook.apps import train
    from flipbook.train import run

    def score(*_: object, **__: object) -> None:
        assert place == "_claim"
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("a signal ends the scoring at once")

    release = run._release

    def let_go(trainer: Any) -> None:
        if place == "_release":
            os.kill(os.getpid(), signal.SIGTERM)
        release(trainer)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(run, "_release", let_go)
    monkeypatch.setattr(train, "_claim", score)
    flags = {"max_steps": 1, "validation_data_path": generated.validation, "eval_strategy": "no"}
    folder = tmp_path / "run"
    assert main(_train_words(fast_vlm_folder, generated.train, folder, **flags)) == 75
    told = capsys.readouterr().err
    assert f"Stopped by SIGTERM {when}. The model is tuned and saved in {folder / 'model'}" in told
    assert f"\n  flipbook evaluate --model {folder} --data_path {generated.validation}\n" in told
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_run_folder_with_another_name_is_refused_or_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from flipbook.apps import train

    begun: list[str] = []

    def begin(arguments: Arguments, **_: object) -> RunResult:
        begun.append(str(arguments.training.output_dir))
        return RunResult(tmp_path, tmp_path / "model", is_main_process=False)

    monkeypatch.setattr(train, "learn", begin)
    old, new = tmp_path / "old", tmp_path / "new"
    (new / "checkpoint-4").mkdir(parents=True)
    config = write_arguments(
        new, parse_arguments(["--data_path=a.json", "--use_cpu", f"--output_dir={old}"])
    )
    words = ["train", str(config), "--resume_from_checkpoint", "latest"]
    assert main(words) == 2
    told = capsys.readouterr().err
    assert f"the run folder that it names is another (output_dir: {old})" in told
    assert f"Give --output_dir {new} to go on there, or --output_dir {old} if" in told
    for folder in (new, old):
        assert main([*words, "--output_dir", str(folder)]) == 0
    assert main(words[:2]) == 0  # another run, with the same settings
    (new / "checkpoint-4").rmdir()
    assert main(words) == 0
    assert begun == [str(new), str(old), str(old), str(old)]


def _begin(run: Path, words: list[str], *, num_lines: int, launcher: tuple[str, ...] = ()) -> Any:
    """Return a process that trains, once its log has some lines."""
    command = [sys.executable, "-m", *launcher, "flipbook", *words]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    log = run / "log.jsonl"
    while process.poll() is None:
        if log.is_file() and len(log.read_text().splitlines()) >= num_lines:
            return process
        time.sleep(0.02)
    raise AssertionError(process.communicate()[1])


def _losses(run: Path) -> dict[int, float]:
    lines = map(json.loads, (run / "log.jsonl").read_text().splitlines())
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


@pytest.mark.guarantee(1)
def test_ctrl_c_ends_a_command_with_all_its_workers(
    fast_vlm_folder: Path, generated: GeneratedData, tmp_path: Path
) -> None:
    """The terminal sends it to the whole group; nobody leaves a traceback."""
    run = tmp_path / "run"
    flags = {"max_steps": 100_000, "dataloader_num_workers": 2}
    words = _train_words(fast_vlm_folder, generated.train, run, **flags)
    process = _begin(run, words, num_lines=1)
    os.killpg(process.pid, signal.SIGINT)
    out, told = process.communicate(timeout=300)
    assert process.returncode == 75, told
    assert "Traceback" not in out + told
    (saved,) = run.glob("checkpoint-*")
    step = int(saved.name.partition("-")[2])
    assert max(_losses(run)) == step
    assert f"Stopped by Ctrl-C after step {step} of 100000. All of it is saved in {saved}." in told
    assert f"\n  flipbook train {run / 'config.yaml'} --resume_from_checkpoint latest\n" in told


@pytest.mark.slow
@pytest.mark.guarantee(1)
@pytest.mark.parametrize("num_processes", [1, 2])
def test_the_printed_command_goes_on(
    fast_vlm_folder: Path, generated: GeneratedData, tmp_path: Path, num_processes: int
) -> None:
    """Of several processes one is asked, and all stop at its step."""
    launcher: tuple[str, ...] = ()
    if num_processes > 1:
        launcher = ("torch.distributed.run", "--standalone", f"--nproc_per_node={num_processes}")
        launcher = (*launcher, "-m")
    flags = {"max_steps": 40, "per_device_train_batch_size": 2, "lora_r": 2}
    run, straight = tmp_path / "run", tmp_path / "straight"
    words = _train_words(fast_vlm_folder, generated.train, run, **flags)
    process = _begin(run, words, num_lines=2, launcher=launcher)
    os.kill(_a_rank_of(process.pid) if launcher else process.pid, signal.SIGTERM)
    told = process.communicate(timeout=300)[1]
    assert process.returncode == (1 if launcher else 75), told
    assert told.count("Stopped by SIGTERM after step") == (3 if launcher else 1)  # in the report
    first = _losses(run)
    (command,) = {line.strip() for line in told.splitlines() if "resume_from" in line}
    printed = command.partition("flipbook train ")[2].split()
    straight_words = _train_words(fast_vlm_folder, generated.train, straight, **flags)
    for given in (["train", *printed], straight_words):
        whole = [sys.executable, "-m", *launcher, "flipbook", *given]
        done = subprocess.run(whole, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
    assert 2 <= max(first) < 40
    assert _losses(run) == _losses(straight)
    assert first.items() <= _losses(straight).items()


def _a_rank_of(pid: int) -> int:
    import psutil

    return int(psutil.Process(pid).children()[-1].pid)
