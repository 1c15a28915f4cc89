"""Is one vision tower told from another, and are stored features those that it makes live?"""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

from fixtures_model import make_model
from flipbook.data.batch import VisualSlot
from flipbook.data.features.store import FeatureStore
from flipbook.model import encoder
from flipbook.model.encoder import encoder_fingerprint
from flipbook.model.fastvlm import encode_visuals, tower_features
from flipbook.model.tuning import LoraSettings, choose_trainable

MEAN, STD = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


@pytest.fixture
def model() -> torch.nn.Module:
    made: torch.nn.Module = make_model(259)
    return made


def _line(model: torch.nn.Module) -> str:
    return encoder_fingerprint(model, image_mean=MEAN, image_std=STD)


def test_what_changes_a_feature_changes_the_line(
    model: torch.nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [_line(model)]
    for name in ("weight", "running_mean"):
        other = copy.deepcopy(model)
        tensors = other.model.vision_tower.state_dict()
        target = next(t for key, t in tensors.items() if key.endswith(name))
        target.view(-1)[0] += 1e-3
        lines.append(_line(other))
    lines += [
        _line(copy.deepcopy(model).to(torch.bfloat16)),
        encoder_fingerprint(model, image_mean=(0.5, 0.5, 0.5), image_std=STD),
        encoder_fingerprint(model, image_mean=MEAN, image_std=(0.5, 0.5, 0.5)),
        encoder_fingerprint(model, image_mean=MEAN, image_std=STD, device_type="cuda"),
    ]
    model.model.vision_tower.config.model_args = {"act_layer": "relu"}  # type: ignore[union-attr]
    lines.append(_line(model))
    for target, name, value in (
        (encoder, "ENCODING_RULE", 2),
        (encoder.torch, "__version__", "0"),
        (encoder.timm, "__version__", "0"),
        (encoder, "PX_PER_CALL", {"cpu": 1}),
    ):
        monkeypatch.setattr(target, name, value)
        lines.append(_line(model))
    assert len(set(lines)) == len(lines)


def test_what_changes_no_feature_does_not(model: torch.nn.Module) -> None:
    line = _line(model)
    assert _line(copy.deepcopy(model)) == line
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "vision_tower" not in name:
                parameter.add_(1.0)
    assert _line(model) == line
    wrapped = choose_trainable(model, ["language_model"], lora=LoraSettings(rank=2, alpha=4))
    assert _line(wrapped) == line


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_stored_features_are_the_live_ones_bit_for_bit(
    model: torch.nn.Module, tmp_path: Path, dtype: torch.dtype
) -> None:
    model.to(dtype)
    store = FeatureStore(tmp_path, encoder=_line(model))
    generator = torch.Generator().manual_seed(0)
    clips = [
        torch.randint(0, 256, (number, 3, 128, 128), dtype=torch.uint8, generator=generator)
        for number in (4, 1, 7)
    ]
    keys = [f"{number:032x}" for number in range(3)]
    live = {
        "visuals": [VisualSlot(len(c), False, k) for c, k in zip(clips, keys, strict=True)],
        "frames": [torch.cat(clips)],
    }
    with torch.autocast("cpu", torch.bfloat16):  # must not reach the tower
        made = encode_visuals(model, live)
    store.write_visuals(live["visuals"], made)
    store.flush()
    found = [store.read(key) for key in keys]
    features = [one.features for one in found if one is not None]
    stored = {
        "visuals": [VisualSlot(len(c), True, k) for c, k in zip(clips, keys, strict=True)],
        "features": [torch.cat(features)],
    }
    for clip, one, two in zip(clips, made, encode_visuals(model, stored), strict=True):
        assert one.dtype == two.dtype == dtype
        assert torch.equal(one, two)
        assert torch.equal(one, tower_features(model, clip))
    assert float(torch.cat(made).float().std()) > 1e-2
