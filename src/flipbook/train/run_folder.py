"""May a run be written into this folder, and from where does it go on?

--output_dir, --resume_from_checkpoint -> the folder, held for this run alone, and the
                                          checkpoint to go on from, or a refusal
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from accelerate import PartialState
from rich.console import Console

from flipbook.data.written import bring_back
from flipbook.errors import ArgumentError, StorageError
from flipbook.model.folders import ADAPTER_IN_RUN, MODEL_IN_RUN
from flipbook.train.checkpoints.aside import refuse_set_aside, told_of_later
from flipbook.train.checkpoints.choosing import Chosen, Tell, named, newest_whole
from flipbook.train.checkpoints.identity import RUN_FILE, new_run_id, read_run_id, write_run_id
from flipbook.train.checkpoints.places import steps_in, sweep
from flipbook.train.lock import LOCK_FILE, only_run_in
from flipbook.train.ranks.together import decided_by_main

Found = TypeVar("Found")
RESUME_WORDS = ("true", "latest", "auto")


@dataclass(frozen=True)
class Begun:
    """A run folder that is this run's.

    Attributes:
        goes_on_from: the checkpoint to go on from; None for a run that begins.
        run_id: of the run, the same in every checkpoint of it.
    """

    goes_on_from: str | None
    run_id: str


@contextmanager
def held(run_folder: Path, asked: str | None, *, console: Console) -> Iterator[Begun]:
    """Hold a run folder for this run alone, ready for it, until the run ends.

    Args:
        run_folder: made where it does not exist.
        asked: what `--resume_from_checkpoint` says.
        console: of the process that reports.

    Raises:
        ArgumentError: the folder holds another run, one is at work in it, or there is no such
            checkpoint.
        CheckpointError: a checkpoint is damaged, or of another run.
        StorageError: the folder cannot be written to.
    """
    tell = partial(console.print, markup=False)
    with _held_while(run_folder, lambda: _begin(run_folder, asked, tell=tell)) as begun:
        yield begun


@contextmanager
def held_for_files(run_folder: Path) -> Iterator[bool]:
    """Hold a run folder while files are made in it, and return whether a run has begun in it.

    Raises:
        ArgumentError: a run is at work in it.
        StorageError: the folder cannot be written to.
    """
    with _held_while(
        run_folder, lambda: bool(_done_in(run_folder) or steps_in(run_folder))
    ) as has_begun:
        yield has_begun


@contextmanager
def _held_while(run_folder: Path, look: Callable[[], Found]) -> Iterator[Found]:
    """Hold a run folder, made where it does not exist; all processes get what the main one saw."""
    with ExitStack() as stack:

        def begin() -> Found:
            if not run_folder.exists():
                stack.callback(_forget, run_folder)
            make_folder(run_folder)
            try:
                stack.enter_context(only_run_in(run_folder))
                return look()
            except OSError as error:
                raise _unwritable(run_folder, error) from error

        PartialState()
        yield decided_by_main(begin)


def refuse_moved(config: Path, run_folder: Path, asked: str | None) -> None:
    """Check that a run goes on in the folder whose configuration file was given.

    Args:
        config: the file.
        run_folder: what that file says of it; where the command line does, that is meant.
        asked: what `--resume_from_checkpoint` says.

    Raises:
        ArgumentError: the file lies beside checkpoints, and names another folder, as that of a run
            folder which was renamed or copied does.
    """
    here = config.parent
    if not _goes_on(asked) or here.resolve() == run_folder.resolve() or not steps_in(here):
        return
    raise ArgumentError(
        f"{config} lies in a folder with checkpoints, and the run folder that it names is another "
        f"(output_dir: {run_folder}), so none of them would be gone on from. Nothing was changed. "
        f"Give --output_dir {here} to go on there, or --output_dir {run_folder} if that is meant."
    )


def make_folder(run_folder: Path) -> None:
    """Make the folder of a run.

    Raises:
        StorageError: it cannot be written to.
    """
    try:
        run_folder.mkdir(parents=True, exist_ok=True)
        (run_folder / ".writable").write_bytes(b"can be written to")
        (run_folder / ".writable").unlink()
    except OSError as error:
        raise _unwritable(run_folder, error) from error


def _forget(run_folder: Path) -> None:
    """Take away a folder made for a run that was refused before it wrote anything."""
    own = {LOCK_FILE, RUN_FILE}
    if run_folder.is_dir() and {path.name for path in run_folder.iterdir()} <= own:
        shutil.rmtree(run_folder, ignore_errors=True)


def _unwritable(run_folder: Path, error: OSError) -> StorageError:
    return StorageError(
        f"--output_dir {run_folder} cannot be written to ({error.strerror}). Nothing was trained, "
        "and what is there is as it was. Give another, or make room there."
    )


def _begin(run_folder: Path, asked: str | None, *, tell: Tell) -> Begun:
    for name in (MODEL_IN_RUN, ADAPTER_IN_RUN):
        bring_back(run_folder / name)
    chosen = _choose(run_folder, asked, tell=tell)
    sweep(run_folder)
    run_id, known = new_run_id(), read_run_id(run_folder)
    if chosen is not None:
        run_id = chosen.manifest.run_id
    if run_id != known:
        write_run_id(run_folder, run_id)
    if chosen is None:
        return Begun(None, run_id)
    told = told_of_later(run_folder, chosen.manifest.step, run_id=run_id)
    if told is not None:
        tell(told)
    return Begun(str(chosen.folder), run_id)


def _goes_on(asked: str | None) -> bool:
    return asked is not None and asked.lower() != "false"


def _choose(run_folder: Path, asked: str | None, *, tell: Tell) -> Chosen | None:
    done = _done_in(run_folder)
    if asked is None or not _goes_on(asked):
        if done or steps_in(run_folder):
            raise ArgumentError(
                f"{run_folder} already holds a run. Continue it with --resume_from_checkpoint "
                "latest, or give another --output_dir."
            )
        return None
    run_id = read_run_id(run_folder)
    if asked.lower() not in RESUME_WORDS:
        refuse_set_aside(Path(asked), run_folder)
        return named(Path(asked), run_id=run_id)
    chosen = newest_whole(run_folder, run_id=run_id, tell=tell)
    if chosen is None and done:
        raise ArgumentError(
            f"{run_folder} holds {' and '.join(f'{name}/' for name in done)} of a run that ended, "
            "and no checkpoint to go on from. Nothing was changed. Use it as it is, or give "
            "another --output_dir for a new run."
        )
    if chosen is None:
        tell(
            f"{run_folder} holds no checkpoint of this run, so it begins at its first step "
            f"(--resume_from_checkpoint {asked})."
        )
    return chosen


def _done_in(run_folder: Path) -> list[str]:
    return [name for name in (MODEL_IN_RUN, ADAPTER_IN_RUN) if (run_folder / name).exists()]
