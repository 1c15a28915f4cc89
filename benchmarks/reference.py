"""What would the usual way of tuning a VLM on video do?

    path   -> full-size frames -> PIL -> CLIP's image processor, one by one -> float32 (T, 3, S, S)
    asked  -> token ids and labels, one question a sequence
    batch  -> padded ids, all pixel values -> plain FastVlmForConditionalGeneration -> loss

The pipeline that the other benchmarks compare with, built from the libraries that it is usually
built from and from nothing of flipbook's: decord decodes, CLIP's image processor scales, every
question is a sequence with its own frames, a batch is padded to its longest one, the frozen tower
runs at every step, and every position meets the vocabulary.

`CLIPImageProcessorPil` is the processor that LLaVA-style code was written with; transformers 5
calls the one on torchvision `CLIPImageProcessor`. Both are measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from transformers import CLIPImageProcessor, CLIPImageProcessorPil

ReadPictures = Callable[..., list[Image.Image]]  # path, num_frames -> pictures
PROCESSORS = {"PIL": CLIPImageProcessorPil, "torchvision": CLIPImageProcessor}
STRIDE_PX = 64  # of the tower: one visual token for 64 x 64 px
IGNORED = -100
INSTALL_DECORD = (
    "decord is not installed, and this benchmark compares with it; "
    "run `pip install decord` in a throw-away environment"
)


@dataclass(frozen=True)
class Example:
    """One question about one clip, ready to be put into a batch."""

    input_ids: Tensor  # int64 (L,)
    labels: Tensor  # int64 (L,)
    pixel_values: Tensor  # float32 (T, 3, S, S)


def has_decord() -> bool:
    try:
        import decord  # noqa: F401
    except ImportError:
        return False
    return True


def make_processor(kind: str, *, side: int) -> Any:
    """Return CLIP's image processor for squares, without statistics of its own, as FastVLM's."""
    return PROCESSORS[kind](
        size={"shortest_edge": side},
        crop_size={"height": side, "width": side},
        image_mean=[0.0, 0.0, 0.0],
        image_std=[1.0, 1.0, 1.0],
    )


def read_pictures(path: str, *, num_frames: int) -> list[Image.Image]:
    """Return evenly spread frames, first and last included, as pictures of full size."""
    import decord

    reader = decord.VideoReader(path, num_threads=1)
    indices = np.linspace(0, len(reader) - 1, num_frames, dtype=int)
    return [Image.fromarray(frame) for frame in reader.get_batch(indices).asnumpy()]


def squared(picture: Image.Image) -> Image.Image:
    """Return a picture with black bars that make it square, as `image_aspect_ratio` pad does."""
    width, height = picture.size
    side = max(width, height)
    square = Image.new(picture.mode, (side, side), (0, 0, 0))
    square.paste(picture, ((side - width) // 2, (side - height) // 2))
    return square


def pixel_values_of(
    path: str, *, num_frames: int, processor: Any, read: ReadPictures = read_pictures
) -> Tensor:
    """Return what the tower reads of a clip: float32 (T, 3, S, S)."""
    frames = [
        processor(squared(picture), return_tensors="pt")["pixel_values"][0]
        for picture in read(path, num_frames=num_frames)
    ]
    return torch.stack(frames)


def tokens_of(
    question: str, answer: str, *, tokenizer: Any, num_frames: int, side: int
) -> tuple[Tensor, Tensor]:
    """Return ids and labels (L,): the prompt is masked, the answer and its end are learned."""
    frame = "<image>" * (side // STRIDE_PX) ** 2 + "\n"
    turns = [
        {"role": "user", "content": frame * num_frames + question},
        {"role": "assistant", "content": answer},
    ]
    prompt = tokenizer.apply_chat_template(turns[:1], tokenize=False, add_generation_prompt=True)
    ids = tokenizer(prompt + answer + "<|im_end|>", add_special_tokens=False)["input_ids"]
    num_masked = len(tokenizer(prompt, add_special_tokens=False)["input_ids"])
    # A chat's text ends with a line break, which nobody learns.
    ids += tokenizer("\n", add_special_tokens=False)["input_ids"]
    labels = [IGNORED] * num_masked + ids[num_masked:-1] + [IGNORED]
    return torch.tensor(ids), torch.tensor(labels)


def make_batch(examples: Sequence[Example], *, pad_token_id: int) -> dict[str, Tensor]:
    """Return the arguments of the model's own forward pass, padded on the right."""
    pad = nn.utils.rnn.pad_sequence
    ids = [example.input_ids for example in examples]
    labels = [example.labels for example in examples]
    return {
        "input_ids": pad(ids, batch_first=True, padding_value=pad_token_id),  # (B, L)
        "labels": pad(labels, batch_first=True, padding_value=IGNORED),
        "attention_mask": pad([torch.ones_like(one) for one in ids], batch_first=True),
        "pixel_values": torch.cat([example.pixel_values for example in examples]),  # (B * T, 3, ..)
    }


def rest_tower_(model: Any) -> None:
    """Let a model's tower run without gradient from now on, in the model's own forward pass."""
    tower = model.model.vision_tower.requires_grad_(False)
    tower.forward = torch.no_grad()(tower.forward)


def loss_of(model: Any, batch: dict[str, Tensor]) -> Tensor:
    """Return the mean loss over the answers of a batch, from the scores of every position."""
    loss: Tensor = model(**batch, use_cache=False).loss
    return loss
