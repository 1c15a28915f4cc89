"""What is put before a model, and what does it see there?

    Prompts (ids; uint8 frames or tower features)  ->  what each shows, token by token (N, D)

Frames go through the vision tower, equal ones once, however many prompts show them. Tower features
that were made before, or read from a store, have only the projector before them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from flipbook.model.fastvlm import encode_frames, plain_model, project


def no_frames() -> Tensor:
    """Return the frames of a prompt that shows none, uint8 (0, 3, 1, 1)."""
    return torch.zeros((0, 3, 1, 1), dtype=torch.uint8)


@dataclass(frozen=True)
class Prompt:
    """One question as the model reads it, up to where the answer starts.

    What it shows stands in `frames` or in `features`, in the order of its places in `input_ids`;
    in neither for words alone.

    Attributes:
        input_ids: int64 (L,), with the image token at each place that holds a visual feature.
        frames: uint8 (T, 3, S, S).
        features: of each video and image what the vision tower made of its frames, (T, P, C), of
            any floating dtype and on any device; see `flipbook.model.fastvlm.tower_features`.

    Raises:
        ValueError: a shape or a dtype is another one, or there are both frames and features.
    """

    record_id: str
    input_ids: Tensor
    frames: Tensor = field(default_factory=no_frames)
    features: tuple[Tensor, ...] = ()

    def __post_init__(self) -> None:
        if self.input_ids.dim() != 1 or self.input_ids.dtype != torch.int64 or not len(self):
            raise ValueError(
                f"prompt {self.record_id}: input_ids must be int64 (L,) with L of 1 or more, "
                f"got {self.input_ids.dtype} {tuple(self.input_ids.shape)}"
            )
        shape = tuple(self.frames.shape)
        square = len(shape) == 4 and shape[1] == 3 and shape[2] == shape[3]
        if not square or self.frames.dtype != torch.uint8:
            raise ValueError(
                f"prompt {self.record_id}: frames must be uint8 (T, 3, S, S), "
                f"got {self.frames.dtype} {shape}"
            )
        for part in self.features:
            if part.dim() != 3 or not part.is_floating_point():
                raise ValueError(
                    f"prompt {self.record_id}: features must be floating (T, P, C), "
                    f"got {part.dtype} {tuple(part.shape)}"
                )
        if self.features and len(self.frames):
            raise ValueError(f"prompt {self.record_id} has both frames and features: give one")

    def __len__(self) -> int:
        return int(self.input_ids.shape[0])


@dataclass(frozen=True)
class Seen:
    """What some prompts show, as far as it is kept: the features of their distinct frames.

    Attributes:
        of_frames: what the language model reads of each distinct frame, (P, D).
        rows: for each prompt, the places of its T frames in `of_frames`.
    """

    model: Any
    prompts: Sequence[Prompt]
    of_frames: Sequence[Tensor]
    rows: Sequence[Sequence[int]]

    def of(self, numbers: Sequence[int]) -> list[Tensor]:
        """Return what each of the prompts with these numbers shows, token by token, (N, D).

        Tower features are projected here, for a few prompts at a time, and those that several of
        them share once. N is 0 for words alone.
        """
        projected: dict[int, Tensor] = {}
        for part in (part for number in numbers for part in self.prompts[number].features):
            if id(part) not in projected:  # prompts hold them, so no other one gets that name
                projected[id(part)] = self._projected(part)
        return [self._joined(number, projected) for number in numbers]

    def _joined(self, number: int, projected: dict[int, Tensor]) -> Tensor:
        shown = [self.of_frames[row] for row in self.rows[number]]
        shown += [projected[id(part)].flatten(0, 1) for part in self.prompts[number].features]
        return torch.cat(shown) if shown else torch.zeros(0, 0)

    def _projected(self, part: Tensor) -> Tensor:
        weight = next(plain_model(self.model).model.vision_tower.parameters())
        return project(self.model, part.to(weight.device, weight.dtype))  # (T, P, D)


def see(
    prompts: Sequence[Prompt],
    model: Any,
    *,
    image_mean: Sequence[float],
    image_std: Sequence[float],
) -> Seen:
    """Return what some prompts show, with each of their distinct frames encoded once.

    Raises:
        ValueError: a prompt's image tokens are not as many as its frames have features.
    """
    row_of: dict[bytes, int] = {}
    distinct: list[Tensor] = []
    rows: list[list[int]] = []
    for prompt in prompts:
        rows.append([])
        for frame in prompt.frames:
            key = hashlib.sha256(frame.contiguous().cpu().numpy()).digest()
            if key not in row_of:
                row_of[key] = len(distinct)
                distinct.append(frame)
            rows[-1].append(row_of[key])
    of_frames = _features_of(distinct, model, mean=image_mean, std=image_std)
    image_token_id = plain_model(model).config.image_token_id
    for prompt, places in zip(prompts, rows, strict=True):
        num_features = sum(len(of_frames[place]) for place in places)
        _check_places(prompt, num_features, image_token_id=image_token_id)
    return Seen(model, prompts, of_frames, rows)


def _check_places(prompt: Prompt, num_features: int, *, image_token_id: int) -> None:
    """Refuse a prompt that has not one place for each feature."""
    num_features += sum(part.shape[0] * part.shape[1] for part in prompt.features)
    num_frames = len(prompt.frames) + sum(len(part) for part in prompt.features)
    num_places = int((prompt.input_ids == image_token_id).sum())
    if num_places != num_features:
        raise ValueError(
            f"prompt {prompt.record_id} has {num_places} image tokens for "
            f"{num_frames} frames of {num_features} features in all"
        )


def _features_of(
    frames: Sequence[Tensor], model: Any, *, mean: Sequence[float], std: Sequence[float]
) -> list[Tensor]:
    """Return what the language model reads of each frame, (P, D); those of one side go together."""
    features: dict[int, Tensor] = {}
    for side in {frame.shape[-1] for frame in frames}:
        places = [place for place, frame in enumerate(frames) if frame.shape[-1] == side]
        encoded = encode_frames(
            model, torch.stack([frames[place] for place in places]), image_mean=mean, image_std=std
        )  # (places, P, D)
        features |= dict(zip(places, encoded, strict=True))
    return [features[place] for place in range(len(frames))]
