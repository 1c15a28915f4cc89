"""Is a model called better only where the questions can tell?"""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from fixtures_predictions import make_prediction, make_predictions, share
from flipbook.data.extras import Extras
from flipbook.data.records import Turn
from flipbook.errors import DataError
from flipbook.evaluate.compare import are_same_clips, compare, holm
from flipbook.evaluate.differences import in_plain_text
from flipbook.score.kinds.table import judge
from flipbook.score.prediction import Answer, Prediction
from flipbook.score.questions import AskedQuestion


def test_the_better_one_is_named() -> None:
    found = compare(share(20, 40), share(32, 40))
    assert found.sentence.startswith("B is better: 0.800 against 0.500 (difference +0.300, 95 %")
    assert found.sentence.endswith("p < 0.001).")
    assert compare(share(32, 40), share(20, 40)).sentence.startswith("A is better: 0.800 against")
    assert found.mean.difference.value == pytest.approx(0.3)


def test_a_few_questions_cannot_tell() -> None:
    found = compare(share(1, 5), share(5, 5))
    assert found.sentence.startswith("5 questions about 5 videos cannot tell which is better (diff")
    assert found.mean.difference.p_value == 2 / 2**4


def test_only_shared_questions_are_compared() -> None:
    found = compare(share(20, 40), share(3, 30))
    assert (found.num_questions, found.num_only_first, found.num_only_second) == (30, 10, 0)
    assert found.mean.first == pytest.approx(20 / 30)


def test_p_values_of_tasks_are_corrected_and_that_of_the_mean_is_not() -> None:
    tasks = {"a": (2, 10), "b": (5, 6), "c": (7, 7)}
    first = [item for task, (own, _) in tasks.items() for item in share(own, 20, task=task)]
    second = [item for task, (_, own) in tasks.items() for item in share(own, 20, task=task)]
    found = compare(first, second)
    raw = {task: own.difference.p_value for task, own in found.tasks.items()}
    assert raw == {"a": 2 / 2**8, "b": 1.0, "c": 1.0}
    assert {task: own.p_holm for task, own in found.tasks.items()} == {
        "a": 3 * 2 / 2**8,
        "b": 1.0,
        "c": 1.0,
    }
    assert found.mean.p_holm is None


def test_p_values_in_plain_text() -> None:
    assert in_plain_text(0.0004) == "p < 0.001"
    assert in_plain_text(0.021) == "p = 0.021"


@pytest.mark.parametrize(
    ("raw", "corrected"),
    [
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),
        ([0.5, 0.9], [1.0, 1.0]),
        ([0.02], [0.02]),
        ([], []),
    ],
)
def test_holm(raw: list[float], corrected: list[float]) -> None:
    assert holm(raw) == pytest.approx(corrected)


CLASSES = tuple(f"class {place}" for place in range(9))


def classified(place: int, *, right: int, chosen: int) -> Prediction:
    extras = Extras(kind="classification", options=CLASSES, answer=CLASSES[right])
    turns = (Turn("user", ("?",)), Turn("assistant", (CLASSES[right],)))
    question = AskedQuestion(f"c{place}", "class", turns, extras=extras)
    likelihoods = [-float(2 + (option - chosen) % 9) for option in range(9)]
    return judge(question, Answer(CLASSES[chosen], tuple(likelihoods)))


def as_told(prediction: Prediction) -> Prediction:
    """Keep the options that a file tells of: the chosen one and the right one."""
    assert prediction.right_option is not None
    assert prediction.choice is not None
    places = dict.fromkeys((prediction.choice, prediction.right_option))
    return replace(
        prediction,
        options=tuple(prediction.options[place] for place in places),
        option_log_likelihoods=(),
        choice=0,
        right_option=list(places).index(prediction.right_option),
    )


def test_classes_that_files_leave_out_do_not_matter() -> None:
    first = [classified(place, right=place % 3, chosen=place % 5) for place in range(30)]
    second = [classified(place, right=place % 3, chosen=place % 4 + 3) for place in range(30)]
    whole = compare(first, second)
    told = compare([as_told(item) for item in first], [as_told(item) for item in second])
    assert whole.kinds["classification"].keys() >= {"top_1", "top_5", "macro_f1"}
    for name, own in whole.kinds["classification"].items():
        other = told.kinds["classification"][name]
        assert other.first == pytest.approx(own.first)
        assert other.difference.value == pytest.approx(own.difference.value)
        assert other.difference.p_value == pytest.approx(own.difference.p_value)


def test_kinds_have_their_own_measures() -> None:
    first = [*share(5, 10), make_prediction("n", 1, kind="count", measures={"absolute_error": 0.0})]
    second = [*share(6, 10), make_prediction("n", 0, kind="count", measures={"unparsed": 1.0})]
    found = compare(first, second)
    assert list(found.kinds) == ["open", "count"]
    assert list(found.kinds["open"]) == ["exact_match"]
    assert found.kinds["count"] == {}


def test_json_has_all_of_it() -> None:
    found = compare(share(20, 40), share(32, 40))
    content = found.as_dict()
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert content["num_questions"] == 40
    assert content["mean"].keys() == {"a", "b", "value", "low", "high", "p_value", "num_questions"}
    assert content["tasks"]["order"]["p_holm"] == content["tasks"]["order"]["p_value"]
    assert content["kinds"]["open"]["exact_match"]["a"] == 0.5
    assert content["sentence"] == found.sentence


def test_fewer_than_two_shared_questions_are_refused() -> None:
    with pytest.raises(
        DataError,
        match="A has 3 questions, B has 4, and 0 in common: to compare takes 2 or more. Evaluate",
    ):
        compare(share(1, 3), share(1, 4, task="other"))
    with pytest.raises(DataError, match="and 1 in common"):
        compare(share(1, 3), share(1, 1))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"reference": "up"}, "its reference is 'left' in A and 'up' in B"),
        ({"kind": "caption"}, "its kind is 'open' in A and 'caption' in B"),
        ({"task": "count"}, "its task is 'order' in A and 'count' in B"),
        ({"question": "Why?"}, r"its question is 'Où va-t-il \?' in A and 'Why\?' in B"),
        ({"video": "other.mp4"}, "its video is 'order-1.mp4' in A and 'other.mp4' in B"),
        ({"video": "a/order-11.mp4"}, "its video is 'order-1.mp4' in A and 'a/order-11.mp4' in B"),
    ],
)
def test_a_question_that_is_not_the_same_is_named(change: dict[str, str], told: str) -> None:
    first, second = make_predictions([1, 0, 1]), make_predictions([1, 1, 1])
    second[1] = replace(second[1], **change)  # type: ignore[arg-type]
    with pytest.raises(
        DataError, match=f"record order-1, question 1: {told}. Evaluate both on the same records"
    ):
        compare(first, second)


def test_the_same_clips_may_lie_in_other_folders() -> None:
    first, second = make_predictions([1, 0, 1]), make_predictions([1, 1, 1])
    moved = [replace(item, video=f"copies/{item.video}") for item in second]
    assert compare(first, moved).num_questions == 3
    assert compare(moved, first).num_videos == 3


@pytest.mark.parametrize(
    ("first", "second", "is_same"),
    [
        ("b.mp4", "a/b.mp4", True),
        ("my clips/b.mp4", "b.mp4", True),
        ("one/b.mp4", "two/b.mp4", True),
        ("one/b.mp4 one/c.mp4", "b.mp4 c.mp4", True),
        ("one/b.mp4 one/c.mp4", "b.mp4 d.mp4", False),
        ("b.mp4", "a/bb.mp4", False),
        ("a/b.mp4", "a/c.mp4", False),
    ],
)
def test_names_that_may_mean_the_same_clips(first: str, second: str, is_same: bool) -> None:
    assert are_same_clips(first, second) is is_same
    assert are_same_clips(second, first) is is_same


def test_long_questions_are_shown_where_they_differ() -> None:
    first, second = (
        [replace(item, question=f"{'long ' * 40}{end}") for item in make_predictions([1, 0])]
        for end in ("left?", "right?")
    )
    with pytest.raises(
        DataError, match=r"'\.\.\.(long ){4}left\?' in A and '\.\.\.(long ){4}right\?' in B"
    ):
        compare(first, second)
