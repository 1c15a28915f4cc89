"""How good are the answers of each row: all together, by task, by kind of question?

scores.json  ->  tables, and drawings of the same numbers
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flipbook.evaluate.page.dots import Dot, dot_chart
from flipbook.evaluate.page.figures import Figure
from flipbook.evaluate.page.numbers import (
    NOTHING,
    in_words,
    interval,
    number,
    p_in_words,
    with_interval,
)
from flipbook.evaluate.page.tables import Table
from flipbook.evaluate.rows import MEANING, ROWS, STILL_IMAGES, TUNED, UNTUNED
from flipbook.score.scores import MEAN

MOST_DOTS = 40  # tasks that are drawn; the table has all
CHANCE = "chance"


def rows_of(scores: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the rows that were measured, in the order of `ROWS`."""
    return tuple(row for row in ROWS if row in scores)


def rows_table(scores: Mapping[str, Any]) -> Table:
    """Return the score of every row, with what stands behind it."""
    rows = [
        (
            in_words(row),
            _score(scores, row, MEAN),
            f"{sum(scores.get('num_questions', {}).get(row, {}).values()):,}",
            _count(scores.get("num_videos", {}).get(row)),
            ROWS[row],
        )
        for row in rows_of(scores)
    ]
    if MEAN in scores.get(CHANCE, {}):
        rows.append((CHANCE, number(scores[CHANCE][MEAN]), "", "", "random answers"))
    return Table(
        "Score of every row",
        ("row", "score", "questions", "videos", MEANING),
        tuple(rows),
        "The score is the mean over tasks. Intervals hold 95 % of what other videos of the same "
        "kind would give.",
        text_columns=(0, 4),
    )


def rows_figure(scores: Mapping[str, Any]) -> Figure:
    """Return a drawing of the score of every row."""
    dots = [_dot(scores, row, MEAN, name=in_words(row)) for row in rows_of(scores)]
    told = "; ".join(f"{dot.name} {dot.told}" for dot in dots)
    drawing = dot_chart(
        dots,
        title="Score of every row",
        description=f"A dot and its interval for each row, from 0 to 1: {told}.",
        chance=scores.get(CHANCE, {}).get(MEAN),
    )
    return Figure("Score of every row", drawing)


def differences_table(scores: Mapping[str, Any]) -> Table | None:
    """Return by how much rows differ on the same questions; None where that was not measured."""
    rows = [
        (
            " over ".join(in_words(row) for row in name.split("-", 1)),
            with_interval(found, sign=True),
            p_in_words(found["p_value"]) if "p_value" in found else NOTHING,
        )
        for name, found in scores.get("differences", {}).items()
    ]
    gain = scores.get("temporal_gain")
    if gain and f"{TUNED}-{gain['against']}" not in scores.get("differences", {}):
        name = f"temporal gain (over {in_words(gain['against'])})"
        told = p_in_words(gain["p_value"]) if "p_value" in gain else NOTHING
        rows.append((name, with_interval(gain, sign=True), told))
    if not rows:
        return None
    return Table(
        "Differences between rows",
        ("difference", "value", "by chance alone"),
        tuple(rows),
        "Both rows answered the same questions. The last column is how often chance alone gives a "
        "difference as large.",
    )


def tasks_table(scores: Mapping[str, Any]) -> Table:
    """Return the score of every task in the rows that ask it."""
    tasks = _tasks(scores)
    rows = [row for row in rows_of(scores) if not row.startswith(STILL_IMAGES)]
    ordered = [TUNED, *(row for row in rows if row != TUNED)]
    has_chance = any(task in scores.get(CHANCE, {}) for task in tasks)
    counts = scores.get("num_questions", {}).get(TUNED, {})
    return Table(
        "Score by task",
        ("task", "questions", *map(in_words, ordered), *([CHANCE] if has_chance else [])),
        tuple(
            (
                task,
                _count(counts.get(task)),
                _score(scores, TUNED, task),
                *(number(scores[row].get(task)) for row in ordered[1:]),
                *([number(scores[CHANCE].get(task))] if has_chance else []),
            )
            for task in tasks
        ),
    )


def tasks_figure(scores: Mapping[str, Any]) -> Figure:
    """Return a drawing of the score of every task, before and after tuning."""
    tasks = _tasks(scores)
    dots = [_dot(scores, TUNED, task, name=task) for task in tasks[:MOST_DOTS]]
    told = "; ".join(f"{dot.name} {dot.told}" for dot in dots)
    drawing = dot_chart(
        dots,
        title="Score by task",
        description=f"A dot and its interval for each task, from 0 to 1: {told}.",
    )
    legend = [("dot main", "tuned")]
    legend += [("ring", "untuned")] if UNTUNED in scores else []
    legend += [("chance", "chance")] if any(dot.chance is not None for dot in dots) else []
    left = len(tasks) - MOST_DOTS
    note = f"{left} more tasks are in the table alone." if left > 0 else ""
    return Figure("Score by task", drawing, tuple(legend), note=note)


def kind_tables(scores: Mapping[str, Any]) -> tuple[Table, ...]:
    """Return all measures of every kind of question, one table for each."""
    by_row = scores.get("kinds", {})
    kinds = dict.fromkeys(kind for row in rows_of(scores) for kind in by_row.get(row, {}))
    return tuple(_kind_table(scores, kind) for kind in kinds)


def _kind_table(scores: Mapping[str, Any], kind: str) -> Table:
    found = {
        row: scores["kinds"][row][kind]
        for row in rows_of(scores)
        if kind in scores["kinds"].get(row, {})
    }
    measures = list(dict.fromkeys(name for measures in found.values() for name in measures))
    counts = scores.get("num_of_kind", {})
    return Table(
        in_words(kind),
        ("row", "questions", *map(in_words, measures)),
        tuple(
            (
                in_words(row),
                _count(counts.get(row, {}).get(kind)),
                *(with_interval(own[name]) if name in own else NOTHING for name in measures),
            )
            for row, own in found.items()
        ),
    )


def _tasks(scores: Mapping[str, Any]) -> list[str]:
    return [name for name in scores[TUNED] if name != MEAN]


def _score(scores: Mapping[str, Any], row: str, name: str) -> str:
    bounds = scores.get("intervals", {}).get(row, {}).get(name)
    value = number(scores[row].get(name))
    return f"{value} {interval(*bounds)}" if bounds else value


def _dot(scores: Mapping[str, Any], row: str, measure: str, *, name: str) -> Dot:
    low, high = scores.get("intervals", {}).get(row, {}).get(measure) or (None, None)
    of_task = measure != MEAN
    return Dot(
        name,
        scores[row][measure],
        low,
        high,
        before=scores.get(UNTUNED, {}).get(measure) if of_task else None,
        chance=scores.get(CHANCE, {}).get(measure) if of_task else None,
        is_main=row == TUNED,
    )


def _count(count: int | None) -> str:
    return NOTHING if count is None else f"{count:,}"
