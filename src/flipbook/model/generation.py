"""What does a model answer to a prompt?

    Prompts (ids; uint8 frames or tower features)  ->  left-padded batches  ->  greedy tokens
                                                   ->  answers, in order

Prompts may mix frame counts, and prompts without frames, in one batch. The most likely token is
taken each time until the end token, so an answer depends on nothing but its own prompt: not on its
batch mates, not on their number, not on a random state. Only where two tokens are as likely to the
last bits may batch mates decide between them; the same prompts in the same order give the same.

    ids             pad pad  the prompt . . .  answer  answer  <|im_end|>
    attention mask    0   0    1 1 1 1 1 1       1        1
    positions         0   0    0 1 2 3 4 5       6        7
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from flipbook.model.evaluating import evaluating
from flipbook.model.fastvlm import as_encoder_outputs
from flipbook.model.prompt import Prompt, see
from flipbook.model.words import end_ids

__all__ = ["BATCHES_PER_WINDOW", "Prompt", "answers_match", "generate_answers"]

BATCHES_PER_WINDOW = 16  # prompts are sorted by length, and their features held, this far ahead
FINAL_PUNCTUATION = ".!?,;:…。！？，；：、؟،؛۔।"


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
    around it is taken off. Equal frames of a window of prompts are encoded once, however many of
    them show them. The model runs in `eval()`; afterwards every module is in the mode in which it
    was found.

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
    with evaluating(model):
        for start in range(0, len(prompts), window):
            chosen = range(start, min(start + window, len(prompts)))
            by_length = sorted(chosen, key=lambda index: len(prompts[index]))
            seen = see(
                [prompts[index] for index in chosen],
                model,
                image_mean=image_mean,
                image_std=image_std,
            )
            for first in range(0, len(by_length), batch_size):
                batch = by_length[first : first + batch_size]
                new_ids = _greedy_tokens(
                    model,
                    [prompts[index] for index in batch],
                    features=seen.of([index - start for index in batch]),
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
    text = unicodedata.normalize("NFC", text.strip().casefold())
    return text.rstrip(FINAL_PUNCTUATION + " \t\n") or text


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
