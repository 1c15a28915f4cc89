from __future__ import annotations

from typing import Any

import pytest
import torch

from fixtures_model import make_checkpoint
from flipbook.data.conversation import IGNORE_INDEX
from flipbook.model import fastvlm
from flipbook.model.fastvlm import (
    flatten_frames,
    normalise_frames,
    supervised_loss,
    supervised_positions,
    touch_vision,
)


@pytest.fixture(scope="module")
def model() -> Any:
    return make_checkpoint().model


def _batch(model: Any, num_frames: int = 2, num_rows: int = 2) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    image = torch.full((num_rows, 4 * num_frames), model.config.image_token_id)
    words = torch.randint(0, 250, (num_rows, 9), generator=generator)
    input_ids = torch.cat([image, words], dim=1)
    labels = torch.full_like(input_ids, IGNORE_INDEX)
    labels[0, -3:] = input_ids[0, -3:]
    labels[-1, -5:-1] = input_ids[-1, -5:-1]
    shape = (num_rows, num_frames, 3, 128, 128)
    frames = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    return {
        "input_ids": input_ids,
        "labels": labels,
        "attention_mask": torch.ones_like(input_ids),
        "frames": frames,
    }


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


def test_positions_come_one_before_their_label() -> None:
    labels = torch.tensor([[-100, -100, 7, 8, -100]])
    assert supervised_positions(labels).tolist() == [[False, True, True, False, False]]


def test_the_loss_is_that_of_plain_transformers(model: Any) -> None:
    batch = _batch(model)
    pixel_values = normalise_frames(batch["frames"])
    plain = model(
        input_ids=batch["input_ids"],
        attention_mask=batch["attention_mask"],
        pixel_values=pixel_values,
        labels=batch["labels"],
    )
    ours = supervised_loss(model, batch)
    torch.testing.assert_close(ours.loss, plain.loss, rtol=1e-6, atol=1e-6)
    assert ours.logits.shape == (7, plain.logits.shape[-1])
    torch.testing.assert_close(
        ours.logits, plain.logits[supervised_positions(batch["labels"])], rtol=1e-5, atol=1e-5
    )


def test_features_are_put_back_in_order(model: Any) -> None:
    batch = _batch(model)
    together = supervised_loss(model, batch).loss
    swapped = supervised_loss(model, batch | {"frames": batch["frames"].flip(0)}).loss
    reversed_ = supervised_loss(model, batch | {"frames": batch["frames"].flip(1)}).loss
    assert not torch.isclose(together, swapped)
    assert not torch.isclose(together, reversed_)
    apart = [
        supervised_loss(
            model, {name: value[row : row + 1] for name, value in batch.items()}, num_items=7
        ).loss
        for row in range(2)
    ]
    torch.testing.assert_close(sum(apart), together, rtol=1e-5, atol=1e-5)


def test_a_batch_of_images_videos_and_texts_is_the_sum_of_its_rows(model: Any) -> None:
    video, image = _batch(model, 3, 1), _batch(model, 1, 1)
    text = {n: t for n, t in _batch(model, 0, 1).items() if n != "frames"}
    rows = [video, image, text]
    longest = max(row["input_ids"].shape[1] for row in rows)

    def padded(name: str, value: int) -> torch.Tensor:
        return torch.cat(
            [
                torch.nn.functional.pad(row[name], (0, longest - row[name].shape[1]), value=value)
                for row in rows
            ]
        )

    mixed = {
        "input_ids": padded("input_ids", 0),
        "labels": padded("labels", IGNORE_INDEX),
        "attention_mask": padded("attention_mask", 0),
        "frames": torch.cat([video["frames"].flatten(0, 1), image["frames"].flatten(0, 1)]),
    }
    together = supervised_loss(model, mixed, num_items=1).loss
    apart = sum(supervised_loss(model, row, num_items=1).loss for row in rows)
    torch.testing.assert_close(together, apart, rtol=1e-5, atol=1e-4)


def test_a_few_frames_at_a_time_are_as_good_as_all(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = _batch(model)["frames"]
    with torch.no_grad():
        plain = model.get_image_features(pixel_values=normalise_frames(frames)).pooler_output
    monkeypatch.setitem(fastvlm.PX_PER_CALL, "cpu", 3 * 128 * 128)
    ours = fastvlm.encode_frames(model, frames)
    assert ours.shape == (4, 4, plain.shape[-1])
    torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-4 * float(plain.std()))


def test_a_tower_that_learns_gets_a_gradient_and_a_frozen_one_none(model: Any) -> None:
    batch = _batch(model)
    tower = list(model.model.vision_tower.parameters())
    try:
        supervised_loss(model, batch).loss.backward()
        assert all(p.grad is not None for p in tower if p.ndim > 1)
        trained = model.model.multi_modal_projector.linear_1.weight.grad.clone()
        model.zero_grad()
        model.model.vision_tower.requires_grad_(False)
        supervised_loss(model, batch).loss.backward()
        assert all(p.grad is None for p in tower)
        frozen = model.model.multi_modal_projector.linear_1.weight.grad
        torch.testing.assert_close(frozen, trained, rtol=1e-3, atol=1e-5 * float(trained.std()))
    finally:
        model.zero_grad()
        model.model.vision_tower.requires_grad_(True)


def test_nothing_to_learn_is_an_error(model: Any) -> None:
    batch = _batch(model)
    batch["labels"] = torch.full_like(batch["labels"], IGNORE_INDEX)
    with pytest.raises(ValueError, match="no token of the batch is supervised"):
        supervised_loss(model, batch)


def test_a_text_batch_reaches_every_visual_weight_with_zero(model: Any) -> None:
    projector = model.model.multi_modal_projector
    model.zero_grad()
    extra = touch_vision(model, frame_size=128)
    extra.backward()
    assert extra.item() == 0
    for parameter in projector.parameters():
        assert parameter.grad is not None
        assert not parameter.grad.any()
    model.zero_grad()
