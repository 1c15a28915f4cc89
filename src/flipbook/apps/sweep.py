"""How many frames, and how large, is this model best read with?

    flipbook sweep --model RUN --data_path validation.json --frames 2 4 8 16 --frame_sizes 128 256
        ->  sweep.json, a table; the pick becomes how the model reads clips

Give data that the model was neither trained on nor will be judged by: what is picked on some
questions looks better on them than it is.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from rich.console import Console
from rich.table import Table

from flipbook.apps.asking import add_answer_arguments, add_question_arguments
from flipbook.apps.evaluate import adapter_base_of, report_folder
from flipbook.apps.report import report_folders
from flipbook.data.converting.needed import as_records
from flipbook.data.sources import Source, sources_of
from flipbook.data.workers.watched import watched_command
from flipbook.data.written import check_folder, make_folder, write_json_whole
from flipbook.errors import ArgumentError, DataError
from flipbook.evaluate.asked import split_still_images
from flipbook.evaluate.file_names import SCORES_FILE, SWEEP_FILE
from flipbook.evaluate.loading import DTYPES, open_model
from flipbook.evaluate.picked import folders_to_set, trained_with, write_pick
from flipbook.evaluate.points import Point, asked_at_any_point, points_of
from flipbook.evaluate.report import write_pages
from flipbook.evaluate.sweep import AUTO, NONE, Sweep, sweep_points
from flipbook.model.checkpoint import Checkpoint
from flipbook.model.words_of import load_words_of
from flipbook.score.askable import (
    damaged_media,
    read_askable,
    refuse_too_few,
    without_damaged,
)
from flipbook.score.processes import from_first, joined_processes, this_process
from flipbook.score.questions import AskedQuestion, choose_questions, questions_of
from flipbook.video.settings import ClipSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the words of `flipbook sweep`."""
    add_question_arguments(parser)
    parser.add_argument(
        "--frames", type=int, nargs="+", default=[2, 4, 8, 16], help="Frames of a clip to try."
    )
    parser.add_argument(
        "--frame_sizes",
        type=int,
        nargs="+",
        help="Sides of a frame in px to try, multiples of 64; that of the model if none.",
    )
    parser.add_argument(
        "--pick",
        default=AUTO,
        help="auto: the cheapest point that is as good as the best; FRAMESxSIDE, as 8x256: that "
        "one; none: the model stays as it is.",
    )
    parser.add_argument("--base", help="The model under an adapter, if it is not in its place.")
    parser.add_argument("--out", help="Folder of sweep.json; MODEL/evaluation if none.")
    add_answer_arguments(parser)
    parser.add_argument("--max_questions", type=int, default=200, help="Questions at each point.")
    parser.add_argument(
        "--num_cost_questions", type=int, default=8, help="Questions on which times are measured."
    )


@watched_command()
def run(args: argparse.Namespace) -> None:
    """Write sweep.json, print the table, and let the model read clips as was picked.

    Raises:
        ArgumentError: a number is out of range, a point is none that the model can take, or there
            is no folder to write to.
        DataError: too many records are unusable, or none asks about a clip.
        CheckpointError: the model cannot be loaded.
        StorageError: the folder cannot be made or written to.
    """
    for name in ("batch_size", "max_new_tokens", "max_questions", "num_cost_questions"):
        if getattr(args, name) < 1:
            raise ArgumentError(f"--{name} is {getattr(args, name)}: give 1 or more.")
    pick = pick_of(args.pick)
    out = report_folder(args.model, args.out)
    folders = [] if pick == NONE else folders_to_set(args.model)
    with joined_processes():
        _sweep(args, pick, out, folders)


def pick_of(word: str) -> Point | str:
    """Return what `--pick` means.

    Raises:
        ArgumentError: the word is unknown.
    """
    if word in (AUTO, NONE):
        return word
    found = re.fullmatch(r"(\d+)x(\d+)", word)
    if found is None:
        raise ArgumentError(
            f"--pick {word!r} is unknown: give {AUTO}, {NONE}, or a point as 8x256, which is 8 "
            "frames of 256 px."
        )
    return Point(int(found[1]), int(found[2]))


def _sweep(args: argparse.Namespace, pick: Point | str, out: Path, folders: list[Path]) -> None:
    console = Console(highlight=False, quiet=this_process() != 0)
    from_first(lambda: check_folder(out))
    questions = _questions(args, out, console)
    checkpoint = open_model(
        args.model, dtype=DTYPES[args.dtype], base=adapter_base_of(args.model, args.base)
    )
    before = trained_with(args.model, checkpoint)
    points = _points(args, pick, checkpoint.clip_settings)
    found = sweep_points(
        checkpoint,
        questions,
        points,
        pick=pick,
        batch_size=args.batch_size,
        max_new_tokens=args.max_new_tokens,
        num_cost_questions=args.num_cost_questions,
        on_point=lambda point: console.print(f"asking at {point} px", markup=False),
    )
    if this_process() != 0:
        return
    trained_at = Point(before.num_frames, before.frame_size)
    make_folder(out)
    write_json_whole(out / SWEEP_FILE, found.as_dict(trained_at=trained_at))
    _remake_pages(args.model, out)
    print_sweep(found, trained_at=trained_at, console=console)
    console.print(f"\nthe points       {out / SWEEP_FILE}", markup=False, soft_wrap=True)
    if found.picked is not None:
        _take(found.picked, points[found.picked], checkpoint, folders, console)


def _remake_pages(model: str, out: Path) -> None:
    """Let the reports that are there show the sweep, too: beside it, and that of the run."""
    for folder in dict.fromkeys((out, Path(model).expanduser())):
        if (folder / SCORES_FILE).is_file():
            folder, run_folder = report_folders(str(folder))
            write_pages(folder, run_folder=run_folder)


def _questions(args: argparse.Namespace, out: Path, console: Console) -> tuple[AskedQuestion, ...]:
    """Return the questions about clips that are asked at every point."""

    def find() -> tuple[Source, ...]:
        sources = sources_of(args.data_path, image_folder=args.image_folder)
        share = args.max_bad_fraction
        return tuple(
            as_records(sources, folder=out / "records", max_bad_fraction=share, tell=print)
        )

    sources = from_first(find)
    usable = read_askable(sources, max_bad_fraction=args.max_bad_fraction)
    damaged = damaged_media(
        [record for record in usable.records if any(m.kind == "video" for m in record.media)],
        settings=load_words_of(args.model, base=adapter_base_of(args.model, args.base)).settings,
        max_questions=args.max_questions,
    )
    usable = without_damaged(usable, damaged)
    refuse_too_few(usable, sources, max_bad_fraction=args.max_bad_fraction)
    for error in usable.rejected:
        console.print(f"left out: {error}", markup=False, soft_wrap=True)
    clips, _ = split_still_images(usable.records)
    about_clips = [q for q in questions_of(clips) if any(m.kind == "video" for m in q.media)]
    questions = asked_at_any_point(about_clips)
    if num_fixed := len(about_clips) - len(questions):
        console.print(
            f"left out: {num_fixed} questions that have frames of their own (times_s, or frames at "
            "a rate), whatever the point"
        )
    if not questions:
        raise DataError(
            f"{', '.join(args.data_path)}: no record asks about a clip whose frames a point "
            "decides. Give records with a video and an assistant turn, without times_s and fps."
        )
    return choose_questions(questions, args.max_questions)


def _points(
    args: argparse.Namespace, pick: Point | str, settings: ClipSettings
) -> dict[Point, ClipSettings]:
    sides = args.frame_sizes or [settings.frame_size]
    points = points_of(settings, frames=args.frames, frame_sizes=sides)
    if isinstance(pick, Point) and pick not in points:
        raise ArgumentError(
            f"--pick {pick} is none of the points that are swept: "
            f"{', '.join(map(str, points))}. Name one of them, or add its --frames and "
            "--frame_sizes."
        )
    return points


def print_sweep(found: Sweep, *, trained_at: Point, console: Console) -> None:
    """Print what each point scores and costs, the cheapest first, and which one is picked."""
    table = Table(box=None)
    for heading in ("frames", "tokens", "score", "interval", "latency", ""):
        table.add_column(heading, justify="left" if heading == "" else "right", no_wrap=True)
    content = found.as_dict(trained_at=trained_at)
    for one in content["points"]:
        point = Point(one["frames"], one["frame_size"])
        marks = ["front"] if one["on_front"] else []
        marks += ["trained"] if point == trained_at else []
        marks += ["picked"] if one["picked"] else []
        table.add_row(
            f"{point} px",
            f"{one['visual_tokens']:g}",
            f"{one['score']:.3f}",
            f"{one['low']:.3f} to {one['high']:.3f}",
            f"{one['latency_ms']:.1f} ms",
            ", ".join(marks),
        )
    console.print(f"\n{content['num_questions']} questions, on {found.device} in {found.dtype}")
    console.print(table)
    for point, reason in found.refused.items():
        console.print(f"not asked at {point} px: {reason}", markup=False, soft_wrap=True)
    console.print("\nfront: no other point is as fast and better, or as good and faster")
    console.print(f"rule of the pick: {found.rule}", markup=False, soft_wrap=True)


def _take(
    point: Point,
    settings: ClipSettings,
    checkpoint: Checkpoint,
    folders: list[Path],
    console: Console,
) -> None:
    """Let every folder of the model read clips as was picked, and say what it did before."""
    for folder in folders:
        before = write_pick(folder, checkpoint, settings)
        was = Point(before["num_frames"], before["frame_size"])
        told = f"reads {point} px now; before {was} px" if was != point else f"reads {point} px"
        console.print(f"{folder}: {told}", markup=False, soft_wrap=True)
