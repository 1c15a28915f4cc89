"""One rule expands placeholders, for LLaVA-style sources and for encoded conversations."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import pytest

from flipbook.data.labels.conversation import encode_conversation, preprocess_multimodal
from flipbook.data.placeholders import Placeholder, split_placeholders
from flipbook.data.turns import Media, Turn

IMAGE, VIDEO = Placeholder("image"), Placeholder("video")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Why?", ["Why?"]),
        ("", [""]),
        ("<video>\nWhy?", [VIDEO, "Why?"]),
        ("Why?\n<image>", [IMAGE, "Why?"]),
        ("In <video> what moves?", [VIDEO, "In  what moves?"]),
        ("<image>", [IMAGE]),
        ("<image>\n<video>\nWhy?", [IMAGE, VIDEO, "Why?"]),
        ("Is <image>\nlike <image>\n?", ["Is ", IMAGE, "like ", IMAGE, "?"]),
        ("<images>\n< image>", ["<images>\n< image>"]),
    ],
)
def test_where_placeholders_stand(text: str, parts: list[Any]) -> None:
    assert split_placeholders(text) == parts


def source(question: str) -> list[dict[str, str]]:
    return [{"from": "human", "value": question}, {"from": "gpt", "value": "An <image>."}]


@pytest.mark.parametrize("num_frames", [1, 4, 8, 16])
@pytest.mark.parametrize("question", ["<video>\nWhy?", "<image>\nWhy?", "Why?\n<image>"])
def test_a_placeholder_becomes_one_per_frame_before_the_words(
    question: str, num_frames: int
) -> None:
    sources = [source(question), source("Text only")]
    before = copy.deepcopy(sources)
    expanded = preprocess_multimodal(
        sources, SimpleNamespace(is_multimodal=True), num_frames=num_frames
    )
    assert expanded[0][0]["value"] == "<image>\n" * num_frames + "Why?"
    assert expanded[0][1] == {"from": "gpt", "value": "An <image>."}
    assert expanded[1] == before[1]
    assert sources == before
    assert expanded[1][0] is not sources[1][0]


def test_nothing_changes_where_data_are_not_multimodal() -> None:
    sources = [source("<video>\nWhy?")]
    assert preprocess_multimodal(sources, SimpleNamespace(), num_frames=2) != sources
    same = preprocess_multimodal(sources, SimpleNamespace(is_multimodal=False), num_frames=2)
    assert same == sources
    assert same[0][0] is not sources[0][0]


def test_a_clip_has_at_least_one_frame() -> None:
    with pytest.raises(ValueError, match="num_frames is 0"):
        preprocess_multimodal([], None, num_frames=0)


@pytest.mark.parametrize("question", ["<video>\nWhy?", "Is <image>\nlike <video>\n?"])
def test_encoding_expands_as_preprocessing_does(question: str, qwen_tokenizer: Any) -> None:
    sources = [{"from": "human", "value": question}]
    expanded = preprocess_multimodal([sources], None, num_frames=3)[0][0]["value"]
    parts = tuple(
        part if isinstance(part, str) else Media("video", "/a.mp4")
        for part in split_placeholders(question)
    )
    encoded = encode_conversation(
        (Turn("user", parts), Turn("assistant", ("Yes",))),
        tokenizer=qwen_tokenizer,
        image_token_id=151646,
        frames_per_media=[3] * sum(isinstance(part, Media) for part in parts),
        tokens_per_frame=1,
    )
    assert f"<|im_start|>user\n{expanded}<|im_end|>" in qwen_tokenizer.decode(encoded.input_ids)
