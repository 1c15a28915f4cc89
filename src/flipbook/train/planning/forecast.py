"""How much memory would a step take at most, before a weight is read?

    Footprint of a model, StepShape -> terms of each moment -> bytes, by fitted coefficients

Something is held all the time: libraries, weights, the moments of AdamW. Beside it a step passes
through a few moments that each need memory of their own and give it back; the largest decides:

    seeing        a tower at rest looks at a few frames
    looking back  the language model has kept its activations, the head computes loss and gradient
    between       the tower still keeps its own, the language model's gradients are there
    learning      all gradients are there

The terms follow from shapes. What each weighs in truth, allocators and temporaries included, is
fitted by `benchmarks/memory.py`, which measures real steps and writes `memory_model.json`. Of
`--fsdp` and `--deepspeed`, which divide weights between processes, it knows nothing: it predicts
what a process takes that holds the model whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from flipbook.model.fastvlm import PX_PER_CALL
from flipbook.model.head import LOGITS_PER_CALL
from flipbook.train.planning.footprint import Footprint
from flipbook.train.planning.memory import GRADIENT_BYTES, MOMENT_BYTES
from flipbook.video.frames import PX_PER_TOKEN

MODEL_FILE = Path(__file__).parent / "memory_model.json"
SCORE_BYTES = 4  # of a score of the head, which is widened to float32
Terms = dict[str, float]
# On a device that was not measured a term counts as shapes say, and nothing that a CPU's allocator
# is slow to give back. Assumed are the context, kernels and workspaces of a GPU, in bytes, and the
# share that a tower keeps when it is computed twice.
ELSEWHERE: dict[str, float] = {
    "libraries": 0.6e9,
    "weights": 1.0,
    "moments": 1.0,
    "gradients": 1.0,
    "embeddings": 1.0,
    "activations": 1.0,
    "layer again": 1.0,
    "freed activations": 0.0,
    "left activations": 0.0,
    "head": 1.0,
    "working": 1.0,
    "tower": 1.0,
    "kept tower": 1.0,
    "recomputed tower": 0.5,
}


@dataclass(frozen=True)
class StepShape:
    """The longest batch of a run on one process.

    Attributes:
        num_tokens: in its row.
        num_targets: how many of them are learned.
        num_frames: that it shows, `side_px` wide and high.
        recomputes: whether activations are computed twice instead of kept.
        num_processes: of the run; each keeps its gradients once more to exchange them.
        device_type: cpu or cuda.
    """

    num_tokens: int
    num_targets: int
    num_frames: int
    side_px: int
    recomputes: bool = False
    num_processes: int = 1
    device_type: str = "cpu"


@dataclass(frozen=True)
class Forecast:
    """What a step takes, in bytes.

    Attributes:
        held: all the time: libraries, weights, moments.
        passing: beside it in the moment that needs most, which `moment` names.
    """

    held: float
    passing: float
    moment: str

    @property
    def peak_bytes(self) -> int:
        """The most memory of the process."""
        return int(self.held + self.passing)


@dataclass(frozen=True)
class MemoryModel:
    """Fitted coefficients, and how far predictions were from what was measured.

    Attributes:
        coefficients: of each term; `libraries` in bytes, the others near 1.
        num_fitted, num_held_out: measurements that were fitted, and others of other sizes.
        mean_error, max_error: of those that were held out, as shares of what was measured.
        device_type: on what was measured.
        facts: date, hardware, versions, errors of those that were fitted.
    """

    coefficients: Mapping[str, float]
    num_fitted: int
    num_held_out: int
    mean_error: float
    max_error: float
    device_type: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    def predict(self, footprint: Footprint, step: StepShape) -> Forecast:
        """Return what a step takes on one process."""
        is_fitted = step.device_type == self.device_type
        coefficients = self.coefficients if is_fitted else ELSEWHERE
        held = _weigh(held_terms(footprint), coefficients)
        moments = {
            name: _weigh(terms, coefficients)
            for name, terms in passing_terms(footprint, step).items()
        }
        largest = max(moments, key=lambda name: moments[name])
        return Forecast(held, moments[largest], largest)

    def told(self, device_type: str) -> str:
        """Return what the model's word is worth on a kind of device, as a line."""
        line = (
            f"The memory model was fitted on {self.num_fitted} measurements on a "
            f"{self.device_type.upper()}; held-out error {self.mean_error:.1%} mean, "
            f"{self.max_error:.1%} at most ({self.num_held_out} of other sizes)"
        )
        if device_type != self.device_type:
            line += f"; on {device_type.upper()} shapes alone count, not yet verified"
        return line + "."


@cache
def load_memory_model() -> MemoryModel:
    """Return the model that ships with the package."""
    content = json.loads(MODEL_FILE.read_text(encoding="utf-8"))
    return MemoryModel(**content)


def held_terms(footprint: Footprint) -> Terms:
    """Return what a process holds all the time; libraries count once."""
    return {
        "libraries": 1.0,
        "weights": footprint.weights,
        "moments": footprint.num_trained * MOMENT_BYTES,
    }


def passing_terms(footprint: Footprint, step: StepShape) -> dict[str, Terms]:
    """Return what each moment of a step needs beside what is held."""
    gradients = footprint.num_trained * GRADIENT_BYTES
    of_tower = footprint.num_trained_tower * GRADIENT_BYTES
    exchanged = gradients if step.num_processes > 1 else 0.0
    tower_kept = _kept_by_tower(footprint, step)
    kept, again, freed = _kept(footprint, step)
    return {
        "seeing": {"tower": _seen_at_once(footprint, step), "gradients": exchanged},
        "looking back": {
            "activations": kept + footprint.copies,
            "layer again": again,
            "freed activations": freed,
            "head": _scores(footprint, step) + footprint.head,
            "working": footprint.hidden * step.num_tokens,
            "gradients": exchanged,
        }
        | tower_kept,
        "between": {"gradients": gradients - of_tower + exchanged} | tower_kept,
        # That of the head waits for that of the embeddings, where both are one matrix.
        # Some of what the activations took is not given back yet.
        "learning": {
            "gradients": gradients + exchanged,
            "embeddings": footprint.head,
            "left activations": kept + again + freed,
        },
    }


def _weigh(terms: Terms, coefficients: Mapping[str, float]) -> float:
    return sum(coefficients[name] * size for name, size in terms.items())


def _kept(footprint: Footprint, step: StepShape) -> tuple[float, float, float]:
    """Return what language model and projector keep, make again, and give back meanwhile.

    Where activations are computed twice, the inputs of all layers are kept, and those of the one
    layer at which the backward pass is are made again. All others were freed, in small pieces that
    a CPU's allocator holds on to.
    """
    num_visual = step.num_frames * (step.side_px // PX_PER_TOKEN) ** 2
    of_frames = footprint.visual_token * num_visual
    whole = footprint.token * step.num_tokens
    if not step.recomputes:
        return whole + of_frames, 0.0, 0.0
    kept, again = (
        each * step.num_tokens for each in (footprint.residual_token, footprint.layer_token)
    )
    return kept + of_frames, again, max(0.0, whole - kept - again)


def _kept_by_tower(footprint: Footprint, step: StepShape) -> Terms:
    num_bytes = footprint.px * step.num_frames * step.side_px**2
    return {"recomputed tower" if step.recomputes else "kept tower": num_bytes}


def _seen_at_once(footprint: Footprint, step: StepShape) -> float:
    """Return the bytes of the first layer's output for the frames of one call of a tower at rest.

    A tower that learns sees all frames in one call; what it keeps of them counts apart.
    """
    if footprint.px:
        return 0.0
    frame_px = step.side_px**2
    frames_per_call = max(1, PX_PER_CALL.get(step.device_type, PX_PER_CALL["cuda"]) // frame_px)
    num_px = min(frames_per_call, step.num_frames) * frame_px
    return num_px * footprint.tower_width * footprint.tower_itemsize


def _scores(footprint: Footprint, step: StepShape) -> float:
    """Return the bytes of the scores that the head makes at a time."""
    rows_per_call = max(
        1,
        LOGITS_PER_CALL.get(step.device_type, LOGITS_PER_CALL["cuda"])
        // int(footprint.vocabulary_rows),
    )
    num_scores = min(step.num_targets, rows_per_call) * footprint.vocabulary_rows
    narrow = footprint.head_itemsize if footprint.head_itemsize < SCORE_BYTES else 0
    return num_scores * (SCORE_BYTES + 2 * narrow)
