"""How does a file become frames for this model?

    command line, flipbook.json  ->  ClipSettings  ->  keyword arguments of read_clip

One frozen value says which instants are taken, how large a frame is and how it is made square.
It is saved in the model folder, so what the model saw in training is what it sees afterwards.
To add a setting: one field here, one line in `clip_kwargs`, and one in `RANGES` for a number.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from flipbook.errors import ArgumentError, CheckpointError, did_you_mean
from flipbook.video.frames import ASPECTS, PX_PER_TOKEN
from flipbook.video.layouts import DEFAULT_SLOW_FRAMES, FRAMES, GRID, LAYOUTS
from flipbook.video.ranges import Range
from flipbook.video.sampling import DEFAULT_CLIP_SHARE, MIDDLE, SAMPLERS

SETTINGS_FILE = "flipbook.json"
FORMAT_VERSION = 1
MOST = 100_000  # frames, or px of a side; more is a slip, and would fill the memory with places
DEFAULT_NUM_CLIPS = 4  # stretches over which the answers of the sampler `sparse` are averaged
_COUNT = Range(is_whole=True, least=1, most=MOST)
RANGES = {
    "frame_size": _COUNT,
    "num_frames": _COUNT,
    "min_frames": _COUNT,
    "max_frames": _COUNT,
    "num_clips": _COUNT,
    "slow_frames": _COUNT,
    "frames_per_s": Range(above_least=True),
    # From half the spacing on, two instants could meet in one frame.
    "frame_snap": Range(most=0.5, below_most=True),
    "clip_share": Range(most=1, above_least=True),
    "clip_place": Range(most=1),
    "min_frame_change": Range(most=255),
}


@dataclass(frozen=True, kw_only=True)
class ClipSettings:
    """How clips and pictures are read for one model.

    `frames_per_s`, `min_frames` and `max_frames` count only for the sampler `fps`; the others take
    `num_frames`. `frame_size` is the side of a square frame in px, a multiple of 64.
    `system_prompt` None means the one that the chat template brings. `timestamps`: whether each
    frame of a clip has its instant in words before it. The sampler `sparse` takes a stretch of
    `clip_share` of the clip at `clip_place` (0 its start, 1 its end), and answers are averaged over
    `num_clips` of them. `min_frame_change`: grey levels, 0 to 255, by which a frame must differ
    from the one before where it is no repeat; 0 takes frames as the sampler places them.
    `layout` is a key of `LAYOUTS`, how the frames of a clip lie before the language model;
    `slow_frames` counts only for `slow_fast`.

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
    timestamps: bool = False
    clip_share: float = DEFAULT_CLIP_SHARE
    clip_place: float = MIDDLE
    num_clips: int = DEFAULT_NUM_CLIPS
    min_frame_change: float = 0.0
    layout: str = FRAMES
    slow_frames: int = DEFAULT_SLOW_FRAMES

    def __post_init__(self) -> None:
        _check_name("sampler", self.sampler, known=tuple(SAMPLERS))
        _check_name("aspect", self.aspect, known=tuple(ASPECTS))
        _check_name("layout", self.layout, known=tuple(LAYOUTS))
        for name, numbers in RANGES.items():
            numbers.check(name, getattr(self, name))
        if self.frame_size % PX_PER_TOKEN:
            below = max(self.frame_size // PX_PER_TOKEN, 1) * PX_PER_TOKEN
            raise ArgumentError(
                f"frame_size is {self.frame_size} px, which is no multiple of {PX_PER_TOKEN}: "
                f"give {below} or {below + PX_PER_TOKEN}."
            )
        if self.min_frames > self.max_frames:
            raise ArgumentError(
                f"min_frames is {self.min_frames} and max_frames is {self.max_frames}: "
                "the floor must not be above the ceiling."
            )
        _check_instants(self)
        _check_layout(self)
        if self.system_prompt is not None and not isinstance(self.system_prompt, str):
            raise ArgumentError(f"system_prompt is {self.system_prompt!r}: give text.")

    @property
    def tokens_per_frame(self) -> int:
        """Number of visual tokens of one frame: 16 at 256 px, 64 at 512 px, 256 at 1024 px."""
        return (self.frame_size // PX_PER_TOKEN) ** 2

    def tokens_of_clip(self, num_frames: int) -> tuple[int, ...]:
        """Return how many visual tokens stand at each place of a clip of so many frames."""
        return LAYOUTS[self.layout].tokens(num_frames, self.tokens_per_frame, self.slow_frames)

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
            "clip_share": self.clip_share,
            "clip_place": self.clip_place,
            "min_frame_change": self.min_frame_change,
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


def only_here(settings: ClipSettings) -> list[str]:
    """Return the settings that no other program follows, each as its flag with its value.

    A model that learned by them is asked in another form elsewhere, and answers worse.
    """
    named = []
    if settings.timestamps:
        named.append("--timestamps")
    if settings.sampler == "sparse":
        named.append("--frame_sampler sparse")
    if settings.min_frame_change > 0:
        named.append(f"--min_frame_change {settings.min_frame_change:g}")
    if settings.layout != FRAMES:
        named.append(f"--frame_layout {settings.layout}")
    return named


def refuse_only_here(settings: ClipSettings, *, reader: str) -> None:
    """Check that another reader of clips can do as this model learned.

    Args:
        reader: who is to read clips, as the message names it.

    Raises:
        ArgumentError: it cannot.
    """
    named = only_here(settings)
    if named:
        raise ArgumentError(
            f"the model was trained with {' and '.join(named)}, which {reader} does not follow, so "
            "it would answer worse than was measured. Use `flipbook chat` and `flipbook evaluate`, "
            "or train a model without."
        )


def _check_layout(settings: ClipSettings) -> None:
    """Refuse a side that a layout cannot divide, and words before places that it does not have."""
    layout, side = LAYOUTS[settings.layout], settings.frame_size
    if side % layout.side_multiple:
        below = max(side // layout.side_multiple, 1) * layout.side_multiple
        raise ArgumentError(
            f"the layout {settings.layout} halves the sides of frames, and frame_size is {side} "
            f"px, which is no multiple of {layout.side_multiple}: give {below} or "
            f"{below + layout.side_multiple}."
        )
    if settings.timestamps and not layout.has_frame_places:
        known = ", ".join(name for name, one in LAYOUTS.items() if one.has_frame_places)
        raise ArgumentError(
            f"timestamps say an instant before the place of each frame, which the layout "
            f"{settings.layout} does not have. Leave one of them out, or take {known}."
        )
    most_frames = settings.max_frames if settings.sampler == "fps" else settings.num_frames
    if settings.layout == GRID and most_frames > side**2:
        raise ArgumentError(
            f"{most_frames} frames have no room in a grid of {side} px. Take fewer, or a "
            "larger frame_size."
        )


def _check_instants(settings: ClipSettings) -> None:
    """Refuse what says or chooses instants by two rules at once."""
    if not isinstance(settings.timestamps, bool):
        raise ArgumentError(f"timestamps is {settings.timestamps!r}: give true or false.")
    changes = settings.min_frame_change > 0
    if settings.timestamps and (changes or settings.sampler == "sparse"):
        other = "min_frame_change" if changes else "the sampler sparse"
        raise ArgumentError(
            f"timestamps say instants that are known before a clip is decoded, and {other} chooses "
            "them later. Leave one of them out."
        )
    if changes and settings.frame_snap > 0:
        raise ArgumentError(
            "min_frame_change chooses frames by what they show, and frame_snap moves them to what "
            "is cheap to decode. Leave one of them out."
        )


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
