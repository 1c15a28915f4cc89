"""Which coefficients make the terms of the memory model come closest to what was measured?

    Measured cases -> MemoryModel -> memory_model.json and a page of results

A step passes through moments, and its largest one counts. Which that is depends on the
coefficients, so both are found in turns: least squares of the relative error for the moments that
are largest now, none of the coefficients below 0, until nothing changes.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from flipbook.train.planning.footprint import Footprint
from flipbook.train.planning.forecast import (
    MODEL_FILE,
    MemoryModel,
    StepShape,
    Terms,
    held_terms,
    passing_terms,
)
from hardware import processor
from measuring import circumstances, table, write_page
from memory_cases import ALL_PARTS, Case

RESULT_FILE = Path(__file__).parent / "results" / "memory.md"
MAX_ROUNDS = 100
# Terms that grow together cannot be told apart by the measurements alone. A coefficient that is 1
# away from 1, which is what shapes say, costs as much as this relative error of one case.
PULL = 0.05
START = 1e9  # bytes of libraries, before anything is known of them


@dataclass(frozen=True)
class Measured:
    """A case, what is known of it without running it, and the bytes that it took."""

    case: Case
    footprint: Footprint
    step: StepShape
    peak: float


def fit(fitted: Sequence[Measured], held_out: Sequence[Measured]) -> MemoryModel:
    """Return the model with the coefficients of the first, and its errors on the second."""
    coefficients = _solve(fitted)
    model = MemoryModel(coefficients, len(fitted), len(held_out), 0.0, 0.0, "cpu")
    inside, outside = errors(model, fitted), errors(model, held_out)
    facts = {
        "date": str(datetime.date.today()),
        "hardware": processor(),
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "in_sample_mean_error": round(float(np.mean(inside)), 4),
        "in_sample_max_error": round(float(np.max(inside)), 4),
    }
    return MemoryModel(
        coefficients={name: round(value, 4) for name, value in coefficients.items()},
        num_fitted=len(fitted),
        num_held_out=len(held_out),
        mean_error=round(float(np.mean(outside)), 4),
        max_error=round(float(np.max(outside)), 4),
        device_type="cpu",
        facts=facts,
    )


def errors(model: MemoryModel, measured: Sequence[Measured]) -> list[float]:
    """Return how far each prediction is off, as a share of what was measured."""
    return [abs(predicted(model, one) / one.peak - 1) for one in measured]


def predicted(model: MemoryModel, measured: Measured) -> float:
    return model.predict(measured.footprint, measured.step).peak_bytes


def _solve(fitted: Sequence[Measured]) -> dict[str, float]:
    names = sorted({name for one in fitted for name in _all_terms(one)})
    coefficients = dict.fromkeys(names, 1.0) | {"libraries": START}
    known: list[list[str]] = []
    for _ in range(MAX_ROUNDS):
        model = MemoryModel(coefficients, 0, 0, 0.0, 0.0, "cpu")
        moments = [model.predict(one.footprint, one.step).moment for one in fitted]
        if moments in known:
            break
        known.append(moments)
        rows = [
            held_terms(one.footprint) | passing_terms(one.footprint, one.step)[moment]
            for one, moment in zip(fitted, moments, strict=True)
        ]
        coefficients |= _least_squares(rows, [one.peak for one in fitted])
    return coefficients


def _all_terms(measured: Measured) -> Terms:
    found = held_terms(measured.footprint)
    for terms in passing_terms(measured.footprint, measured.step).values():
        found |= terms
    return found


def _least_squares(rows: Sequence[Terms], peaks: Sequence[float]) -> dict[str, float]:
    """Return the coefficients, 0 or more, of the terms that some row has.

    Terms whose coefficient would be below 0 are left out, the lowest first, until none is.
    """
    names = sorted({name for row in rows for name, size in row.items() if size})
    zeros: set[str] = set()
    while True:
        kept = [name for name in names if name not in zeros]
        matrix = np.array([[row.get(name, 0.0) for name in kept] for row in rows])
        matrix /= np.array(peaks)[:, None]
        towards = np.diag([0.0 if name == "libraries" else PULL for name in kept])
        matrix = np.concatenate([matrix, towards])
        wanted = np.concatenate([np.ones(len(rows)), towards.sum(axis=1)])
        scale = np.linalg.norm(matrix, axis=0)
        solution: NDArray[np.float64] = np.linalg.lstsq(matrix / scale, wanted)[0]
        if solution.min() >= 0:
            found = dict(zip(kept, (solution / scale).tolist(), strict=True))
            return found | dict.fromkeys(zeros, 0.0)
        zeros.add(kept[int(solution.argmin())])


def page(
    model: MemoryModel, fitted: Sequence[Measured], held_out: Sequence[Measured], *, seconds: float
) -> list[str]:
    """Return the lines of the page of results."""
    rows = []
    for name, measured in (("fitted", fitted), ("held out", held_out)):
        whole, added = errors(model, measured), _errors_of_step(model, measured)
        rows.append([name, len(measured), *map(_percent, (_mean(whole), max(whole)))])
        rows[-1] += [_percent(_mean(added)), _percent(max(added))]
    header = ["cases", "number", "mean error", "largest", "mean, without libraries", "largest"]
    terms = [[name, _coefficient(value)] for name, value in sorted(model.coefficients.items())]
    return [
        "# Memory of a step: predicted and measured",
        "",
        circumstances(transformers=transformers.__version__),
        "A FastVLM with random weights in a process of its own, a short step and the measured one: "
        "forward, backward, clipped gradients, AdamW. Measured is the most resident memory "
        f"of the process. All cases took {seconds / 60:.0f} minutes. The predictions are those of "
        "`flipbook plan`, from shapes alone; `held out` were not fitted, and have language models "
        "of other sizes, FastVLM-0.5B's among them.",
        "",
        *table(header, rows),
        "",
        "## Coefficients",
        "",
        *table(["term", "coefficient"], terms),
        "",
        "## Held out",
        "",
        *_cases(model, held_out),
        "",
        "## Fitted",
        "",
        *_cases(model, fitted),
    ]


def _cases(model: MemoryModel, measured: Sequence[Measured]) -> list[str]:
    header = ["language model", "tower", "trains", "precision", "activations", "tokens"]
    header += ["frames x side", "GB predicted", "GB measured", "error", "moment"]
    rows = []
    for one in measured:
        case, step = one.case, one.step
        forecast = model.predict(one.footprint, step)
        rows.append(
            [
                case.text,
                case.tower,
                ("all parts, " if case.parts == ALL_PARTS else "")
                + (f"LoRA {case.lora}" if case.lora else "full"),
                "bf16" if case.bf16 else "float32",
                "twice" if case.recompute else "kept",
                f"{step.num_tokens:,}",
                f"{step.num_frames} x {step.side_px}",
                forecast.peak_bytes / 1e9,
                one.peak / 1e9,
                f"{forecast.peak_bytes / one.peak - 1:+.1%}",
                forecast.moment,
            ]
        )
    return table(header, rows)


def _errors_of_step(model: MemoryModel, measured: Sequence[Measured]) -> list[float]:
    """Return the errors as shares of what is there beside the libraries."""
    constant = model.coefficients["libraries"]
    return [abs(predicted(model, one) - one.peak) / (one.peak - constant) for one in measured]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _percent(share: float) -> str:
    return f"{share:.1%}"


def _coefficient(value: float) -> str:
    return f"{value / 1e9:.3f} GB" if value > 1e6 else f"{value:.2f}"


def write_model(model: MemoryModel, lines: Sequence[str]) -> None:
    """Write the model into the package, and the page beside the other results."""
    MODEL_FILE.write_text(json.dumps(asdict(model), indent=2) + "\n", encoding="utf-8")
    write_page(RESULT_FILE, lines)
