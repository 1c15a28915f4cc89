"""Which tokens does the model read, and which of them does it learn?

    Turns, frames per media -> input_ids (L,), labels (L,)

Labels are written down beside the ids: an answer and the token that ends it, nothing else.

    <|im_start|>user\\n<image>\\nWhy?<|im_end|>\\n<|im_start|>assistant\\nBecause.<|im_end|>\\n
    ------------------------------------------------------------------+++++++++++++++++++--
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, repeat
from typing import Any

from torch import Tensor

from flipbook.data.budget import TokensPerFrame, check_budget, tokens_of_places
from flipbook.data.labels.runs import Script, write_script
from flipbook.data.labels.tokens import IGNORE_INDEX, count_mismatched, tokenize_script, widen
from flipbook.data.placeholders import (
    IMAGE_TOKEN,
    expand_frames,
    split_placeholders,
    text_of,
)
from flipbook.data.templates.template import choose_template
from flipbook.data.templates.texts import FASTVLM_CHAT_TEMPLATE
from flipbook.data.turns import ROLES, Turn, check_turns
from flipbook.errors import LabelError

__all__ = [
    "FASTVLM_CHAT_TEMPLATE",
    "IGNORE_INDEX",
    "IMAGE_TOKEN",
    "EncodedConversation",
    "encode_conversation",
    "encode_prompt",
    "preprocess_multimodal",
]


@dataclass(frozen=True)
class EncodedConversation:
    """A conversation as the model reads it.

    Attributes:
        input_ids: int64 (L,).
        labels: int64 (L,); the ids of answers and their end tokens, `IGNORE_INDEX` elsewhere.
        num_frames: in all its media.
        num_mismatched_tokens: by which it differs from tokenising the whole text at once.
    """

    input_ids: Tensor
    labels: Tensor
    num_frames: int
    num_mismatched_tokens: int

    def __post_init__(self) -> None:
        if self.input_ids.ndim != 1 or self.input_ids.shape != self.labels.shape:
            raise ValueError(
                f"input_ids {tuple(self.input_ids.shape)} and labels {tuple(self.labels.shape)} "
                "must be of one length"
            )


def preprocess_multimodal(
    sources: Sequence[Sequence[Mapping[str, Any]]], data_args: Any, *, num_frames: int
) -> list[list[dict[str, Any]]]:
    """Return LLaVA conversations with one `<image>` and line break for each frame of their media.

    A lone placeholder goes before the words of its turn, several stay in place, and those in
    answers are words. Nothing is changed where `data_args.is_multimodal` is false.

    Args:
        sources: conversations, each a list of `{"from": ..., "value": ...}`; never mutated.
        data_args: any object; without `is_multimodal` it counts as true.
        num_frames: of every `<image>` or `<video>`, 1 or more.
    """
    if num_frames < 1:
        raise ValueError(f"num_frames is {num_frames}; a clip has at least one frame")
    conversations = [[dict(turn) for turn in source] for source in sources]
    if not getattr(data_args, "is_multimodal", True):
        return conversations
    for turn in (turn for conversation in conversations for turn in conversation):
        if ROLES.get(turn["from"]) == "user":
            parts = split_placeholders(turn["value"])
            turn["value"] = text_of(expand_frames(parts, repeat(num_frames)))
    return conversations


def encode_conversation(
    turns: Sequence[Turn],
    *,
    tokenizer: Any,
    image_token_id: int,
    frames_per_media: Sequence[int],
    tokens_per_frame: int | Sequence[TokensPerFrame],
    times_per_media: Sequence[Sequence[float]] | None = None,
    system_prompt: str | None = None,
    chat_template: str | None = None,
    max_length: int | None = None,
    record_id: str = "",
) -> EncodedConversation:
    """Return the ids and labels of a conversation that ends with an answer.

    Args:
        turns: an optional system turn, then user and assistant in turns.
        tokenizer: with the image token among its special tokens.
        image_token_id: stands once for each token of a frame, then a line break.
        frames_per_media: of every picture and clip, in order.
        tokens_per_frame: of all of them, or of each picture and clip: a number, or one for each
            of its places where they differ.
        times_per_media: seconds said before each frame, see `times_of`; None says none.
        system_prompt: used where the conversation has no system turn of its own; without either,
            the template's default holds.
        chat_template: in place of the tokenizer's own.
        max_length: the most tokens it may need; a longer one is refused, never cut.
        record_id: names the record in errors.

    Raises:
        RecordError: the turns are no conversation that can be learned from.
        BudgetError: it needs more than `max_length` tokens.
        LabelError: the template changes its words, or its ids differ from those of the whole text
            by more than 5 tokens.
        CheckpointError: the chat template cannot be used for labels.
        ValueError: `frames_per_media` or `times_per_media` does not fit the media.
    """
    check_turns(turns, record_id=record_id)
    script, ids, encoded = _encode(
        _with_system(turns, system_prompt),
        tokenizer=tokenizer,
        image_token_id=image_token_id,
        frames_per_media=frames_per_media,
        tokens_per_frame=tokens_per_frame,
        times_per_media=times_per_media,
        chat_template=chat_template,
        max_length=max_length,
        record_id=record_id,
    )
    num_mismatched = count_mismatched(
        script, ids, tokenizer=tokenizer, image_token_id=image_token_id, record_id=record_id
    )
    return replace(encoded, num_mismatched_tokens=num_mismatched)


def encode_prompt(
    turns: Sequence[Turn],
    *,
    tokenizer: Any,
    image_token_id: int,
    frames_per_media: Sequence[int],
    tokens_per_frame: int | Sequence[TokensPerFrame],
    times_per_media: Sequence[Sequence[float]] | None = None,
    system_prompt: str | None = None,
    chat_template: str | None = None,
    max_length: int | None = None,
    record_id: str = "",
) -> Tensor:
    """Return the ids of a conversation up to where the model answers its last question.

    A last turn that is an answer is left out. The ids are then exactly the beginning of those that
    `encode_conversation` gives. Arguments and errors are the same.

    Returns:
        int64 (L,).
    """
    if turns and turns[-1].role == "assistant":
        turns = turns[:-1]
    check_turns(turns, record_id=record_id, ends_with="user")
    _, _, encoded = _encode(
        _with_system(turns, system_prompt),
        tokenizer=tokenizer,
        image_token_id=image_token_id,
        frames_per_media=frames_per_media,
        tokens_per_frame=tokens_per_frame,
        times_per_media=times_per_media,
        chat_template=chat_template,
        max_length=max_length,
        record_id=record_id,
    )
    return encoded.input_ids


def _encode(
    turns: Sequence[Turn],
    *,
    tokenizer: Any,
    image_token_id: int,
    frames_per_media: Sequence[int],
    tokens_per_frame: int | Sequence[TokensPerFrame],
    times_per_media: Sequence[Sequence[float]] | None,
    chat_template: str | None,
    max_length: int | None,
    record_id: str,
) -> tuple[Script, list[int], EncodedConversation]:
    """Return the script, its ids with one per frame, and the conversation, not yet compared."""
    script = write_script(
        turns,
        tokenizer=tokenizer,
        template=choose_template(tokenizer, chat_template),
        frames_per_media=frames_per_media,
        times_per_media=times_per_media,
        record_id=record_id,
    )
    ids, labels = tokenize_script(script, tokenizer=tokenizer, image_token_id=image_token_id)
    num_frames = sum(frames_per_media)
    if ids.count(image_token_id) != num_frames:
        raise LabelError(
            record_id,
            f"{ids.count(image_token_id)} places for {num_frames} frames; the chat template adds "
            "or drops image tokens. Use FastVLM's own template.",
        )
    per_media = _of_each(tokens_per_frame, frames_per_media)
    tokens_of_frames = list(chain(*map(tokens_of_places, frames_per_media, per_media)))
    check_budget(  # before what may be far too long is made
        num_tokens=len(ids) - num_frames + sum(tokens_of_frames),
        num_answer_tokens=len(labels) - labels.count(IGNORE_INDEX),
        frames_per_media=frames_per_media,
        tokens_per_frame=per_media,
        max_length=max_length,
        record_id=record_id,
    )
    input_ids, wide_labels = (
        widen(values, ids, image_token_id=image_token_id, tokens_of_frames=tokens_of_frames)
        for values in (ids, labels)
    )
    return script, ids, EncodedConversation(input_ids, wide_labels, num_frames, 0)


def _of_each(
    tokens_per_frame: int | Sequence[TokensPerFrame], frames_per_media: Sequence[int]
) -> list[TokensPerFrame]:
    """Return how many tokens a frame of each picture and clip has."""
    if isinstance(tokens_per_frame, int):
        return [tokens_per_frame] * len(frames_per_media)
    if len(tokens_per_frame) != len(frames_per_media):
        raise ValueError(
            f"tokens_per_frame has {len(tokens_per_frame)} entries, media {len(frames_per_media)}"
        )
    return list(tokens_per_frame)


def _with_system(turns: Sequence[Turn], system_prompt: str | None) -> tuple[Turn, ...]:
    if system_prompt is None or turns[0].role == "system":
        return tuple(turns)
    return (Turn("system", (system_prompt,)), *turns)
