"""How does a reader see what the suite proves, and what a model does on it?

Standings, Probe  ->  tables for a terminal
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from rich.table import Table

from flipbook.evaluate.temporal.pixels import READINGS
from flipbook.evaluate.temporal.probe import Probe
from flipbook.evaluate.temporal.standings import Standing

PROVEN = {True: "yes", False: "no", None: ""}


def ceilings_table(standings: Iterable[Standing]) -> Table:
    """Return one line for each task: what it needs, and what readers reach that do not have it."""
    columns: dict[str, Callable[[Standing], str]] = {
        "chance": lambda standing: _number(standing.chance),
        "order blind": lambda standing: _number(standing.order_blind),
        "no instants": lambda standing: _number(standing.untimed),
        "needs": lambda standing: standing.needs,
    }
    return _standings_table(standings, columns)


def scores_table(standings: Iterable[Standing]) -> Table:
    """Return one line for each task: what a model scores, beside what it takes to be proven."""
    columns: dict[str, Callable[[Standing], str]] = {
        "score": lambda standing: _number(standing.score),
        "shuffled": lambda standing: _number(standing.shuffled),
        "single frame": lambda standing: _number(standing.single_frame),
        "order blind": lambda standing: _number(standing.order_blind),
        "chance": lambda standing: _number(standing.chance),
        "to beat": lambda standing: _number(standing.to_beat),
        "proven": lambda standing: PROVEN[standing.proven],
        "needs": lambda standing: standing.needs,
    }
    return _standings_table(standings, columns)


def probe_table(probe: Probe) -> Table:
    """Return one line for each task: how often a linear reader of pixels is right."""
    table = _table([name.replace("_", " ") for name in READINGS])
    for task, of_task in probe.readings.items():
        table.add_row(task, *(_number(of_task[name].value) for name in READINGS))
    return table


def summary(standings: Sequence[Standing]) -> str:
    """Return in one sentence how many of the temporal tasks are proven; "" without intervals."""
    judged = [
        standing for standing in standings if standing.is_temporal and standing.proven is not None
    ]
    if not judged:
        return ""
    num_proven = sum(standing.proven is True for standing in judged)
    return (
        f"On {num_proven} of {len(judged)} temporal tasks the model does what readers cannot do "
        "that lack what the task needs: the whole interval lies above their ceiling."
    )


def _standings_table(
    standings: Iterable[Standing], columns: dict[str, Callable[[Standing], str]]
) -> Table:
    table = _table(columns)
    for standing in standings:
        table.add_row(standing.task, *(show(standing) for show in columns.values()))
    return table


def _table(headings: Iterable[str]) -> Table:
    table = Table(box=None)
    table.add_column("task", no_wrap=True)
    for heading in headings:
        table.add_column(
            heading.replace(" ", "\n"),
            justify="left" if heading == "needs" else "right",
            no_wrap=heading != "needs",
        )
    return table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
