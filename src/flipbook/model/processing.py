"""How did this checkpoint's makers turn a picture into numbers?

    folder of a checkpoint            ->  ImageRule: side, aspect, mean, std
    tokenizer, ClipSettings, mean, std  ->  LlavaProcessor that does the same in transformers

The rule is read so that training feeds the tower what it was made for, and written so that plain
`AutoProcessor` prepares a picture as training did.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import LlavaImageProcessorPil, LlavaProcessor, PreTrainedTokenizerBase

from flipbook.data.templates.system_prompt import refusing_clips, with_system_prompt
from flipbook.data.templates.template import choose_template
from flipbook.errors import CheckpointError
from flipbook.model.apple.config import read_frame_rule
from flipbook.model.families import FAMILIES
from flipbook.model.folders import read_json
from flipbook.video.frames import PX_PER_TOKEN
from flipbook.video.settings import ClipSettings

DEFAULT_FRAME_SIZE = 1024  # the side FastVLM was trained at
MEANINGLESS_SEQ_LENGTH = 576  # the default of FastVlmConfig, which is true of no FastVLM
NO_MEAN = (0.0, 0.0, 0.0)  # FastVLM is fed plain [0, 1] pixels: its processor has mean 0, std 1
NO_STD = (1.0, 1.0, 1.0)
VIDEO_PROCESSOR_FILE = "video_preprocessor_config.json"
VIDEO_PROCESSOR_TYPE = "FlipbookVideoProcessor"  # clip settings are in flipbook.json alone
_FILES = (("preprocessor_config.json", None), ("processor_config.json", "image_processor"))

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class ImageRule:
    """What a checkpoint's files say about pictures; None where they say nothing."""

    frame_size: int | None = None
    aspect: str | None = None
    mean: Triple = NO_MEAN
    std: Triple = NO_STD


def read_image_rule(folder: Path) -> ImageRule:
    """Rule in `preprocessor_config.json` or `processor_config.json`, empty when there is neither.

    Raises:
        CheckpointError: the file names a side that is no square, or a mean that is no triple.
    """
    for name, key in _FILES:
        path = folder / name
        if not path.is_file():
            continue
        content = read_json(path)
        rule = content if key is None else content.get(key)
        if isinstance(rule, dict):
            return _parse(rule, path)
    return ImageRule()


def read_square(folder: Path, config: Mapping[str, Any]) -> tuple[int, str]:
    """Side in px and aspect of a picture that a folder without clip settings stands for.

    Args:
        folder: of a checkpoint, in either layout.
        config: its config.json.

    Raises:
        CheckpointError: a file names a side that is no square, or a rule that FastVLM has not.
    """
    if config.get("model_type") in FAMILIES:
        return read_frame_rule(config)
    rule = read_image_rule(folder)
    return rule.frame_size or _side_of(config), rule.aspect or "pad"


def _side_of(config: Mapping[str, Any]) -> int:
    """Side in px that `image_seq_length` stands for, where it stands for one."""
    num_tokens = config.get("image_seq_length", MEANINGLESS_SEQ_LENGTH)
    tokens_per_side = math.isqrt(num_tokens)
    if num_tokens == MEANINGLESS_SEQ_LENGTH or tokens_per_side == 0:
        return DEFAULT_FRAME_SIZE
    return tokens_per_side * PX_PER_TOKEN


def _parse(content: dict[str, Any], path: Path) -> ImageRule:
    aspect = "stretch"
    if content.get("do_pad"):
        aspect = "pad"
    elif content.get("do_center_crop"):
        aspect = "crop"
    size = content.get("crop_size") if aspect == "crop" else content.get("size")
    scaled = content.get("do_normalize", True)
    return ImageRule(
        frame_size=_side(size, path),
        aspect=aspect,
        mean=_triple(content.get("image_mean"), path) if scaled else NO_MEAN,
        std=_triple(content.get("image_std"), path, default=NO_STD) if scaled else NO_STD,
    )


def _side(size: object, path: Path) -> int | None:
    """Side in px of `512`, `{"height": 512, "width": 512}` or `{"shortest_edge": 512}`."""
    sides = set(size.values()) - {None} if isinstance(size, dict) else {size} - {None}
    if not sides:
        return None
    side = sides.pop()
    if sides or not isinstance(side, int):
        raise CheckpointError(
            f"{path}: the picture size {size!r} is no square; FastVLM reads squares. Give "
            '"height" and "width" the same number.'
        )
    return side


def _triple(values: object, path: Path, *, default: Triple = NO_MEAN) -> Triple:
    if values is None:
        return default
    if isinstance(values, list) and len(values) == 3:
        red, green, blue = (float(value) for value in values)
        return red, green, blue
    raise CheckpointError(f"{path}: {values!r} should be three numbers, one a colour.")


def make_processor(
    tokenizer: PreTrainedTokenizerBase,
    settings: ClipSettings,
    *,
    mean: Triple = NO_MEAN,
    std: Triple = NO_STD,
) -> LlavaProcessor:
    """`LlavaProcessor` that makes a picture square as `settings` say, and says their system prompt.

    Batches are padded on the left, as `generate` needs them.
    """
    tokenizer.padding_side = "left"
    template = with_system_prompt(choose_template(tokenizer, None), settings.system_prompt)
    return LlavaProcessor(  # type: ignore[no-untyped-call]
        image_processor=LlavaImageProcessorPil(**image_fields(settings, mean=mean, std=std)),
        tokenizer=tokenizer,
        patch_size=PX_PER_TOKEN,
        vision_feature_select_strategy="full",
        chat_template=refusing_clips(template, tokenizer),
    )


def image_fields(settings: ClipSettings, *, mean: Triple, std: Triple) -> dict[str, Any]:
    """Arguments of transformers' image processor for pictures of one side and aspect."""
    side = settings.frame_size
    square = {"height": side, "width": side}
    return {
        "do_pad": settings.aspect == "pad",
        "do_center_crop": settings.aspect == "crop",
        "size": {"shortest_edge": side} if settings.aspect == "crop" else square,
        "crop_size": square,
        "image_mean": list(mean),
        "image_std": list(std),
    }


def save_processor(
    folder: Path,
    tokenizer: PreTrainedTokenizerBase,
    *,
    settings: ClipSettings,
    mean: Triple = NO_MEAN,
    std: Triple = NO_STD,
) -> None:
    """Write tokenizer, chat template, processor and clip settings into a folder.

    Plain `AutoProcessor` reads them as a `LlavaProcessor`, for pictures. Once flipbook's processor
    is imported, it reads them as a `FlipbookProcessor`, for clips too.
    """
    make_processor(tokenizer, settings, mean=mean, std=std).save_pretrained(folder)
    content = {"video_processor_type": VIDEO_PROCESSOR_TYPE}
    (folder / VIDEO_PROCESSOR_FILE).write_text(json.dumps(content) + "\n", encoding="utf-8")
    settings.save(folder)
