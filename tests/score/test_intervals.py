"""Do intervals hold the truth as often as they say, and p-values mean what they say?"""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from scipy import stats

from flipbook.score import intervals
from flipbook.score.draws import drawn_sums, exact
from flipbook.score.intervals import Difference, difference, estimate, mean_of_ratios
from flipbook.score.measure import FloatArray, Measure, mean_of

NUM_DRAWS = 400  # enough for a test


def names(count: int) -> list[str]:
    return [f"video {place}" for place in range(count)]


def answers(num_right: int, count: int) -> Measure:
    return mean_of([float(place < num_right) for place in range(count)])


def f1(sums: FloatArray) -> FloatArray:
    with np.errstate(invalid="ignore"):
        values: FloatArray = 2 * sums[..., 0] / (sums[..., 1] + sums[..., 2])
    return values


def test_intervals_hold_the_truth_where_questions_about_a_video_are_alike() -> None:
    rng = np.random.default_rng(7)
    num_trials, num_videos, num_each = 300, 40, 8
    clusters = [name for name in names(num_videos) for _ in range(num_each)]
    held, held_by_naive = 0, 0
    for trial in range(num_trials):
        easy = rng.beta(0.6, 0.4, size=num_videos)  # most videos are all right or all wrong
        values = (rng.random((num_videos, num_each)) < easy[:, None]).ravel().astype(float)
        measure = mean_of(values.tolist())
        found = estimate(measure, clusters, seed=trial, num_draws=NUM_DRAWS)
        naive = estimate(measure, names(len(values)), seed=trial, num_draws=NUM_DRAWS)
        held += found.low <= 0.6 <= found.high
        held_by_naive += naive.low <= 0.6 <= naive.high
    assert 0.90 <= held / num_trials <= 0.98
    assert held_by_naive / num_trials < 0.75


def test_the_interval_is_as_wide_as_the_standard_error_says() -> None:
    values = [float(place % 4 > 0) for place in range(400)]
    found = estimate(mean_of(values), names(400))
    error = math.sqrt(0.75 * 0.25 / 400)
    assert found.value == 0.75
    assert found.low == pytest.approx(0.75 - 1.96 * error, abs=0.006)
    assert found.high == pytest.approx(0.75 + 1.96 * error, abs=0.006)
    assert (found.num_questions, found.num_clusters) == (400, 400)


def test_it_agrees_with_the_bootstrap_of_scipy() -> None:
    values = np.random.default_rng(3).random(60)
    theirs = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=5000, rng=0)
    found = estimate(mean_of(values.tolist()), names(60), num_draws=5000)
    assert found.low == pytest.approx(theirs.confidence_interval.low, abs=0.008)
    assert found.high == pytest.approx(theirs.confidence_interval.high, abs=0.008)


@pytest.mark.parametrize(("num_right", "low", "high"), [(10, 0.78, 1.0), (0, 0.0, 0.22)])
def test_ten_of_ten_is_not_certain(num_right: int, low: float, high: float) -> None:
    found = estimate(answers(num_right, 10), names(10))
    exact_low, exact_high = stats.beta.ppf([0.025, 0.975], num_right + 0.5, 10 - num_right + 0.5)
    assert found.low == pytest.approx(low, abs=0.02)
    assert found.high == pytest.approx(high, abs=0.02)
    assert found.low == pytest.approx(min(exact_low, found.value), abs=0.02)
    assert found.high == pytest.approx(max(exact_high, found.value), abs=0.02)


def test_ten_answers_about_one_video_say_little() -> None:
    found = estimate(answers(7, 10), ["one"] * 10)
    assert found.value == 0.7
    assert found.low < 0.1
    assert found.high > 0.95
    assert found.num_clusters == 1


def test_a_task_that_is_all_right_is_not_certain_beside_one_that_varies() -> None:
    stats_of_two = np.zeros((205, 4))
    stats_of_two[:200, 0], stats_of_two[:200, 1] = np.arange(200) % 2, 1
    stats_of_two[200:, 2:] = 1
    found = estimate(Measure(stats_of_two, mean_of_ratios), names(205), num_draws=NUM_DRAWS)
    assert found.value == 0.75
    assert found.low < 0.68  # 0.72 if the five of five were certain
    assert found.high < 0.79


def test_a_measure_that_is_no_mean_is_not_certain_either() -> None:
    perfect = Measure(np.ones((10, 3)), f1)
    found = estimate(perfect, names(10))
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low < 0.85


def test_what_cannot_vary_and_has_no_range_has_no_interval() -> None:
    measure = mean_of([0.0] * 10, in_unit_range=False)
    found = estimate(measure, names(10))
    assert math.isnan(found.low)
    assert found.as_dict() == {"value": 0.0}
    assert difference(measure, measure, names(10)).as_dict() == {"value": 0.0, "p_value": 1.0}


def test_the_value_is_always_inside() -> None:
    rng = np.random.default_rng(0)
    for trial in range(60):
        values = (rng.random(rng.integers(1, 8)) < rng.random()).astype(float)
        clusters = [f"{place}" for place in rng.integers(4, size=len(values))]
        found = estimate(mean_of(values.tolist()), clusters, seed=trial, num_draws=50)
        assert found.low <= found.value <= found.high


def test_equal_input_gives_equal_digits() -> None:
    values = np.random.default_rng(1).random(50)
    measure, clusters = mean_of(values.tolist()), names(50)
    assert estimate(measure, clusters) == estimate(measure, clusters)
    assert estimate(measure, clusters) != estimate(measure, clusters, seed=1)


def test_exact_sums_do_not_depend_on_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    sums = exact(np.random.default_rng(0).normal(size=(300, 3)) * [1.0, 1e9, 1e-12])
    forwards, backwards = np.zeros(3), np.zeros(3)
    for row in range(300):
        forwards += sums[row]
        backwards += sums[299 - row]
    assert (forwards == backwards).all()
    assert (sums.sum(axis=0) == forwards).all()
    counts = np.array([[3.0, 0.0], [1.0, 7.0]])
    assert (exact(counts) == counts).all()


def test_draws_in_portions_are_all_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flipbook.score.draws.MAX_HELD", 64)
    pieces = list(drawn_sums(np.ones((10, 1)), np.random.default_rng(0), 25))
    assert [len(piece) for piece in pieces] == [6, 6, 6, 6, 1]
    assert (np.concatenate(pieces) == 10).all()


def test_a_question_that_a_measure_says_nothing_about_is_left_out() -> None:
    found = estimate(mean_of([1.0, None, 0.0, 1.0, None, 0.0]), names(6))
    assert found.value == 0.5
    with pytest.raises(ValueError, match="says nothing about these questions"):
        estimate(mean_of([None, None]), names(2))


def test_a_cluster_for_each_question_is_needed() -> None:
    with pytest.raises(ValueError, match="3 clusters for 2 questions"):
        estimate(answers(1, 2), names(3))


@pytest.mark.parametrize(("num_won", "num_lost"), [(6, 0), (8, 2), (5, 5), (5, 0), (0, 7)])
def test_the_p_value_is_that_of_the_exact_mcnemar_test(num_won: int, num_lost: int) -> None:
    first = [1.0] * num_won + [0.0] * num_lost + [1.0] * 20
    second = [0.0] * num_won + [1.0] * num_lost + [1.0] * 20
    found = difference(mean_of(first), mean_of(second), names(len(first)), num_draws=NUM_DRAWS)
    theirs = stats.binomtest(num_won, num_won + num_lost).pvalue
    assert found.p_value == pytest.approx(theirs, abs=1e-12)


def test_five_videos_are_too_few_for_any_claim() -> None:
    found = difference(answers(5, 5), answers(0, 5), names(5))
    assert found.value == 1.0
    assert found.p_value == 2 / 32


def test_drawn_p_values_agree_with_scipy() -> None:
    rng = np.random.default_rng(5)
    first, second = rng.random(40), rng.random(40) - 0.1
    found = difference(mean_of(first.tolist()), mean_of(second.tolist()), names(40))
    theirs = stats.permutation_test(
        (first, second),
        lambda one, other, axis: (one - other).mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=10_000,
        rng=0,
    )
    assert 0.02 < theirs.pvalue < 0.9
    assert found.p_value == pytest.approx(theirs.pvalue, abs=0.02)


def test_drawn_and_enumerated_p_values_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = answers(9, 11), answers(2, 11)
    enumerated = difference(first, second, names(11), num_draws=NUM_DRAWS)
    monkeypatch.setattr(intervals, "MOST_ENUMERATED", 3)
    drawn = difference(first, second, names(11), num_draws=NUM_DRAWS)
    assert enumerated.p_value == 2 / 2**7
    assert drawn.p_value == pytest.approx(enumerated.p_value, abs=0.005)
    assert drawn.p_value != enumerated.p_value


def test_the_answers_about_one_video_change_places_together() -> None:
    first, second = answers(8, 8), answers(0, 8)
    assert difference(first, second, names(8)).p_value == 2 / 2**8
    assert difference(first, second, ["a", "a", "b", "b", "c", "c", "d", "d"]).p_value == 2 / 2**4


def test_a_measure_that_is_no_mean_is_permuted_exactly() -> None:
    rng = np.random.default_rng(2)
    both = rng.integers(0, 4, size=(2, 4, 3)).astype(float)
    both[:, :, 1:] += 3
    found = difference(Measure(both[0], f1), Measure(both[1], f1), names(4))
    seen = abs(float(f1(both[0].sum(0)) - f1(both[1].sum(0))))
    num_far = 0
    for swaps in product((0, 1), repeat=4):
        one = sum(both[swap, place] for place, swap in enumerate(swaps))
        other = sum(both[1 - swap, place] for place, swap in enumerate(swaps))
        num_far += abs(float(f1(one) - f1(other))) >= seen - 1e-12
    assert 2 < num_far < 16
    assert found.p_value == num_far / 16


def test_true_differences_of_nothing_are_rarely_claimed() -> None:
    rng = np.random.default_rng(11)
    claimed, held = 0, 0
    for trial in range(200):
        first, second = (rng.random((2, 30)) < 0.6).astype(float).tolist()
        found = difference(
            mean_of(first), mean_of(second), names(30), seed=trial, num_draws=NUM_DRAWS
        )
        claimed += found.p_value < 0.05
        held += found.low <= 0 <= found.high
    assert claimed <= 18
    assert held >= 180


def test_an_interval_of_a_difference_uses_that_answers_are_paired() -> None:
    hard = [float(place % 2) for place in range(100)]
    better = [1.0 if place % 10 == 0 else value for place, value in enumerate(hard)]
    found = difference(mean_of(better), mean_of(hard), names(100))
    assert found.value == pytest.approx(0.1)
    assert 0.03 < found.low < 0.07
    assert 0.13 < found.high < 0.18


def test_a_difference_that_cannot_vary_is_not_certain() -> None:
    same = difference(answers(7, 10), answers(7, 10), names(10))
    assert (same.value, same.p_value) == (0.0, 1.0)
    assert -0.3 < same.low < -0.1
    assert 0.1 < same.high < 0.3
    apart = difference(answers(10, 10), answers(0, 10), names(10))
    assert (apart.value, apart.high) == (1.0, 1.0)
    assert 0.4 < apart.low < 0.8


def test_what_cannot_be_paired_is_refused() -> None:
    with pytest.raises(ValueError, match=r"stats \(3, 2\) and \(4, 2\) cannot be paired"):
        difference(answers(1, 3), answers(1, 4), names(3))
    with pytest.raises(ValueError, match="says nothing"):
        difference(answers(1, 2), mean_of([None, None]), names(2))


def test_json_has_what_is_known() -> None:
    found = Difference(0.5, 0.25, 0.75, 0.01, num_questions=8, num_clusters=8)
    assert found.as_dict() == {"value": 0.5, "low": 0.25, "high": 0.75, "p_value": 0.01}
