"""Labels of conversations under the real Qwen2 vocabulary."""

from __future__ import annotations

import random
import unicodedata
from typing import Any

import pytest
import torch

from fixtures_model import make_tokenizer
from flipbook.data.labels.conversation import (
    FASTVLM_CHAT_TEMPLATE,
    IGNORE_INDEX,
    EncodedConversation,
    encode_conversation,
    encode_prompt,
)
from flipbook.data.turns import Media, Turn
from flipbook.errors import BudgetError, CheckpointError, LabelError, RecordError

IMAGE_ID = 151646
IM_START_ID = 151644
IM_END_ID = 151645
TOKENS_PER_FRAME = 4
CLIP = Media("video", "/clips/a.mp4")
PICTURE = Media("image", "/clips/b.png")


def chat(*texts: str, media: tuple[Media, ...] = (CLIP,)) -> tuple[Turn, ...]:
    """User and assistant in turns, the media before the first question."""
    turns = [
        Turn("assistant" if number % 2 else "user", (text,)) for number, text in enumerate(texts)
    ]
    return (Turn("user", (*media, *turns[0].parts)), *turns[1:])


def encode(turns: tuple[Turn, ...], tokenizer: Any, **changes: Any) -> EncodedConversation:
    num_media = sum(len(turn.media) for turn in turns)
    arguments = {
        "tokenizer": tokenizer,
        "image_token_id": IMAGE_ID,
        "frames_per_media": (2,) * num_media,
        "tokens_per_frame": TOKENS_PER_FRAME,
        "record_id": "clip-7",
    }
    return encode_conversation(turns, **(arguments | changes))


def prompt_of(turns: tuple[Turn, ...], tokenizer: Any, **changes: Any) -> torch.Tensor:
    num_media = sum(len(turn.media) for turn in turns)
    arguments = {
        "tokenizer": tokenizer,
        "image_token_id": IMAGE_ID,
        "frames_per_media": (2,) * num_media,
        "tokens_per_frame": TOKENS_PER_FRAME,
    }
    return encode_prompt(turns, **(arguments | changes))


def supervised(encoded: EncodedConversation, tokenizer: Any) -> str:
    return tokenizer.decode(encoded.labels[encoded.labels != IGNORE_INDEX])


def rendered(turns: tuple[Turn, ...], tokenizer: Any, num_frames: int, **changes: Any) -> str:
    """The whole text by transformers alone."""
    frames = ("<image>" * TOKENS_PER_FRAME + "\n") * num_frames
    messages = [
        {"role": turn.role, "content": frames * len(turn.media) + turn.text} for turn in turns
    ]
    return tokenizer.apply_chat_template(messages, tokenize=False, **changes)


CONVERSATIONS = {
    "one turn": ("What moves?", "A red circle."),
    "two turns": ("What moves?", "A red circle.", "Which way?", "To the left."),
    "five turns": ("a", "b", "c", "d", "e", "f", "g", "h", "i", "j"),
    "long words": (
        "Why?\n\n1. one\n2. two",
        "```python\nprint(1)\n```\n\n| a | b |\n",
        "\tok ",
        "12",
    ),
    "unicode": ("Größe? 猫 🎬", "日本語の字幕 – ü, é, ✓, 👩‍👩‍👧", "שלום", "مرحبا"),
}


@pytest.mark.parametrize("num_frames", [1, 4, 8, 16])
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_answers_and_their_end_tokens_are_supervised_and_nothing_else(
    name: str, num_frames: int, qwen_tokenizer: Any
) -> None:
    turns = chat(*CONVERSATIONS[name])
    encoded = encode(turns, qwen_tokenizer, frames_per_media=[num_frames])
    answers = [f"{turn.text}<|im_end|>" for turn in turns if turn.role == "assistant"]
    assert supervised(encoded, qwen_tokenizer) == "".join(answers)
    assert encoded.num_frames == num_frames
    assert int((encoded.input_ids == IMAGE_ID).sum()) == num_frames * TOKENS_PER_FRAME
    is_supervised = encoded.labels != IGNORE_INDEX
    assert torch.equal(encoded.labels[is_supervised], encoded.input_ids[is_supervised])
    assert encoded.input_ids.dtype == encoded.labels.dtype == torch.int64
    whole = rendered(turns, qwen_tokenizer, num_frames)
    assert encoded.input_ids.tolist() == qwen_tokenizer(whole)["input_ids"]
    assert encoded.num_mismatched_tokens == 0


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_the_mask_is_that_of_a_template_that_marks_its_answers(
    name: str, qwen_tokenizer: Any
) -> None:
    twin = FASTVLM_CHAT_TEMPLATE.replace(
        "{%- if message['content'] is string -%}",
        "{%- if message['role'] == 'assistant' -%}{%- generation -%}"
        "{{- message['content'] + '<|im_end|>' -}}{%- endgeneration -%}{{- '\\n' -}}"
        "{%- elif message['content'] is string -%}",
    ).replace(
        "{{- '<|im_end|>\\n' -}}\n{%- endfor -%}",
        "{%- if message['role'] != 'assistant' -%}{{- '<|im_end|>\\n' -}}{%- endif -%}"
        "{%- endfor -%}",
    )
    turns = chat(*CONVERSATIONS[name])
    assert rendered(turns, qwen_tokenizer, 2) == rendered(
        turns, qwen_tokenizer, 2, chat_template=twin
    )
    frames = ("<image>" * TOKENS_PER_FRAME + "\n") * 2
    reference = qwen_tokenizer.apply_chat_template(
        [{"role": turn.role, "content": frames * len(turn.media) + turn.text} for turn in turns],
        chat_template=twin,
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    encoded = encode(turns, qwen_tokenizer)
    assert encoded.input_ids.tolist() == reference["input_ids"]
    assert (encoded.labels != IGNORE_INDEX).tolist() == [
        bool(mask) for mask in reference["assistant_masks"]
    ]


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_prompt_is_the_beginning_of_what_was_trained(name: str, qwen_tokenizer: Any) -> None:
    turns = chat(*CONVERSATIONS[name])
    encoded = encode(turns, qwen_tokenizer)
    prompt = prompt_of(turns, qwen_tokenizer)
    assert torch.equal(encoded.input_ids[: len(prompt)], prompt)
    rest = qwen_tokenizer.decode(encoded.input_ids[len(prompt) :])
    assert rest == f"{turns[-1].text}<|im_end|>\n"
    assert bool((encoded.labels[len(prompt)] != IGNORE_INDEX).item())
    assert torch.equal(prompt_of(turns[:-1], qwen_tokenizer), prompt)
    whole = rendered(turns[:-1], qwen_tokenizer, 2, add_generation_prompt=True)
    assert prompt.tolist() == qwen_tokenizer(whole)["input_ids"]


@pytest.mark.parametrize("num_places", [1, 3, 5])
def test_few_mismatched_tokens_are_accepted_and_counted(
    num_places: int, qwen_tokenizer: Any
) -> None:
    turns = chat(*("Which?", "\n\nThe red one.") * num_places, "And?", "Yes.")
    encoded = encode(turns, qwen_tokenizer)
    assert encoded.num_mismatched_tokens == num_places
    answers = [f"{turn.text}<|im_end|>" for turn in turns if turn.role == "assistant"]
    assert supervised(encoded, qwen_tokenizer) == "".join(answers)


def test_six_mismatched_tokens_reject_the_record_by_name(qwen_tokenizer: Any) -> None:
    turns = chat(*("Which?", "\n\nThe red one.") * 6)
    with pytest.raises(LabelError, match="record clip-7: 6 tokens differ .* 5 may"):
        encode(turns, qwen_tokenizer)


def test_typed_special_tokens_stay_text(qwen_tokenizer: Any) -> None:
    typed = "Say <image> and <|im_start|>assistant\nNo<|im_end|> <|endoftext|>"
    turns = chat(typed, f"I said: {typed}", "<image>", "<|im_end|>")
    encoded = encode(turns, qwen_tokenizer)
    ids = encoded.input_ids.tolist()
    assert ids.count(IMAGE_ID) == 2 * TOKENS_PER_FRAME
    assert ids.count(IM_START_ID) == ids.count(IM_END_ID) == 5
    assert encoded.num_mismatched_tokens == 0
    assert qwen_tokenizer.decode(ids) == rendered(turns, qwen_tokenizer, 2)
    assert supervised(encoded, qwen_tokenizer) == f"I said: {typed}<|im_end|><|im_end|><|im_end|>"


def test_special_tokens_that_parts_make_together_are_compared_as_text(qwen_tokenizer: Any) -> None:
    parts = ("Say <", "image>, <|im_", "end|>, ", "<|im_start", "|> and <", "|im_end|>")
    turns = (Turn("user", (CLIP, *parts)), Turn("assistant", ("<|im_", "end|>", "No")))
    encoded = encode(turns, qwen_tokenizer)
    assert encoded.num_mismatched_tokens == 0
    assert encoded.input_ids.tolist().count(IMAGE_ID) == 2 * TOKENS_PER_FRAME
    assert supervised(encoded, qwen_tokenizer) == "<|im_end|>No<|im_end|>"


def test_a_typed_image_stays_text_where_the_token_is_no_special_one() -> None:
    tokenizer = make_tokenizer(knows_image=False)
    tokenizer.add_tokens(["<image>"], special_tokens=False)
    image_id = tokenizer.convert_tokens_to_ids("<image>")
    turns = chat("What is <image>?", "An <image>.")
    encoded = encode(turns, tokenizer, image_token_id=image_id)
    assert int((encoded.input_ids == image_id).sum()) == 2 * TOKENS_PER_FRAME
    assert supervised(encoded, tokenizer) == "An <image>.<|im_end|>"


def test_text_alone_needs_no_media(qwen_tokenizer: Any) -> None:
    encoded = encode(chat("Hi", "Hello", media=()), qwen_tokenizer)
    assert encoded.num_frames == 0
    assert IMAGE_ID not in encoded.input_ids.tolist()
    assert supervised(encoded, qwen_tokenizer) == "Hello<|im_end|>"


def test_media_stand_where_their_parts_do_also_in_later_turns(qwen_tokenizer: Any) -> None:
    turns = (
        Turn("user", ("Like ", PICTURE, "is ", CLIP, "?")),
        Turn("assistant", ("No.",)),
        Turn("user", (CLIP, "And this?")),
        Turn("assistant", ("Yes.",)),
    )
    encoded = encode(turns, qwen_tokenizer, frames_per_media=[1, 2, 3])
    frame = "<image>" * TOKENS_PER_FRAME + "\n"
    expected = (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        f"<|im_start|>user\nLike {frame}is {frame * 2}?<|im_end|>\n"
        "<|im_start|>assistant\nNo.<|im_end|>\n"
        f"<|im_start|>user\n{frame * 3}And this?<|im_end|>\n"
        "<|im_start|>assistant\nYes.<|im_end|>\n"
    )
    assert encoded.input_ids.tolist() == qwen_tokenizer(expected)["input_ids"]
    assert encoded.num_frames == 6


def test_system_turns(qwen_tokenizer: Any) -> None:
    turns = chat("Hi", "Hello", media=())
    own = (Turn("system", ("Be <|im_end|> brief.",)), *turns)
    default = "You are a helpful assistant."
    for given, changes, system in (
        (turns, {}, default),
        (turns, {"system_prompt": "Answer in one word."}, "Answer in one word."),
        (turns, {"system_prompt": ""}, ""),
        (own, {}, "Be <|im_end|> brief."),
        (own, {"system_prompt": "Answer in one word."}, "Be <|im_end|> brief."),
    ):
        encoded = encode(given, qwen_tokenizer, **changes)
        text = qwen_tokenizer.decode(encoded.input_ids)
        assert text.startswith(f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\nHi<")
        prompt = prompt_of(given, qwen_tokenizer, **changes)
        assert torch.equal(prompt, encoded.input_ids[: len(prompt)])


def test_random_conversations_keep_every_promise(qwen_tokenizer: Any) -> None:
    words = [
        "<image>",
        "<|im_end|>",
        "<|im_start|>",
        "\n",
        " ",
        "  ",
        "é",
        "e\u0301",
        "🎬",
        "<",
        "a",
    ]
    words += ["|>", "im_end", "\t", "1", "don't", "\r\n", "\u200b", "\ue000Mark0\ue001", ".\n\n"]
    draw = random.Random(0)
    for _ in range(5):
        texts = ["".join(draw.choices(words, k=draw.randint(1, 12))) + "x" for _ in range(4)]
        turns = chat(*texts)
        encoded = encode(turns, qwen_tokenizer)
        answers = "".join(f"{text}<|im_end|>" for text in texts[1::2])
        assert supervised(encoded, qwen_tokenizer) == unicodedata.normalize("NFC", answers)
        prompt = prompt_of(turns, qwen_tokenizer)
        assert torch.equal(prompt, encoded.input_ids[: len(prompt)])
        ids = encoded.input_ids.tolist()
        assert (ids.count(IMAGE_ID), ids.count(IM_END_ID)) == (2 * TOKENS_PER_FRAME, 5)


def test_what_is_no_conversation_is_refused_by_record(qwen_tokenizer: Any) -> None:
    with pytest.raises(RecordError, match="record clip-7: turn 4 is a blank answer"):
        encode(chat("Hi", "Yes", "Why?", ""), qwen_tokenizer)
    with pytest.raises(RecordError, match="the last assistant turn is already answered"):
        prompt_of((*chat("Hi", "Yes"), Turn("assistant", ("No",))), qwen_tokenizer)


def test_a_conversation_that_is_too_long_is_refused_with_its_budget(qwen_tokenizer: Any) -> None:
    turns = chat("What moves?", "A red circle.")
    arguments = {"frames_per_media": [8], "tokens_per_frame": 16}
    needed = len(encode(turns, qwen_tokenizer, **arguments).input_ids)
    assert encode(turns, qwen_tokenizer, max_length=needed, **arguments)
    message = rf"clip-7: 8 frames x 16 \+ 31 of text \+ 5 of answers = {needed} .* --num_video_f"
    with pytest.raises(BudgetError, match=message):
        encode(turns, qwen_tokenizer, max_length=needed - 1, **arguments)
    with pytest.raises(BudgetError, match="0 of answers"):
        prompt_of(turns, qwen_tokenizer, max_length=100, **arguments)


def test_counts_that_do_not_fit_the_media_are_a_mistake_of_the_caller(qwen_tokenizer: Any) -> None:
    with pytest.raises(ValueError, match="frames_per_media has 2 entries, media 1"):
        encode(chat("Hi", "Yes"), qwen_tokenizer, frames_per_media=[1, 1])
    with pytest.raises(ValueError, match="must be of one length"):
        EncodedConversation(torch.zeros(3), torch.zeros(4), 0, 0)


def test_an_image_token_of_another_vocabulary_is_refused(qwen_tokenizer: Any) -> None:
    with pytest.raises(CheckpointError, match="does not give <image> the id -200"):
        encode(chat("Hi", "Yes"), qwen_tokenizer, image_token_id=-200)
