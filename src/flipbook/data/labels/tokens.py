"""Which ids do the pieces of a conversation become, and does the whole text agree?

    Script -> ids, labels with one id per frame -> input_ids (L,), labels (L,)

A text that a user typed never becomes a special token here. As a check, the whole text is
tokenised once more in one go; only where an answer begins may the two differ, because a tokenizer
would join the line break of the template with those of the answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import groupby, takewhile
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flipbook.data.labels.runs import Content, Script, pieces_of, text_of_script
from flipbook.data.labels.stretches import tokenize_texts
from flipbook.data.placeholders import IMAGE_TOKEN, Frame, text_of
from flipbook.data.templates.template import special_pattern
from flipbook.errors import CheckpointError, LabelError

IGNORE_INDEX = -100  # of torch's cross-entropy
MAX_MISMATCHED_TOKENS = 5


def tokenize_script(
    script: Script, *, tokenizer: Any, image_token_id: int
) -> tuple[list[int], list[int]]:
    """Return ids and labels, with one id for each frame.

    Raises:
        CheckpointError: `image_token_id` is not the tokenizer's `<image>`.
    """
    if tokenizer.convert_tokens_to_ids(IMAGE_TOKEN) != image_token_id:
        raise CheckpointError(
            f"the tokenizer does not give {IMAGE_TOKEN} the id {image_token_id}. "
            "Load the tokenizer with its own checkpoint."
        )
    pieces = pieces_of(script, special_pattern(tokenizer))
    ids_of_texts = iter(tokenize_texts(pieces, tokenizer=tokenizer, image_token_id=image_token_id))
    ids: list[int] = []
    labels: list[int] = []
    for piece in pieces:
        new = next(ids_of_texts) if not piece.is_token else [_id_of(tokenizer, piece.text)]
        ids += new
        labels += new if piece.is_answer else [IGNORE_INDEX] * len(new)
    return ids, labels


def widen(
    values: Sequence[int],
    ids: Sequence[int],
    *,
    image_token_id: int,
    tokens_of_frames: Sequence[int] | int,
) -> Tensor:
    """Return values, of which each id has one, with those of a frame once for each of its tokens.

    Args:
        tokens_of_frames: how many tokens each frame has, or all of them.

    Returns:
        int64 (L,).
    """
    is_frame = np.asarray(ids) == image_token_id
    repeats = np.ones(len(ids), dtype=np.int64)
    repeats[is_frame] = tokens_of_frames
    return torch.from_numpy(np.asarray(values, dtype=np.int64).repeat(repeats))


def count_mismatched(
    script: Script, ids: Sequence[int], *, tokenizer: Any, image_token_id: int, record_id: str
) -> int:
    """Return by how many tokens ids differ from those of the whole text tokenised in one go.

    Where a user typed a special token, both sides are tokenised again with a space in it.

    Raises:
        LabelError: by more than 5.
    """
    harmless = _without_typed_tokens(script, special_pattern(tokenizer))
    if harmless is not script:
        ids, _ = tokenize_script(harmless, tokenizer=tokenizer, image_token_id=image_token_id)
    whole = tokenizer(text_of_script(harmless), add_special_tokens=False, verbose=False)
    num_mismatched = num_different(ids, whole["input_ids"])
    if num_mismatched > MAX_MISMATCHED_TOKENS:
        raise LabelError(
            record_id,
            f"{num_mismatched} tokens differ between training and the whole text, and "
            f"{MAX_MISMATCHED_TOKENS} may. Remove line breaks and spaces at the beginning of its "
            "answers.",
        )
    return num_mismatched


def num_different(first: Sequence[int], second: Sequence[int]) -> int:
    """Return how many tokens differ; a place where lengths differ counts for the difference."""
    if list(first) == list(second):
        return 0
    same_start = sum(1 for _ in takewhile(_are_equal, zip(first, second, strict=False)))
    matcher = SequenceMatcher(None, first[same_start:], second[same_start:], autojunk=False)
    return sum(
        max(1, abs((end - start) - (end_2 - start_2)))
        for change, start, end, start_2, end_2 in matcher.get_opcodes()
        if change != "equal"
    )


def _without_typed_tokens(script: Script, pattern: re.Pattern[str]) -> Script:
    whole = [tuple(_whole_texts(content)) for content in script.contents]
    contents = [tuple(_spaced(part, pattern) for part in content) for content in whole]
    return script if contents == whole else script._replace(contents=tuple(contents))


def _whole_texts(content: Content) -> Iterator[str | Frame]:
    """Return parts with neighbouring texts as one: "<" and "image>" are a token together."""
    for is_text, parts in groupby(content, key=lambda part: isinstance(part, str)):
        if is_text:
            yield text_of(parts)
        else:
            yield from parts


def _spaced(part: Any, pattern: re.Pattern[str]) -> Any:
    if not isinstance(part, str):
        return part
    return pattern.sub(lambda match: f"{match[0][:1]} {match[0][1:]}", part)


def _id_of(tokenizer: Any, token: str) -> int:
    return int(tokenizer.convert_tokens_to_ids(token))


def _are_equal(pair: tuple[int, int]) -> bool:
    return pair[0] == pair[1]
