"""Is every answer of a record a question, and does what a record says belong to the right one?"""

from __future__ import annotations

import pytest

from flipbook.data.extras import Extras
from flipbook.data.records import Media, Record, Turn
from flipbook.score.questions import (
    AskedQuestion,
    choose_questions,
    questions_of,
    with_short_video_names,
)


def user(text: str, *media: Media) -> Turn:
    return Turn("user", (*media, text))


def answer(text: str) -> Turn:
    return Turn("assistant", (text,))


def question(task: str | None, number: int = 0, *, path: str = "") -> AskedQuestion:
    media = (Media("video", path),) if path else ()
    return AskedQuestion(f"{task} {number}", task, (user("Which way?", *media), answer("left")))


def test_every_answer_of_every_conversation_is_a_question() -> None:
    talk = (user("What?"), answer("A circle."), user("Where?"), answer("left"))
    talks = (talk, (user("How many?"), answer("3")))
    extras = Extras(task="mix", kind="count", group="film 1")
    asked = questions_of([Record(id="a", conversations=talks, extras=extras)])
    assert [(q.text, q.reference) for q in asked] == [
        ("What?", "A circle."),
        ("Where?", "left"),
        ("How many?", "3"),
    ]
    assert [len(q.turns) for q in asked] == [2, 4, 2]
    assert {(q.record_id, q.task, q.video) for q in asked} == {("a", "mix", "film 1")}
    assert [q.key for q in asked] == [("a", 1), ("a", 2), ("a", 3)]
    assert [q.kind for q in asked] == ["open", "open", "count"]


def test_a_question_with_options_is_a_choice_and_further_answers_are_right() -> None:
    extras = Extras(options=("left", "right"), answer="left")
    asked = AskedQuestion("a", None, (user("Which?"), answer("A")), 1, extras)
    assert (asked.kind, asked.options) == ("multiple_choice", ("left", "right"))
    several = AskedQuestion(
        "a", None, (user("What?"), answer("a cat")), 1, Extras(references=("a cat", "one cat"))
    )
    assert several.references == ("a cat", "one cat")


def test_the_words_of_a_question_are_without_its_clip() -> None:
    turns = (user("Which way?\n", Media("video", "/clip.mp4")), answer(" left\n"))
    asked = AskedQuestion("a", None, turns)
    assert (asked.text, asked.reference, asked.video) == ("Which way?", "left", "/clip.mp4")


def test_a_question_ends_with_its_answer() -> None:
    with pytest.raises(ValueError, match="question of a does not end with an assistant turn"):
        AskedQuestion("a", None, (user("What?"),))


def test_a_choice_is_even_over_tasks_and_spread_inside_them() -> None:
    sizes = {"rare": 2, "count": 10, "order": 10}
    questions = [question(task, i) for task, size in sizes.items() for i in range(size)]
    chosen = choose_questions(questions, 15)
    assert [q.task for q in chosen] == ["rare"] * 2 + ["count"] * 7 + ["order"] * 6
    places = [questions.index(q) for q in chosen]
    assert places == sorted(places)
    assert [q.record_id for q in chosen if q.task == "order"] == [
        f"order {i}" for i in (0, 1, 3, 5, 6, 8)
    ]


@pytest.mark.parametrize("limit", [None, 3, 100])
def test_a_limit_that_reaches_all_chooses_all(limit: int | None) -> None:
    questions = [question("order", i) for i in range(3)]
    assert choose_questions(questions, limit) == tuple(questions)


def test_videos_are_told_apart_without_telling_where_they_lie() -> None:
    paths = ("/home/me/clips/a/1.mp4", "/home/me/clips/b/1.mp4", "/home/me/clips/a/1.mp4")
    asked = with_short_video_names([question("t", i, path=p) for i, p in enumerate(paths)])
    assert [q.video for q in asked] == ["a/1.mp4", "b/1.mp4", "a/1.mp4"]
    (alone,) = with_short_video_names([question("t", path=paths[0])])
    assert alone.video == "1.mp4"
    assert with_short_video_names([question("t", 3)])[0].video == "t 3"
