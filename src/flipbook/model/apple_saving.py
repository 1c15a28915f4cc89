"""How does a model become a folder that Apple's code can load?

Checkpoint  ->  config.json, weights, vocab.json and merges.txt of `llava_qwen2`
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from huggingface_hub import split_torch_state_dict_into_shards
from safetensors.torch import save_file
from torch import Tensor

from flipbook.data.placeholders import IMAGE_TOKEN
from flipbook.model.apple import apple_layout
from flipbook.model.checkpoint import Checkpoint


def save_apple_checkpoint(
    folder: str | Path,
    checkpoint: Checkpoint,
    *,
    max_shard_size: str = "5GB",
    for_swift: bool = False,
) -> Path:
    """Folder in Apple's layout with the same weights, words and clip settings.

    Args:
        folder: made where it does not exist; Apple's code wants `llava` in its name.
        checkpoint: what to save; without `settings`, the defaults at its side and aspect.
        max_shard_size: of a weight file, as "5GB"; what is larger becomes several with an index.
        for_swift: name the id of `<image>`, which Apple's app needs and Apple's Python must not
            find.

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
    if for_swift:
        config["image_token_index"] = checkpoint.tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
    _write_json(folder / "config.json", config)
    _write_tensors(folder, tensors, max_shard_size=max_shard_size)
    checkpoint.tokenizer.save_pretrained(folder)
    _save_vocabulary(folder)
    settings.save(folder)
    if checkpoint.provenance is not None:
        checkpoint.provenance.save(folder)
    return folder


def _write_tensors(folder: Path, tensors: dict[str, Tensor], *, max_shard_size: str) -> None:
    """Write one safetensors file, or several with an index; one shard is copied at a time."""
    plan = split_torch_state_dict_into_shards(
        tensors, filename_pattern="model{suffix}.safetensors", max_shard_size=max_shard_size
    )
    for file, names in plan.filename_to_tensors.items():
        apart = {name: tensors[name].detach().clone().contiguous() for name in names}
        save_file(apart, folder / file, metadata={"format": "pt"})
    if plan.is_sharded:
        index = {"metadata": plan.metadata, "weight_map": plan.tensor_to_filename}
        _write_json(folder / "model.safetensors.index.json", index)


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


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
