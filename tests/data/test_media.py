"""Do the frames, or the features in their place, stay the same whoever asks and however often?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from flipbook.data import shown as module
from flipbook.data.features.store import FeatureStore
from flipbook.data.generated.write import GeneratedData
from flipbook.data.media import Draw, read_media, read_visuals, sample_rng
from flipbook.data.turns import Media
from flipbook.errors import MediaError
from flipbook.video.sampling import DRAWING_SAMPLERS, SAMPLERS, Ruler, sample_frames
from flipbook.video.settings import ClipSettings

DRAW = Draw(42, 0, "record")


@pytest.fixture(scope="module")
def shown(generated: GeneratedData, tmp_path_factory: pytest.TempPathFactory) -> tuple[Media, ...]:
    """A clip, a picture, the same clip again."""
    clip = str(next((generated.folder / "clips").glob("train-*.mp4")))
    picture = tmp_path_factory.mktemp("pictures") / "a.png"
    Image.new("RGB", (60, 40), "red").save(picture)
    return (Media("video", clip), Media("image", str(picture)), Media("video", clip))


@pytest.fixture
def features_at(tmp_path: Path) -> FeatureStore:
    return FeatureStore(tmp_path / "store", encoder="tower")


def _settings(**changes: Any) -> ClipSettings:
    return ClipSettings(**{"frame_size": 64, "num_frames": 4, "sampler": "segments"} | changes)


def _make_features(store: FeatureStore, visuals: Any) -> list[torch.Tensor]:
    """Store something in place of features; return it."""
    made = []
    for visual in visuals:
        features = visual.frames.flatten(2).float()[:, :, :8] / 255
        assert store.write(visual.key, features, num_repeated=visual.num_repeated)
        made.append(features)
    return made


def test_the_second_time_nothing_is_decoded(
    shown: tuple[Media, ...], features_at: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = read_visuals(shown, _settings(), draw=DRAW, store=features_at)
    assert [len(visual.frames) for visual in first.visuals] == [4, 1, 4]  # type: ignore[arg-type]
    made = _make_features(features_at, first.visuals)

    def fail(*_args: object, **_settings: object) -> None:
        raise AssertionError

    monkeypatch.setattr(module, "read_clip", fail)
    monkeypatch.setattr(module, "read_image", fail)
    second = read_visuals(shown, _settings(), draw=DRAW, store=features_at)
    assert second[1:] == first[1:]
    for visual, before, features in zip(second.visuals, first.visuals, made, strict=True):
        assert visual.frames is None
        assert visual.features is not None
        assert torch.equal(visual.features, features)
        assert (visual.key, visual.num_frames) == (before.key, before.num_frames)


def test_repeated_frames_are_counted_from_the_store_too(
    generated: GeneratedData, features_at: FeatureStore
) -> None:
    clip = Media("video", str(next((generated.folder / "clips").glob("train-*.mp4"))))
    settings = _settings(sampler="uniform", num_frames=200)
    first = read_visuals([clip], settings, store=features_at)
    assert first.num_repeated > 0
    _make_features(features_at, first.visuals)
    assert read_visuals([clip], settings, store=features_at).num_repeated == first.num_repeated


def test_with_and_without_a_store_the_frames_are_those_of_read_media(
    shown: tuple[Media, ...], features_at: FeatureStore
) -> None:
    for draw in (None, DRAW):
        frames, frames_per_media, _ = read_media(shown, _settings(), draw=draw)
        assert frames_per_media == (4, 1, 4)
        for store in (None, features_at):
            read = read_visuals(shown, _settings(), draw=draw, store=store)
            parts = [visual.frames for visual in read.visuals if visual.frames is not None]
            assert torch.equal(torch.cat(parts), frames)
            assert all((visual.key is None) == (store is None) for visual in read.visuals)
    assert read_media([], _settings()).frames.shape == (0, 3, 64, 64)


def test_each_clip_and_each_view_has_random_numbers_of_its_own(
    shown: tuple[Media, ...], features_at: FeatureStore
) -> None:
    draws = [DRAW, DRAW._replace(view=1), DRAW._replace(name="other"), DRAW._replace(seed=1)]
    keys = set()
    for draw in draws:
        visuals = read_visuals(shown, _settings(), draw=draw, store=features_at).visuals
        keys |= {visuals[0].key, visuals[2].key}
        again = read_visuals(shown, _settings(), draw=draw, store=features_at).visuals
        assert [visual.key for visual in again] == [visual.key for visual in visuals]
    assert len(keys) == 8
    assert DRAW.of(0) == DRAW
    assert DRAW.of(2).name == "record#2"
    first, second = sample_rng(*DRAW.of(0)), sample_rng(*DRAW.of(1))
    assert not np.array_equal(first.random(4), second.random(4))


def test_one_clip_at_two_places_is_stored_once_where_nothing_is_drawn(
    shown: tuple[Media, ...], features_at: FeatureStore
) -> None:
    settings = _settings(sampler="uniform")
    for draw in (None, DRAW, DRAW._replace(view=3)):
        visuals = read_visuals(shown, settings, draw=draw, store=features_at).visuals
        _make_features(features_at, [visual for visual in visuals if visual.frames is not None])
    assert features_at.num_written == 2


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_samplers_that_draw_are_known(sampler: str) -> None:
    ruler = Ruler(starts=np.arange(100.0), end=100.0, unit_s=0.1)
    counts = {"num_frames": 8, "frames_per_s": 1.0, "min_frames": 1, "max_frames": 9}
    drawn = {
        tuple(sample_frames(ruler, sampler=sampler, **counts, rng=sample_rng(1, view, "a")))  # type: ignore[arg-type]
        for view in range(4)
    }
    assert (len(drawn) > 1) == (sampler in DRAWING_SAMPLERS)


def test_a_clip_that_changes_while_it_is_read_is_stored_nowhere(
    generated: GeneratedData,
    features_at: FeatureStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, two, *_ = sorted((generated.folder / "clips").glob("train-*.mp4"))
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(one.read_bytes())
    read_clip = module.read_clip

    def swap_and_read(*args: Any, **settings: Any) -> Any:
        clip.write_bytes(two.read_bytes())
        return read_clip(*args, **settings)

    monkeypatch.setattr(module, "read_clip", swap_and_read)
    item = Media("video", str(clip))
    (visual,) = read_visuals([item], _settings(), store=features_at).visuals
    assert visual.key is None
    assert visual.frames is not None
    assert torch.equal(visual.frames, read_media([item], _settings()).frames)


def test_a_clip_that_cannot_be_read_is_named(features_at: FeatureStore, tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"no video at all")
    with pytest.raises(MediaError, match=r"bad\.mp4"):
        read_visuals([Media("video", str(tmp_path / "bad.mp4"))], _settings(), store=features_at)
    assert not list(features_at.folder.rglob("*.safetensors"))
