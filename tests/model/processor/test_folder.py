"""The small files of a model, here or on the hub, are enough for its processor."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError
from transformers import AutoProcessor, AutoVideoProcessor

from fixtures_llama import make_llama_checkpoint
from fixtures_model import make_checkpoint
from flipbook import FlipbookProcessor
from flipbook.errors import ArgumentError, CheckpointError
from flipbook.model.checkpoint import Checkpoint
from flipbook.model.processor.folder import (
    read_media_rule,
    read_processor_folder,
    says_how_clips_are_read,
)
from flipbook.video.settings import ClipSettings


def test_a_folder_of_the_hub_is_asked_for_without_its_weights(
    fast_vlm_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, dict[str, Any]]] = []

    def download(name: str, **options: Any) -> str:
        asked.append((name, options))
        return str(fast_vlm_folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    processor = FlipbookProcessor.from_pretrained("owner/model", revision="v1", trust_remote_code=0)
    assert processor.video_processor.settings == ClipSettings.load(fast_vlm_folder)
    ((name, options),) = asked
    assert (name, options["revision"]) == ("owner/model", "v1")
    assert not any("safetensors" in pattern for pattern in options["allow_patterns"])
    assert "trust_remote_code" not in options


def test_what_the_hub_does_not_give_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, **options: Any) -> str:
        raise LocalEntryNotFoundError("no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(CheckpointError, match="the hub did not give it: no network. Check"):
        read_processor_folder("owner/model")


def test_a_folder_without_a_language_model_is_no_fastvlm(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(CheckpointError, match="model_type 'bert' and names no language model"):
        read_processor_folder(tmp_path)


def test_a_name_that_is_no_folder_and_no_id_is_refused() -> None:
    with pytest.raises(CheckpointError, match="there is no model folder 'absent'"):
        read_media_rule("absent")


def test_the_tiny_model_has_a_processor() -> None:
    processor = FlipbookProcessor.from_pretrained("tiny")
    assert processor.video_processor.settings.frame_size == 128


def test_apples_files_say_side_and_aspect(apple_folder: Path) -> None:
    rule = read_media_rule(apple_folder)
    assert rule.settings == ClipSettings(frame_size=128, aspect="pad")


def test_only_folders_with_clip_settings_are_flipbooks(
    fast_vlm_folder: Path, tmp_path: Path
) -> None:
    assert says_how_clips_are_read(fast_vlm_folder)
    assert not says_how_clips_are_read(tmp_path)
    assert not says_how_clips_are_read("owner/not-in-the-cache")
    assert says_how_clips_are_read(fast_vlm_folder.parent, subfolder=fast_vlm_folder.name)


def test_saving_to_the_hub_pushes_what_is_saved(
    fast_vlm_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(
        FlipbookProcessor,
        "push_to_hub",
        lambda self, repo_id, **options: pushed.append((repo_id, options)),
    )
    processor = FlipbookProcessor.from_pretrained(fast_vlm_folder)
    processor.save_pretrained(tmp_path / "new", push_to_hub=True, repo_id="me/new", private=True)
    assert pushed == [("me/new", {"private": True})]


@pytest.mark.parametrize("make", [make_checkpoint, make_llama_checkpoint])
def test_a_processor_needs_no_model_beside_it(
    make: Callable[..., Checkpoint], tmp_path: Path
) -> None:
    checkpoint = make()
    first = FlipbookProcessor.of(checkpoint.tokenizer, ClipSettings(frame_size=64, num_frames=3))
    first.save_pretrained(tmp_path / "alone")
    assert not (tmp_path / "alone" / "config.json").exists()
    again = AutoProcessor.from_pretrained(tmp_path / "alone")
    assert type(again) is FlipbookProcessor
    assert again.video_processor.settings == first.video_processor.settings
    assert again.chat_template == first.chat_template
    assert AutoVideoProcessor.from_pretrained(tmp_path / "alone").settings.num_frames == 3
    chat = [{"role": "user", "content": " Hi\n"}]
    options: dict[str, Any] = {"tokenize": True, "add_generation_prompt": True}
    assert again.apply_chat_template(chat, **options) == first.apply_chat_template(chat, **options)


def test_a_processor_alone_with_foreign_words_is_refused(
    fast_vlm_folder: Path, tmp_path: Path
) -> None:
    FlipbookProcessor.from_pretrained(fast_vlm_folder).save_pretrained(tmp_path)
    words = tmp_path / "tokenizer_config.json"
    words.write_text(json.dumps(json.loads(words.read_text()) | {"eos_token": "<eos>"}))
    with pytest.raises(CheckpointError, match="eos_token '<eos>', with which no FastVLM ends"):
        FlipbookProcessor.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"num_framess": 2}, "num_framess is no clip setting. Did you mean 'num_frames'"),
        ({"size": {"height": 64, "width": 64}}, "size=.* has no effect on how"),
        ({"num_frames": 0}, "num_frames"),
    ],
)
def test_arguments_that_would_do_nothing_are_refused(
    fast_vlm_folder: Path, argument: dict[str, Any], message: str
) -> None:
    for kind in (FlipbookProcessor, AutoVideoProcessor):
        with pytest.raises(ArgumentError, match=message):
            kind.from_pretrained(fast_vlm_folder, **argument)
