"""A score is above a ceiling only where its whole interval is."""

from __future__ import annotations

import json
from itertools import product

import numpy as np
import pytest

from flipbook.data.generated.ceilings import ceiling, overlap
from flipbook.data.generated.scenes import NEEDS, make_rivals
from flipbook.evaluate.temporal.standings import standings_of
from flipbook.evaluate.temporal.tables import ceilings_table, scores_table, summary
from flipbook.score.kinds.when import tiou

SCORES = {
    "tuned": {"mean": 0.7, "order": 0.9, "duration": 0.4, "colour": 1.0, "span": 0.3},
    "shuffled": {"mean": 0.4, "order": 0.5, "duration": 0.4, "colour": 1.0},
    "single_frame": {"mean": 0.4, "order": 0.4},
    "intervals": {
        "tuned": {"order": [0.6, 0.98], "duration": [0.3, 0.5], "colour": [0.9, 1.0]},
    },
}


def test_a_score_stands_beside_what_it_takes() -> None:
    order, duration, colour, span = standings_of(("order", "duration", "colour", "span"), SCORES)
    assert (order.score, order.low, order.high) == (0.9, 0.6, 0.98)
    assert (order.shuffled, order.single_frame) == (0.5, 0.4)
    assert (order.chance, order.order_blind, order.untimed) == (0.5, 0.5, 1)
    assert order.to_beat == 0.5
    assert order.proven is True
    assert duration.to_beat == pytest.approx(1 / 3)
    assert duration.proven is False  # its interval begins below
    assert not colour.is_temporal
    assert colour.to_beat == pytest.approx(1 / 3)
    assert span.proven is None  # no interval, no claim


def test_without_scores_there_are_ceilings_alone() -> None:
    for standing in standings_of(("order", "span", "colour")):
        assert standing.needs == NEEDS[standing.task]
        assert standing.proven is None
        assert "score" not in standing.as_dict()
    assert json.loads(json.dumps(standings_of(["order"], SCORES)[0].as_dict())) == {
        "task": "order",
        "needs": "order",
        "chance": 0.5,
        "order_blind": 0.5,
        "untimed": 1.0,
        "score": 0.9,
        "low": 0.6,
        "high": 0.98,
        "shuffled": 0.5,
        "single_frame": 0.4,
        "to_beat": 0.5,
        "proven": True,
    }


def test_spans_in_words_are_held_to_overlaps() -> None:
    words, choice = standings_of(("span", "span_choice"))
    assert choice.chance == pytest.approx(1 / 6)
    assert choice.untimed == pytest.approx(0.5)
    assert words.untimed == ceiling("span", "untimed", by_overlap=True) > choice.untimed
    assert words.chance > choice.chance


def test_overlaps_are_those_by_which_answers_are_scored() -> None:
    spans = [movie.questions[0].spans[0] for movie in make_rivals("span", seed=1)]
    for one, other in product(spans, spans):
        assert overlap(one, other) == pytest.approx(tiou(one, other))
    assert np.mean([overlap(spans[0], span) for span in spans]) < 1


def test_tables_show_every_task() -> None:
    standings = standings_of(("order", "duration", "colour"), SCORES)
    table = scores_table(standings)
    cells = [list(column.cells) for column in table.columns]
    assert cells[0] == ["order", "duration", "colour"]
    assert cells[1] == ["0.900", "0.400", "1.000"]
    assert cells[3] == ["0.400", "", ""]
    assert cells[6] == ["0.500", "0.333", "0.333"]
    assert cells[7] == ["yes", "no", "yes"]
    assert cells[8] == ["order", "timestamps", "one frame"]
    assert list(ceilings_table(standings).columns[3].cells) == ["1.000", "0.333", "1.000"]


def test_the_summary_counts_temporal_tasks() -> None:
    standings = standings_of(("order", "duration", "colour"), SCORES)
    assert summary(standings).startswith("On 1 of 2 temporal tasks the model does")
    assert summary(standings_of(("order",))) == ""
