"""What is counted of records and clips is what is in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fixtures_table import row, say
from fixtures_video import MakeClip, make_clip  # noqa: F401  (a fixture)
from flipbook.data.statistics import clip_facts as clip_facts
from flipbook.data.statistics.clip_facts import MediaFacts, facts_of, read_facts_of, summarise
from flipbook.data.statistics.counted import Bin, CountedText, CountedTexts, spread_of
from flipbook.data.statistics.summary import GivenAway, Statistics, read_statistics
from flipbook.data.turns import Media
from flipbook.errors import MediaError, WorkerError
from flipbook.video.view import View


def _statistics(tmp_path: Path, *rows: dict[str, Any]) -> Statistics:
    for name in ("a.mp4", "b.mp4", "c.png"):
        (tmp_path / name).write_bytes(b"x")
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows), "utf-8")
    return read_statistics([path])


def test_everything_is_counted_once(tmp_path: Path) -> None:
    found = _statistics(
        tmp_path,
        row("1", "<video>\nWhat?", "A ball.", video="a.mp4") | {"task": "t", "group": "g"},
        row("2", "<video>\nWhat?", "A ball.", video="a.mp4") | {"split": "val", "kind": "open"},
        row("3", "<image>\n<image>\nWho?", "He.", "Why?", "So.", image=["c.png", "b.mp4"]),
        {"id": "4", "conversations": [say("Who?", "He."), say("Why?", "So.")], "group": "g"},
        row("5", "What?", ""),
    )
    assert (found.num_records, found.num_conversations) == (4, 5)
    assert [error.record_id for error in found.rejected] == ["5"]
    assert found.num_repeated == 1
    assert (found.num_groups, found.num_without_group) == (1, 2)
    assert found.shown == {"a video": 2, "nothing": 1, "several: images and videos": 1}
    assert found.tasks == {"none": 3, "t": 1}
    assert found.kinds == {"none": 3, "open": 1}
    assert found.splits == {"none": 3, "validation": 1}
    assert found.turns == {1: 4, 2: 1}
    assert [Path(item.path).name for item in found.media] == ["a.mp4", "c.png", "b.mp4"]
    assert (found.num_questions, found.num_different_questions) == (6, 3)
    assert found.frequent_questions[0] == CountedText("What?", 2)
    assert found.answer_words is not None
    assert (found.answer_words.least, found.answer_words.most) == (1, 2)


def test_the_majority_is_the_score_of_always_saying_one_thing(tmp_path: Path) -> None:
    answers = ["left", "Left ", "right", "up"]
    found = _statistics(
        tmp_path,
        *[row(str(n), "Where?", answer) | {"task": "way"} for n, answer in enumerate(answers)],
        row("single", "How?", "Well.") | {"task": "once"},
        row("x", "How?", "Once.") | {"task": "never twice"},
        row("y", "How?", "Once more.") | {"task": "never twice"},
    )
    way = found.answers["way"]
    assert (way.total, way.num_different, way.majority) == (4, 3, 0.5)
    assert way.frequent == (CountedText("Left", 2),)
    assert found.answers["once"].majority == 1.0
    assert found.answers["never twice"].majority == 0.5
    assert found.answers["never twice"].frequent == ()


def test_questions_that_hold_their_answer_are_found(tmp_path: Path) -> None:
    found = _statistics(
        tmp_path,
        row("given", "Is the Red ball there?", "red ball"),
        row("part", "Is it reddish?", "red"),
        row("letter", "What is a cat?", "A"),
        row("long", "one two three four five six", "one two three four five six"),
        row("options", "left or right?", "A")
        | {"kind": "multiple_choice", "options": ["left", "right"], "answer": "left"},
        row("one option", "Does it go left?", "A")
        | {"kind": "multiple_choice", "options": ["left", "right"], "answer": "left"},
    )
    assert found.given_away == (
        GivenAway("given", "Is the Red ball there?", "red ball"),
        GivenAway("one option", "Does it go left?", "left"),
    )
    assert found.num_asked == 4


def test_a_question_that_offers_another_answer_of_its_task_gives_none_away(
    tmp_path: Path,
) -> None:
    rows = [row(f"{n}", "Up or down?", "up" if n % 2 else "down") for n in range(4)]
    assert _statistics(tmp_path, *rows).given_away == ()


def test_numbers_fall_into_bins_that_double() -> None:
    spread = spread_of([0, 1, 1, 3, 9])
    assert spread is not None
    assert spread.bins == (Bin(0, 1, 1), Bin(1, 2, 2), Bin(2, 4, 1), Bin(4, 8, 0), Bin(8, 16, 1))
    assert (spread.least, spread.median, spread.mean, spread.most) == (0, 1, 2.8, 9)
    assert spread_of([]) is None
    for values in ([0.0], [0.25, 8.0], [64.0], [7.99]):
        spread = spread_of(values)
        assert spread is not None
        assert sum(one.number for one in spread.bins) == len(values)
        assert all(one.start <= max(values) for one in spread.bins)


def test_texts_that_come_once_are_not_kept() -> None:
    counted = CountedTexts()
    for text in ("a", "A", "b", "ü\ud800"):
        counted.add(text)
    assert counted.repeated == ["A"]
    assert (counted.total, counted.num_different) == (4, 3)


def test_facts_of_clips_and_pictures(tmp_path: Path, make_clip: MakeClip) -> None:  # noqa: F811
    clip = make_clip("facts.mp4", num_frames=20, rate=10)
    pictures = [tmp_path / f"{number}.png" for number in range(3)]
    for path in pictures:
        Image.fromarray(np.zeros((20, 40, 3), np.uint8)).save(path)
    listed = tuple(map(str, pictures))
    media = [
        Media("video", str(clip)),
        Media("image", listed[0]),
        Media("video", str(tmp_path), view=View(frames_fps=2.0)),
        Media("video", str(tmp_path), listed[:2]),
        Media("video", str(tmp_path / "gone.mp4")),
    ]
    facts = list(read_facts_of(media, num_workers=0))
    video, image, folder, frames, gone = facts
    assert isinstance(video, MediaFacts)
    assert (video.codec, video.width, video.height, video.num_frames) == ("h264", 96, 72, 20)
    assert isinstance(folder, MediaFacts)
    assert (folder.codec, folder.duration_s, folder.num_frames) == ("pictures", 1.5, 3)
    assert isinstance(image, MediaFacts)
    assert (image.codec, image.width, image.num_bytes) == ("png", 40, pictures[0].stat().st_size)
    assert isinstance(frames, MediaFacts)
    assert (frames.num_frames, frames.frames_per_s) == (2, 0.0)
    assert isinstance(gone, MediaError)
    found = summarise(facts)
    assert (found.num_videos, found.num_images) == (3, 1)
    assert found.failed == ((media[4].path, gone.message),)
    assert found.codecs == {"pictures": 2, "h264": 1, "png": 1}
    assert found.sizes == {"40 x 20": 3, "96 x 72": 1}
    assert found.rates == {"10": 1, "2": 1}
    assert found.total_s == pytest.approx(3.5)
    assert found.durations_s is not None
    assert found.durations_s.most == pytest.approx(2.0)


def test_processes_find_what_one_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_facts, "MIN_PARALLEL_MEDIA", 1)
    path = tmp_path / "a.png"
    Image.fromarray(np.zeros((20, 40, 3), np.uint8)).save(path)
    media = [Media("image", str(path)), Media("video", str(tmp_path / "gone.mp4"))]
    found = list(read_facts_of(media, num_workers=1))
    assert found[0] == facts_of(media[0])
    assert str(found[1]) == str(facts_of(media[1]))


def test_a_process_that_is_ended_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_facts, "MIN_PARALLEL_MEDIA", 1)

    class BrokenPool:
        def __init__(self, *_: object) -> None:
            raise clip_facts.BrokenProcessPool

    monkeypatch.setattr(clip_facts, "ProcessPoolExecutor", BrokenPool)
    with pytest.raises(WorkerError, match="find the clip with `flipbook data check`"):
        list(read_facts_of([Media("image", str(tmp_path))], num_workers=1))
