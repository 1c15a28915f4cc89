"""At which numbers of frames and sides is a model asked, and which questions can be asked at all?

ClipSettings, frames x sides  ->  ClipSettings of each Point
questions                     ->  those of which a Point decides how their clips are read
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from flipbook.data.turns import Media, Turn
from flipbook.errors import ArgumentError
from flipbook.score.questions import AskedQuestion
from flipbook.video.settings import ClipSettings


@dataclass(frozen=True, order=True)
class Point:
    """A number of frames, and their side in px."""

    frames: int
    frame_size: int

    def __str__(self) -> str:
        return f"{self.frames}x{self.frame_size}"


def points_of(
    settings: ClipSettings, *, frames: Sequence[int], frame_sizes: Sequence[int]
) -> dict[Point, ClipSettings]:
    """Return the settings of each number of frames at each side, each once, small ones first.

    Raises:
        ArgumentError: the model takes frames at a rate, or a number or a side is out of its range.
    """
    if settings.sampler == "fps":
        raise ArgumentError(
            f"the model takes {settings.frames_per_s:g} frames of each second (sampler fps), from "
            f"{settings.min_frames} to {settings.max_frames} of a clip, so a number of frames says "
            "nothing to it. Sweep a model whose sampler is uniform, segments or sparse."
        )
    points = sorted({Point(number, side) for number in frames for side in frame_sizes})
    return {p: replace(settings, num_frames=p.frames, frame_size=p.frame_size) for p in points}


def asked_at_any_point(questions: Sequence[AskedQuestion]) -> tuple[AskedQuestion, ...]:
    """Return the questions whose clips can be read at every point, to be read as it says.

    Numbers of frames and sides that records or data sets give their clips give way to the point's.
    A question about instants, or about frames at a rate, has its own number of frames anywhere, and
    is left out.
    """
    return tuple(
        replace(question, turns=tuple(map(_read_at_point, question.turns)))
        for question in questions
        if not any(_has_own_frames(item) for item in question.media)
    )


def _has_own_frames(item: Media) -> bool:
    return item.kind == "video" and (bool(item.view.times_s) or item.view.sampler == "fps")


def _read_at_point(turn: Turn) -> Turn:
    return Turn(
        turn.role,
        tuple(
            replace(part, view=replace(part.view, num_frames=None, frame_size=None))
            if isinstance(part, Media)
            else part
            for part in turn.parts
        ),
    )
