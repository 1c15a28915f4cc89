"""The gallery shows right and wrong answers of every task, with what the model saw."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flipbook.data.generated.write import GeneratedData
from flipbook.data.shown import read_shown
from flipbook.data.turns import Media, Turn
from flipbook.evaluate.gallery import choose_gallery, make_gallery, write_gallery
from flipbook.score.prediction import Prediction
from flipbook.score.questions import AskedQuestion
from flipbook.video.settings import ClipSettings

SETTINGS = ClipSettings(num_frames=4, frame_size=128)


def _predictions(task: str | None, verdicts: str) -> list[Prediction]:
    """Return a prediction for each letter, r or w."""
    return [
        Prediction(
            record_id=f"{task}-{place}",
            number=1,
            task=task,
            kind="open",
            video="v",
            question="Q",
            reference="a",
            answer="b",
            value=float(letter == "r"),
        )
        for place, letter in enumerate(verdicts)
    ]


def _names(predictions: list[Prediction], limit: int) -> list[str]:
    return [record_id for record_id, _ in choose_gallery(predictions, limit=limit)]


def test_wrong_and_right_ones_of_every_task_take_turns() -> None:
    predictions = _predictions("a", "rrrrrrrw") + _predictions("b", "wwwwwwww")
    chosen = set(_names(predictions, 6))
    assert "a-7" in chosen
    assert len([name for name in chosen if name.startswith("b")]) == 3
    assert len(chosen) == 6


def test_a_group_is_shown_from_first_to_last() -> None:
    assert _names(_predictions(None, "rrrrrrrrrr"), 5) == [f"None-{n}" for n in (0, 2, 4, 6, 8)]


def test_all_are_chosen_where_there_are_few_and_none_where_none_is_wanted() -> None:
    predictions = _predictions("a", "rwr")
    assert _names(predictions, 24) == ["a-0", "a-1", "a-2"]
    assert choose_gallery(predictions, limit=0) == []
    assert choose_gallery([], limit=24) == []


def _asked(name: str, *media: Media) -> AskedQuestion:
    turns = (Turn("user", (*media, "What?")), Turn("assistant", ("That.",)))
    return AskedQuestion(name, "t", turns)


@pytest.fixture
def clip(generated: GeneratedData) -> Path:
    """A generated clip."""
    rows = json.loads(generated.train.read_text("utf-8"))
    return generated.folder / next(row["video"] for row in rows if "video" in row)


@pytest.fixture
def picture(tmp_path: Path) -> Media:
    """A still image with a red half."""
    path = tmp_path / "a.png"
    image = Image.new("RGB", (200, 200), "white")
    image.paste((200, 30, 30), (0, 0, 100, 200))
    image.save(path)
    return Media("image", str(path))


def _folder_of_pictures(folder: Path, number: int) -> Media:
    folder.mkdir()
    for place in range(number):
        Image.new("RGB", (64, 64), (10 * place, 90, 90)).save(folder / f"{place:03}.png")
    return Media("video", str(folder))


def test_frames_are_those_that_the_model_sees(clip: Path) -> None:
    media = Media("video", str(clip))
    settings = ClipSettings(num_frames=4, frame_size=256)
    (item,) = make_gallery([_asked("a", media)], settings, [("a", 1)])["items"]
    seen = read_shown(media, settings)
    assert [frame["time_s"] for frame in item["frames"]] == pytest.approx(
        seen.times_s.tolist(), abs=1e-3
    )
    assert item["num_frames"] == 4
    assert item["duration_s"] > seen.times_s[-1]
    for frame, pixels in zip(item["frames"], seen.frames, strict=True):
        image = Image.open(io.BytesIO(base64.b64decode(frame["jpeg"])))
        assert (image.format, image.size) == ("JPEG", (160, 160))
        assert (frame["width"], frame["height"]) == image.size
        full = Image.fromarray(pixels.permute(1, 2, 0).numpy()).resize((160, 160))
        apart = np.asarray(image, dtype=float) - np.asarray(full, dtype=float)
        assert np.abs(apart).mean() < 6


def test_small_frames_are_not_made_larger_and_a_still_image_has_no_instant(picture: Media) -> None:
    (item,) = make_gallery([_asked("a", picture)], SETTINGS, [("a", 1)])["items"]
    (frame,) = item["frames"]
    assert (frame["width"], frame["time_s"], item["duration_s"]) == (128, None, None)


def test_of_many_frames_some_are_kept_from_first_to_last(tmp_path: Path) -> None:
    media = _folder_of_pictures(tmp_path / "frames", 20)
    settings = ClipSettings(num_frames=20, frame_size=64)
    (item,) = make_gallery([_asked("a", media)], settings, [("a", 1)])["items"]
    times = [frame["time_s"] for frame in item["frames"]]
    seen = read_shown(media, settings)
    assert (len(times), item["num_frames"]) == (16, 20)
    assert (times[0], times[-1]) == (0.0, pytest.approx(seen.times_s[-1].item(), abs=1e-3))
    assert times == sorted(times)


def test_only_the_chosen_questions_are_there_and_words_alone_have_no_frames(
    picture: Media,
) -> None:
    asked = [_asked("a", picture), _asked("b"), _asked("c", picture)]
    items = make_gallery(asked, SETTINGS, [("c", 1), ("b", 1)])["items"]
    assert [(item["record_id"], len(item["frames"])) for item in items] == [("b", 0), ("c", 1)]
    assert make_gallery(asked, SETTINGS, []) == {"items": []}


def test_several_pictures_of_one_question_are_all_there(picture: Media) -> None:
    (item,) = make_gallery([_asked("a", picture, picture)], SETTINGS, [("a", 1)])["items"]
    assert (len(item["frames"]), item["num_frames"]) == (2, 2)


def test_a_clip_that_cannot_be_read_has_its_reason_without_its_folder(tmp_path: Path) -> None:
    lost = Media("image", str(tmp_path / "lost.png"))
    (item,) = make_gallery([_asked("a", lost)], SETTINGS, [("a", 1)])["items"]
    assert item["frames"] == []
    assert item["fault"]
    assert str(tmp_path) not in item["fault"]


def test_the_file_holds_what_was_made(tmp_path: Path, picture: Media) -> None:
    gallery = make_gallery([_asked("a", picture)], SETTINGS, [("a", 1)])
    path = write_gallery(tmp_path, gallery)
    assert path.name == "gallery.json"
    assert json.loads(path.read_text("utf-8")) == gallery
