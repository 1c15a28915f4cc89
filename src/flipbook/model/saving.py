"""How does a model become a folder that others can load?

    Checkpoint  ->  folder in the `fast_vlm` layout, or in Apple's

Plain `AutoModelForImageTextToText` and `AutoProcessor` load the folder; flipbook finds in it, too,
how clips were read. The folder is written file by file: whoever needs it whole or not at all gives
a fresh folder and renames it afterwards.
"""

from __future__ import annotations

import stat
from pathlib import Path

from torch import Tensor

from flipbook.model.apple.saving import save_apple_checkpoint
from flipbook.model.checkpoint import Checkpoint
from flipbook.model.licence import CARD_FILE, RESEARCH_ONLY_CARD
from flipbook.model.processing import save_processor
from flipbook.model.words import generation_config

__all__ = ["open_to_readers", "save_apple_checkpoint", "save_checkpoint", "save_side_files"]


def save_checkpoint(
    folder: str | Path,
    checkpoint: Checkpoint,
    *,
    state_dict: dict[str, Tensor] | None = None,
    max_shard_size: str = "50GB",
) -> Path:
    """Folder with weights (safetensors), tokenizer, chat template, processor and clip settings.

    Args:
        folder: made where it does not exist.
        checkpoint: what to save; without `settings`, the defaults at its side and aspect.
        state_dict: the weights, where they were gathered from several processes.
        max_shard_size: of a weight file, as "5GB"; what is larger becomes several with an index.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    settings = checkpoint.clip_settings
    model = checkpoint.model
    model.config.image_seq_length = settings.tokens_per_frame
    model.generation_config = generation_config(checkpoint.tokenizer)
    model.save_pretrained(folder, state_dict=state_dict, max_shard_size=max_shard_size)
    save_side_files(folder, checkpoint)
    return folder


def save_side_files(folder: Path, checkpoint: Checkpoint) -> None:
    """Write all that goes with weights: tokenizer, processor, clip settings, origin, licence."""
    save_processor(
        folder,
        checkpoint.tokenizer,
        settings=checkpoint.clip_settings,
        mean=checkpoint.image_mean,
        std=checkpoint.image_std,
    )
    if checkpoint.provenance is not None:
        checkpoint.provenance.save(folder)
    if checkpoint.research_only:
        (folder / CARD_FILE).write_text(RESEARCH_ONLY_CARD, encoding="utf-8")


def open_to_readers(folder: Path) -> None:
    """Give every file the mode of a new one; safetensors lets only their owner read its files."""
    probe = folder / ".mode"
    probe.touch()
    mode = stat.S_IMODE(probe.stat().st_mode)
    probe.unlink()
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(mode)
