"""What `flipbook info` prints fits a terminal and agrees with the model."""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from safetensors.torch import save_file
from torch import zeros

from fixtures_model import make_checkpoint
from flipbook.apps.info import (
    folded_prompt,
    info_blocks,
    run,
    size_in_words,
    tokens_by_side,
    tokens_per_clip,
)
from flipbook.model.describe import describe
from flipbook.model.licence import RESEARCH_ONLY_NOTICE
from flipbook.model.provenance import Provenance
from flipbook.model.saving import save_apple_checkpoint, save_checkpoint
from flipbook.video.settings import ClipSettings

PROVENANCE = Provenance(
    base="someone/FastVLM-0.5B-with-a-very-long-name-that-does-not-fit-into-a-line-of-a-terminal",
    base_layout="fast_vlm",
    trained={"vision_tower": 0, "projector": 12_544, "language_model": 900},
    lora={"rank": 4.0, "alpha": 8.0, "dropout": 0.0},
    data=[{"file": "train.json", "sha256": "ab", "num_records": 3, "split": "train"}],
    recipe={"optimizer_steps": 2, "learning_rates": {"projector": 2e-5}, "model_max_length": None},
    versions={},
)


def _shown(name: str | Path, *, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False, markup=False)
    for block in info_blocks(str(name), describe(name)):
        console.print(block)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.fixture(scope="module")
def told_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    checkpoint = make_checkpoint(num_frames=3, system_prompt="Answer [b]briefly[/b].")
    checkpoint.provenance = PROVENANCE
    return save_checkpoint(tmp_path_factory.mktemp("models") / "told", checkpoint)


def test_the_facts_are_there(told_folder: Path) -> None:
    shown = _shown(told_folder)
    for fact in (
        "fast_vlm (Hugging Face's)",
        "320 rows, 261 words, <image> is 260",
        "3 (uniform) of 128 px, pad; saved with the model",
        "12 visual tokens",
        "vision_tower",
        "float32",
        "128 px *",
        "Answer [b]briefly[/b].",
        "<image>  (x 3)",
        "12,544 weights",
        "frozen",
        "rank 4, alpha 8",
        "train.json, 3 records",
        "projector 2e-05",
        "not stated",
    ):
        assert fact in shown, fact
    assert "None" not in shown


def test_it_fits_80_columns(told_folder: Path) -> None:
    assert max(len(line.rstrip()) for line in _shown(told_folder).splitlines()) <= 80


def test_research_only_is_told(apple_folder: Path) -> None:
    shown = " ".join(_shown(apple_folder).split())
    assert "apple-amlr: research only" in shown
    assert RESEARCH_ONLY_NOTICE in shown
    assert "not saved: the defaults" in shown
    assert RESEARCH_ONLY_NOTICE not in " ".join(_shown("tiny").split())


def test_faults_of_apples_contract_are_told(tmp_path: Path) -> None:
    folder = save_apple_checkpoint(tmp_path / "llava-small", make_checkpoint())
    folder = folder.rename(tmp_path / "small")
    shown = " ".join(_shown(folder).split())
    assert "Faults that Apple's code would meet" in shown
    assert "give a name with llava in it" in shown


def test_json_holds_the_same(told_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(argparse.Namespace(model=str(told_folder), json=True))
    told = json.loads(capsys.readouterr().out)
    assert told["layout"] == "fast_vlm"
    assert told["image_token_id"] == 260
    assert told["tokens_per_frame"] == {"128": 4, "256": 16, "512": 64, "768": 144, "1024": 256}
    assert told["tokens_per_clip"] == [12, 12]
    assert told["provenance"]["trained"]["projector"] == 12_544
    assert told["num_bytes"] == sum(path.stat().st_size for path in told_folder.iterdir())


def test_tables_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    run(argparse.Namespace(model="tiny", json=False))
    shown = capsys.readouterr().out
    assert "Sizes, as stored" in shown
    assert "Tokens per frame" in shown


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (
            {"base_model_name_or_path": "a/b", "r": 4, "lora_alpha": 8},
            "rank 4, alpha 8, 12 weights",
        ),
        ({}, "rank not stated, 12 weights (float32) on a base that it does not name"),
        ({"r": "four", "lora_alpha": None}, "rank not stated, 12 weights"),
    ],
)
def test_an_adapter_from_elsewhere_is_told(
    tmp_path: Path, config: dict[str, object], told: str
) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    save_file({"a": zeros(4, 3)}, tmp_path / "adapter_model.safetensors")
    shown = " ".join(_shown(tmp_path).split())
    assert told in shown
    assert "of a LoRA adapter; its base is elsewhere" in shown
    assert "frames those of the base" in shown


def test_tokens_follow_from_the_side() -> None:
    assert tokens_by_side(None) == {256: 16, 512: 64, 768: 144, 1024: 256}
    assert tokens_by_side(ClipSettings(frame_size=640))[640] == 100


def test_a_clip_by_frame_rate_has_a_range() -> None:
    settings = ClipSettings(frame_size=512, sampler="fps", min_frames=4, max_frames=32)
    assert tokens_per_clip(settings) == (256, 2048)
    assert tokens_per_clip(ClipSettings(frame_size=512, num_frames=8)) == (512, 512)


def test_lines_that_repeat_are_counted() -> None:
    assert folded_prompt("a\nb\nb\nb\n\n\nc") == "a\nb  (x 3)\n\nc"
    assert folded_prompt("a\nb\n") == "a\nb\n"


@pytest.mark.parametrize(
    ("num_bytes", "words"), [(999, "1.0 kB"), (1_230_000, "1.2 MB"), (1_020_000_000, "1.02 GB")]
)
def test_sizes_are_words(num_bytes: int, words: str) -> None:
    assert size_in_words(num_bytes) == words
