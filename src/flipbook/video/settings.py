"""How does a file become frames for this model?

    command line, flipbook.json  ->  ClipSettings  ->  keyword arguments of read_clip

One frozen value says which instants are taken, how large a frame is and how it is made square.
It is saved in the model folder, so what the model saw in training is what it sees afterwards.
To add a setting: one field here, one line in `clip_kwargs`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from flipbook.errors import ArgumentError, CheckpointError, did_you_mean
from flipbook.video.frames import ASPECTS, PX_PER_TOKEN
from flipbook.video.sampling import SAMPLERS

SETTINGS_FILE = "flipbook.json"
FORMAT_VERSION = 1
MOST = 100_000  # frames, or px of a side; more is a slip, and would fill the memory with places
MAX_FRAME_SNAP = 0.5  # from half the spacing on, two instants could meet in one frame


@dataclass(frozen=True, kw_only=True)
class ClipSettings:
    """How clips and pictures are read for one model.

    `frames_per_s`, `min_frames` and `max_frames` count only for the sampler `fps`; the others take
    `num_frames`. `frame_size` is the side of a square frame in px, a multiple of 64.
    `system_prompt` None means the one that the chat template brings.

    Raises:
        ArgumentError: a value is out of its range, or a name is unknown.
    """

    frame_size: int
    num_frames: int = 8
    sampler: str = "uniform"
    aspect: str = "pad"
    frame_snap: float = 0.0
    frames_per_s: float = 1.0
    min_frames: int = 4
    max_frames: int = 64
    system_prompt: str | None = None

    def __post_init__(self) -> None:
        _check_name("sampler", self.sampler, known=tuple(SAMPLERS))
        _check_name("aspect", self.aspect, known=tuple(ASPECTS))
        for name in ("frame_size", "num_frames", "min_frames", "max_frames"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ArgumentError(f"{name} is {value!r}: give a whole number of 1 or more.")
            if value > MOST:
                raise ArgumentError(f"{name} is {value!r}: give at most {MOST:,}.")
        if self.frame_size % PX_PER_TOKEN:
            below = max(self.frame_size // PX_PER_TOKEN, 1) * PX_PER_TOKEN
            raise ArgumentError(
                f"frame_size is {self.frame_size} px, which is no multiple of {PX_PER_TOKEN}: "
                f"give {below} or {below + PX_PER_TOKEN}."
            )
        _check_number("frames_per_s", self.frames_per_s, above=0.0)
        _check_number("frame_snap", self.frame_snap, least=0.0, below=MAX_FRAME_SNAP)
        if self.min_frames > self.max_frames:
            raise ArgumentError(
                f"min_frames is {self.min_frames} and max_frames is {self.max_frames}: "
                "the floor must not be above the ceiling."
            )
        if self.system_prompt is not None and not isinstance(self.system_prompt, str):
            raise ArgumentError(f"system_prompt is {self.system_prompt!r}: give text.")

    @property
    def tokens_per_frame(self) -> int:
        """Number of visual tokens of one frame: 16 at 256 px, 64 at 512 px, 256 at 1024 px."""
        return (self.frame_size // PX_PER_TOKEN) ** 2

    def clip_kwargs(self) -> dict[str, Any]:
        """Keyword arguments of `read_clip` that are the same for every clip."""
        return {
            "num_frames": self.num_frames,
            "sampler": self.sampler,
            "frame_size": self.frame_size,
            "aspect": self.aspect,
            "frame_snap": self.frame_snap,
            "frames_per_s": self.frames_per_s,
            "min_frames": self.min_frames,
            "max_frames": self.max_frames,
        }

    def save(self, folder: str | Path) -> Path:
        """Path of the `flipbook.json` written into `folder`."""
        path = Path(folder) / SETTINGS_FILE
        content = {"format": FORMAT_VERSION, "clip_settings": asdict(self)}
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        return path

    @classmethod
    def load(cls, folder: str | Path) -> ClipSettings | None:
        """Settings saved in `folder`, or None when it holds no `flipbook.json`.

        Raises:
            CheckpointError: the file cannot be read, has an unknown key, or a wrong value.
        """
        path = Path(folder) / SETTINGS_FILE
        if not path.is_file():
            return None
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"{path}: cannot be read as JSON ({error}). Save the model again, or delete the "
                "file and give the settings as flags."
            ) from error
        try:
            return cls(**_checked_fields(content, known=[field.name for field in fields(cls)]))
        except (ArgumentError, TypeError) as error:
            raise CheckpointError(
                f"{path}: {error} Correct the file, or delete it and give the settings as flags."
            ) from error


def _checked_fields(content: object, *, known: list[str]) -> dict[str, Any]:
    if not isinstance(content, dict) or not isinstance(content.get("clip_settings"), dict):
        raise ArgumentError('there is no object under "clip_settings".')
    if content.get("format") != FORMAT_VERSION:
        raise ArgumentError(
            f'"format" is {content.get("format")!r}, and this flipbook reads {FORMAT_VERSION}.'
        )
    values: dict[str, Any] = content["clip_settings"]
    for name in values:
        if name not in known:
            raise ArgumentError(f"unknown setting {name!r}.{did_you_mean(name, known)}")
    return values


def _check_name(name: str, value: object, *, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ArgumentError(
            f"{name} {value!r} is unknown; known are {', '.join(known)}."
            f"{did_you_mean(str(value), known)}"
        )


def _check_number(
    name: str,
    value: object,
    *,
    above: float | None = None,
    least: float | None = None,
    below: float = float("inf"),
) -> None:
    """Refuse what is no number, NaN included, or lies outside the range."""
    good = isinstance(value, (int, float)) and not isinstance(value, bool)
    if isinstance(value, (int, float)) and good:
        in_reach = value > above if above is not None else value >= (least or 0.0)
        good = in_reach and value < below
    if not good:
        start = f"above {above}" if above is not None else f"from {least}"
        end = "" if below == float("inf") else f" and below {below}"
        raise ArgumentError(f"{name} is {value!r}: give a number {start}{end}.")
