"""Which folder does this name mean?

    "tiny" | folder | run folder | hub id  ->  folder that holds config.json, or an adapter
    what was given  ->  where it is found again, and what it is called in front of others

A folder on this machine wins over the hub. The hub is asked only for a name of the form
"owner/model", and only for configuration, tokenizer and weight files: never for code.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from flipbook.errors import CheckpointError, NoModelError, did_you_mean

CONFIG_FILE = "config.json"
ADAPTER_FILE = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
MODEL_IN_RUN = "model"  # where a run folder keeps its final model
ADAPTER_IN_RUN = "adapter"  # and, with LoRA, its adapter
TINY = "tiny"
WEIGHT_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
# Sizes in a configuration, and far more than any model that FastVLM can be has.
_MOST = {
    "num_hidden_layers": 1000,
    "layers": 1000,
    "hidden_size": 1 << 17,
    "mm_hidden_size": 1 << 17,
    "embed_dims": 1 << 17,
    "intermediate_size": 1 << 20,
    "vocab_size": 1 << 24,
    "num_attention_heads": 1 << 12,
    "num_key_value_heads": 1 << 12,
    "head_dim": 1 << 14,
    "image_seq_length": 1 << 20,
    "max_position_embeddings": 1 << 28,
}
# All that a model folder holds beside its weights.
SMALL_FILES = ["*.json", "*.jinja", "merges.txt", "tokenizer.model", "README.md"]
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def find_folder(name_or_path: str | Path) -> Path:
    """Folder of the checkpoint that `name_or_path` means, downloaded first where it is a hub id.

    It is that of a whole model, or of an adapter: see `is_adapter`.

    Raises:
        NoModelError: there is no such folder, and the hub cannot give it.
        CheckpointError: it holds neither config.json nor a whole adapter.
    """
    name = str(name_or_path)
    if name == TINY:
        return _tiny_folder()
    path = Path(name).expanduser()
    if path.is_dir():
        return _model_folder(path)
    if path.exists():
        raise NoModelError(f"{path}: this is a file; give the folder that holds it.")
    if is_hub_id(name):
        return _download(name)
    near = [child.name for child in path.parent.iterdir()] if path.parent.is_dir() else []
    raise NoModelError(
        f"there is no model folder {name!r}.{did_you_mean(path.name, [*near, 'tiny'])} Give a "
        'folder, a hub id of the form "owner/model", or "tiny".'
    )


def is_hub_id(name_or_path: str | Path) -> bool:
    """Whether a name means a model of the hub: "owner/model", and nothing of the kind is here."""
    path = Path(name_or_path).expanduser()
    is_here = path.exists() or path.parent.is_dir()
    return not is_here and bool(_HUB_ID.fullmatch(str(name_or_path)))


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter and no whole model."""
    return (folder / ADAPTER_FILE).is_file()


def source_of(name_or_path: str | Path, folder: Path) -> str:
    """Words by which a model is found again from anywhere: hub id, or absolute folder.

    Args:
        name_or_path: what was given.
        folder: what `find_folder` found behind it.
    """
    name = str(name_or_path)
    from_hub = name != TINY and not Path(name).expanduser().is_dir()
    return name if from_hub else str(folder.absolute())


def plain_name(source: str) -> str:
    """Name that shows no folder of this machine: hub id, "tiny", or the name of run or folder."""
    path = Path(source)
    if not path.is_absolute():
        return source
    if path == _tiny_folder():
        return TINY
    return path.parent.name if path.name in (MODEL_IN_RUN, ADAPTER_IN_RUN) else path.name


def _tiny_folder() -> Path:
    from flipbook.model.tiny import TINY_FOLDER

    return TINY_FOLDER


def _model_folder(folder: Path) -> Path:
    """The folder itself, or `model/`, or else `adapter/` in it where it is a run folder."""
    for candidate in (folder, folder / MODEL_IN_RUN, folder / ADAPTER_IN_RUN):
        if is_adapter(candidate) or (candidate / CONFIG_FILE).is_file():
            return candidate
        if (candidate / ADAPTER_WEIGHTS).is_file():
            raise CheckpointError(
                f"{candidate}: holds {ADAPTER_WEIGHTS} and no {ADAPTER_FILE}, which tells where "
                "the adapter goes. Copy the adapter again, with all of its files."
            )
    raise CheckpointError(
        f"{folder}: holds no {CONFIG_FILE}, neither itself nor in {MODEL_IN_RUN}/. Give the folder "
        "of a FastVLM checkpoint, or a run folder whose training has ended."
    )


def _download(hub_id: str) -> Path:
    """Folder in the hub's cache; `.bin` weights are fetched only where no safetensors exist."""
    from huggingface_hub import snapshot_download  # noqa: PLC0415  (slow, and rarely needed)
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError  # noqa: PLC0415

    try:
        folder = Path(snapshot_download(hub_id, allow_patterns=[*SMALL_FILES, "*.safetensors"]))
        if not any((folder / name).is_file() for name in (*WEIGHT_FILES, ADAPTER_WEIGHTS)):
            folder = Path(snapshot_download(hub_id, allow_patterns=[*SMALL_FILES, "*.bin"]))
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise NoModelError(
            f"{hub_id!r} is no folder here, and the hub did not give it: {reason} Check the "
            "spelling and the network, or download the model and give its folder."
        ) from error
    return _model_folder(folder)


def read_json(path: Path) -> dict[str, Any]:
    """Object in a JSON file of a checkpoint.

    Raises:
        CheckpointError: the file is missing, is no JSON, or holds no object; or it is a
            configuration with a size that no model has.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if path.name == CONFIG_FILE:  # the words of a tokenizer are names with numbers, too
            _check_sizes(path, content)
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: cannot be read as JSON ({error}). Copy or download the checkpoint again."
        ) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: holds no JSON object. Copy the checkpoint again.")
    return content


def _check_sizes(path: Path, content: object) -> None:
    """Refuse sizes that no model has, before anybody makes room for them."""
    if isinstance(content, list):
        for item in content:
            _check_sizes(path, item)
    if not isinstance(content, dict):
        return
    for key, value in content.items():
        most = _MOST.get(key)
        numbers = value if isinstance(value, list) else [value]
        if most is not None and any(
            isinstance(item, (int, float)) and item > most for item in numbers
        ):
            raise CheckpointError(
                f"{path}: {key} is {str(value)[:40]}, and no model has more than {most:,}. Copy or "
                "download the checkpoint again."
            )
        _check_sizes(path, value)


def write_json(path: Path, content: Any) -> None:
    """Write content as JSON that a person can read, in UTF-8."""
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def find_weight_files(folder: Path) -> list[Path]:
    """Weight files of a checkpoint, safetensors before `.bin`, all shards of an index.

    Raises:
        CheckpointError: there are none, or a shard that the index names is missing.
    """
    for name in WEIGHT_FILES:
        path = folder / name
        if not path.is_file():
            continue
        if not name.endswith(".index.json"):
            return [path]
        shards = [folder / shard for shard in sorted(set(_shard_names(path)))]
        missing = [shard.name for shard in shards if not shard.is_file()]
        if missing:
            raise CheckpointError(
                f"{folder}: {name} names weight files that are missing: {', '.join(missing)}. "
                "Copy or download the checkpoint again."
            )
        return shards
    raise CheckpointError(
        f"{folder}: holds no weights; expected {WEIGHT_FILES[0]} or one of "
        f"{', '.join(WEIGHT_FILES[1:])}. Copy or download the checkpoint again."
    )


def _shard_names(index: Path) -> list[str]:
    weight_map = read_json(index).get("weight_map")
    names = list(weight_map.values()) if isinstance(weight_map, dict) else []
    if not names or any(not isinstance(name, str) or Path(name).name != name for name in names):
        raise CheckpointError(
            f'{index}: "weight_map" must name files of this folder. Copy the checkpoint again.'
        )
    return names
