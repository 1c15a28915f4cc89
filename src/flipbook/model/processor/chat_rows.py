"""Which ids and frames does the model read of one chat, exactly as in training?

messages  ->  ChatRow: input_ids, which of them answer, frames in order
ChatRows  ->  one padded batch
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor
from transformers.image_utils import load_image

from flipbook.data.labels.conversation import IGNORE_INDEX, encode_conversation, encode_prompt
from flipbook.model.processor.messages import PLACE, Shown, read_messages

# Arguments about text that are followed here, or that change nothing here.
_TEXT_ARGUMENTS = frozenset({
    "padding", "padding_side", "max_length", "truncation", "pad_to_multiple_of", "return_tensors",
    "return_attention_mask", "add_special_tokens", "text_kwargs", "images_kwargs", "videos_kwargs",
})  # fmt: skip
_PADDING = ("padding", "padding_side", "max_length", "pad_to_multiple_of")


class Asked(NamedTuple):
    """Arguments of `apply_chat_template` that are not about pictures, clips or padding."""

    add_generation_prompt: bool = False
    continue_final_message: bool | str = False
    return_assistant_tokens_mask: bool = False
    return_tensors: Any = "auto"
    return_dict: bool = False
    tools: Any = None
    documents: Any = None


class ChatRow(NamedTuple):
    """One chat as the model reads it.

    Attributes:
        input_ids: of the whole chat, up to where the model goes on.
        is_answer: for each id, whether it is an answer's or ends one.
        frames: of each picture and clip, in order, uint8 (T, 3, S, S).
    """

    input_ids: list[int]
    is_answer: list[bool]
    frames: list[Tensor]


def has_counterpart(
    chats: Sequence[Sequence[Mapping[str, Any]]],
    asked: Asked,
    changes: Mapping[str, Any],
    *,
    followed: set[str],
) -> bool:
    """Whether training has a counterpart for all that is asked: an open question, or a whole chat.

    Args:
        chats: messages of each.
        asked: what else is asked of `apply_chat_template`.
        changes: its further arguments.
        followed: those about pictures and clips that are followed.
    """
    if asked.tools or asked.documents or not changes.keys() <= _TEXT_ARGUMENTS | followed:
        return False
    if {chat[-1].get("role") if chat else None for chat in chats} == {"assistant"}:
        both = bool(asked.continue_final_message) and asked.return_assistant_tokens_mask
        return not asked.add_generation_prompt and not both
    return asked.add_generation_prompt and not asked.continue_final_message


def encode_chat(
    messages: Sequence[Mapping[str, Any]],
    processor: Any,
    *,
    kwargs: Mapping[str, Mapping[str, Any]],
    chat_template: str | None,
    is_continued: bool,
) -> ChatRow:
    """Row of a chat, up to the answer where a question is the last that is said.

    Args:
        messages: in transformers' form.
        processor: a `FlipbookProcessor`.
        kwargs: the changes of this call under `images_kwargs`, `videos_kwargs`, `text_kwargs`.
        chat_template: in place of the model's.
        is_continued: whether the last answer stays open, without what ends it.

    Raises:
        RecordError: the turns are no conversation, or it needs more than `max_length` tokens.
        MediaError: a picture or clip cannot be read.
        ArgumentError: a part, a picture or a clip cannot be meant.
    """
    turns, shown = read_messages(messages)
    frames = [_frames_of(item, processor, kwargs) for item in shown]
    settings = processor.video_processor.settings
    text = kwargs["text_kwargs"]
    side = frames[0].shape[-1] // processor.patch_size if frames else 0
    common: dict[str, Any] = {
        "tokenizer": processor.tokenizer,
        "image_token_id": processor.image_token_id,
        "frames_per_media": [len(part) for part in frames],
        "tokens_per_frame": side**2 or settings.tokens_per_frame,
        "system_prompt": settings.system_prompt,
        "chat_template": chat_template,
        "max_length": text.get("max_length") if text.get("truncation") else None,
        "record_id": PLACE,
    }
    if not turns or turns[-1].role != "assistant":
        prompt: list[int] = encode_prompt(turns, **common).tolist()
        return ChatRow(prompt, [False] * len(prompt), frames)
    encoded = encode_conversation(turns, **common)
    is_answer: list[bool] = (encoded.labels != IGNORE_INDEX).tolist()
    # The last of an answer's tokens is the one that ends it.
    end = len(is_answer) - 1 - is_answer[::-1].index(True) if is_continued else len(is_answer)
    return ChatRow(encoded.input_ids[:end].tolist(), is_answer[:end], frames)


def pad_rows(
    rows: Sequence[ChatRow], tokenizer: Any, *, text: Mapping[str, Any], with_masks: bool
) -> dict[str, Any]:
    """Ids and attention mask of several rows, and `assistant_masks` where they are wanted."""
    padding = {name: text[name] for name in _PADDING if text.get(name) is not None}
    padded = tokenizer.pad(
        [{"input_ids": row.input_ids} for row in rows], return_attention_mask=True, **padding
    )
    data: dict[str, Any] = {
        "input_ids": padded["input_ids"],
        "attention_mask": padded["attention_mask"],
    }
    if with_masks:
        data["assistant_masks"] = [
            _spread(row.is_answer, mask)
            for row, mask in zip(rows, padded["attention_mask"], strict=True)
        ]
    if text.get("return_attention_mask") is False:
        del data["attention_mask"]
    return data


def _spread(is_answer: Sequence[bool], mask: Sequence[int]) -> list[int]:
    """Return 1 for an answer's tokens, 0 for others and for padding, wherever that stands."""
    values = iter(is_answer)
    return [int(next(values)) if attended else 0 for attended in mask]


def _frames_of(item: Shown, processor: Any, kwargs: Mapping[str, Mapping[str, Any]]) -> Tensor:
    if item.kind == "video":
        clip: Tensor = processor.video_processor.frames_of(item.value, **kwargs["videos_kwargs"])
        return clip
    picture = load_image(item.value) if item.is_base64 else item.value
    frame: Tensor = processor.image_processor.frames_of(picture, **kwargs["images_kwargs"])
    return frame
