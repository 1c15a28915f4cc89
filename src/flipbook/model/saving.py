"""How does a model become a folder that others can load?

    Checkpoint  ->  folder in the `fast_vlm` layout, or in Apple's

Plain `AutoModelForImageTextToText` and `AutoProcessor` load the folder; flipbook finds in it, too,
how clips were read. The folder is written file by file: whoever needs it whole or not at all gives
a fresh folder and renames it afterwards.
"""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from flipbook.model.apple import apple_layout
from flipbook.model.checkpoint import Checkpoint
from flipbook.model.processing import make_processor
from flipbook.model.words import generation_config

RESEARCH_ONLY = """---
license: apple-amlr
pipeline_tag: image-text-to-text
---

Fine-tuned with flipbook from the weights of Apple's FastVLM. Their licence, and therefore that of
this folder, allows research only.
"""


def save_checkpoint(
    folder: str | Path, checkpoint: Checkpoint, *, state_dict: dict[str, Tensor] | None = None
) -> Path:
    """Folder with weights (safetensors), tokenizer, chat template, processor and clip settings.

    Args:
        folder: made where it does not exist.
        checkpoint: what to save; without `settings`, the defaults at its side and aspect.
        state_dict: the weights, where they were gathered from several processes.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    settings = checkpoint.clip_settings
    model = checkpoint.model
    model.config.image_seq_length = settings.tokens_per_frame
    model.generation_config = generation_config(checkpoint.tokenizer)
    model.save_pretrained(folder, state_dict=state_dict)
    save_side_files(folder, checkpoint)
    return folder


def save_side_files(folder: Path, checkpoint: Checkpoint) -> None:
    """Write all that goes with weights: tokenizer, processor, clip settings, origin, licence."""
    settings = checkpoint.clip_settings
    processor = make_processor(
        checkpoint.tokenizer,
        frame_size=settings.frame_size,
        aspect=settings.aspect,
        mean=checkpoint.image_mean,
        std=checkpoint.image_std,
    )
    processor.save_pretrained(folder)
    settings.save(folder)
    if checkpoint.provenance is not None:
        checkpoint.provenance.save(folder)
    if checkpoint.research_only:
        (folder / "README.md").write_text(RESEARCH_ONLY, encoding="utf-8")


def save_apple_checkpoint(folder: str | Path, checkpoint: Checkpoint) -> Path:
    """Folder in Apple's `llava_qwen2` layout with the same weights, words and clip settings.

    Raises:
        CheckpointError: a tensor has no name in Apple's layout, or its side or aspect no word.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    settings = checkpoint.clip_settings
    config, tensors = apple_layout(
        checkpoint.model.config,
        checkpoint.model.state_dict(),
        frame_size=settings.frame_size,
        aspect=settings.aspect,
    )
    _write_json(folder / "config.json", config)
    apart = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
    save_file(apart, folder / "model.safetensors", metadata={"format": "pt"})
    checkpoint.tokenizer.save_pretrained(folder)
    _save_vocabulary(folder)
    settings.save(folder)
    if checkpoint.provenance is not None:
        checkpoint.provenance.save(folder)
    return folder


def _save_vocabulary(folder: Path) -> None:
    """Write the three files of words that Apple's older transformers reads."""
    content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    merges = [
        pair if isinstance(pair, str) else " ".join(pair) for pair in content["model"]["merges"]
    ]
    _write_json(folder / "vocab.json", content["model"]["vocab"])
    _write_json(
        folder / "added_tokens.json",
        {token["content"]: token["id"] for token in content["added_tokens"]},
    )
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
