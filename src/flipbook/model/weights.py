"""What do the weight files of a checkpoint hold, and does all of it fit its configuration?

    folder with weight files             ->  dtype and shape by name, without reading a tensor
    folder with weight files             ->  tensors by name, on the CPU, as stored
    configuration, folder or tensors     ->  model whose every tensor came from there

A tensor that is missing, left over or of another shape is an error that names it. Pickled files
are read as plain tensors or not at all: what else they hold is never run.
"""

from __future__ import annotations

import functools
import pickle
import re
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor
from transformers import FastVlmForConditionalGeneration

from flipbook.errors import CheckpointError
from flipbook.model.folders import WEIGHT_FILES, find_weight_files, read_json

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U64": torch.uint64,
    "U32": torch.uint32,
    "U16": torch.uint16,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}
_FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
_READ_ERRORS = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    RuntimeError,
    SafetensorError,
    pickle.UnpicklingError,
)
_NOT_WEIGHTS = (  # how a file begins that a download left in place of the weights
    (b"", "the file is empty"),
    (b"version https://git-lfs", "it is a pointer of Git LFS and not the file itself"),
    (b"<", "it is a web page"),
)


@dataclass(frozen=True)
class StoredTensor:
    """What a weight file says about one of its tensors."""

    dtype: torch.dtype
    shape: tuple[int, ...]


def stored_tensors(folder: Path) -> dict[str, StoredTensor]:
    """Dtype and shape of every tensor of a folder, by name; nothing but headers is read.

    Raises:
        CheckpointError: there are no weights, a file is damaged or holds more than plain tensors,
            two files hold the same tensor, or an index names a tensor that its file lacks.
    """
    found: dict[str, StoredTensor] = {}
    files: dict[str, str] = {}
    for path in find_weight_files(folder):
        for name, tensor in header_of(path).items():
            if name in found:
                raise CheckpointError(
                    f"{path}: {name} is in {files[name]}, too. Copy or download the checkpoint "
                    "again, into an empty folder."
                )
            found[name], files[name] = tensor, path.name
    _check_index(folder, files)
    return found


def stored_dtype(folder: Path) -> torch.dtype:
    """Floating dtype that holds every weight of a folder without loss: the widest one stored.

        bfloat16 and float32 -> float32        bfloat16 and float16 -> float32

    Raises:
        CheckpointError: as `stored_tensors`, or no tensor is of a floating dtype.
    """
    dtypes = {tensor.dtype for tensor in stored_tensors(folder).values()} & set(_FLOATS)
    if not dtypes:
        raise CheckpointError(
            f"{folder}: no weight is stored in a floating dtype, so the checkpoint is quantised or "
            "damaged. Give the original."
        )
    return functools.reduce(torch.promote_types, dtypes)


def header_of(path: Path) -> dict[str, StoredTensor]:
    """Dtype and shape of every tensor of one weight file, by name.

    Raises:
        CheckpointError: the file is damaged, or holds more than plain tensors.
    """
    try:
        if path.suffix == ".safetensors":
            return _read_header(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd pickles: what is wrong is in the error
            content = torch.load(path, map_location="meta", weights_only=True)
        tensors = _only_tensors(path, content)
    except _READ_ERRORS as error:
        raise _cannot_be_loaded(path, error) from error
    return {n: StoredTensor(tensor.dtype, tuple(tensor.shape)) for n, tensor in tensors.items()}


def _read_header(path: Path) -> dict[str, StoredTensor]:
    with safe_open(path, framework="np") as file:  # torch would map it as memory to write to
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  (no dict)
        return {
            name: StoredTensor(DTYPES[view.get_dtype()], tuple(view.get_shape()))
            for name, view in slices.items()
        }


def _only_tensors(path: Path, content: object) -> dict[str, Tensor]:
    """The content of a pickled file, refused where it is anything but named tensors."""
    if isinstance(content, dict) and all(isinstance(t, Tensor) for t in content.values()):
        return content
    raise CheckpointError(
        f"{path}: the weights cannot be loaded: it holds other things than named tensors, such as "
        "a training state. Give the folder that was saved for inference."
    )


def _cannot_be_loaded(path: Path, error: Exception) -> CheckpointError:
    """What is wrong with a weight file, in one line."""
    reason = " ".join((str(error).strip() or type(error).__name__).splitlines()[:1])
    if isinstance(error, PermissionError) or "allocate memory" in reason:
        return CheckpointError(
            f"{path}: the weights cannot be loaded, though the file may be sound ({reason}). Give "
            "this program the right to read it, or more memory."
        )
    with path.open("rb") as file:
        start = file.read(64)
    for sign, meaning in _NOT_WEIGHTS:
        if start == sign or (sign and start.lstrip().startswith(sign)):
            return CheckpointError(
                f"{path}: the weights cannot be loaded: {meaning}. Download the file again."
            )
    foreign = re.search(r"GLOBAL ([\w.]+)", str(error))
    if foreign:
        return CheckpointError(
            f"{path}: the weights cannot be loaded: the file wants to run {foreign[1]}, and plain "
            "weights run nothing. Nothing was run; do not trust this file, get safetensors."
        )
    if isinstance(error, pickle.UnpicklingError):
        reason = "it is no file of tensors"  # torch's own words advise to run what it holds
    return CheckpointError(
        f"{path}: the weights cannot be loaded, for the file is cut off or damaged ({reason}). "
        "Copy or download it again."
    )


def _check_index(folder: Path, files: dict[str, str]) -> None:
    """Refuse an index that does not name every tensor of the files, each in its file."""
    used = next((name for name in WEIGHT_FILES if (folder / name).is_file()), "")
    if not used.endswith(".index.json"):
        return
    promised = read_json(folder / used)["weight_map"]
    absent = sorted(name for name, file in promised.items() if files.get(name) != file)
    if absent:
        raise CheckpointError(
            f"{folder / used}: says that {promised[absent[0]]} holds {absent[0]}, and it does not "
            f"({len(absent)} such tensors). Copy or download the checkpoint again."
        )
    forgotten = sorted(files.keys() - promised.keys())
    if forgotten:
        raise CheckpointError(
            f"{folder / used}: does not name {forgotten[0]}, which {files[forgotten[0]]} holds "
            f"({len(forgotten)} such tensors). Copy or download the checkpoint again."
        )


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """All tensors of a folder, on the CPU, as stored.

    Raises:
        CheckpointError: as `stored_tensors`.
    """
    stored_tensors(folder)  # all headers before the first gigabyte
    state: dict[str, Tensor] = {}
    for path in find_weight_files(folder):
        try:
            state |= load_file(path) if path.suffix == ".safetensors" else _load_pickled(path)
        except _READ_ERRORS as error:
            raise _cannot_be_loaded(path, error) from error
    return state


def _load_pickled(path: Path) -> dict[str, Tensor]:
    mapped = zipfile.is_zipfile(path)  # files older than torch 1.6 cannot be mapped into memory
    tensors: dict[str, Tensor] = torch.load(
        path, map_location="cpu", weights_only=True, mmap=mapped
    )
    return tensors


def build_model(folder: Path, source: Path | None, model_kwargs: dict[str, Any]) -> Any:
    """Model whose every tensor came from `source` or from the given `state_dict`.

    Raises:
        CheckpointError: a file of `source` is damaged, or the weights do not fit the configuration.
    """
    if source is not None:
        stored_tensors(source)  # its errors say more than those of a half-built model
    model: Any
    report: dict[str, Any]
    try:
        model, report = FastVlmForConditionalGeneration.from_pretrained(
            source,
            **model_kwargs,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # so that all of them can be named at once
            local_files_only=True,
            weights_only=True,
        )  # type: ignore[misc]
    except torch.OutOfMemoryError:
        raise  # the file is not to blame
    except _READ_ERRORS as error:
        raise CheckpointError(
            f"{folder}: the weights cannot be loaded ({error}). Copy or download them again."
        ) from error
    except (ArithmeticError, AttributeError, ImportError, TypeError) as error:
        raise CheckpointError(
            f"{folder}: no model can be built from config.json ({error}). Copy it again."
        ) from error
    mismatched = [
        f"{name} {list(got)} for {list(want)}" for name, got, want in report["mismatched_keys"]
    ]
    refuse_differences(
        folder,
        missing=sorted(report["missing_keys"]),
        unexpected=sorted(report["unexpected_keys"]),
        **{"of another shape": sorted(mismatched)},
    )
    if model.config.tie_word_embeddings and (
        model.lm_head.weight is not model.get_input_embeddings().weight
    ):
        raise CheckpointError(
            f'{folder}: config.json says "tie_word_embeddings": true, and the stored lm_head '
            "differs from the embeddings. Set it to false if the two were trained apart."
        )
    return model


def refuse_overflow(folder: Path, model: Any) -> None:
    """Refuse a float16 model with a weight that was too large for it and became infinite.

    Raises:
        CheckpointError: there is such a weight; float16 ends at 65,504.
    """
    names = [
        name
        for name, tensor in model.state_dict().items()
        if tensor.dtype == torch.float16 and not tensor.isfinite().all()
    ]
    if names:
        raise CheckpointError(
            f"{folder}: float16 ends at 65504, and {len(names)} weights are larger or no numbers: "
            f"{', '.join(names[:3])}{', ...' if len(names) > 3 else ''}. Use bfloat16 or float32."
        )


def refuse_differences(folder: Path, **names_by_kind: list[str]) -> None:
    """Refuse a model with weights that the file did not give, or a file with weights to spare."""
    parts = []
    for kind, names in names_by_kind.items():
        if names:
            shown = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
            parts.append(f"{len(names)} {kind}: {shown}")
    if parts:
        raise CheckpointError(
            f"{folder}: the weights do not fit config.json ({'; '.join(parts)}). Copy weights and "
            "config.json from the same checkpoint."
        )
