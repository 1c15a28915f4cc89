"""How do pictures and clips reach a model through transformers' own interfaces?

    FlipbookImageProcessor(pictures)  ->  pixel_values float32 (F, 3, S, S)
    FlipbookVideoProcessor(clips)     ->  pixel_values_videos, for each clip float32 (T, 3, S, S)

Both read by the `ClipSettings` of the model and give the very pixels of training. A call may change
the settings: `num_frames=4`, `fps=1.0`, `frame_size=512` and the other fields of `ClipSettings`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import Any, Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import BatchFeature, LlavaImageProcessorPil
from transformers.image_utils import load_image
from transformers.processing_utils import ImagesKwargs, VideosKwargs
from transformers.video_processing_utils import BaseVideoProcessor

from flipbook.errors import ArgumentError, did_you_mean
from flipbook.model.fastvlm import normalise_frames
from flipbook.model.processing import NO_MEAN, NO_STD, VIDEO_PROCESSOR_TYPE, Triple, image_fields
from flipbook.model.processor.folder import read_media_rule
from flipbook.model.processor.handed_media import clip_frames, picture_frames
from flipbook.video.settings import ClipSettings, refuse_only_here

SETTINGS = tuple(field.name for field in fields(ClipSettings))
READER = "a processor of transformers"
ADDRESSES = ("http://", "https://", "data:image/")
# Arguments of transformers' interfaces that are honoured, beside the fields of ClipSettings.
_OTHER_ARGUMENTS = frozenset({"fps", "do_sample_frames", "return_tensors"})


class FlipbookImagesKwargs(ImagesKwargs, total=False):
    """What a call may change about pictures."""

    frame_size: int | None
    aspect: str | None


class FlipbookVideosKwargs(VideosKwargs, total=False):
    """What a call may change about clips, beside `num_frames` and `fps`."""

    frame_size: int | None
    aspect: str | None
    sampler: str | None
    frame_snap: float | None
    frames_per_s: float | None
    min_frames: int | None
    max_frames: int | None


def changed_settings(settings: ClipSettings, changes: Mapping[str, Any]) -> ClipSettings:
    """Settings with the changes of one call; `fps=2` is the sampler `fps` at 2 frames a second.

    `num_frames` alone, for a model that reads by `fps`, takes that many frames evenly spread.

    Raises:
        ArgumentError: a value is out of range, an argument has no effect on how clips are read, or
            clips are to be read as flipbook's own commands alone do.
    """
    given = {name: value for name, value in changes.items() if value is not None}
    own = {
        name: given[name] for name in (field.name for field in fields(settings)) if name in given
    }
    for name in given:
        if name not in own and name not in _OTHER_ARGUMENTS:
            raise ArgumentError(
                f"{name}={given[name]!r} has no effect on how flipbook reads pictures and clips. "
                "Give frame_size, aspect, num_frames, fps or another field of ClipSettings."
            )
    if "fps" in given:
        if "num_frames" in own or "sampler" in own:
            raise ArgumentError("fps and num_frames exclude each other, as fps and sampler do.")
        own |= {"sampler": "fps", "frames_per_s": given["fps"]}
    elif "num_frames" in own and settings.sampler == "fps":
        own.setdefault("sampler", "uniform")
    changed = replace(settings, **own)
    refuse_only_here(changed, reader=READER)
    return changed


def changed_by_name(settings: ClipSettings, kwargs: Mapping[str, Any]) -> ClipSettings:
    """Settings with those changes among the arguments of a `from_pretrained`.

    Raises:
        ArgumentError: a value is out of range, an argument about pictures or clips has no effect on
            how they are read, or one is spelt almost as a setting is.
    """
    about_media = {*SETTINGS, "fps"}
    for kind in (FlipbookImagesKwargs, FlipbookVideosKwargs):
        about_media |= kind.__annotations__.keys()
    changes = {name: value for name, value in kwargs.items() if name in about_media}
    for name in kwargs.keys() - changes.keys():
        if meant := did_you_mean(name, SETTINGS):
            raise ArgumentError(f"{name} is no clip setting.{meant}")
    return changed_settings(settings, changes)


class FlipbookImageProcessor(LlavaImageProcessorPil):
    """Image processor whose pixels are those of training, bit for bit.

    Args:
        settings: side and aspect of pictures.
        stock: what transformers' own processor for the same folder is made with.
    """

    valid_kwargs = FlipbookImagesKwargs

    def __init__(self, settings: ClipSettings, **stock: Any) -> None:
        super().__init__(**stock)
        self.settings = settings

    @classmethod
    def of(cls, settings: ClipSettings, *, image_mean: Triple, image_std: Triple) -> Self:
        """Image processor for clip settings, such as those of a `Checkpoint`."""
        return cls(settings, **image_fields(settings, mean=image_mean, std=image_std))

    def fetch_images(self, image_url_or_urls: Any) -> Any:
        """Pictures with those at a path read, by flipbook, and those at an address by transformers.

        Raises:
            MediaError: a file cannot be read.
        """
        if isinstance(image_url_or_urls, (list, tuple)):
            return [self.fetch_images(item) for item in image_url_or_urls]
        if isinstance(image_url_or_urls, str) and image_url_or_urls.startswith(ADDRESSES):
            return load_image(image_url_or_urls)
        return image_url_or_urls

    def frames_of(self, picture: Any, **changes: Any) -> Tensor:
        """Frame of one picture, uint8 (1, 3, S, S).

        Raises: as `picture_frames` and `changed_settings`.
        """
        settings = changed_settings(self.settings, changes)
        return picture_frames(self.fetch_images(picture), settings=settings)

    def preprocess(self, images: Any, **changes: Any) -> BatchFeature:
        """`pixel_values` of one picture or of a list, nested or not.

        Raises: as `frames_of`.
        """
        frames = [self.frames_of(picture, **changes) for picture in flat_pictures(images)]
        pixel_values = normalise_frames(
            torch.cat(frames), image_mean=self.image_mean, image_std=self.image_std
        )
        return BatchFeature(
            {"pixel_values": pixel_values}, tensor_type=changes.get("return_tensors")
        )

    def to_dict(self) -> dict[str, Any]:
        """What transformers' own processor of pictures needs, which saved folders name."""
        stock: dict[str, Any] = super().to_dict()
        del stock["settings"]
        return stock | {"image_processor_type": LlavaImageProcessorPil.__name__}


class FlipbookVideoProcessor(BaseVideoProcessor):
    """Video processor that reads clips as flipbook does, by the saved `ClipSettings`.

    Args:
        system_prompt: of the model, kept with the settings.
        fields: of `ClipSettings`, `image_mean` and `image_std`.

    Raises:
        ArgumentError: the settings are such that flipbook's own commands alone follow them.
    """

    valid_kwargs = FlipbookVideosKwargs  # type: ignore[assignment]
    model_input_names = ["pixel_values"]
    image_mean = NO_MEAN
    image_std = NO_STD

    def __init__(self, *, system_prompt: str | None = None, **fields: Any) -> None:
        fields.pop("video_processor_type", None)
        own = {name: fields[name] for name in SETTINGS if name in fields}
        self.settings = ClipSettings(system_prompt=system_prompt, **own)
        refuse_only_here(self.settings, reader=READER)
        super().__init__(**fields)

    @classmethod
    def of(cls, settings: ClipSettings, *, image_mean: Triple, image_std: Triple) -> Self:
        """Video processor for clip settings, such as those of a `Checkpoint`."""
        return cls(image_mean=image_mean, image_std=image_std, **asdict(settings))

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike[Any], *args: Any, **kwargs: Any
    ) -> Self:
        """Video processor of a folder, a hub id or "tiny"; settings may be changed by their names.

        Raises:
            CheckpointError: the files are missing or damaged.
            ArgumentError: a changed setting is out of range.
        """
        rule = read_media_rule(pretrained_model_name_or_path, **kwargs)
        settings = changed_by_name(rule.settings, kwargs)
        return cls.of(settings, image_mean=rule.mean, image_std=rule.std)

    def frames_of(self, clip: Any, **changes: Any) -> Tensor:
        """Frames of one clip, uint8 (T, 3, S, S).

        Raises: as `clip_frames` and `changed_settings`.
        """
        return clip_frames(
            clip,
            settings=changed_settings(self.settings, changes),
            is_sampled=changes.get("do_sample_frames") is False,
        )

    def preprocess(self, videos: Any, **changes: Any) -> BatchFeature:
        """`pixel_values_videos`, a list with one tensor for each clip.

        Raises: as `frames_of`.
        """
        return BatchFeature(
            {
                "pixel_values_videos": [
                    normalise_frames(
                        self.frames_of(clip, **changes),
                        image_mean=self.image_mean,
                        image_std=self.image_std,
                    )
                    for clip in flat_clips(videos)
                ]
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """What `AutoVideoProcessor` needs to make this processor again."""
        scale = {"image_mean": list(self.image_mean), "image_std": list(self.image_std)}
        return {"video_processor_type": VIDEO_PROCESSOR_TYPE, **asdict(self.settings), **scale}


def flat_pictures(pictures: Any) -> list[Any]:
    """Pictures one after the other, of one picture, a list, or a list of lists."""
    if not isinstance(pictures, (list, tuple)):
        return [pictures]
    return [picture for item in pictures for picture in flat_pictures(item)]


def flat_clips(clips: Any) -> list[Any]:
    """Clips one after the other, of one clip, a list, or a list of lists.

    A list of PIL images or of single pictures' arrays is one clip.
    """
    if not isinstance(clips, (list, tuple)):
        return [clips]
    return [clips] if _are_frames(clips) else [clip for item in clips for clip in flat_clips(item)]


def _are_frames(items: Sequence[Any]) -> bool:
    return bool(items) and all(
        isinstance(item, Image.Image) or (isinstance(item, (np.ndarray, Tensor)) and item.ndim == 3)
        for item in items
    )
