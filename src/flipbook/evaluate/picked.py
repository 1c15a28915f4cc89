"""How does a tuned model come to be read with other frames than it was trained with?

    folder of a model, ClipSettings  ->  flipbook.json, and what other programs read, in step

What stood there before is kept under "before_sweep" in flipbook.json, the first of it where this is
done several times: that is what the model was trained with.
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from flipbook.data.written import write_json_whole
from flipbook.errors import ArgumentError, CheckpointError
from flipbook.model.checkpoint import Checkpoint
from flipbook.model.families import FAMILIES
from flipbook.model.folders import (
    ADAPTER_IN_RUN,
    CONFIG_FILE,
    MODEL_IN_RUN,
    TINY,
    find_folder,
    is_adapter,
    read_json,
)
from flipbook.model.processing import save_processor
from flipbook.video.settings import FORMAT_VERSION, SETTINGS_FILE, ClipSettings

BEFORE = "before_sweep"
PROCESSOR_FILE = "processor_config.json"  # where transformers keeps the side of a picture


def folders_to_set(model: str) -> list[Path]:
    """Return the folders that hold a model, or adapter and model of one run.

    Raises:
        ArgumentError: the model is not the user's own, or in a layout of another program.
        CheckpointError: there is no such model.
    """
    if model == TINY or not Path(model).expanduser().is_dir():
        raise ArgumentError(
            f"--model {model} is no folder of yours to write the pick into: give --pick none."
        )
    folder = find_folder(model)
    names = (MODEL_IN_RUN, ADAPTER_IN_RUN)
    kin = [folder.parent / name for name in names] if folder.name in names else []
    folders = [folder, *(k for k in kin if k != folder and (k / SETTINGS_FILE).is_file())]
    for each in folders:
        kind = "" if is_adapter(each) else str(read_json(each / CONFIG_FILE).get("model_type"))
        if kind in FAMILIES:
            raise ArgumentError(
                f"{each}: is in the layout of Apple's code ({kind}), which reads the side of a "
                "picture elsewhere. Give the run it was exported from, and export it again, or "
                "give --pick none."
            )
    return folders


def trained_with(model: str, checkpoint: Checkpoint) -> ClipSettings:
    """Return how clips were read before any sweep picked something else.

    Raises:
        CheckpointError: there is no such model, or flipbook.json cannot be read.
    """
    settings = checkpoint.clip_settings
    path = find_folder(model) / SETTINGS_FILE
    if ClipSettings.load(path.parent) is None:
        return settings
    before = read_json(path).get(BEFORE, {})
    try:
        return replace(settings, **before)
    except (ArgumentError, TypeError) as error:
        raise CheckpointError(
            f'{path}: what stands under "{BEFORE}" is no number of frames and their side '
            f"({error}). Correct it, or take it out."
        ) from error


def write_pick(folder: Path, checkpoint: Checkpoint, picked: ClipSettings) -> dict[str, int]:
    """Return what stood in a folder, after letting it read clips as `picked` says.

    Of `picked`, the number of frames and their side are taken. In the folder of a whole model that
    flipbook has saved, the side is also set where plain `transformers` reads it.

    Args:
        checkpoint: of that folder: its words, and how its pictures are normalised.

    Raises:
        CheckpointError: a file in the folder cannot be read.
        OSError: it cannot be written.
    """
    saved = ClipSettings.load(folder)
    settings = saved or checkpoint.clip_settings
    now = replace(settings, num_frames=picked.num_frames, frame_size=picked.frame_size)
    before = {"num_frames": settings.num_frames, "frame_size": settings.frame_size}
    content: dict[str, Any] = {"format": FORMAT_VERSION}
    if saved is not None:
        content = read_json(folder / SETTINGS_FILE)
    content["clip_settings"] = asdict(now)
    if now != settings:
        content.setdefault(BEFORE, before)
    if saved is not None:
        _set_side(folder, checkpoint, now)
    write_json_whole(folder / SETTINGS_FILE, content)  # last: it is the one that flipbook follows
    return before


def _set_side(folder: Path, checkpoint: Checkpoint, settings: ClipSettings) -> None:
    """Write a side where plain `transformers` reads it."""
    with tempfile.TemporaryDirectory() as staged:
        save_processor(
            Path(staged),
            checkpoint.tokenizer,
            settings=settings,
            mean=checkpoint.image_mean,
            std=checkpoint.image_std,
        )
        content = read_json(Path(staged) / PROCESSOR_FILE)
    write_json_whole(folder / PROCESSOR_FILE, content)
    if (folder / CONFIG_FILE).is_file():
        config = read_json(folder / CONFIG_FILE)
        config["image_seq_length"] = settings.tokens_per_frame
        write_json_whole(folder / CONFIG_FILE, config)
