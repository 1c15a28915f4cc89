"""How do other programs see as this model does, without Python?

    Checkpoint  ->  folder with vision.onnx: images (F, 3, S, S) in [0, 1]  ->  features (F, P, D)

Vision tower and projector make one ONNX program, for any number F of frames of the checkpoint's
side. It is run once by onnxruntime before it counts as written, beside the model that it came
from; how far the two were apart is written into it.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from flipbook.export.vision import (
    Eyes,
    describe_input,
    example_images,
    export_dtype,
    need_package,
    refuse_difference,
)
from flipbook.model.checkpoint import Checkpoint

ONNX_FILE = "vision.onnx"
NUM_EXAMPLES, NUM_COMPARED = 2, 3  # another number of frames than it was traced with


class Features(nn.Module):
    """The features alone, for a program with one output."""

    def __init__(self, eyes: Eyes) -> None:
        super().__init__()
        self.eyes = eyes

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.eyes(images)[1]
        return features  # (F, P, D)


def write_onnx(folder: str | Path, checkpoint: Checkpoint) -> Path:
    """Return the path of `vision.onnx`, written into `folder` beside the clip settings.

    The weights are float16 where the tower's are, else float32; input and output are float32.
    Side, aspect, sampler, mean, std and tokens of a frame are in the file's metadata.

    Raises:
        ArgumentError: onnx, onnxscript or onnxruntime is not installed.
        CheckpointError: onnxruntime computes something else than torch.
    """
    for name in ("onnx", "onnxscript", "onnxruntime"):
        need_package(name, extra="onnx")
    folder = Path(folder)
    path = folder / ONNX_FILE
    dtype = export_dtype(checkpoint)
    module = Features(Eyes(checkpoint, dtype=dtype))
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            module,
            (example_images(checkpoint, NUM_EXAMPLES),),
            dynamo=True,
            dynamic_shapes={"images": {0: torch.export.Dim("F", min=1)}},
            input_names=["images"],
            output_names=["features"],
            verbose=False,
        )
    assert program is not None
    _forget_origins(program.model)
    program.model.metadata_props.update(describe_input(checkpoint))
    program.save(str(path), external_data=False)
    difference = compare_onnx(path, module, example_images(checkpoint, NUM_COMPARED))
    refuse_difference(path, difference, dtype=dtype)
    program.model.metadata_props["largest_difference"] = f"{difference:.1e}"
    program.save(str(path), external_data=False)
    checkpoint.clip_settings.save(folder)
    return path


def compare_onnx(path: str | Path, module: nn.Module, images: Tensor) -> float:
    """Return the largest difference between the program and the module, over the largest feature.

    Args:
        path: of an ONNX program with input `images` and output `features`.
        module: what it should compute.
        images: float32 (F, 3, S, S).
    """
    runtime = need_package("onnxruntime", extra="onnx")
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # errors: the CPU says at length that it lacks float16 kernels
    session: Any = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    theirs = torch.from_numpy(session.run(["features"], {"images": images.numpy()})[0])
    with torch.no_grad():
        ours = module(images)
    return float((theirs - ours).abs().max() / ours.abs().max())


def _forget_origins(model: Any) -> None:
    """Drop what the exporter notes of each node: among it, where the code lies on this machine."""
    for graph in (model.graph, *model.functions.values()):
        graph.metadata_props.clear()
        for node in graph.all_nodes():
            node.metadata_props.clear()
            for value in node.outputs:
                value.metadata_props.clear()
        for value in (*graph.inputs, *getattr(graph, "initializers", {}).values()):
            value.metadata_props.clear()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's advice to its own developers off the screen."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
