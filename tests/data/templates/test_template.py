"""Labels under chat templates other than FastVLM's, and templates that must not be used."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from transformers import Qwen2Tokenizer

from flipbook.data.labels.conversation import (
    FASTVLM_CHAT_TEMPLATE,
    IGNORE_INDEX,
    EncodedConversation,
    encode_conversation,
    encode_prompt,
)
from flipbook.data.turns import Media, Turn
from flipbook.errors import CheckpointError, LabelError

IMAGE_ID = 151646
ANSWERS = "A cat.<|im_end|> Yes.\n<|im_end|>"

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + CONTENT + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
PLAIN = CHATML.replace("CONTENT", "m['content']")
TRIMMING = CHATML.replace("CONTENT", "(m['content'] | trim)")
TRIMMING_ANSWERS = CHATML.replace(
    "CONTENT", "(m['content'] | trim if m['role'] == 'assistant' else m['content'])"
)
PARTS = CHATML.replace("CONTENT", "m['content'][0]['text']")
QWEN_2_5 = (
    "{%- if messages[0]['role'] == 'system' %}"
    "{{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}"
    "{%- else %}{{- '<|im_start|>system\\nYou are Qwen.<|im_end|>\\n' }}{%- endif %}"
    "{%- for m in messages %}"
    "{%- if (m.role == 'user') or (m.role == 'system' and not loop.first) or "
    "(m.role == 'assistant' and not m.tool_calls) %}"
    "{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>' + '\\n' }}{%- endif %}"
    "{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
VICUNA = (
    "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system') }}"
    "{% elif m['role'] == 'user' %}{{ 'USER: ' + m['content'] + ' ' }}"
    "{% else %}{{ 'ASSISTANT: ' + m['content'] + '<|endoftext|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
COMMUNITY = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n'}}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}"
    "{{ '<image>' }}{% endfor %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}"
    "{{ '\\n' + content['text'] }}{% endfor %}{{'<|im_end|>\\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
ENDLESS = VICUNA.replace("<|endoftext|>", " ")
SHOUTING = CHATML.replace("CONTENT", "(m['content'] | upper)")
FORGETFUL = CHATML.replace("CONTENT", "(m['content'] if loop.last else '')")

TURNS = (
    Turn("user", (Media("video", "/a.mp4"), "What is it? ")),
    Turn("assistant", ("A cat.",)),
    Turn("user", ("Sure?",)),
    Turn("assistant", (" Yes.\n",)),
)


def encode(tokenizer: Any, turns: tuple[Turn, ...] = TURNS, **changes: Any) -> EncodedConversation:
    arguments = {"tokenizer": tokenizer, "image_token_id": IMAGE_ID, "tokens_per_frame": 2}
    arguments |= {"frames_per_media": (2,), "record_id": "clip-7"} | changes
    encoded = encode_conversation(turns, **arguments)
    prompt = encode_prompt(turns, **arguments)
    assert torch.equal(encoded.input_ids[: len(prompt)], prompt)
    assert (encoded.labels[len(prompt) :] != IGNORE_INDEX).any()
    return encoded


def supervised(encoded: EncodedConversation, tokenizer: Any) -> str:
    return tokenizer.decode(encoded.labels[encoded.labels != IGNORE_INDEX])


@pytest.fixture
def own_template(qwen_tokenizer: Any) -> Iterator[Any]:
    """The tokenizer, whose template a test may change."""
    yield qwen_tokenizer
    qwen_tokenizer.chat_template = FASTVLM_CHAT_TEMPLATE


@pytest.mark.parametrize(
    ("template", "answers"),
    [
        (FASTVLM_CHAT_TEMPLATE, ANSWERS),
        (PLAIN, ANSWERS),
        (PARTS, ANSWERS),
        (QWEN_2_5, ANSWERS),
        (TRIMMING, "A cat.<|im_end|>Yes.<|im_end|>"),
        (TRIMMING_ANSWERS, "A cat.<|im_end|>Yes.<|im_end|>"),
        (VICUNA, " A cat.<|endoftext|>  Yes.\n<|endoftext|>"),
    ],
)
def test_ids_are_those_of_the_whole_text_and_answers_are_supervised(
    template: str, answers: str, own_template: Any
) -> None:
    tokenizer = own_template
    tokenizer.chat_template = template
    encoded = encode(tokenizer)
    frames = "<image><image>\n" * 2
    texts = [frames + "What is it? ", "A cat.", "Sure?", " Yes.\n"]
    if template == PARTS:
        contents: list[Any] = [[{"type": "text", "text": text}] for text in texts]
    else:
        contents = list(texts)
    messages = [
        {"role": turn.role, "content": content}
        for turn, content in zip(TURNS, contents, strict=True)
    ]
    whole = tokenizer.apply_chat_template(messages, tokenize=False)
    assert encoded.input_ids.tolist() == tokenizer(whole)["input_ids"]
    assert supervised(encoded, tokenizer) == answers
    assert encoded.num_mismatched_tokens == 0
    named = encode(tokenizer, chat_template=template)
    assert torch.equal(named.labels, encoded.labels)


def test_a_trimming_template_trims_the_parts_of_a_turn_together(qwen_tokenizer: Any) -> None:
    turns = (Turn("user", (" ", "\n", Media("video", "/a.mp4"), " ", "\n")), *TURNS[1:])
    encoded = encode(qwen_tokenizer, turns, chat_template=TRIMMING)
    text = qwen_tokenizer.decode(encoded.input_ids)
    assert text.startswith("<|im_start|>user\n<image><image>\n<image><image><|im_end|>\n")


def test_a_default_system_turn_of_the_template_is_kept_or_replaced(own_template: Any) -> None:
    own_template.chat_template = QWEN_2_5
    default = own_template.decode(encode(own_template).input_ids)
    assert default.startswith("<|im_start|>system\nYou are Qwen.<|im_end|>\n<|im_start|>user\n")
    given = own_template.decode(encode(own_template, system_prompt="Be brief.").input_ids)
    assert given.startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n")


@pytest.mark.parametrize("template", [COMMUNITY, SHOUTING, None])
def test_a_template_unfit_for_labels_is_replaced_by_fastvlms(
    template: str | None, own_template: Any, caplog: pytest.LogCaptureFixture
) -> None:
    expected = encode(own_template)
    own_template.chat_template = template
    with caplog.at_level(logging.WARNING, logger="flipbook"):
        encoded = encode(own_template)
        encode(own_template)
    assert torch.equal(encoded.input_ids, expected.input_ids)
    assert torch.equal(encoded.labels, expected.labels)
    assert sum("replaced by FastVLM's own" in line for line in caplog.messages) <= 1


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        (COMMUNITY, "it prompts with .*assistant.n' but writes .*assistant.n.n' before an answer"),
        (SHOUTING, "drops, repeats or changes the words of a user turn"),
        (FORGETFUL, "with plain strings, it drops, repeats or changes the words of a user turn"),
        (ENDLESS, "no special token ends an answer"),
        ("{{ raise_exception('not today') }}", "refuses the conversation .not today."),
        ("{% if %}", "refuses the conversation"),
        ("", "it is empty"),
    ],
)
def test_a_named_template_unfit_for_labels_is_refused(
    template: str, reason: str, qwen_tokenizer: Any
) -> None:
    with pytest.raises(CheckpointError, match=f"cannot be used for training: .*{reason}"):
        encode(qwen_tokenizer, chat_template=template)


def test_without_chatml_tokens_there_is_nothing_to_fall_back_on() -> None:
    tokenizer = Qwen2Tokenizer(vocab={"a": 0}, merges=[], chat_template=COMMUNITY)
    tokenizer.add_tokens(["<image>"], special_tokens=True)
    with pytest.raises(CheckpointError, match="cannot replace it: <.im_start.> and <.im_end.>"):
        encode(tokenizer, image_token_id=tokenizer.convert_tokens_to_ids("<image>"))


def test_a_conversation_that_the_template_refuses_is_rejected_by_record(
    qwen_tokenizer: Any,
) -> None:
    turns = (Turn("system", ("Be brief.",)), *TURNS)
    with pytest.raises(LabelError, match=r"record clip-7: .* refuses the conversation .no system"):
        encode(qwen_tokenizer, turns, chat_template=VICUNA)


def test_words_that_the_template_changes_are_rejected_by_record(qwen_tokenizer: Any) -> None:
    template = CHATML.replace("CONTENT", "m['content'].replace('cat', 'dog')")
    with pytest.raises(LabelError, match="record clip-7: .* changes the words of turn 2"):
        encode(qwen_tokenizer, chat_template=template)


def test_image_tokens_that_the_template_adds_are_noticed(qwen_tokenizer: Any) -> None:
    with pytest.raises(LabelError, match="3 places for 2 frames"):
        encode(qwen_tokenizer, chat_template="<image>" + PLAIN)


def test_fastvlms_template_renders_pictures_of_typed_parts(qwen_tokenizer: Any) -> None:
    parts = [{"type": "image"}, {"type": "text", "text": "Why?"}]
    message = {"role": "user", "content": parts}
    text = qwen_tokenizer.apply_chat_template([message], tokenize=False, add_generation_prompt=True)
    assert text == (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\n<image>\nWhy?<|im_end|>\n<|im_start|>assistant\n"
    )
