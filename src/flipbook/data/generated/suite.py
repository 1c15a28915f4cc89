"""Where do the clips of the temporal suite lie on disk?

    folder, tasks, seed  ->  FOLDER/clips/*.mp4 and test.json; to train on, train.json and
                             validation.json

A clip is drawn, written and forgotten, so that any number of them takes the same memory. One seed
gives the same bytes every time; splits draw from disjoint seeds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from flipbook.data.generated.asking import FORMS, WORDS, Row, rows_about
from flipbook.data.generated.movies import draw_movie
from flipbook.data.generated.scenes import SUITE_TASKS, make_rivals
from flipbook.data.generated.write import SEEDS_PER_SPLIT, split_seed, write_clip
from flipbook.data.written import make_folder
from flipbook.errors import ArgumentError, did_you_mean

VALIDATION_SHARE = 10  # one validation clip of a task for each so many training clips, and one more

OnProgress = Callable[[int, int], None]  # clips written, clips in all


@dataclass(frozen=True)
class Suite:
    """The folder that was written, and its manifests; those to train on only where asked for."""

    folder: Path
    test: Path
    train: Path | None
    validation: Path | None


def write_suite(
    folder: str | Path,
    *,
    tasks: Sequence[str] = tuple(SUITE_TASKS),
    clips_per_task: int = 24,
    train_clips_per_task: int = 0,
    form: str = WORDS,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> Suite:
    """Write clips and manifests under `folder`, made if need be; return where they are.

    Files of the same names are replaced, others are left alone.

    Args:
        tasks: some of `SUITE_TASKS`.
        clips_per_task: clips of each task in `test.json`; some carry two questions.
        train_clips_per_task: in `train.json`; a tenth as many, and one more, in `validation.json`.
        form: how questions are asked, one of `FORMS`.
        seed: same seed, same bytes.

    Raises:
        ArgumentError: a task or form is unknown, none is named, or a number is out of its range.
        StorageError: the folder cannot be made.
    """
    check_suite(tasks, form, clips_per_task, train_clips_per_task)
    folder = Path(folder)
    make_folder(folder / "clips")
    counts = {"test": clips_per_task}
    if train_clips_per_task:
        counts["train"] = train_clips_per_task
        counts["validation"] = train_clips_per_task // VALIDATION_SHARE + 1
    tasks = tuple(dict.fromkeys(tasks))
    clips_written = _Counter(sum(counts.values()) * len(tasks), on_progress)
    manifests = {}
    for split, count in counts.items():
        clips = _write_clips(folder, split, tasks, count=count, form=form, seed=seed)
        rows = (row for rows_of_clip in clips_written.each(clips) for row in rows_of_clip)
        manifests[split] = _write_manifest(folder / f"{split}.json", rows)
    return Suite(folder, manifests["test"], manifests.get("train"), manifests.get("validation"))


class _Counter:
    """Tells how many of all clips are written."""

    def __init__(self, total: int, on_progress: OnProgress | None) -> None:
        self._total, self._done, self._on_progress = total, 0, on_progress

    def each(self, clips: Iterable[list[Row]]) -> Iterator[list[Row]]:
        for rows in clips:
            self._done += 1
            if self._on_progress is not None:
                self._on_progress(self._done, self._total)
            yield rows


def check_suite(
    tasks: Sequence[str], form: str, clips_per_task: int, train_clips_per_task: int
) -> None:
    """Refuse what no suite can be made of.

    Raises:
        ArgumentError: as `write_suite`.
    """
    for task in tasks:
        _check_name("task", task, SUITE_TASKS)
    _check_name("form", form, FORMS)
    if not tasks:
        raise ArgumentError("no task is named: name one or more, or leave --tasks out for all.")
    for flag, value, least in (
        ("clips_per_task", clips_per_task, 1),
        ("train_clips_per_task", train_clips_per_task, 0),
    ):
        if not least <= value <= SEEDS_PER_SPLIT:
            raise ArgumentError(
                f"--{flag} is {value}: give a number from {least} to {SEEDS_PER_SPLIT:,}."
            )


def _check_name(what: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        raise ArgumentError(
            f"{what} '{name}' is unknown; known are {', '.join(known)}.{did_you_mean(name, known)}"
        )


def _write_clips(
    folder: Path, split: str, tasks: Sequence[str], *, count: int, form: str, seed: int
) -> Iterator[list[Row]]:
    """Write the clips of one split, a task after the other in turn; yield the rows about each."""
    for number in range(count):
        movie_seed = split_seed(split, seed=seed, number=number)
        for task in tasks:
            rivals = make_rivals(task, seed=movie_seed)
            shown = movie_seed % len(rivals)
            path = f"clips/{split}-{task}-{number:04d}.mp4"
            movie = rivals[shown]
            write_clip(folder / path, draw_movie(movie), frames_per_s=movie.frames_per_s)
            yield rows_about(
                path, task=task, rivals=rivals, shown=shown, form=form, seed=movie_seed
            )


def _write_manifest(path: Path, rows: Iterable[Row]) -> Path:
    """Write a JSON list a row at a time; it has its name when it is whole."""
    staged = path.with_name(f".{path.name}.partial")
    with staged.open("w", encoding="utf-8") as file:
        before = "[\n"
        for row in rows:
            file.write(before + json.dumps(row))
            before = ",\n"
        file.write("\n]\n")
    return staged.replace(path)
