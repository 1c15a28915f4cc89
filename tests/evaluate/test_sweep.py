"""Is the picked point as good as the best one, and is nothing cheaper that is?"""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from flipbook.data.generated.write import GeneratedData
from flipbook.data.records import read_records
from flipbook.errors import ArgumentError
from flipbook.evaluate.points import Point, points_of
from flipbook.evaluate.sweep import RULES, Sweep, Swept, best_buy, front_of, sweep_points
from flipbook.model.checkpoint import Checkpoint
from flipbook.score.prediction import Prediction
from flipbook.score.questions import AskedQuestion, questions_of
from flipbook.score.scores import score_of
from flipbook.video.settings import ClipSettings

FEW = {"max_new_tokens": 2, "num_cost_questions": 1}
SMALL, MIDDLE, LARGE = Point(2, 128), Point(4, 128), Point(8, 128)


def predictions(right: Sequence[bool]) -> list[Prediction]:
    """Return answers, right or wrong, to questions about a video each."""
    return [
        Prediction(f"r{number}", 1, "t", "open", f"v{number}", "?", "yes", "no", float(is_right))
        for number, is_right in enumerate(right)
    ]


def swept(point: Point, *, right: Sequence[bool], latency_ms: float) -> Swept:
    return Swept(point, 16.0 * point.frames, latency_ms, predictions(right))


def first(num_right: int, of: int = 40) -> list[bool]:
    return [number < num_right for number in range(of)]


@pytest.fixture(scope="module")
def questions(generated: GeneratedData) -> tuple[AskedQuestion, ...]:
    return questions_of(read_records(str(generated.test)).records)[:4]


def test_a_cheaper_point_that_is_as_good_is_picked() -> None:
    found = [
        swept(SMALL, right=first(20), latency_ms=1.0),
        swept(MIDDLE, right=first(39), latency_ms=2.0),
        swept(LARGE, right=first(40), latency_ms=4.0),
    ]
    assert best_buy(found) == MIDDLE  # 39 and 40 of 40 may be chance, 20 and 40 may not
    assert best_buy([found[0], found[2]]) == LARGE
    assert best_buy(found[:1]) == SMALL


def test_a_point_far_below_is_not_picked_though_few_videos_prove_nothing() -> None:
    found = [
        swept(SMALL, right=first(0, of=4), latency_ms=1.0),
        swept(LARGE, right=first(4, of=4), latency_ms=4.0),
    ]
    assert best_buy(found) == LARGE


def test_a_small_difference_that_many_videos_prove_is_one() -> None:
    found = [
        swept(SMALL, right=first(392, of=400), latency_ms=1.0),
        swept(LARGE, right=first(400, of=400), latency_ms=4.0),
    ]
    assert best_buy(found) == LARGE  # 8 of 400 is 0.02, but all 8 differ in one direction
    same = [found[1], swept(SMALL, right=first(400, of=400), latency_ms=9.0)]
    assert best_buy(same) == LARGE  # of equal ones the cheapest


def test_nothing_beats_what_is_on_the_front() -> None:
    found = [
        swept(SMALL, right=first(20), latency_ms=1.0),
        swept(MIDDLE, right=first(10), latency_ms=2.0),
        swept(LARGE, right=first(30), latency_ms=4.0),
        swept(Point(8, 256), right=first(30), latency_ms=5.0),
        swept(Point(16, 128), right=first(30), latency_ms=4.0),
    ]
    assert front_of(found) == {SMALL, LARGE, Point(16, 128)}


def test_every_point_is_asked_the_same_and_told(
    seeing_checkpoint: Checkpoint, questions: tuple[AskedQuestion, ...]
) -> None:
    settings = seeing_checkpoint.clip_settings
    points = points_of(settings, frames=[4, 2, 2], frame_sizes=[128])
    asked: list[Point] = []
    found = sweep_points(seeing_checkpoint, questions, points, on_point=asked.append, **FEW)
    assert asked == [SMALL, MIDDLE]
    content = json.loads(json.dumps(found.as_dict(trained_at=MIDDLE), allow_nan=False))
    told = content["points"]
    assert {(one["frames"], one["visual_tokens"]) for one in told} == {(2, 8), (4, 16)}
    assert [one["latency_ms"] for one in told] == sorted(one["latency_ms"] for one in told)
    for one, of_point in zip(told, found.swept, strict=True):
        assert one["score"] == score_of(of_point.predictions).mean
        assert 0 <= one["low"] <= one["score"] <= one["high"] <= 1
        assert [p.key for p in of_point.predictions] == [q.key for q in questions]
    assert [one["picked"] for one in told].count(True) == 1
    assert told[0]["on_front"]
    assert content["trained_at"] == {"frames": 4, "frame_size": 128}
    assert content["rule"] == RULES["auto"]
    assert (content["num_questions"], content["refused"]) == (4, [])
    assert content["dtype"] == "float32"


def test_a_point_is_told_by_name_or_not_at_all(
    seeing_checkpoint: Checkpoint, questions: tuple[AskedQuestion, ...]
) -> None:
    points = points_of(seeing_checkpoint.clip_settings, frames=[2], frame_sizes=[128])
    by_hand = sweep_points(seeing_checkpoint, questions, points, pick=SMALL, **FEW)
    assert (by_hand.picked, by_hand.rule) == (SMALL, "the point that --pick names")
    nothing = sweep_points(seeing_checkpoint, questions, points, pick="none", **FEW)
    assert (nothing.picked, nothing.rule) == (None, "no point was to be picked")


def test_a_prompt_that_is_too_long_refuses_its_point_alone(
    seeing_checkpoint: Checkpoint,
    questions: tuple[AskedQuestion, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = seeing_checkpoint.model.config.text_config
    monkeypatch.setattr(config, "max_position_embeddings", 150)
    points = points_of(seeing_checkpoint.clip_settings, frames=[2, 24], frame_sizes=[128])
    found = sweep_points(seeing_checkpoint, questions, points, **FEW)
    assert [one.point for one in found.swept] == [SMALL]
    (refused,) = found.as_dict(trained_at=MIDDLE)["refused"]
    assert (refused["frames"], refused["frame_size"]) == (24, 128)
    assert "and the limit is 150" in refused["reason"]
    with pytest.raises(ArgumentError, match="--pick 24x128 cannot be read .* the limit is 150"):
        sweep_points(seeing_checkpoint, questions, points, pick=Point(24, 128), **FEW)
    monkeypatch.setattr(config, "max_position_embeddings", 4)
    with pytest.raises(
        ArgumentError, match="none of the 2 points, beginning with 2x128.*fewer --f"
    ):
        sweep_points(seeing_checkpoint, questions, points, **FEW)


def test_points_are_each_frames_at_each_side() -> None:
    settings = ClipSettings(frame_size=64, num_frames=8, system_prompt="Be brief.")
    points = points_of(settings, frames=[4, 2], frame_sizes=[256, 128, 128])
    assert list(map(str, points)) == ["2x128", "2x256", "4x128", "4x256"]
    assert points[Point(2, 256)] == ClipSettings(
        frame_size=256, num_frames=2, system_prompt="Be brief."
    )


def test_what_cannot_be_a_point_is_refused() -> None:
    settings = ClipSettings(frame_size=64)
    with pytest.raises(ArgumentError, match="100 px, which is no multiple of 64: give 64 or 128"):
        points_of(settings, frames=[2], frame_sizes=[100])
    with pytest.raises(ArgumentError, match="num_frames is 0: give a whole number from 1"):
        points_of(settings, frames=[0], frame_sizes=[64])
    at_rate = ClipSettings(frame_size=64, sampler="fps", frames_per_s=2.0)
    with pytest.raises(ArgumentError, match="takes 2 frames of each second .sampler fps.*uniform"):
        points_of(at_rate, frames=[2], frame_sizes=[64])


def test_a_sweep_without_a_pick_marks_none() -> None:
    one = swept(SMALL, right=first(3), latency_ms=1.0)
    content = Sweep([one], {}, frozenset({SMALL}), None, RULES["none"], "cpu", "float32").as_dict(
        trained_at=LARGE
    )
    assert [point["picked"] for point in content["points"]] == [False]
