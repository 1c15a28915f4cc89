"""Each section of a report says what its file says, and is left out where there is none."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from fixtures_report import (
    COST,
    DATA,
    ENVIRONMENT,
    HOSTILE,
    SWEEP,
    followed_lines,
    gallery_of,
    log_lines,
    prediction_lines,
    scores_of,
)
from flipbook.evaluate.page.background import (
    data_tables,
    environment_table,
    provenance_text,
    rejected_table,
)
from flipbook.evaluate.page.cards import cards_of
from flipbook.evaluate.page.confusion import confused_table, confusion_of, pairs_of
from flipbook.evaluate.page.costs import cost_table, sweep_figure, sweep_table
from flipbook.evaluate.page.followed import followed_of
from flipbook.evaluate.page.scores import (
    differences_table,
    kind_tables,
    rows_figure,
    rows_table,
    tasks_figure,
    tasks_table,
)
from flipbook.evaluate.page.summary import facts_of
from flipbook.evaluate.page.tables import Table
from flipbook.evaluate.page.training import training_figures

SCORES: dict[str, Any] = {
    "untuned": {"mean": 0.3, "a": 0.2, "b": 0.4},
    "tuned": {"mean": 0.7, "a": 0.6, "b": 0.8},
    "still_images_after": {"mean": 0.9, "colour": 0.9},
    "num_questions": {"tuned": {"a": 1000, "b": 500}},
    "num_videos": {"tuned": 300},
    "intervals": {"tuned": {"mean": [0.6, 0.8], "a": [0.5, 0.7]}},
    "kinds": {"tuned": {"when": {"recall_at_0_5": {"value": 0.5, "low": 0.4, "high": 0.6}}}},
    "num_of_kind": {"tuned": {"when": 1500}},
    "temporal_gain": {
        "value": 0.2,
        "low": 0.1,
        "high": 0.3,
        "p_value": 0.01,
        "against": "shuffled",
    },
    "differences": {"tuned-untuned": {"value": 0.4, "low": 0.3, "high": 0.5, "p_value": 0.0001}},
    "chance": {"mean": 0.25, "a": 0.5},
    "verdict": "It learned.",
}
LEAST = {"tuned": {"mean": 0.7, "a": 0.7}, "verdict": "It answers."}


def _plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def test_the_headline_numbers_are_those_of_the_scores() -> None:
    score, gain, temporal, questions = facts_of(SCORES)
    assert (score.value, _plain(", ".join(score.details))) == (
        "0.700",
        "[0.600, 0.800], mean over 2 tasks, chance 0.250",
    )
    assert (gain.value, _plain(", ".join(gain.details))) == (
        "+0.400",
        "[0.300, 0.500], p < 0.001, from 0.300",
    )
    assert (temporal.value, temporal.details[-1]) == ("+0.200", "over shuffled")
    assert (questions.value, questions.details) == ("1,500", ("about 300 videos",))


def test_scores_alone_are_enough() -> None:
    (score,) = facts_of(LEAST)
    assert (score.value, score.details) == ("0.700", ("mean over 1 task",))
    assert [row[:4] for row in rows_table(LEAST).rows] == [("tuned", "0.700", "0", "\u2013")]
    assert tasks_table(LEAST).rows == (("a", "\u2013", "0.700"),)
    assert differences_table(LEAST) is None
    assert kind_tables(LEAST) == ()
    assert provenance_text(LEAST) == ""


def test_rows_stand_in_their_order_with_chance_last() -> None:
    table = rows_table(SCORES)
    assert [row[0] for row in table.rows] == ["untuned", "tuned", "still images after", "chance"]
    assert _plain(table.rows[1][1]) == "0.700 [0.600, 0.800]"
    assert table.rows[1][2:4] == ("1,500", "300")
    assert "chance 0.250" in rows_figure(SCORES).drawing


def test_tasks_are_compared_over_rows_that_ask_them() -> None:
    table = tasks_table(SCORES)
    assert table.columns == ("task", "questions", "tuned", "untuned", "chance")
    assert _plain(" ".join(table.rows[0])) == "a 1,000 0.600 [0.500, 0.700] 0.200 0.500"
    assert table.rows[1][-1] == "\u2013"
    assert [name for _, name in tasks_figure(SCORES).legend] == ["tuned", "untuned", "chance"]


def test_many_tasks_are_all_in_the_table() -> None:
    tasks = {f"task {number}": 0.5 for number in range(45)}
    scores = {"tuned": {"mean": 0.5, **tasks}, "verdict": ""}
    assert len(tasks_table(scores).rows) == 45
    assert tasks_figure(scores).note == "5 more tasks are in the table alone."
    assert "task 39" in tasks_figure(scores).drawing
    assert "task 40" not in tasks_figure(scores).drawing


def test_every_measure_of_a_kind_has_its_interval() -> None:
    (table,) = kind_tables(SCORES)
    assert table.caption == "when"
    assert table.columns == ("row", "questions", "recall at 0.5")
    assert _plain(" ".join(table.rows[0])) == "tuned 1,500 0.500 [0.400, 0.600]"


def test_a_measure_that_one_row_lacks_is_a_dash() -> None:
    kinds = {"untuned": {"when": {"unparsed": {"value": 1.0}}}, **SCORES["kinds"]}
    (table,) = kind_tables({**SCORES, "kinds": kinds})
    assert table.rows[0] == ("untuned", "\u2013", "1.000", "\u2013")


def test_the_temporal_gain_is_among_the_differences_once() -> None:
    table = differences_table(SCORES)
    assert table is not None
    assert [row[0] for row in table.rows] == [
        "tuned over untuned",
        "temporal gain (over shuffled)",
    ]
    both = {**SCORES["differences"], "tuned-shuffled": SCORES["temporal_gain"]}
    table = differences_table({**SCORES, "differences": both})
    assert table is not None
    assert [row[0] for row in table.rows] == ["tuned over untuned", "tuned over shuffled"]


def test_a_table_has_a_text_for_every_column() -> None:
    with pytest.raises(ValueError, match="row .* of 'x' for columns"):
        Table("x", ("a", "b"), (("1",),))


def _classified(*pairs: tuple[str, str | None]) -> list[dict[str, Any]]:
    return [
        {"kind": "classification", "right_option": right, "choice": choice}
        for right, choice in pairs
    ]


def test_confusion_counts_right_classes_by_rows() -> None:
    lines = _classified(("a", "a"), ("a", "b"), ("b", "b"), ("a", "b"), ("b", None))
    pairs = pairs_of([*lines, {"kind": "open"}])
    confusion = confusion_of(pairs)
    assert confusion is not None
    assert confusion.classes == ("a", "b")
    assert confusion.counts == ((1, 2), (0, 1))
    assert confusion.share(0, 1) == pytest.approx(2 / 3)
    table = confused_table(pairs)
    assert table is not None
    assert table.rows == (("a", "b", "2", "3"),)


def test_of_many_classes_the_confused_pairs_alone_are_shown() -> None:
    pairs = Counter({(f"{right}", f"{right + 1}"): 40 - right for right in range(40)})
    assert confusion_of(pairs) is None
    table = confused_table(pairs)
    assert table is not None
    assert table.rows[0] == ("0", "1", "40", "40")
    assert len(table.rows) == 30
    assert table.note == "10 more pairs are confused less often."


def test_nothing_is_confused_where_nothing_is_classified() -> None:
    assert confusion_of(Counter()) is None
    assert confused_table(Counter({("a", "a"): 3})) is None


def test_training_is_drawn_from_the_log() -> None:
    figures = training_figures(log_lines())
    assert [figure.title for figure in figures] == [
        "Loss",
        "Answers to validation questions",
        "Validation: open",
        "Validation: caption",
        "Validation: caption",
        "Learning rate",
        "Norm of the gradient",
        "Samples per second",
        "Tokens per second",
    ]
    assert [name for _, name in figures[0].legend] == ["training loss", "validation loss"]
    assert [name for _, name in figures[4].legend] == ["cider d"]
    assert [name for _, name in figures[5].legend] == ["learning rate", "vision tower"]
    table = figures[0].table
    assert table is not None
    assert table.rows[0][0] == "10"
    assert table.rows[-1][0] == "600"
    assert table.note == "20 of 60 steps that were logged."


def test_what_is_no_number_is_not_drawn() -> None:
    log = [{"step": 1, "loss": float("nan")}, {"step": 2, "loss": "much"}, {"step": 3, "loss": 2.0}]
    (figure,) = training_figures(log)
    assert figure.table is not None
    assert figure.table.rows == (("3", "2"),)
    assert training_figures([]) == ()


def test_followed_answers_are_rows_by_steps() -> None:
    followed = followed_of(followed_lines())
    assert followed is not None
    assert followed.steps == (0, 100, 200, 300, 400, 500, 600)
    first = followed.questions[1]
    assert first.question == HOSTILE[1]
    assert [said.verdict for said in first.answers[:2]] == ["wrong", "right"]
    assert [said.verdict for said in followed.questions[3].answers[:1]] == ["partly"]
    assert followed_of([]) is None


def test_many_steps_are_thinned_and_a_missing_answer_is_empty() -> None:
    line = followed_lines()[0]
    lines = [{**line, "step": step} for step in range(30)] + [{**line, "step": 40, "number": 2}]
    followed = followed_of(lines)
    assert followed is not None
    assert len(followed.steps) == 10
    assert followed.num_steps == 31
    assert followed.questions[1].answers[0].verdict == ""
    assert followed.questions[1].answers[-1].answer == "left"


def _rows(*rows: str, **more: Any) -> dict[str, list[dict[str, Any]]]:
    line = {
        "record_id": "a",
        "number": 1,
        "task": None,
        "kind": "multiple_choice",
        "question": "Q",
        "reference": "red",
        "answer": "red",
        "value": 1.0,
    }
    return {row: [{**line, "row": row, **more}] for row in rows}


ITEM: dict[str, Any] = {"record_id": "a", "number": 1, "duration_s": 2.0}
FRAME = {"jpeg": "AAAA", "time_s": 0.5, "width": 160, "height": 90}


def test_a_card_shows_every_row_beside_the_frames() -> None:
    gallery = {"items": [{**ITEM, "num_frames": 64, "frames": [FRAME]}]}
    (card,) = cards_of(gallery, _rows("tuned", "blank", "untuned"))
    assert [said.row for said in card.answers] == ["untuned", "tuned", "blank"]
    assert [said.is_extra for said in card.answers] == [False, False, True]
    assert card.verdict == "right"
    assert card.facts == "64 frames, 1 of them here, spread evenly, clip of 2.00 s"
    assert card.frames[0].uri == "data:image/jpeg;base64,AAAA"
    assert (card.frames[0].width, card.frames[0].height) == (160, 90)


def test_options_are_compared_with_the_most_likely_one() -> None:
    ranked = [["red", -0.5], ["blue", -0.5 - 0.6931471805599453]]
    more = {"ranked": ranked, "right_option": "blue", "choice": "red", "value": 0.0}
    (card,) = cards_of({"items": [{**ITEM, "frames": []}]}, _rows("tuned", **more))
    red, blue = card.options
    assert (red.percent, blue.percent) == (100.0, pytest.approx(50.0))
    assert (red.is_chosen, red.is_right) == (True, False)
    assert (blue.is_chosen, blue.is_right) == (False, True)
    assert card.verdict == "wrong"


def test_a_still_image_has_no_instant() -> None:
    gallery = {"items": [{**ITEM, "duration_s": None, "frames": [{**FRAME, "time_s": None}]}]}
    (card,) = cards_of(gallery, _rows("tuned"))
    assert card.frames[0].time == ""
    assert card.facts == "1 frame"


def test_a_question_that_the_tuned_model_was_not_asked_has_no_card() -> None:
    assert cards_of({"items": [{**ITEM, "frames": []}]}, _rows("untuned")) == ()
    assert cards_of(None, _rows("tuned")) == ()


def test_gallery_and_predictions_go_together() -> None:
    lines = prediction_lines(3)
    tuned = [line for line in lines if line["row"] == "tuned"]
    by_row: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        by_row.setdefault(line["row"], []).append(line)
    cards = cards_of(gallery_of(tuned), by_row)
    assert len(cards) == len(tuned)
    assert all(len(card.answers) == len(by_row) for card in cards)


def test_costs_are_told_with_how_they_were_measured() -> None:
    table = cost_table(COST)
    assert table is not None
    assert table.rows[0] == ("visual tokens", "128", "115", "154")
    assert table.rows[-1][:2] == ("most memory", "1.7 GB")
    assert "8 frames of 256 px" in table.note
    assert "Memory: highest memory of tensors on the GPU." in table.note
    assert cost_table(None) is None


def test_a_sweep_tells_its_pick_and_what_was_refused() -> None:
    table = sweep_table(SWEEP)
    assert table is not None
    assert _plain(table.rows[4][0]) == "16 \u00d7 128 px"
    assert table.rows[4][-1] == "picked, on the front"
    assert table.rows[5][-1] == "trained so"
    assert table.rows[-1][-1] == "refused: record a: needs 4,096 tokens <b>"
    assert table.note.startswith("200 questions, on cuda in bfloat16. The pick: the cheapest")
    figure = sweep_figure(SWEEP)
    assert figure is not None
    assert "Picked: 16" in figure.drawing
    assert sweep_table(None) is None
    assert sweep_figure({**SWEEP, "points": []}) is None


def test_data_are_counted_by_split() -> None:
    counts, tasks, files = data_tables(DATA)
    assert counts.rows[0] == ("records", "1,500", "72")
    assert tasks.rows[0] == ("direction", "250", "12")
    assert files.rows[0] == ("train.jsonl", "train", "ab" * 32, "1,500")
    table = rejected_table(DATA)
    assert table is not None
    assert table.rows == (
        (HOSTILE[0], "train", "clips/a.mp4 is missing"),
        ("b", "train", HOSTILE[1]),
    )
    assert table.note == ""


def test_data_without_validation_have_one_column() -> None:
    data = {"train": {**DATA["train"], "num_rejected": 250}, "validation": None}
    assert data_tables(data)[0].columns == ("", "train")
    table = rejected_table(data)
    assert table is not None
    assert table.note == "248 more are not listed."
    assert data_tables(None) == ()
    assert rejected_table(None) is None


def test_versions_stand_beside_hardware() -> None:
    table = environment_table(ENVIRONMENT)
    assert table is not None
    assert ("gpus", "NVIDIA H100") in table.rows
    assert ("torch", "2.15.0") in table.rows
    assert environment_table(None) is None


def test_provenance_is_kept_whole() -> None:
    assert '"intervals": 0' in provenance_text(scores_of(prediction_lines(1)))
