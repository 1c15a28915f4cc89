"""What of a clip is shown, and how, where a record says so itself?

    View(start_s=3.0, end_s=9.5, num_frames=16)  over  ClipSettings of the run  ->  ClipSettings

A view belongs to one clip or picture of one record. What it leaves open, the data set decides, and
what that leaves open, the run: `filled_from` goes from the nearest to the farthest.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any

from flipbook.errors import ArgumentError
from flipbook.video.settings import MOST, RANGES, ClipSettings

OVERRIDES = (
    "num_frames",
    "sampler",
    "frame_size",
    "aspect",
    "frames_per_s",
    "min_frames",
    "max_frames",
)


@dataclass(frozen=True, kw_only=True)
class View:
    """Which stretch or instants of a clip are shown, and how its frames are taken.

    Attributes:
        start_s, end_s: only what is on display between these two is shown; None is the clip's end.
        times_s: exactly the frames on display then, in place of any sampler.
        frames_fps: how many pictures are a second, where the clip is a folder or list of pictures.
        num_frames, sampler, frame_size, aspect, frames_per_s, min_frames, max_frames: as in
            `ClipSettings`; None where the run decides.

    Raises:
        ArgumentError: an instant is no finite number of seconds from 0 on, the end is not after
            the start, `times_s` fall or stand beside a stretch, a rate is not above 0, or a setting
            is none.
    """

    start_s: float | None = None
    end_s: float | None = None
    times_s: tuple[float, ...] = ()
    frames_fps: float | None = None
    num_frames: int | None = None
    sampler: str | None = None
    frame_size: int | None = None
    aspect: str | None = None
    frames_per_s: float | None = None
    min_frames: int | None = None
    max_frames: int | None = None

    def __post_init__(self) -> None:
        for name in ("start_s", "end_s"):
            _check_instant(name, getattr(self, name))
        for time_s in self.times_s:
            _check_instant("times_s", time_s)
        if self.end_s is not None and self.end_s <= (self.start_s or 0.0):
            raise ArgumentError(
                f"end_s is {self.end_s:g} and start_s is {self.start_s or 0.0:g}: the end must "
                "come after the start."
            )
        if any(later < earlier for earlier, later in pairwise(self.times_s)):
            raise ArgumentError(f"times_s fall: {list(self.times_s)}; give them in order.")
        if self.times_s and (self.start_s is not None or self.end_s is not None):
            raise ArgumentError("times_s stand beside start_s or end_s; give one of them.")
        if self.frames_fps is not None:
            RANGES["frames_per_s"].check("frames_fps", self.frames_fps)
        # A wrong setting is told where it is read, and not when a run's settings meet it.
        self.over(_ANY_RUN)

    def over(self, settings: ClipSettings) -> ClipSettings:
        """Return the settings of a run with those that this view has of its own.

        Raises:
            ArgumentError: they do not go together.
        """
        own = {name: value for name in OVERRIDES if (value := getattr(self, name)) is not None}
        return replace(settings, **own) if own else settings

    def filled_from(self, farther: View) -> View:
        """Return this view with what it leaves open taken from a farther one.

        Stretch and instants are a clip's own and never come from farther away.
        """
        names = ("frames_fps", *OVERRIDES)
        found = {name: value for name in names if (value := getattr(farther, name)) is not None}
        open_names = {name for name in found if getattr(self, name) is None}
        return replace(self, **{name: found[name] for name in open_names}) if open_names else self

    def as_dict(self) -> dict[str, Any]:
        """Return what is set, as JSON has it."""
        values = vars(self) | {"times_s": list(self.times_s)}
        return {name: value for name, value in values.items() if value not in (None, [])}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> View:
        """Return the view that `as_dict` wrote down."""
        known = {field.name for field in fields(cls)}
        kept = {name: value for name, value in values.items() if name in known}
        return cls(**kept | {"times_s": tuple(kept.get("times_s", ()))})


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _check_instant(name: str, value: object) -> None:
    if value is None:
        return
    if not _is_number(value) or not 0 <= value < 1e9:  # type: ignore[operator]
        raise ArgumentError(f"{name} is {value!r}: give seconds of the clip, from 0 on.")


_ANY_RUN = ClipSettings(frame_size=64, min_frames=1, max_frames=MOST)
WHOLE = View()
