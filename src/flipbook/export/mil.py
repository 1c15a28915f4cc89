"""What does a saved Core ML program compute, where there is no Core ML to run it?

    .mlpackage, images (1, 3, S, S)  ->  its outputs by name, computed with torch in float32

The program and its weights are read back from the files by coremltools; each of its operations is
then done by torch as the MIL specification describes it. A program with an operation that is not
in the table is refused. To add one: a line in `OPERATIONS`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from flipbook.errors import CheckpointError
from flipbook.export.vision import need_package

Values = dict[str, Any]
F = nn.functional


def _conv(v: Values) -> Tensor:
    if v["pad_type"] == "valid":
        pads = (0, 0, 0, 0)
    elif v["pad_type"] == "custom":
        top, bottom, left, right = (int(pad) for pad in v["pad"])
        pads = (left, right, top, bottom)
    else:
        raise CheckpointError(f"a convolution pads by the rule {v['pad_type']!r}, not by numbers.")
    return F.conv2d(
        F.pad(v["x"], pads),
        v["weight"],
        v.get("bias"),
        stride=_whole(v["strides"]),
        dilation=_whole(v["dilations"]),
        groups=int(v["groups"]),
    )


def _layer_norm(v: Values) -> Tensor:
    x, axes = v["x"], _whole(v["axes"])
    mean = x.mean(axes, keepdim=True)
    variance = x.var(axes, correction=0, keepdim=True)
    normed = (x - mean) / torch.sqrt(variance + float(v["epsilon"]))
    scaled: Tensor = normed * v["gamma"] + v["beta"]
    return scaled


def _matmul(v: Values) -> Tensor:
    x = v["x"].mT if v["transpose_x"] else v["x"]
    return torch.matmul(x, v["y"].mT if v["transpose_y"] else v["y"])


def _gelu(v: Values) -> Tensor:
    if v["mode"] != "EXACT":
        raise CheckpointError(f"a GELU is computed by the rule {v['mode']!r}, not exactly.")
    return F.gelu(v["x"])


OPERATIONS: dict[str, Callable[[Values], Any]] = {
    "add": lambda v: v["x"] + v["y"],
    "cast": lambda v: v["x"],  # between float16 and float32: all is computed in float32
    "conv": _conv,
    "gelu": _gelu,
    "layer_norm": _layer_norm,
    "linear": lambda v: F.linear(v["x"], v["weight"], v["bias"]),
    "matmul": _matmul,
    "mul": lambda v: v["x"] * v["y"],
    "reduce_mean": lambda v: v["x"].mean(_whole(v["axes"]), keepdim=bool(v["keep_dims"])),
    "relu": lambda v: v["x"].relu(),
    "reshape": lambda v: v["x"].reshape(_whole(v["shape"])),
    "sigmoid": lambda v: v["x"].sigmoid(),
    "softmax": lambda v: v["x"].softmax(int(v["axis"])),
    "split": lambda v: v["x"].split(_whole(v["split_sizes"]), int(v["axis"])),
    "squeeze": lambda v: v["x"].squeeze(_whole(v["axes"])),
    "transpose": lambda v: v["x"].permute(_whole(v["perm"])),
}


def run_program(path: str | Path, *, images: Tensor) -> dict[str, Tensor]:
    """Return the outputs of a saved program by name, float32.

    Args:
        path: of an `.mlpackage`.
        images: float32 (1, 3, S, S), the program's only input.

    Raises:
        ArgumentError: coremltools is not installed.
        CheckpointError: the program has an operation that is not known here.
    """
    function = _read_main(path)
    (name,) = function.inputs
    known: Values = {name: images}
    with torch.no_grad():
        for operation in function.operations:
            if operation.op_type == "const":
                continue
            if operation.op_type not in OPERATIONS:
                raise CheckpointError(
                    f"{path}: flipbook cannot compute the operation {operation.op_type!r}, so the "
                    "program cannot be checked. Install coremltools 9.0."
                )
            values = {key: _value(var, known) for key, var in operation.inputs.items()}
            results = OPERATIONS[operation.op_type](values)
            results = results if isinstance(results, tuple) else (results,)
            known |= {
                var.name: result for var, result in zip(operation.outputs, results, strict=True)
            }
    return {var.name: known[var.name] for var in function.outputs}


def _read_main(path: str | Path) -> Any:
    """Return the function `main` of a saved program, with its weights."""
    tools = need_package("coremltools", extra="coreml")
    milproto = need_package("coremltools.converters.mil.frontend.milproto.load", extra="coreml")
    package = tools.models.MLModel(str(path), skip_model_load=True)
    spec = package.get_spec()
    return milproto.load(spec, spec.specificationVersion, package.weights_dir).functions["main"]


def _value(var: Any, known: Values) -> Any:
    """Return what an operation reads: a computed tensor, a weight as float32, or a setting."""
    if var is None:
        return None
    if var.name in known:
        return known[var.name]
    value = var.val
    if getattr(value, "dtype", None) is not None and value.dtype.kind == "f":
        return torch.from_numpy(value).float() if value.ndim else float(value)
    return value


def _whole(numbers: Any) -> tuple[int, ...]:
    return tuple(int(number) for number in numbers)
