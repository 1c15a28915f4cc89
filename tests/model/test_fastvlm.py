"""What the tower sees: of each visual alone, the same bits whatever else is in a batch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from fixtures_model import make_checkpoint
from fixtures_rows import as_row, make_talk
from flipbook.data.batch import DataCollatorForSupervisedDataset
from flipbook.data.sample import Sample, Visual
from flipbook.model import fastvlm
from flipbook.model.fastvlm import (
    encode_frames,
    encode_visuals,
    flatten_frames,
    normalise_frames,
    plain_model,
    touch_vision,
    tower_dtype,
    tower_features,
    tower_is_at_rest,
)
from flipbook.model.tuning import LoraSettings, choose_trainable


@pytest.fixture(scope="module")
def model() -> Any:
    return choose_trainable(make_checkpoint().model, ["projector", "language_model"])


def _frames(number: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (number, 3, 128, 128)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def test_frames_are_flattened_clip_by_clip() -> None:
    frames = torch.arange(2 * 3 * 3 * 4 * 4).reshape(2, 3, 3, 4, 4)
    flat = flatten_frames(frames)
    assert flat.shape == (6, 3, 4, 4)
    assert torch.equal(flat[4], frames[1, 1])
    with pytest.raises(ValueError, match=r"must be \(B, T, 3, S, S\)"):
        flatten_frames(torch.zeros(3, 4, 4))


def test_normalisation_is_that_of_an_image_processor() -> None:
    frames = torch.tensor([0, 51, 255], dtype=torch.uint8).repeat(48).reshape(1, 3, 6, 8)
    plain = normalise_frames(frames)
    assert torch.equal(plain, frames.float() / 255)
    shifted = normalise_frames(frames, image_mean=(0.5, 0.5, 0.5), image_std=(0.25, 0.25, 0.25))
    torch.testing.assert_close(shifted, (frames.float() / 255 - 0.5) / 0.25)
    with pytest.raises(ValueError, match="uint8"):
        normalise_frames(frames.float())


def test_a_few_frames_at_a_time_are_as_good_as_all(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = _frames(4)
    with torch.no_grad():
        plain = model.get_image_features(pixel_values=normalise_frames(frames)).pooler_output
    monkeypatch.setitem(fastvlm.PX_PER_CALL, "cpu", 3 * 128 * 128)
    ours = encode_frames(model, frames.view(2, 2, 3, 128, 128))
    assert ours.shape == (4, 4, plain.shape[-1])
    assert ours.requires_grad  # the projector learns
    torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-4 * float(plain.std()))


def test_tower_features_are_the_towers_map_place_by_place(model: Any) -> None:
    frames = _frames(2)
    features = tower_features(model, frames)
    with torch.no_grad():
        maps = model.model.vision_tower(normalise_frames(frames)).last_hidden_state
    assert features.shape == (2, 4, 128)
    assert features.is_contiguous()
    assert not features.requires_grad
    expected = maps.permute(0, 2, 3, 1).flatten(1, 2)
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-4 * float(expected.std()))


def test_the_towers_convolutions_are_as_before(model: Any) -> None:
    frames = _frames(2)
    convolutions = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)]
    before = [(m.kernel_size, m.dilation) for m in convolutions]
    assert ((1, 1), (1, 1)) in before
    tower_features(model, frames)
    assert [(m.kernel_size, m.dilation) for m in convolutions] == before


def test_mixed_precision_does_not_reach_a_tower_at_rest(model: Any) -> None:
    frames = _frames(2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = tower_features(model, frames)
    assert torch.equal(mixed, tower_features(model, frames))


def test_a_visual_has_the_same_bits_in_every_batch(model: Any) -> None:
    image = model.config.image_token_id
    talks = [make_talk(image, lengths=(5, 9), num_frames=n, seed=n) for n in (1, 3, 0, 2)]
    together = encode_visuals(model, as_row(*talks))
    shown = [talk for talk in talks if len(talk.frames)]
    assert [len(features) for features in together] == [1, 3, 2]
    for features, talk in zip(together, shown, strict=True):
        (alone,) = encode_visuals(model, as_row(talk))
        assert torch.equal(features, alone)
        assert torch.equal(features, tower_features(model, talk.frames))


def test_stored_features_take_the_place_of_frames(model: Any) -> None:
    clips = [_frames(number, seed=number) for number in (2, 1, 3)]
    features = [tower_features(model, clip) for clip in clips]
    visuals = (
        Visual(2, features=features[0]),
        Visual(1, frames=clips[1]),
        Visual(3, features=features[2].bfloat16()),
    )
    ids = torch.zeros(30, dtype=torch.int64)
    batch = DataCollatorForSupervisedDataset()([Sample(("r",), ids, ids, (30,), visuals[:2])])
    for got, expected in zip(encode_visuals(model, batch), features[:2], strict=True):
        assert torch.equal(got, expected)
    batch = DataCollatorForSupervisedDataset()([Sample(("r",), ids, ids, (30,), visuals[1:])])
    live, stored = encode_visuals(model, batch)
    assert torch.equal(live, features[1])
    assert stored.dtype == tower_dtype(model)
    assert torch.equal(stored, features[2].bfloat16().float())


def test_a_row_of_texts_has_no_visuals(model: Any) -> None:
    talk = make_talk(model.config.image_token_id, lengths=(5,), num_frames=0)
    assert encode_visuals(model, as_row(talk)) == []


def test_the_plain_model_is_found_in_its_wrappings() -> None:
    model = make_checkpoint().model
    assert plain_model(model) is model
    assert plain_model(torch.compile(model)) is model  # type: ignore[arg-type]
    assert plain_model(torch.nn.parallel.DataParallel(model)) is model
    adapted = choose_trainable(model, ["language_model"], lora=LoraSettings(2, 4.0))
    assert plain_model(adapted) is model


def test_a_tower_is_at_rest_when_none_of_it_learns() -> None:
    model = make_checkpoint().model
    assert not tower_is_at_rest(model)
    assert tower_is_at_rest(choose_trainable(model, ["projector"]))
    assert not tower_is_at_rest(choose_trainable(model, ["vision_tower"]))
    for lora_parts, rests in ((["language_model"], True), (["vision_tower"], False)):
        parts = list({*lora_parts, "language_model"})
        adapted = choose_trainable(make_checkpoint().model, parts, lora=LoraSettings(2, 4.0))
        assert tower_is_at_rest(adapted) is rests


@pytest.mark.parametrize("parts", [["projector"], ["vision_tower", "projector"]])
def test_a_text_batch_reaches_every_visual_weight_with_zero(parts: list[str]) -> None:
    model = choose_trainable(make_checkpoint().model, parts)
    extra = touch_vision(model, frame_size=128)
    extra.backward()
    assert extra.item() == 0
    for parameter in model.parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None
            assert not parameter.grad.any()
