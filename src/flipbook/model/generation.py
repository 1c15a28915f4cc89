"""What does a model answer to a prompt?

    Prompts (ids, uint8 frames)  ->  left-padded batches  ->  greedy tokens  ->  answers, in order

Prompts may mix frame counts, and prompts without frames, in one batch. The most likely token is
taken each time until the end token, so an answer depends on nothing but its own prompt: not on its
batch mates, not on their number, not on a random state.

    ids             pad pad  the prompt . . .  answer  answer  <|im_end|>
    attention mask    0   0    1 1 1 1 1 1       1        1
    positions         0   0    0 1 2 3 4 5       6        7
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from flipbook.model.fastvlm import as_encoder_outputs, encode_frames
from flipbook.model.words import end_ids

BATCHES_PER_WINDOW = 16  # prompts are sorted by length, and their features held, this far ahead
FINAL_PUNCTUATION = ".!?,;:"


@dataclass(frozen=True)
class Prompt:
    """One question as the model reads it, up to where the answer starts.

    `input_ids` is int64 (L,), with the image token at each place that holds a visual feature.
    `frames` is uint8 (T, 3, S, S), in the order of those places; T is 0 for words alone.

    Raises:
        ValueError: a shape or a dtype is another one.
    """

    record_id: str
    input_ids: Tensor
    frames: Tensor

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

    def __len__(self) -> int:
        return int(self.input_ids.shape[0])


def generate_answers(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Prompt],
    *,
    image_mean: Sequence[float],
    image_std: Sequence[float],
    batch_size: int = 16,
    max_new_tokens: int = 64,
) -> list[str]:
    """Return the greedy answer to each prompt, in the order of `prompts`.

    An answer ends before its end token, or after `max_new_tokens` without one; the white space
    around it is taken off. Equal frames are encoded once, however many prompts show them. The model
    runs in `eval()`; afterwards every module is in the mode in which it was found.

    Raises:
        ValueError: a prompt's image tokens are not as many as its frames have features, or
            `batch_size` or `max_new_tokens` is below 1.
    """
    if batch_size < 1 or max_new_tokens < 1:
        raise ValueError(
            f"batch_size ({batch_size}) and max_new_tokens ({max_new_tokens}) must be 1 or more"
        )
    answers = [""] * len(prompts)
    window = batch_size * BATCHES_PER_WINDOW
    with torch.inference_mode(), _evaluating(model), _one_precision(model):
        for start in range(0, len(prompts), window):
            chosen = range(start, min(start + window, len(prompts)))
            by_length = sorted(chosen, key=lambda index: len(prompts[index]))
            seen = _see([prompts[i] for i in chosen], model, mean=image_mean, std=image_std)
            for first in range(0, len(by_length), batch_size):
                batch = by_length[first : first + batch_size]
                new_ids = _greedy_tokens(
                    model,
                    [prompts[index] for index in batch],
                    features=[seen.of(index - start) for index in batch],
                    end_ids=end_ids(tokenizer),
                    max_new_tokens=max_new_tokens,
                )
                for index, ids in zip(batch, new_ids, strict=True):
                    answers[index] = _decode(tokenizer, ids)
    return answers


def answers_match(answer: str, reference: str) -> bool:
    """Return whether two answers are equal but for case, outer white space and final punctuation.

        "Left."  = "left"          "It moves left." != "left"          "" != "left"

    Nothing is searched for inside an answer: one that says more than was asked is wrong.
    """
    return _normalised(answer) == _normalised(reference)


def _normalised(text: str) -> str:
    text = text.strip().casefold()
    return text.rstrip(FINAL_PUNCTUATION + " \t\n") or text


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Put every module in eval mode, and back in the mode it had: a frozen tower was in eval."""
    was_training = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in was_training:
            module.training = training


def _one_precision(model: nn.Module) -> AbstractContextManager[Any]:
    """Let weights of several dtypes meet: a model in training may be float32 on a frozen bf16."""
    weights = [weight for weight in model.parameters() if weight.is_floating_point()]
    dtypes = {weight.dtype for weight in weights}
    if len(dtypes) == 1:
        return nullcontext()
    smallest = min(dtypes, key=lambda dtype: dtype.itemsize)
    return torch.autocast(weights[0].device.type, dtype=smallest)


@dataclass(frozen=True)
class _Seen:
    """Features of the distinct frames of some prompts, and which of them each prompt shows."""

    features: list[Tensor]  # of each distinct frame (P, D)
    rows: list[list[int]]  # for each prompt, T places in `features`

    def of(self, number: int) -> Tensor:
        """Return what a prompt shows, token by token, (N, D)."""
        shown = [self.features[row] for row in self.rows[number]]
        return torch.cat(shown) if shown else torch.zeros(0, 0)


def _see(
    prompts: Sequence[Prompt], model: Any, *, mean: Sequence[float], std: Sequence[float]
) -> _Seen:
    """Encode each distinct frame once; check that every prompt has a place for each feature."""
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
    seen = _Seen(_features_of(distinct, model, mean=mean, std=std), rows)
    for number, prompt in enumerate(prompts):
        num_places = int((prompt.input_ids == model.config.image_token_id).sum())
        num_features = len(seen.of(number))
        if num_places != num_features:
            raise ValueError(
                f"prompt {prompt.record_id} has {num_places} image tokens for "
                f"{len(rows[number])} frames of {num_features} features in all"
            )
    return seen


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


def _greedy_tokens(
    model: Any,
    prompts: Sequence[Prompt],
    *,
    features: Sequence[Tensor],
    end_ids: Sequence[int],
    max_new_tokens: int,
) -> list[list[int]]:
    """Return each prompt's most likely continuation as ids, without the token that ends it."""
    device = next(model.parameters()).device
    input_ids, mask = (tensor.to(device) for tensor in _left_padded(prompts, pad_id=end_ids[0]))
    visual = [part for part in features if len(part)]  # each (N, D)
    inputs: dict[str, Any] = {}
    if visual:
        inputs["mm_encoder_outputs"] = as_encoder_outputs(torch.cat(visual)[None])
    output = model.generate(
        input_ids=input_ids,
        attention_mask=mask,
        do_sample=False,
        max_new_tokens=max_new_tokens,
        eos_token_id=list(end_ids),
        pad_token_id=end_ids[0],
        **inputs,
    )  # (B, L + new)
    new_ids = output[:, input_ids.shape[1] :].tolist()
    return [_before_end(row, end_ids) for row in new_ids]


def _left_padded(prompts: Sequence[Prompt], *, pad_id: int) -> tuple[Tensor, Tensor]:
    """Return ids and attention mask, both int64 (B, L), with the last prompt token in column -1."""
    longest = max(len(prompt) for prompt in prompts)
    input_ids = torch.full((len(prompts), longest), pad_id)
    mask = torch.zeros_like(input_ids)
    for row, prompt in enumerate(prompts):
        input_ids[row, longest - len(prompt) :] = prompt.input_ids
        mask[row, longest - len(prompt) :] = 1
    return input_ids, mask


def _before_end(ids: list[int], end_ids: Sequence[int]) -> list[int]:
    stops = [place for place, token_id in enumerate(ids) if token_id in end_ids]
    return ids[: stops[0]] if stops else ids


def _decode(tokenizer: Any, ids: list[int]) -> str:
    text: str = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return text.strip()
