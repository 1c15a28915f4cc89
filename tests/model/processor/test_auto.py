"""Whoever works with LLaVA notices nothing of flipbook's processor."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

import pytest
from transformers import LlavaImageProcessorPil, LlavaProcessor

from fixtures_llama import make_llama_tokenizer
from flipbook import FlipbookProcessor
from flipbook.model.processor import auto

UNTOUCHED = """
from transformers import LlavaProcessor
before = LlavaProcessor.__dict__.get("from_pretrained")
import flipbook, flipbook.cli, flipbook.export.lmms
flipbook.load_checkpoint, flipbook.LazySupervisedDataset, flipbook.save_checkpoint
assert LlavaProcessor.__dict__.get("from_pretrained") is before
"""


@pytest.fixture
def llava_folder(tmp_path: Path) -> Path:
    processor = LlavaProcessor(
        image_processor=LlavaImageProcessorPil(),
        tokenizer=make_llama_tokenizer(),
        patch_size=14,
        vision_feature_select_strategy="default",
    )
    processor.save_pretrained(tmp_path)
    return tmp_path


def test_all_but_the_processor_leave_transformers_alone() -> None:
    subprocess.run([sys.executable, "-c", UNTOUCHED], check=True)


def test_a_genuine_llava_is_read_as_before(llava_folder: Path) -> None:
    read = LlavaProcessor.from_pretrained
    assert type(read(llava_folder)) is LlavaProcessor
    named = read(pretrained_model_name_or_path=str(llava_folder), patch_size=16)
    assert type(named) is LlavaProcessor
    assert named.patch_size == 16
    (llava_folder / "config.json").write_text(json.dumps({"model_type": "llava"}))
    assert type(read(llava_folder.parent, subfolder=llava_folder.name)) is LlavaProcessor
    with pytest.raises(OSError, match="absent"):
        read(llava_folder / "absent")


def test_only_the_class_itself_gives_way(fast_vlm_folder: Path) -> None:
    class Inheriting(LlavaProcessor):
        """As somebody else's processor does."""

    class Overriding(LlavaProcessor):
        """As somebody else's processor does."""

        @classmethod
        def from_pretrained(cls, *args: Any, **kwargs: Any) -> Self:
            return super().from_pretrained(*args, **kwargs)

    assert type(Inheriting.from_pretrained(fast_vlm_folder)) is Inheriting
    assert type(Overriding.from_pretrained(fast_vlm_folder)) is Overriding
    named = LlavaProcessor.from_pretrained(pretrained_model_name_or_path=str(fast_vlm_folder))
    assert type(named) is FlipbookProcessor


def test_notebooks_may_reload_the_module(fast_vlm_folder: Path, llava_folder: Path) -> None:
    importlib.reload(auto)
    assert type(LlavaProcessor.from_pretrained(fast_vlm_folder)) is FlipbookProcessor
    assert type(LlavaProcessor.from_pretrained(llava_folder)) is LlavaProcessor
