"""Prompts and labels of Llama's kind of tokenizer under LLaVA's v1, against LLaVA's own way."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch

from fixtures_llama import (
    BOS_ID,
    MARK,
    make_llama_tokenizer,
    make_prepend_tokenizer,
)
from flipbook.data.labels.conversation import (
    IGNORE_INDEX,
    EncodedConversation,
    encode_conversation,
    encode_prompt,
)
from flipbook.data.labels.stretches import WordStarts, word_starts
from flipbook.data.templates.texts import BROUGHT_ALONG, V1_CHAT_TEMPLATE
from flipbook.data.turns import Media, Turn

CLIP = Media("video", "/clips/a.mp4")
SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives "
    "helpful, detailed, and polite answers to the user's questions."
)
MAKERS: dict[str, Callable[[], Any]] = {
    "legacy": partial(make_llama_tokenizer, legacy=True),
    "not legacy": partial(make_llama_tokenizer, legacy=False),
    "normalising": make_prepend_tokenizer,
    "joining lines": partial(make_llama_tokenizer, legacy=False, joins_lines=True),
}
LEGACY = ("legacy", "normalising")
CONVERSATIONS = {
    "one turn": ("What moves?", "A red circle."),
    "two turns": ("What moves?", "A red circle.", "Which way?", "To the left."),
    "five turns": ("a", "b", "c", "d", "e", "f", "g", "h", "i", "j"),
    "unicode": ("Größe? 猫 🎬", "日本語 – ü, é ✓ 👩‍👩‍👧", "שלום", "مرحبا"),
    "spaces": ("  What? ", "  A  cat. ", " ?", "   x"),
    "lines": ("Why?\n\n1. one\n", "\n\nA cat.\n\n", "\n?", ":) \n"),
    "code": ("<0x0A>", "```\nif a:\n\tb\n```", "▁A", "▁▁A ▁"),
}


@pytest.fixture(scope="module", params=MAKERS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def tokenizer(kind: str) -> Any:
    return MAKERS[kind]()


def chat(*texts: str) -> tuple[Turn, ...]:
    turns = [Turn("assistant" if n % 2 else "user", (text,)) for n, text in enumerate(texts)]
    return (Turn("user", (CLIP, *turns[0].parts)), *turns[1:])


def options(tokenizer: Any, num_frames: int, tokens_per_frame: int) -> dict[str, Any]:
    return {
        "tokenizer": tokenizer,
        "image_token_id": tokenizer.convert_tokens_to_ids("<image>"),
        "frames_per_media": [num_frames],
        "tokens_per_frame": tokens_per_frame,
        "record_id": "clip-7",
    }


def encode(
    turns: tuple[Turn, ...], tokenizer: Any, *, num_frames: int = 2, tokens_per_frame: int = 1
) -> EncodedConversation:
    return encode_conversation(turns, **options(tokenizer, num_frames, tokens_per_frame))


def prompt_of(turns: tuple[Turn, ...], tokenizer: Any, *, num_frames: int = 2) -> list[int]:
    return encode_prompt(turns, **options(tokenizer, num_frames, 1)).tolist()


def llava_text(texts: tuple[str, ...], *, num_frames: int = 2) -> str:
    """What LLaVA's conversation `v1` makes of questions and answers, and of an open question."""
    text = f"{SYSTEM} "
    for number, words in enumerate(texts):
        if number % 2:
            text += f"ASSISTANT: {words}</s>"
        else:
            text += "USER: " + ("<image>\n" * num_frames if number == 0 else "") + f"{words} "
    return text if len(texts) % 2 == 0 else f"{text}ASSISTANT:"


def llava_ids(text: str, tokenizer: Any) -> list[int]:
    """Ids as LLaVA's `tokenizer_image_token` makes them: what images part is tokenised apart."""
    image_id = tokenizer.convert_tokens_to_ids("<image>")
    ids = [BOS_ID]
    for number, part in enumerate(text.split("<image>")):
        ids += [image_id] if number else []
        ids += tokenizer(part, add_special_tokens=False)["input_ids"]
    return ids


def llava_labels(text: str, tokenizer: Any) -> list[int]:
    """Labels as LLaVA's `preprocess_v1` makes them: lengths of rounds, tokenised apart."""
    labels = llava_ids(text, tokenizer)
    position = 1  # behind `<s>`; each round is counted with one, in place of its `</s>`
    for part in text.split("</s>")[:-1]:
        question = part.split(" ASSISTANT: ")[0] + " ASSISTANT: "
        num_prompt = len(llava_ids(question, tokenizer)) - 2  # `<s>`, and the space at the end
        labels[position : position + num_prompt] = [IGNORE_INDEX] * num_prompt
        position += len(llava_ids(part, tokenizer))
    labels[0] = IGNORE_INDEX
    return labels


def test_the_fixtures_are_of_the_kinds_that_they_say(kind: str, tokenizer: Any) -> None:
    starts = word_starts(tokenizer)
    assert starts == WordStarts(at_start=True, after_token=kind in LEGACY)


@pytest.mark.parametrize("num_frames", [1, 4, 8])
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_ids_are_those_of_the_whole_text_and_answers_are_supervised(
    tokenizer: Any, name: str, num_frames: int
) -> None:
    texts = CONVERSATIONS[name]
    turns = chat(*texts)
    encoded = encode(turns, tokenizer, num_frames=num_frames)
    whole = "<s>" + llava_text(texts, num_frames=num_frames)
    frames = "<image>\n" * num_frames
    messages = [
        {"role": turn.role, "content": frames * len(turn.media) + turn.text} for turn in turns
    ]
    assert tokenizer.apply_chat_template(messages, tokenize=False) == whole
    assert encoded.input_ids.tolist() == tokenizer(whole, add_special_tokens=False)["input_ids"]
    assert encoded.num_mismatched_tokens == 0
    learnt = encoded.labels[encoded.labels != IGNORE_INDEX].tolist()
    answers = [_ids_inside(f" {text}</s>", tokenizer) for text in texts[1::2]]
    assert learnt == [token_id for answer in answers for token_id in answer]


def _ids_inside(text: str, tokenizer: Any) -> list[int]:
    """Ids of a text behind a colon, special tokens recognised."""
    head = tokenizer("ASSISTANT:", add_special_tokens=False)["input_ids"]
    whole: list[int] = tokenizer(f"ASSISTANT:{text}", add_special_tokens=False)["input_ids"]
    assert whole[: len(head)] == head
    return whole[len(head) :]


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_prompt_is_the_beginning_of_what_was_trained(tokenizer: Any, name: str) -> None:
    texts = CONVERSATIONS[name]
    turns = chat(*texts)
    encoded = encode(turns, tokenizer)
    prompt = prompt_of(turns, tokenizer)
    assert encoded.input_ids[: len(prompt)].tolist() == prompt
    assert (encoded.labels[: len(prompt)] == IGNORE_INDEX).all() or len(texts) > 2
    assert encoded.labels[len(prompt)] != IGNORE_INDEX
    whole = "<s>" + llava_text(texts[:-1])
    assert whole.endswith(" ASSISTANT:")
    assert prompt == tokenizer(whole, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize("kind", LEGACY, indirect=True)
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_prompts_and_labels_are_those_of_llava(tokenizer: Any, name: str) -> None:
    texts = CONVERSATIONS[name]
    encoded = encode(chat(*texts), tokenizer)
    whole = llava_text(texts)
    assert encoded.input_ids.tolist() == llava_ids(whole, tokenizer)
    assert prompt_of(chat(*texts), tokenizer) == llava_ids(llava_text(texts[:-1]), tokenizer)
    assert encoded.labels.tolist() == llava_labels(whole, tokenizer)


@pytest.mark.parametrize("kind", ["not legacy"], indirect=True)
def test_a_tokenizer_that_is_not_legacy_differs_by_one_mark_for_each_part(tokenizer: Any) -> None:
    ours = prompt_of(chat("What moves?", "A"), tokenizer, num_frames=3)
    theirs = llava_ids(llava_text(("What moves?",), num_frames=3), tokenizer)
    mark = tokenizer.convert_tokens_to_ids(MARK)
    words = tokenizer.convert_ids_to_tokens
    assert words(theirs[:2]) == ["<s>", f"{MARK}A"]
    assert words(ours[:2]) == ["<s>", "A"]
    image_id = tokenizer.convert_tokens_to_ids("<image>")
    places = [n for n, token_id in enumerate(theirs) if token_id == image_id]
    assert [theirs[place + 1] for place in places] == [mark] * 3
    kept = [t for n, t in enumerate(theirs) if n - 1 not in places]
    assert kept[2:] == ours[2:]


def test_an_answer_that_joins_its_prompt_keeps_the_prompt_as_generation_has_it(
    kind: str, tokenizer: Any
) -> None:
    template = V1_CHAT_TEMPLATE.replace("'ASSISTANT: '", "'ASSISTANT:'")
    arguments = options(tokenizer, 2, 1) | {"chat_template": template}
    encoded = encode_conversation(chat("What moves?", ":)", "Why?", "\nx"), **arguments)
    prompt = encode_prompt(chat("What moves?"), **arguments)
    assert torch.equal(encoded.input_ids[: len(prompt)], prompt)
    learnt = encoded.labels[encoded.labels != IGNORE_INDEX].tolist()
    assert tokenizer.decode(learnt) == ":)</s>\nx</s>"
    assert encoded.num_mismatched_tokens == (1 if kind == "joining lines" else 0)


def test_typed_special_tokens_stay_text(tokenizer: Any) -> None:
    typed = "Say <image> and <s> ASSISTANT: No</s>"
    encoded = encode(chat(typed, f"I said: {typed}", "<image>", "</s>"), tokenizer)
    ids = encoded.input_ids.tolist()
    assert ids.count(tokenizer.convert_tokens_to_ids("<image>")) == 2
    assert (ids.count(BOS_ID), ids.count(tokenizer.eos_token_id)) == (1, 2)
    assert encoded.num_mismatched_tokens == 0
    learnt = tokenizer.decode(encoded.labels[encoded.labels != IGNORE_INDEX])
    assert learnt.replace("</s> ", "</s>") == f"I said: {typed}</s></s></s>"


def test_a_typed_image_stays_text_where_the_token_is_no_special_one(tokenizer: Any) -> None:
    tokenizer = make_llama_tokenizer(legacy=kind == "legacy", knows_image=False)
    tokenizer.add_tokens(["<image>"], special_tokens=False)
    encoded = encode(chat("What is <image>?", "An <image>."), tokenizer)
    assert encoded.input_ids.tolist().count(tokenizer.convert_tokens_to_ids("<image>")) == 2
    learnt = encoded.labels[encoded.labels != IGNORE_INDEX]
    assert tokenizer.decode(learnt) == "An <image>.</s>"


def test_frames_stand_once_for_each_of_their_tokens(tokenizer: Any) -> None:
    turns = chat("What moves?", "A red circle.")
    one = encode(turns, tokenizer, num_frames=3)
    four = encode(turns, tokenizer, num_frames=3, tokens_per_frame=4)
    image_id = tokenizer.convert_tokens_to_ids("<image>")
    repeats = torch.where(one.input_ids == image_id, 4, 1)
    assert torch.equal(four.input_ids, one.input_ids.repeat_interleave(repeats))


def test_system_turns(tokenizer: Any) -> None:
    turns = chat("What?", "A cat.")
    arguments = options(tokenizer, 1, 1)
    own = (Turn("system", ("Be brief.",)), *turns)
    expected = "<s>Be brief. USER: <image>\nWhat? ASSISTANT: A cat.</s>"
    ids = tokenizer(expected, add_special_tokens=False)["input_ids"]
    assert encode_conversation(own, **arguments).input_ids.tolist() == ids
    set_by_argument = encode_conversation(turns, system_prompt="Be brief.", **arguments)
    assert set_by_argument.input_ids.tolist() == ids


def test_pictures_of_typed_parts_are_rendered(tokenizer: Any) -> None:
    parts = [{"type": "image"}, {"type": "image"}, {"type": "text", "text": "Why?"}]
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": parts}], tokenize=False, add_generation_prompt=True
    )
    assert text == "<s>" + llava_text(("Why?",))


def test_a_tokenizer_without_a_template_is_given_v1(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    tokenizer = make_llama_tokenizer(legacy=kind == "legacy")
    expected = encode(chat("What?", "A cat."), tokenizer)
    tokenizer.chat_template = "{{ messages[0]['content'] }}"
    encoded = encode(chat("What?", "A cat."), tokenizer)
    assert torch.equal(encoded.input_ids, expected.input_ids)
    assert "chat template replaced by LLaVA's v1: " in caplog.text
    assert BROUGHT_ALONG["v1"].text == V1_CHAT_TEMPLATE


def test_random_conversations_keep_every_promise(tokenizer: Any) -> None:
    words = ["<image>", "</s>", "<s>", "\n", " ", "  ", "é", "🎬", "<", "A", "cat", ":", "▁", "."]
    draw = random.Random(0)
    for _ in range(20):
        texts = ["".join(draw.choices(words, k=draw.randint(1, 9))) + "x" for _ in range(4)]
        encoded = encode(chat(*texts), tokenizer)
        prompt = prompt_of(chat(*texts), tokenizer)
        assert encoded.input_ids[: len(prompt)].tolist() == prompt
        ids = encoded.input_ids.tolist()
        assert ids.count(tokenizer.eos_token_id) == 2
        assert encoded.num_mismatched_tokens == 0
