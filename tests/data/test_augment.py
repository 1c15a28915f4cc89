"""Does augmentation change only what may change, and the same way for the same draw?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fixtures_model import make_tokenizer
from fixtures_table import row, write
from fixtures_video import MakeClip, make_clip, number_of
from flipbook.data.augment import (
    KEEPS_SIDES,
    KEEPS_TIME,
    LEAST_TIME,
    UNCHANGED,
    Change,
    changed_frames,
    draw_change,
    what_stays,
)
from flipbook.data.dataset import LazySupervisedDataset
from flipbook.data.extras import Extras
from flipbook.data.features.store import FeatureStore
from flipbook.data.media import Draw, read_visuals
from flipbook.data.sample import Sample
from flipbook.data.turns import Media, Turn
from flipbook.train.arguments import DataArguments
from flipbook.video.settings import ClipSettings
from flipbook.video.view import View

__all__ = ["make_clip"]

CLIP = Media("video", "/a.mp4")


def talk(question: str, answer: str = "Yes.", media: Media = CLIP) -> tuple[Turn, ...]:
    return Turn("user", (media, question)), Turn("assistant", (answer,))


@pytest.mark.parametrize(
    "words",
    [
        "Does it go left?",
        "Is it LEFTMOST?",
        "All right, what is it?",
        "the right-hand drawer",
        "It turns clockwise",
        "anticlockwise or counter-clockwise",
        "Is it at 3 o'clock?",
        "Va hacia la izquierda",
        "\u00c0 gauche ou \u00e0 droite ?",
        "Er geht nach rechts",
        "\u5411\u5de6\u8f6c",
        "\u53f3\u306b\u66f2\u304c\u308b",
        "\u041e\u043d \u0438\u0434\u0451\u0442 \u043d\u0430\u043f\u0440\u0430\u0432\u043e",
        "\u0627\u0644\u064a\u0633\u0627\u0631",
        "\uc624\ub978\ucabd",
        "\u2192",
        "What is written there?",
    ],
)
def test_words_of_sides_keep_the_sides(words: str) -> None:
    assert what_stays(talk(words), Extras()) & KEEPS_SIDES
    assert what_stays(talk("What is it?", words), Extras()) & KEEPS_SIDES
    assert what_stays(talk("What is it?"), Extras(options=("up", words))) & KEEPS_SIDES
    assert what_stays(talk("What is it?"), Extras(references=(words,))) & KEEPS_SIDES


@pytest.mark.parametrize(
    "words", ["What is bright?", "A ball bounces.", "He cleft it", "upright", "What does it do?"]
)
def test_other_words_keep_nothing(words: str) -> None:
    assert what_stays(talk(words), Extras()) == 0


@pytest.mark.parametrize(
    ("turns", "extras"),
    [
        (talk("What?"), Extras(spans=((0.0, 1.0),))),
        (talk("What?"), Extras(kind="when")),
        (talk("What?"), Extras(kind="count")),
        (talk("What?", media=Media("video", "/a.mp4", view=View(end_s=2.0))), Extras()),
        (talk("What?", media=Media("video", "/a.mp4", view=View(times_s=(1.0,)))), Extras()),
        (talk("When does it fall?"), Extras()),
        (talk("How long is it?"), Extras()),
        (talk("What?", "It falls at 3.5s."), Extras()),
        (talk("What?", "0:12 it falls"), Extras()),
        (talk("What comes first?"), Extras()),
    ],
)
def test_questions_of_time_keep_the_time(turns: tuple[Turn, ...], extras: Extras) -> None:
    assert what_stays(turns, extras) == KEEPS_TIME


def test_draws_stay_in_their_bounds_and_leave_what_stays() -> None:
    changes = [draw_change(np.random.default_rng(seed), stays=0) for seed in range(300)]
    crops = np.array([change.time_crop for change in changes])
    assert crops.min() >= 0 and crops.max() <= 1
    kept = crops[:, 1] - crops[:, 0]
    assert kept.min() >= LEAST_TIME - 1e-9 and kept.max() > 0.99
    assert 0.4 < np.mean([change.mirrored for change in changes]) < 0.6
    light = np.array([(change.brightness, change.contrast) for change in changes])
    assert 0.9 <= light.min() < 0.91 and 1.09 < light.max() <= 1.1
    for seed in range(30):
        free = draw_change(np.random.default_rng(seed), stays=0)
        bound = draw_change(np.random.default_rng(seed), stays=KEEPS_TIME | KEEPS_SIDES)
        assert bound == free._replace(time_crop=(0.0, 1.0), mirrored=False)


def test_light_changes_all_pixels_of_a_level_alike_and_keeps_bars_black() -> None:
    frames = torch.arange(256, dtype=torch.uint8).repeat(2, 3, 4, 1)  # (2, 3, 4, 256)
    assert torch.equal(changed_frames(frames, UNCHANGED), frames)
    mirrored = changed_frames(frames, Change(mirrored=True))
    assert torch.equal(mirrored, frames.flip(-1))
    bright = changed_frames(frames, Change(brightness=1.1, contrast=0.9))
    assert bright.dtype == torch.uint8
    assert (bright[..., 0] == 0).all() and (bright[..., 255] == 255).all()
    assert (bright[0, 0, 0].int() >= frames[0, 0, 0].int()).all()
    assert bright[0, 0, 0, 128].item() == round(1.1 * (128 / 255) ** 0.9 * 255)


def frames_of(sample: Sample) -> Tensor:
    (visual,) = sample.visuals
    assert visual.frames is not None
    return visual.frames


@pytest.fixture
def dataset(make_clip: MakeClip, tmp_path: Path) -> Any:
    (tmp_path / "a.mp4").write_bytes(make_clip("augmented.mp4", num_frames=60).read_bytes())
    (tmp_path / "b.mp4").write_bytes(make_clip("augmented.mp4", num_frames=60).read_bytes())
    rows = [
        row("free", "<video>\nWhat?", "A ball.", video="a.mp4"),
        row("sides", "<video>\nWhat?", "On the left.", video="b.mp4"),
        row("same clip", "<video>\nWhat?", "A ball.", video="b.mp4"),
    ]
    path = write(tmp_path / "rows.json", rows)

    def make(**changes: Any) -> LazySupervisedDataset:
        training = changes.pop("training", True)
        settings = {"num_video_frames": 6, "frame_size": 128, "augment": True} | changes
        return LazySupervisedDataset(
            path, make_tokenizer(), DataArguments(**settings), training=training
        )

    return make


def test_a_change_is_a_pure_function_of_seed_epoch_and_record(dataset: Any) -> None:
    first, second = dataset(), dataset()
    seen = []
    for epoch in range(4):
        first.set_epoch(epoch)
        seen.append(frames_of(first[0]))
    second.set_epoch(3)  # as a run that was stopped goes on
    assert torch.equal(frames_of(second[0]), seen[3])
    assert torch.equal(frames_of(second[0]), frames_of(second[0]))
    assert not any(torch.equal(seen[0], other) for other in seen[1:])
    assert len({frames.shape for frames in seen}) == 1


def test_no_clip_is_mirrored_about_which_anyone_speaks_of_sides(dataset: Any) -> None:
    data = dataset()
    assert data.table.stays.tolist() == [0, KEEPS_SIDES, KEEPS_SIDES]
    mirrored = {0: 0, 1: 0, 2: 0}
    for epoch in range(12):
        data.set_epoch(epoch)
        for index in mirrored:
            first_frame = frames_of(data[index])[0].permute(1, 2, 0).numpy()[16:-16]
            try:
                number_of(first_frame)
            except AssertionError:  # the marks are in another order
                mirrored[index] += 1
    assert mirrored[0] > 0
    assert mirrored[1] == mirrored[2] == 0


def test_frames_are_cropped_in_time_and_never_reversed(dataset: Any) -> None:
    data = dataset()
    firsts, lasts = set(), set()
    for epoch in range(12):
        data.set_epoch(epoch)
        frames = frames_of(data[1])
        numbers = [number_of(frame.permute(1, 2, 0).numpy()[16:-16]) for frame in frames]
        assert numbers == sorted(numbers)
        assert numbers[-1] - numbers[0] >= 0.8 * 59 - 2
        firsts.add(numbers[0])
        lasts.add(numbers[-1])
    assert len(firsts) > 2 and len(lasts) > 2


def test_nothing_changes_in_validation_or_without_it(dataset: Any) -> None:
    plain = dataset(augment=False)[0]
    assert torch.equal(frames_of(dataset(training=False)[0]), frames_of(plain))
    assert torch.equal(dataset()[0].input_ids, plain.input_ids)


@pytest.mark.parametrize(
    "settings", [{"sampler": "fps", "frames_per_s": 10.0}, {"timestamps": True}]
)
def test_the_time_stays_where_counts_or_words_depend_on_it(
    make_clip: MakeClip, settings: dict[str, Any]
) -> None:
    clip = Media("video", str(make_clip("augmented.mp4", num_frames=60)))
    how = ClipSettings(frame_size=128, num_frames=5, **settings)
    (plain,) = read_visuals([clip], how).visuals
    assert plain.frames is not None
    for epoch in range(5):
        draw = Draw(0, epoch, "r")
        (changed,) = read_visuals([clip], how, draw=draw, stays=KEEPS_SIDES).visuals
        assert changed.frames is not None and changed.frames.shape == plain.frames.shape
        for before, after in zip(plain.frames, changed.frames, strict=True):
            numbers = [number_of(f.permute(1, 2, 0).numpy()[16:-16]) for f in (before, after)]
            assert numbers[0] == numbers[1]


def test_no_store_keeps_what_is_drawn_anew(tmp_path: Path) -> None:
    how = ClipSettings(frame_size=128)
    store = FeatureStore(tmp_path, encoder="tower")
    with pytest.raises(ValueError, match="no store keeps them"):
        read_visuals([CLIP], how, draw=Draw(0, 0, "r"), store=store, stays=0)
    with pytest.raises(ValueError, match="drawn anew each time"):
        read_visuals([CLIP], how, stays=0)
