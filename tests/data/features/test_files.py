"""Does a file give back its features bit for bit, or nothing?"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from flipbook.data.features.files import pack_features, read_features

KEY = "0123456789abcdef" * 2


def _features(dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(0)).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_features_come_back_bit_for_bit(tmp_path: Path, dtype: torch.dtype) -> None:
    features = _features(dtype)
    features[0, 0] = torch.tensor([0.0, -0.0, float("inf"), -float("inf"), float("nan"), 1e-40])
    path = tmp_path / "file"
    path.write_bytes(pack_features(features, key=KEY, num_repeated=3))
    found = read_features(path, key=KEY)
    assert found is not None
    assert found.num_repeated == 3
    assert found.features.dtype == dtype
    assert torch.equal(found.features.view(torch.uint8), features.view(torch.uint8))


def test_any_memory_order_is_stored(tmp_path: Path) -> None:
    features = torch.arange(24.0).view(2, 3, 4).permute(0, 2, 1).requires_grad_()
    (tmp_path / "file").write_bytes(pack_features(features, key=KEY, num_repeated=0))
    found = read_features(tmp_path / "file", key=KEY)
    assert found is not None
    assert torch.equal(found.features, features)
    assert not found.features.requires_grad


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    good = pack_features(_features()[:1, :1, :2], key=KEY, num_repeated=0)
    path = tmp_path / "file"
    for place in range(len(good) * 8):
        bad = bytearray(good)
        bad[place // 8] ^= 1 << place % 8
        path.write_bytes(bad)
        found = read_features(path, key=KEY)
        # Only spaces that pad the header may differ without any effect.
        assert found is None or torch.equal(found.features, _features()[:1, :1, :2]), place
    path.write_bytes(good)
    assert read_features(path, key=KEY) is not None


def test_every_cut_and_every_addition_is_noticed(tmp_path: Path) -> None:
    good = pack_features(_features()[:1, :1, :2], key=KEY, num_repeated=0)
    path = tmp_path / "file"
    for num_bytes in range(len(good)):
        path.write_bytes(good[:num_bytes])
        assert read_features(path, key=KEY) is None
    path.write_bytes(good + b"\0")
    assert read_features(path, key=KEY) is None


def test_a_file_under_another_name_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(pack_features(_features(), key=KEY, num_repeated=0))
    assert read_features(tmp_path / "file", key=KEY[::-1]) is None
    assert read_features(tmp_path / "missing", key=KEY) is None
    assert read_features(tmp_path, key=KEY) is None


def test_features_outlive_their_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(pack_features(_features(), key=KEY, num_repeated=0))
    found = read_features(path, key=KEY)
    path.unlink()
    assert found is not None
    assert torch.equal(found.features, _features())


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"features must be \(T, P, C\), got \(2, 3\)"):
        pack_features(torch.zeros(2, 3), key=KEY, num_repeated=0)
