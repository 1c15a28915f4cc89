"""How did the training go?

lines of log.jsonl  ->  Figures: loss, answers to validation questions, learning rates, speed
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from flipbook.data.extras import KINDS
from flipbook.evaluate.page.curves import MOST_CURVES, Curve, curve_chart, thinned
from flipbook.evaluate.page.figures import Figure
from flipbook.evaluate.page.files import Line
from flipbook.evaluate.page.numbers import NOTHING, in_words, quantity
from flipbook.evaluate.page.tables import Table

VALIDATION = "eval_"
MOST_STEPS = 20  # in the table under a drawing
_LOSSES = {"loss": "training loss", "eval_loss": "validation loss"}
_MEANS = {"eval_score": "mean over tasks", "eval_accuracy": "mean over questions"}
_NOT_MEASURES = ("_runtime", "_per_second")


def training_figures(log: Sequence[Line]) -> tuple[Figure, ...]:
    """Return drawings of what a run logged; those of which it logged nothing are left out."""
    names = list(dict.fromkeys(name for line in log for name in line))
    figures = [
        _figure(log, "Loss", _LOSSES),
        _figure(log, "Answers to validation questions", _MEANS),
        *_kind_figures(log, names),
        _figure(log, "Learning rate", _learning_rates(names)),
        _figure(log, "Norm of the gradient", {"grad_norm": "norm of the gradient"}),
        _figure(log, "Samples per second", {"samples_per_s": "samples per second"}),
        _figure(log, "Tokens per second", {"tokens_per_s": "tokens per second"}),
    ]
    return tuple(figure for figure in figures if figure is not None)


def _kind_figures(log: Sequence[Line], names: Sequence[str]) -> Iterator[Figure | None]:
    """Yield the measures of each kind of question; those that pass 1 apart from the others."""
    for kind in KINDS:
        start = f"{VALIDATION}{kind}_"
        own = [n for n in names if n.startswith(start) and not n.endswith(_NOT_MEASURES)]
        large = [n for n in own if any(value > 1 for _, value in _points(log, n))]
        for group in (*_portions([n for n in own if n not in large]), *([n] for n in large)):
            told = {name: in_words(name.removeprefix(start)) for name in group}
            yield _figure(log, f"Validation: {in_words(kind)}", told)


def _portions(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), MOST_CURVES):
        yield names[start : start + MOST_CURVES]


def _learning_rates(names: Sequence[str]) -> dict[str, str]:
    found = [name for name in names if name.startswith("learning_rate")][:MOST_CURVES]
    return {name: in_words(name.removeprefix("learning_rate_")) for name in found}


def _figure(log: Sequence[Line], title: str, names: dict[str, str]) -> Figure | None:
    """Return a drawing of what stands under some names; None where nothing does."""
    found = {told: _points(log, name) for name, told in names.items()}
    curves = [Curve(told, tuple(points)) for told, points in found.items() if points]
    if not curves:
        return None
    ends = "; ".join(f"{c.name} ends at {quantity(c.points[-1][1])}" for c in curves)
    drawing = curve_chart(curves, title=title, description=f"{title} over steps: {ends}.")
    legend = tuple((f"curve-{place}", curve.name) for place, curve in enumerate(curves, start=1))
    return Figure(title, drawing, legend, _table(title, curves))


def _points(log: Sequence[Line], name: str) -> list[tuple[float, float]]:
    """Return steps and values of a name; a step that is logged twice keeps what came last."""
    found = {
        line["step"]: line[name]
        for line in log
        if isinstance(line.get(name), (int, float)) and math.isfinite(line[name])
    }
    return sorted(found.items())


def _table(title: str, curves: Sequence[Curve]) -> Table:
    values = [dict(curve.points) for curve in curves]
    steps = sorted({step for own in values for step in own})
    shown = [step for step, _ in thinned([(step, 0.0) for step in steps], MOST_STEPS)]
    less = (
        f"{len(shown)} of {len(steps):,} steps that were logged." if len(shown) < len(steps) else ""
    )
    rows = tuple(
        (f"{step:,}", *(quantity(own[step]) if step in own else NOTHING for own in values))
        for step in shown
    )
    return Table(f"{title} by step", ("step", *(curve.name for curve in curves)), rows, less)
