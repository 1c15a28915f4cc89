"""Does the disk hold the model that was in memory?

folder just written, tensors in memory  ->  nothing, or a StorageError that names a tensor
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from flipbook.errors import StorageError, TrainingError
from flipbook.train.sound.still import digest


def refuse_other_tensors(folder: Path, state: Mapping[str, Tensor]) -> None:
    """Refuse a folder whose files do not hold these tensors, bit for bit; they are read once.

    A tensor that is another one's equal, as a head tied to the embeddings, may be left out.

    Raises:
        StorageError: a tensor is missing, left over, or has other bytes; or no file can be read.
        TrainingError: a tensor is not finite.
    """
    for name, tensor in state.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise TrainingError(
                f"{name} is not finite (NaN or infinite), so no model is written to {folder}. "
                "Checkpoints are kept. Save with --save_dtype float32, or go on from a checkpoint "
                "with a lower --learning_rate."
            )
    wanted = {name: digest(tensor) for name, tensor in state.items()}
    found = _digests_of(folder)
    other = [name for name in found if found[name] != wanted.get(name)]
    values = set(found.values())
    other += [name for name in wanted if name not in found and wanted[name] not in values]
    if other:
        raise StorageError(
            f"{folder} does not hold what was written to it: {', '.join(sorted(other)[:5])} read "
            "back with other bytes than in memory. What was there before is kept. Look at the disk "
            "(`dmesg`, quotas, a network share), then go on with --resume_from_checkpoint latest."
        )


def _digests_of(folder: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, framework="pt") as file:
                found |= {name: digest(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise StorageError(
                f"{path} cannot be read back after it was written: {error}. What was there before "
                "is kept. Look at the disk, then go on with --resume_from_checkpoint latest."
            ) from error
    return found
