"""Which program is to run the model, what writes its form, and what can be asked of that?

    layout, ExportOptions  ->  Home: writer of an empty folder, with the options proven to apply

To add a home: a function (folder, checkpoint, options) that writes into an empty folder, its line
in `HOMES`, and its words in `usage.py` and `card.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from flipbook.errors import ArgumentError, did_you_mean
from flipbook.model.checkpoint import Checkpoint
from flipbook.model.saving import save_apple_checkpoint, save_checkpoint

STORED = "stored"
DTYPES = {
    STORED: None,
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
DEFAULT_SHARD_SIZE = "5GB"
_SIZE = re.compile(r"0*[1-9]\d*[KMGT]B")


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """How weights are written. None is what holds where nothing is said.

    Attributes:
        dtype: a key of `DTYPES`; as they are stored if None.
        max_shard_size: of a weight file, such as "5GB"; 5GB if None.
        for_swift: name the id of `<image>` for Apple's app; not if None.
    """

    dtype: str | None = None
    max_shard_size: str | None = None
    for_swift: bool | None = None

    @property
    def shard_size(self) -> str:
        """Largest weight file."""
        return self.max_shard_size or DEFAULT_SHARD_SIZE


@dataclass(frozen=True)
class Home:
    """A layout: what writes it, what it is, and which options it takes."""

    write: Callable[[Path, Checkpoint, ExportOptions], object]
    about: str
    takes: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = tuple(DTYPES)


def _write_hf(folder: Path, checkpoint: Checkpoint, options: ExportOptions) -> None:
    save_checkpoint(folder, checkpoint, max_shard_size=options.shard_size)


def _write_apple(folder: Path, checkpoint: Checkpoint, options: ExportOptions) -> None:
    save_apple_checkpoint(
        folder,
        checkpoint,
        max_shard_size=options.shard_size,
        for_swift=bool(options.for_swift),
    )


def _write_mlx(folder: Path, checkpoint: Checkpoint, _options: ExportOptions) -> None:
    from flipbook.export.mlx import write_mlx

    write_mlx(folder, checkpoint)


def _write_onnx(folder: Path, checkpoint: Checkpoint, _options: ExportOptions) -> None:
    from flipbook.export.onnx import write_onnx

    write_onnx(folder, checkpoint)


def _write_coreml(folder: Path, checkpoint: Checkpoint, _options: ExportOptions) -> None:
    from flipbook.export.coreml import write_coreml

    write_coreml(folder, checkpoint)


_NO_BFLOAT16 = (STORED, "float32", "float16")  # the programs compute in one of these
HOMES = {
    "hf": Home(_write_hf, "transformers, PEFT, flipbook", takes=("dtype", "max_shard_size")),
    "apple": Home(
        _write_apple, "Apple's own code and app", takes=("dtype", "max_shard_size", "for_swift")
    ),
    "mlx": Home(_write_mlx, "mlx-vlm, on Macs", takes=("dtype",)),
    "onnx": Home(_write_onnx, "tower and projector", takes=("dtype",), dtypes=_NO_BFLOAT16),
    "coreml": Home(_write_coreml, "tower and projector", takes=("dtype",), dtypes=_NO_BFLOAT16),
}


def find_home(layout: str, options: ExportOptions) -> Home:
    """Return the home of a name.

    Raises:
        ArgumentError: there is no such home, or it does not take an option that is given.
    """
    if layout not in HOMES:
        raise ArgumentError(
            f"--layout {layout!r} is unknown; known are {', '.join(HOMES)}."
            f"{did_you_mean(layout, HOMES)}"
        )
    home = HOMES[layout]
    for name, value in vars(options).items():
        if value is not None and name not in home.takes:
            takers = ", ".join(known for known, other in HOMES.items() if name in other.takes)
            raise ArgumentError(
                f"--{name} does nothing for --layout {layout}: leave it out. It is read for "
                f"{takers}."
            )
    if options.max_shard_size is not None and not _SIZE.fullmatch(options.max_shard_size):
        raise ArgumentError(
            f"--max_shard_size {options.max_shard_size!r} is no size: give a whole number above 0 "
            "with KB, MB, GB or TB, such as 5GB."
        )
    if options.dtype is not None and options.dtype not in home.dtypes:
        raise ArgumentError(
            f"--dtype {options.dtype!r} is not possible with --layout {layout}; possible are "
            f"{', '.join(home.dtypes)}."
        )
    return home
