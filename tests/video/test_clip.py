"""Does a clip refuse parts that disagree?"""

from __future__ import annotations

import pytest
import torch

from flipbook.video import Clip

WHOLE = {
    "path": "a.mp4",
    "frames": torch.zeros((3, 3, 4, 5), dtype=torch.uint8),
    "times_s": torch.zeros(3, dtype=torch.float64),
    "frame_indices": (0, 0, 1),
    "num_repeated": 1,
}


def test_a_whole_clip() -> None:
    assert Clip(**WHOLE).frames.shape == (3, 3, 4, 5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": torch.zeros((3, 3, 4, 5))}, r"\(3, 3, 4, 5\) torch.float32"),
        ({"frames": torch.zeros((3, 4, 5), dtype=torch.uint8)}, r"frames are \(3, 4, 5\)"),
        ({"times_s": torch.zeros(2, dtype=torch.float64)}, r"times_s is \(2,\).*\(3, 3, 4, 5\)"),
        ({"times_s": torch.zeros(3)}, "torch.float32.*torch.float64"),
        ({"frame_indices": (0, 1)}, r"2 frame indices for frames \(3, 3, 4, 5\)"),
        ({"num_repeated": 0}, "num_repeated is 0, but 2 of 3"),
    ],
)
def test_parts_that_disagree(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Clip(**(WHOLE | changes))  # type: ignore[arg-type]
