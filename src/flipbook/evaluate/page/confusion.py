"""Which classes are taken for which?

predictions of classification questions  ->  Confusion: counts, or the pairs most often confused
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from flipbook.evaluate.page.files import Line
from flipbook.evaluate.page.tables import Table

MOST_CLASSES = 30  # a larger matrix cannot be read on a page
MOST_PAIRS = 30


@dataclass(frozen=True)
class Confusion:
    """How often each right class was taken for each class.

    Attributes:
        classes: in the order in which they are right or chosen first.
        counts: rows are right classes, columns the chosen ones.
    """

    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    def share(self, row: int, column: int) -> float:
        """Return how much of a right class went to a chosen one, 0 to 1."""
        return self.counts[row][column] / max(sum(self.counts[row]), 1)


def pairs_of(predictions: Iterable[Line]) -> Counter[tuple[str, str]]:
    """Return how often each class, right, was taken for each class, chosen."""
    return Counter(
        (line["right_option"], line["choice"])
        for line in predictions
        if line.get("kind") == "classification"
        and line.get("right_option") is not None
        and line.get("choice") is not None
    )


def confusion_of(pairs: Counter[tuple[str, str]]) -> Confusion | None:
    """Return the matrix of some pairs; None where there are none, or too many classes to show."""
    classes = _classes(pairs)
    if not 0 < len(classes) <= MOST_CLASSES:
        return None
    counts = tuple(tuple(pairs[right, chosen] for chosen in classes) for right in classes)
    return Confusion(classes, counts)


def confused_table(pairs: Counter[tuple[str, str]]) -> Table | None:
    """Return the pairs that are confused most often; None where none is."""
    wrong = [(pair, count) for pair, count in pairs.most_common() if pair[0] != pair[1]]
    if not wrong:
        return None
    totals: Counter[str] = Counter()
    for (right, _), count in pairs.items():
        totals[right] += count
    left = len(wrong) - MOST_PAIRS
    return Table(
        "Classes most often confused",
        ("right class", "taken for", "times", "of"),
        tuple(
            (right, chosen, f"{count:,}", f"{totals[right]:,}")
            for (right, chosen), count in wrong[:MOST_PAIRS]
        ),
        f"{left:,} more pairs are confused less often." if left > 0 else "",
        text_columns=(0, 1),
    )


def _classes(pairs: Counter[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([right for right, _ in pairs] + [chosen for _, chosen in pairs]))
