"""What does it cost to turn a file into a batch, and how much of that is decoding?

    python benchmarks/input.py [--smoke]  ->  benchmarks/results/input.md

Three ways from files to a batch, in CPU time: flipbook's data set and collator, and the usual way
(reference.py) with each of its two image processors. Beside them stands the floor: nothing but the
decoding of the packets that the frames cannot do without, from a plan that is known already, with
neither colours nor scaling. `--smoke` runs all of it once on a tiny file and writes nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import av
import torch
import transformers
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

import decode
import reference
from clips import SMOKE_FILE, Asked, make_asked, make_dataset
from flipbook.data.batch import DataCollatorForSupervisedDataset
from flipbook.model.checkpoint import load_checkpoint
from flipbook.video import load_video_frames
from flipbook.video.opening import open_video
from flipbook.video.pixels import picture_of
from flipbook.video.sampling import sample_frames
from flipbook.video.seeking import frames_by_time
from flipbook.video.timeline import Timeline, timeline_from_index, timeline_from_packets
from measuring import (
    Way,
    circumstances,
    forget_peak,
    held_mb,
    in_fresh_process,
    in_turns,
    table,
    write_page,
)

RESULT_FILE = Path(__file__).parent / "results" / "input.md"
NUM_FRAMES = 8
NUM_QUESTIONS = 8
CLIPS_IN_MEMORY = 4  # in one batch, where memory is compared
OURS, PIL, TORCHVISION = "flipbook", "PIL", "torchvision"


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=8, help="length of each video")
    parser.add_argument("--side", type=int, nargs="*", default=[256, 512], help="px of a frame")
    parser.add_argument("--files", nargs="*", help="names of the files to measure; all by default")
    parser.add_argument("--smoke", action="store_true", help="once, on a tiny file")
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)  # way, side, folder: one run
    given = parser.parse_args(words)
    if not given.smoke and not reference.has_decord():
        print(reference.INSTALL_DECORD, file=sys.stderr)
        return 2
    torch.set_num_threads(1)
    if given.peak:
        way, side, place = given.peak
        print(*peak_of(way, int(side), Path(place), file=decode.FILES[0]))
        return 0
    if given.smoke:
        given.repetitions, given.seconds, given.side = 1, 1, [64]
    files = [SMOKE_FILE] if given.smoke else list(decode.FILES)
    files = [file for file in files if not given.files or file.name in given.files]
    tokenizer = load_checkpoint("tiny").tokenizer
    lines = [title(given)]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for side in given.side:
            lines += by_codec(files, place, tokenizer, side=side, given=given)
            lines += by_questions(files[0], place, tokenizer, side=side, given=given)
            lines += by_memory(files[0], place, side=side, given=given)
    if given.smoke or given.files:
        print("\n".join(lines))
    else:
        write_page(RESULT_FILE, lines)
    return 0


def batch_by_flipbook(dataset: Any, collate: Any, members: Sequence[tuple[int, ...]]) -> Any:
    """Return one batch; its conversations come clip by clip."""
    return collate(dataset.__getitems__(members))


def batch_by_reference(
    rows: Sequence[tuple[str, str, str]], *, processor: Any, tokenizer: Any, side: int
) -> Any:
    """Return one batch of questions, each with its own frames."""
    read = reference.read_pictures if reference.has_decord() else load_video_frames
    examples = []
    for path, question, answer in rows:
        pixels = reference.pixel_values_of(
            path, num_frames=NUM_FRAMES, processor=processor, read=read
        )
        ids, labels = reference.tokens_of(
            question, answer, tokenizer=tokenizer, num_frames=NUM_FRAMES, side=side
        )
        examples.append(reference.Example(ids, labels, pixels))
    return reference.make_batch(examples, pad_token_id=tokenizer.pad_token_id)


def make_ways(
    asked: Asked, members: Sequence[tuple[int, ...]], *, tokenizer: Any, side: int
) -> dict[str, Way]:
    """Return the three ways to one batch of all that is asked."""
    dataset = make_dataset(asked, tokenizer=tokenizer, num_frames=NUM_FRAMES, side=side)
    collate = DataCollatorForSupervisedDataset()
    ways: dict[str, Way] = {OURS: partial(batch_by_flipbook, dataset, collate, members)}
    for kind in (PIL, TORCHVISION):
        ways[kind] = partial(
            batch_by_reference,
            asked.rows,
            processor=reference.make_processor(kind, side=side),
            tokenizer=tokenizer,
            side=side,
        )
    return ways


class Floor:
    """Decoding of what is needed and nothing else, and what comes after it, piece by piece."""

    def __init__(self, path: str, *, side: int) -> None:
        self.path, self.side = path, side
        with open_video(path) as video:
            self.timeline: Timeline = timeline_from_index(video) or timeline_from_packets(video)
        indices = sample_frames(
            self.timeline.ruler(),
            num_frames=NUM_FRAMES,
            sampler="uniform",
            frames_per_s=1.0,
            min_frames=1,
            max_frames=NUM_FRAMES,
            rng=None,
        )
        self.wanted = sorted(set(indices.tolist()))
        self.frames: list[VideoFrame] = list(self._decoded(lambda frame: frame).values())

    def decode(self) -> None:
        self._decoded(lambda frame: None)

    def show(self) -> None:
        """Make upright, square RGB of frames that are decoded already."""
        reformatter = VideoReformatter()
        for frame in self.frames:
            picture_of(frame, reformatter=reformatter, frame_size=self.side, aspect="pad")

    def _decoded(self, finish: Any) -> dict[int, Any]:
        with open_video(self.path) as video:
            return frames_by_time(video, self.timeline, wanted=self.wanted, finish=finish)


def by_codec(
    files: Sequence[decode.File], folder: Path, tokenizer: Any, *, side: int, given: Any
) -> list[str]:
    """Return the table of one clip with one question, file by file."""
    rows = []
    for file in files:
        asked = make_asked(folder, file, num_clips=1, questions_per_clip=1, seconds=given.seconds)
        floor = Floor(asked.rows[0][0], side=side)
        ways = make_ways(asked, [(0,)], tokenizer=tokenizer, side=side)
        ways |= {"floor": floor.decode, "show": floor.show}
        ms = {
            name: 1000 * seconds
            for name, seconds in in_turns(ways, repetitions=given.repetitions).items()
        }
        rest = ms[OURS] - ms["floor"] - ms["show"]
        ratios = [ms[PIL] / ms[OURS], ms[TORCHVISION] / ms[OURS], ms[OURS] / ms["floor"]]
        rows.append([file.name, ms["floor"], ms["show"], rest, ms[OURS], *ratios])
        print(*table(["file"] * len(rows[-1]), rows[-1:])[2:], flush=True)
    header = ["file", "floor, CPU ms", "colours and scaling", "all else", "flipbook, CPU ms"]
    header += ["PIL / flipbook", "torchvision / flipbook", "flipbook / floor"]
    return [
        f"## One clip, one question, {NUM_FRAMES} frames of {side} px",
        "",
        *table(header, rows),
        "",
    ]


def by_questions(
    file: decode.File, folder: Path, tokenizer: Any, *, side: int, given: Any
) -> list[str]:
    """Return the table of one clip with several questions, per question."""
    rows = []
    for count in (1, NUM_QUESTIONS):
        asked = make_asked(
            folder, file, num_clips=1, questions_per_clip=count, seconds=given.seconds
        )
        ways = make_ways(asked, [tuple(range(count))], tokenizer=tokenizer, side=side)
        spent = in_turns(ways, repetitions=given.repetitions)
        ms = {name: 1000 * seconds / count for name, seconds in spent.items()}
        rows.append([count, ms[OURS], ms[PIL], ms[PIL] / ms[OURS], ms[TORCHVISION] / ms[OURS]])
    header = ["questions a clip", "flipbook, CPU ms a question", "PIL, CPU ms a question"]
    header += ["PIL / flipbook", "torchvision / flipbook"]
    return [f"## Several questions about {file.name}, {side} px", "", *table(header, rows), ""]


def by_memory(file: decode.File, folder: Path, *, side: int, given: Any) -> list[str]:
    """Return the table of the memory that a batch of several clips takes in a fresh process."""
    make_asked(folder, file, num_clips=CLIPS_IN_MEMORY, questions_per_clip=1, seconds=given.seconds)
    rows = []
    for way in (OURS, PIL, TORCHVISION):
        words = ("--peak", way, str(side), str(folder))
        before, most = (
            peak_of(way, side, folder, file=file)
            if given.smoke
            else in_fresh_process(__file__, *words)
        )
        rows.append([way, before, most, most - before])
    header = ["way", "MB before", "MB at most", "MB for the batch"]
    text = f"## Memory of a batch of {CLIPS_IN_MEMORY} clips, {file.name}, {side} px"
    return [text, "", *table(header, rows), ""]


def peak_of(way: str, side: int, folder: Path, *, file: decode.File) -> tuple[float, float]:
    """Return the MB that this process held before a batch was made, and at most until it was."""
    asked = make_asked(folder, file, num_clips=CLIPS_IN_MEMORY, questions_per_clip=1, seconds=1)
    members = [(number,) for number in range(CLIPS_IN_MEMORY)]
    tokenizer = load_checkpoint("tiny").tokenizer
    ways = make_ways(asked, members, tokenizer=tokenizer, side=side)
    forget_peak()
    before, _ = held_mb()
    ways[way]()
    return before, held_mb()[1]


def title(given: Any) -> str:
    try:
        import decord

        version = decord.__version__
    except ImportError:
        version = "missing"
    told = circumstances(PyAV=av.__version__, transformers=transformers.__version__, decord=version)
    return "\n".join(
        [
            "# Input: from a file to a batch",
            "",
            told,
            f"Videos of {given.seconds} s at 30 frames/s, padded to squares, medians of "
            f"{given.repetitions} interleaved repetitions.",
            "`PIL` and `torchvision` are the reference with either image processor. The floor is "
            "the decoding of the needed packets alone, from a plan that is known already.",
            "Colours and scaling are measured apart on decoded frames; all else is what is left: "
            "the table of times, tokens, labels, copies.",
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
