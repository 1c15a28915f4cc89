"""Which records would fail a run or teach the wrong thing?

    flipbook data check train.jsonl --validation_data_path val.jsonl
        ->  train_checked.jsonl, val_checked.jsonl, and why other records are in neither

Every clip is decoded as the run would. The pass can be stopped at any time: the same command goes
on where it was, and files that have not changed are not read again.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from flipbook.data.doctor.check import FILE_TIMEOUT_S, check_manifests
from flipbook.data.doctor.ledger import OWN_SPLIT
from flipbook.data.encoder import ConversationEncoder
from flipbook.data.sources import Source, sources_of
from flipbook.errors import ArgumentError, StoppedError, reason_of
from flipbook.model.words_of import WordsOf, load_words_of
from flipbook.score.kinds.table import unjudged
from flipbook.video.sampling import SAMPLERS
from flipbook.video.settings import ClipSettings
from flipbook.video.view import View

_SETTINGS = {
    "num_video_frames": "num_frames",
    "frame_sampler": "sampler",
    "frames_per_s": "frames_per_s",
    "min_frames": "min_frames",
    "max_frames": "max_frames",
    "frame_size": "frame_size",
    "image_aspect_ratio": "aspect",
    "system_prompt": "system_prompt",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the words of `flipbook data check`."""
    parser.add_argument(
        "data_path",
        nargs="+",
        help="JSON or JSONL files of records; of training if they do not "
        "say their split themselves.",
    )
    parser.add_argument("--validation_data_path", help="Records that the run is watched by.")
    parser.add_argument("--test_data_path", help="Records that the final score is of.")
    parser.add_argument("--image_folder", help="Where media are; the records' own folder if none.")
    parser.add_argument(
        "--out",
        help="Folder of the clean files and the lists. If none, FILE_checked beside the file, "
        "and clean files that need no --image_folder beside theirs.",
    )
    parser.add_argument(
        "--model",
        default="tiny",
        help="A run, a model, a hub id, or 'tiny': its clip settings, words and limit count.",
    )
    _add_clip_arguments(parser)
    parser.add_argument(
        "--model_max_length", type=int, help="Longest conversation in tokens; the model's if none."
    )
    parser.add_argument("--num_workers", type=int, help="Processes; as many as cores if none.")
    parser.add_argument(
        "--file_timeout_s",
        type=float,
        default=FILE_TIMEOUT_S,
        help="Seconds that reading one file may take; large files get more.",
    )
    parser.add_argument(
        "--max_bad_fraction",
        type=float,
        default=0.0,
        help="Share of records that may be quarantined before the exit code says so.",
    )


def _add_clip_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--num_video_frames", type=int, help="Frames of a clip; the model's if none."
    )
    parser.add_argument(
        "--frame_sampler", choices=tuple(SAMPLERS), help="Which instants are taken."
    )
    parser.add_argument("--frames_per_s", type=float, help="For --frame_sampler fps.")
    parser.add_argument("--min_frames", type=int, help="For --frame_sampler fps.")
    parser.add_argument("--max_frames", type=int, help="For --frame_sampler fps.")
    parser.add_argument("--frame_size", type=int, help="Side of a frame in px, a multiple of 64.")
    parser.add_argument("--image_aspect_ratio", help="How a frame becomes a square.")
    parser.add_argument("--system_prompt", help="For conversations without one.")
    parser.add_argument(
        "--frames_fps", type=float, help="Pictures a second, of clips that are folders of them."
    )


def run(args: argparse.Namespace) -> None:
    """Write clean manifests, the quarantine and a summary.

    Raises:
        ArgumentError: a flag is wrong.
        CheckpointError: the model cannot be read.
        DataError: a manifest cannot be read, or more is quarantined than `--max_bad_fraction`.
        StorageError: the lists cannot be written.
        WorkerError: no processes can be kept.
        StoppedError: a signal asked for it.
    """
    if not 0 <= args.max_bad_fraction <= 1:
        raise ArgumentError(f"--max_bad_fraction is {args.max_bad_fraction:g}: give 0 to 1.")
    words = load_words_of(args.model)
    settings = clip_settings_of(args, words.settings)
    limit = limit_of(args.model_max_length, words)
    console = Console(highlight=False, soft_wrap=True)
    shown = f"{settings.num_frames} frames ({settings.sampler})"
    if settings.sampler == "fps":
        shown = f"{settings.frames_per_s:g} frames/s, {settings.min_frames}-{settings.max_frames}"
    console.print(
        f"as {args.model} reads them: {shown} of {settings.frame_size} px, {settings.aspect}, at "
        f"most {limit:,} tokens",
        markup=False,
    )
    try:
        checked = check_manifests(
            named_sources(args),
            settings=settings,
            encoder=ConversationEncoder(words.tokenizer, settings, limit),
            out=out_folder(args),
            is_beside=args.image_folder is None and args.out is None,
            num_workers=args.num_workers,
            file_timeout_s=args.file_timeout_s,
            console=console,
            unjudged=unjudged,
        )
    except KeyboardInterrupt as stop:
        raise StoppedError(
            f"Stopped by {reason_of(stop)}. What was read so far is kept: the same command goes on "
            "from here."
        ) from None
    checked.refuse_bad(args.max_bad_fraction)


def named_sources(args: argparse.Namespace) -> dict[str, tuple[Source, ...]]:
    """Return the data sets under the splits that they are used as.

    Raises:
        ArgumentError: a mixture cannot be read.
    """
    told = Source("", view=View(frames_fps=args.frames_fps))
    named = {
        OWN_SPLIT: args.data_path,
        "validation": args.validation_data_path or (),
        "test": args.test_data_path or (),
    }
    return {
        split: tuple(
            source.filled_from(told) for source in sources_of(paths, image_folder=args.image_folder)
        )
        for split, paths in named.items()
    }


def out_folder(args: argparse.Namespace) -> Path:
    """Return the folder of the lists."""
    if args.out is not None:
        return Path(args.out)
    first = Path(args.data_path[0])
    return first.with_name(f"{first.stem}_checked")


def clip_settings_of(args: argparse.Namespace, saved: ClipSettings) -> ClipSettings:
    """Return how clips are read: as the model's own settings say, but for what flags say.

    Raises:
        ArgumentError: a value is out of its range.
    """
    given = {
        name: value
        for flag, name in _SETTINGS.items()
        if (value := getattr(args, flag)) is not None
    }
    return replace(saved, **given)


def limit_of(model_max_length: int | None, words: WordsOf) -> int:
    """Return the longest conversation in tokens.

    Raises:
        ArgumentError: it is less than 1 or more than the model can read.
    """
    if model_max_length is None:
        return words.context_tokens
    if not 1 <= model_max_length <= words.context_tokens:
        raise ArgumentError(
            f"--model_max_length is {model_max_length}: give 1 to {words.context_tokens}, which is "
            "what the language model can place."
        )
    return model_max_length
