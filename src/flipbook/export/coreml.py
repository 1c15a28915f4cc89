"""How does an app on an Apple device see as this model does?

    Checkpoint  ->  folder with fastvithd.mlpackage
    images (1, 3, S, S) in [0, 1]  ->  image_features (1, P, C), features (1, P, D)

The name of the package, its input and its first output are those that Apple's FastVLM app asks
for; the second output is what the language model reads, after the projector. An app gives one
frame at a time. Writing works on Linux and macOS; running the program needs macOS or iOS.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

import numpy as np
import torch

from flipbook.export.mil import run_program
from flipbook.export.vision import (
    Eyes,
    describe_input,
    example_images,
    export_dtype,
    need_package,
    refuse_difference,
)
from flipbook.model.checkpoint import Checkpoint

PACKAGE = "fastvithd.mlpackage"
OUTPUTS = ("image_features", "features")


def write_coreml(folder: str | Path, checkpoint: Checkpoint) -> Path:
    """Return the path of `fastvithd.mlpackage`, written into `folder` beside the clip settings.

    It computes in float16 where the tower's weights are float16, else in float32. Side, aspect,
    sampler, mean, std and tokens of a frame are in its user-defined metadata.

    Raises:
        ArgumentError: coremltools is not installed.
        CheckpointError: the program computes something else than torch.
    """
    folder = Path(folder)
    path = folder / PACKAGE
    eyes = Eyes(checkpoint)
    dtype = export_dtype(checkpoint)
    with _quiet():
        package = _convert(eyes, example_images(checkpoint, 1), half=dtype == torch.float16)
        package.user_defined_metadata.update(describe_input(checkpoint))
        package.short_description = "Vision tower and projector of a FastVLM, one frame at a time."
        package.save(str(path))
        difference = compare_coreml(path, eyes, example_images(checkpoint, 2)[1:])
    refuse_difference(path, difference, dtype=dtype)
    checkpoint.clip_settings.save(folder)
    return path


def compare_coreml(path: str | Path, eyes: Eyes, images: torch.Tensor) -> float:
    """Return the largest difference between a saved program and the module it came from.

    It is given in units of the largest feature, over both outputs. The program is computed by
    `run_program`, in float32: Core ML itself runs on Apple's systems only.

    Args:
        images: float32 (1, 3, S, S).
    """
    theirs = run_program(path, images=images)
    with torch.no_grad():
        ours = dict(zip(OUTPUTS, eyes(images), strict=True))
    return max(
        float((theirs[name] - ours[name]).abs().max() / ours[name].abs().max()) for name in OUTPUTS
    )


def _convert(eyes: Eyes, images: torch.Tensor, *, half: bool) -> Any:
    """Return the `coremltools` model of the tower and the projector, not yet saved."""
    tools = need_package("coremltools", extra="coreml")
    # What `torch.jit.trace` makes ends in an error in coremltools 9 (an int of an array).
    with torch.no_grad():
        program = torch.export.export(eyes, (images,)).run_decompositions({})
    with redirect_stderr(io.StringIO()):  # progress bars
        return tools.convert(
            program,
            outputs=[tools.TensorType(name=name, dtype=np.float32) for name in OUTPUTS],
            convert_to="mlprogram",
            minimum_deployment_target=tools.target.iOS17,
            compute_precision=tools.precision.FLOAT16 if half else tools.precision.FLOAT32,
            skip_model_load=True,
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep warnings about what only macOS can load off the screen."""
    logger = logging.getLogger("coremltools")
    was_disabled, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = was_disabled
