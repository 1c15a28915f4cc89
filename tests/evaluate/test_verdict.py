"""Does the verdict claim what the answers show, and no more?"""

from __future__ import annotations

import pytest

from fixtures_predictions import make_prediction, share
from flipbook.evaluate.differences import differences_of
from flipbook.evaluate.verdict import verdict
from flipbook.score.prediction import Prediction


def say(num_questions: int = 100, **shares: float) -> str:
    return said(
        {row: share(round(part * num_questions), num_questions) for row, part in shares.items()}
    )


def said(predictions: dict[str, list[Prediction]]) -> str:
    return verdict(predictions, differences=differences_of(predictions))


def test_a_model_that_reads_the_order() -> None:
    text = say(
        untuned=0.31,
        tuned=0.93,
        shuffled=0.4,
        blank=0.3,
        still_images_before=1.0,
        still_images_after=0.99,
    )
    assert text == (
        "The tuned model answers 0.93 of the questions, 0.31 before tuning: it learned. "
        "It scores 0.40 with the frames shuffled: it uses the order of frames (temporal gain 0.53, "
        "95 % interval 0.44 to 0.62, p < 0.001). "
        "On still images it scores 0.99, 1.00 before tuning: nothing forgotten that these "
        "questions would show."
    )


def test_a_model_that_does_not_need_the_order() -> None:
    text = say(untuned=0.3, tuned=0.9, shuffled=0.89, blank=0.3)
    assert "0.89 with the frames shuffled: nothing here shows that it uses the order" in text
    assert "temporal gain" not in text
    assert "On still images" not in text


def test_a_model_that_does_not_look() -> None:
    text = say(untuned=0.3, tuned=0.9, shuffled=0.9, blank=0.9, other_clip=0.9)
    assert "0.90 with blank frames: nothing here shows that it looks at the frames." in text
    assert "shuffled" not in text
    assert "another clip" not in text


def test_words_alone_count_as_blank_frames_do() -> None:
    text = say(untuned=0.3, tuned=0.9, blank=0.2, text_only=0.88, shuffled=0.4)
    assert "0.88 from the words alone: nothing here shows that it looks at the frames." in text
    assert "uses" not in text


def test_a_model_that_answers_alike_for_any_clip() -> None:
    text = say(untuned=0.3, tuned=0.9, blank=0.2, other_clip=0.9, shuffled=0.4)
    assert (
        "0.90 with the frames of another clip: nothing here shows that it uses those of the clip "
        "asked about." in text
    )
    assert "shuffled" not in text


def test_a_model_that_looks_at_the_clip() -> None:
    text = say(untuned=0.3, tuned=0.9, blank=0.2, other_clip=0.3, shuffled=0.4)
    assert (
        "0.30 with the frames of another clip: it uses those of the clip asked about. It " in text
    )
    assert "it uses the order of frames (temporal gain 0.50" in text


def test_the_order_is_used_only_if_one_frame_says_less_too() -> None:
    text = say(untuned=0.3, tuned=0.9, single_frame=0.89, shuffled=0.4)
    assert "0.89 from one frame: nothing here shows that it uses more than one frame" in text
    assert "it uses the order of frames" not in text


def test_the_gain_is_over_the_better_of_both() -> None:
    text = say(untuned=0.3, tuned=0.9, single_frame=0.5, shuffled=0.4)
    assert "It scores 0.50 from one frame and no more with the frames shuffled: it uses the" in text
    assert "temporal gain 0.40" in text


def test_one_frame_alone_does_not_speak_of_order() -> None:
    text = say(untuned=0.3, tuned=0.9, single_frame=0.5)
    assert "It scores 0.50 from one frame: it uses more than one frame (temporal gain 0.40" in text
    assert "order" not in text


def test_a_model_that_got_worse_and_forgot() -> None:
    text = say(untuned=0.9, tuned=0.2, still_images_before=0.9, still_images_after=0.3, blank=0.0)
    assert "0.90 before tuning: tuning made it worse." in text
    assert "it forgot some; mix still images into the training data." in text


def test_a_few_questions_make_no_claim() -> None:
    text = say(num_questions=8, untuned=0.5, tuned=0.75, shuffled=0.5, blank=0.0)
    assert "no difference that 8 questions can show." in text
    assert "nothing here shows that it uses the order of frames" in text


def test_a_handful_of_videos_makes_no_claim_at_all() -> None:
    assert say(num_questions=4, untuned=0.0, tuned=1.0, shuffled=0.0, blank=0.0) == (
        "The tuned model answers 1.00 of the questions, 0.00 before tuning. 4 questions about 4 "
        "videos are too few to claim anything: add videos."
    )
    assert "1 question about 1 video is too few" in say(num_questions=1, tuned=1.0)


def test_many_questions_about_one_video_are_one_video() -> None:
    rows = {
        row: [make_prediction(f"r{place}", value, video="v.mp4") for place in range(100)]
        for row, value in (("tuned", 1), ("untuned", 0))
    }
    assert "100 questions about 1 video are too few to claim anything" in said(rows)


def test_what_is_not_right_or_wrong_is_a_score() -> None:
    rows = {"tuned": [make_prediction(f"r{place}", 0.25 + place / 40) for place in range(20)]}
    assert said(rows) == "The model scores 0.49."


def test_rows_that_lack_questions_are_compared_on_those_they_have() -> None:
    tuned = share(90, 100)
    rows = {"tuned": tuned, "other_clip": share(0, 10), "shuffled": share(20, 100)}
    assert "0.00 with the frames of another clip: it uses those" in said(rows)


def test_a_mean_over_tasks_is_called_so() -> None:
    few = [make_prediction(f"a{n}", 1, task="rare", video=f"v{n}") for n in range(10)]
    many = [make_prediction(f"b{n}", 0, task="often", video=f"w{n}") for n in range(90)]
    told = "The model answers 0.50 of the questions (mean over 2 tasks)."
    assert said({"tuned": [*few, *many]}) == told


def test_without_a_start_model() -> None:
    assert say(tuned=0.5) == "The model answers 0.50 of the questions."


def test_without_a_tuned_model_it_is_refused() -> None:
    with pytest.raises(ValueError, match="no row 'tuned'"):
        say(untuned=0.5)
