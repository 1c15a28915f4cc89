"""Which folders hold weights of Apple's, and which only speak of apples."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from flipbook.model.licence import (
    APPLE_LICENCE,
    RESEARCH_ONLY_CARD,
    RESEARCH_ONLY_NOTICE,
    is_research_only,
    read_front_matter,
    stated_licence,
    tell_licence,
)
from flipbook.model.provenance import Provenance
from flipbook.model.tiny import TINY_FOLDER

OURS = "---\ntags:\n- flipbook\n---\n"


def _folder(path: Path, card: str | None) -> Path:
    if card is not None:
        (path / "README.md").write_text(card, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("card", "config"),
    [
        ("---\nlicense: apple-amlr\n---\n", {}),
        ("---\nlicense: other\nlicense_name: apple-ascl\n---\n", {}),
        ("---\nbase_model: apple/FastVLM-0.5B\n---\n", {}),
        ("---\nbase_model:\n- someone/else\n- apple/FastVLM-7B\n---\n", {}),
        ("---\nlicense: apple-amlr\ntags: [flipbook]\n---\n", {}),
        ("---\nbase_model: apple/FastVLM-0.5B\ntags: [flipbook]\n---\n", {"model_type": "x"}),
        (None, {"_name_or_path": "apple/FastVLM-0.5B"}),
        (None, {"_name_or_path": "/cache/models--apple--FastVLM-0.5B/snapshots/1"}),
        (None, {"model_type": "llava_qwen2"}),
        ("A model of mine.", {"model_type": "llava_llama"}),
        ("Converted from Apple's FastVLM.", {"model_type": "fast_vlm"}),
        ("FastVLM-0.5B was made by Apple and others.", {"model_type": "fast_vlm"}),
        ("See https://github.com/apple/ml-fastvlm", {"model_type": "fast_vlm"}),
        ("---\nlicense: [broken\n---\nApple FastVLM", {"model_type": "fast_vlm"}),
    ],
)
def test_apples_weights_are_recognised(
    tmp_path: Path, card: str | None, config: dict[str, str]
) -> None:
    assert is_research_only(_folder(tmp_path, card), config)
    assert stated_licence(tmp_path, config) == APPLE_LICENCE


@pytest.mark.parametrize(
    ("card", "config"),
    [
        (None, {"model_type": "fast_vlm"}),
        ("Tells apples from pears.", {"model_type": "fast_vlm"}),
        ("A FastVLM that counts apples; pineapple too.", {"model_type": "fast_vlm"}),
        ("Trained on clips of an apple orchard. FastVLM.", {"model_type": "fast_vlm"}),
        ("---\ndatasets:\n- someone/apple-quality\n---\n", {"model_type": "fast_vlm"}),
        ("---\nbase_model: someone/pineapple\n---\n", {"_name_or_path": "runs/apple-pie/model"}),
        (OURS, {"model_type": "llava_qwen2"}),
        (OURS + "flipbook fine-tunes Apple's FastVLM.", {"model_type": "fast_vlm"}),
    ],
)
def test_data_about_apples_is_no_weight_of_apples(
    tmp_path: Path, card: str | None, config: dict[str, str]
) -> None:
    assert not is_research_only(_folder(tmp_path, card), config)


def test_another_licence_is_told_as_it_stands(tmp_path: Path) -> None:
    assert stated_licence(tmp_path, {"model_type": "fast_vlm"}) is None
    _folder(tmp_path, "---\nlicense: apache-2.0\n---\n")
    assert stated_licence(tmp_path, {"model_type": "fast_vlm"}) == "apache-2.0"


def test_the_embedded_model_is_under_flipbooks_licence(tmp_path: Path) -> None:
    assert stated_licence(TINY_FOLDER, {"model_type": "fast_vlm"}) == "apache-2.0"
    Provenance(
        base="tiny", base_layout="fast_vlm", trained={}, lora=None, data=[], recipe={}, versions={}
    ).save(tmp_path)
    assert stated_licence(tmp_path, {"model_type": "fast_vlm"}) == "apache-2.0"


@pytest.mark.parametrize(
    "card", ["", "no front matter", "---\n- a list\n---\n", "---\na: [1\n---\n"]
)
def test_a_card_without_facts_has_none(tmp_path: Path, card: str) -> None:
    assert read_front_matter(_folder(tmp_path, card)) == {}


def test_front_matter_is_read_from_a_file_with_windows_lines(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_bytes(b"---\r\nlicense: mit\r\n---\r\nHello")
    assert read_front_matter(tmp_path) == {"license": "mit"}


def test_the_licence_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    tell_licence.cache_clear()
    with caplog.at_level(logging.WARNING, logger="flipbook"):
        tell_licence("here")
        tell_licence("here")
    assert [record.getMessage() for record in caplog.records] == [
        "here holds weights of Apple's FastVLM, whose licence allows research only; what you "
        "train from them inherits that."
    ]


def test_the_short_card_passes_the_licence_on(tmp_path: Path) -> None:
    assert is_research_only(_folder(tmp_path, RESEARCH_ONLY_CARD), {"model_type": "fast_vlm"})
    assert RESEARCH_ONLY_NOTICE in RESEARCH_ONLY_CARD
    assert "research only" in RESEARCH_ONLY_NOTICE
    assert APPLE_LICENCE in RESEARCH_ONLY_NOTICE
