"""Does the verdict claim what the scores show, and no more?"""

from __future__ import annotations

import pytest

from flipbook.evaluate.metrics import Score
from flipbook.evaluate.verdict import verdict


def scores(num_questions: int = 400, **means: float) -> dict[str, Score]:
    return {
        row: Score(tasks={"order": mean}, num_questions={"order": num_questions})
        for row, mean in means.items()
    }


def test_a_model_that_reads_the_order() -> None:
    text = verdict(
        scores(
            untuned=0.31,
            tuned=0.93,
            shuffled=0.4,
            blank=0.3,
            still_images_before=1.0,
            still_images_after=0.99,
        )
    )
    assert text == (
        "The tuned model answers 0.93 of the questions, 0.31 before tuning: it learned. "
        "It scores 0.40 with the frames shuffled: it uses the order of frames. "
        "On still images it scores 0.99, 1.00 before tuning: nothing forgotten that these "
        "questions would show."
    )


def test_a_model_that_does_not_need_the_order() -> None:
    text = verdict(scores(untuned=0.3, tuned=0.9, shuffled=0.89, blank=0.3))
    assert "0.89 with the frames shuffled: nothing here shows that it uses the order" in text
    assert "On still images" not in text


def test_a_model_that_does_not_look() -> None:
    text = verdict(scores(untuned=0.3, tuned=0.9, shuffled=0.9, blank=0.9))
    assert "0.90 with blank frames: nothing here shows that it looks at them" in text
    assert "shuffled" not in text


def test_a_model_that_got_worse_and_forgot() -> None:
    text = verdict(
        scores(untuned=0.9, tuned=0.2, still_images_before=0.9, still_images_after=0.3, blank=0.0)
    )
    assert "0.90 before tuning: tuning made it worse." in text
    assert "it forgot some; mix still images into the training data." in text


def test_a_handful_of_questions_makes_no_claim() -> None:
    text = verdict(scores(num_questions=4, untuned=0.5, tuned=0.75, shuffled=0.5, blank=0.0))
    assert "no difference that 4 questions can show." in text
    assert "it uses the order of frames." not in text.replace("that it uses", "")


def test_without_a_start_model() -> None:
    assert verdict(scores(tuned=0.5)) == "The tuned model answers 0.50 of the questions."


def test_without_a_tuned_model_it_is_refused() -> None:
    with pytest.raises(ValueError, match="no row 'tuned'"):
        verdict(scores(untuned=0.5))
