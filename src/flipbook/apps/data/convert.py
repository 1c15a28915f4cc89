"""How does a data set in another form become one that can be trained on?

flipbook data convert PATH --out train.jsonl  ->  what was detected, two samples, train.jsonl
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from flipbook.data.converting.convert import convert
from flipbook.data.formats.column_names import USUAL_NAMES, parse_map
from flipbook.data.formats.origin import origin_named
from flipbook.data.formats.table import FORMATS
from flipbook.errors import ArgumentError

_FURTHER = [name for name in USUAL_NAMES if name not in ("video", "question", "answer")]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the words of `flipbook data convert`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "formats:\n" + "\n".join(
        f"  {name:<21} {form.about}" for name, form in FORMATS.items()
    )
    parser.add_argument(
        "path",
        help="JSON, JSONL, CSV, TSV, Parquet, text, or a folder: class folders, a saved data set. "
        "dataset_info.json#NAME is one of several that LLaMA-Factory describes.",
    )
    parser.add_argument("--out", required=True, help="The JSONL file to write.")
    parser.add_argument(
        "--format", help="How PATH is read; told by its keys if not given. Listed below."
    )
    parser.add_argument("--image_folder", help="Where the media are. Default: beside PATH.")
    parser.add_argument(
        "--map",
        help="Which column holds what: video=path,question=q,answer=a. Further ones: "
        f"{', '.join(_FURTHER)}. Options in several columns: options=a0+a1+a2.",
    )
    parser.add_argument("--prompt", help="What is asked of every clip, where no question is given.")
    parser.add_argument(
        "--frames_fps", type=float, help="Pictures a second, where clips are folders of pictures."
    )
    parser.add_argument("--answers", help="The file of the answers, where they lie apart.")
    parser.add_argument(
        "--max_bad_fraction",
        type=float,
        default=0.0,
        help="Share of rows that may be left out, each with its reason. Default: 0.",
    )


def run(args: argparse.Namespace) -> None:
    """Convert, and print what was done.

    Raises:
        ArgumentError: a flag is wrong.
        DataError: the data cannot be read, or too many rows are no records.
    """
    if args.frames_fps is not None and not 0 < args.frames_fps < float("inf"):
        raise ArgumentError(f"--frames_fps is {args.frames_fps:g}; give a number above 0.")
    if not 0 <= args.max_bad_fraction <= 1:
        raise ArgumentError(f"--max_bad_fraction is {args.max_bad_fraction:g}; give 0 to 1.")
    origin = origin_named(
        args.path,
        image_folder=None if args.image_folder is None else Path(args.image_folder),
        columns={} if args.map is None else parse_map(args.map),
        prompt=args.prompt,
        frames_fps=args.frames_fps,
        answers=None if args.answers is None else Path(args.answers),
    )
    converted = convert(
        origin,
        format_name=args.format,
        out=Path(args.out),
        max_bad_fraction=args.max_bad_fraction,
    )
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(converted.told())
