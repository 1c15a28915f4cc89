"""Do the frames of a clip lie in one picture in reading order, with nothing over?"""

from __future__ import annotations

import pytest
import torch

from flipbook.video.grid import cell_px, cells_a_side, read_px, tile_frames


def levels(num_frames: int, side: int) -> torch.Tensor:
    """Return frames of one grey level each: 10, 20, 30 ..."""
    grey = torch.arange(1, num_frames + 1, dtype=torch.uint8) * 10
    return grey.view(-1, 1, 1, 1).expand(-1, 3, side, side).contiguous()


@pytest.mark.parametrize(
    ("num_frames", "expected"), [(1, 1), (2, 2), (4, 2), (5, 3), (9, 3), (10, 4), (16, 4), (17, 5)]
)
def test_a_grid_is_the_smallest_square_that_holds_all(num_frames: int, expected: int) -> None:
    assert cells_a_side(num_frames) == expected


@pytest.mark.parametrize("num_frames", [1, 3, 4, 5, 8, 9, 16])
def test_frames_stand_in_reading_order_on_black(num_frames: int) -> None:
    side, cells = cell_px(num_frames, frame_size=128), cells_a_side(num_frames)
    grid = tile_frames(levels(num_frames, side), frame_size=128)
    assert grid.shape == (1, 3, 128, 128)
    for number in range(cells**2):
        row, column = divmod(number, cells)
        cell = grid[0, :, row * side : (row + 1) * side, column * side : (column + 1) * side]
        expected = (number + 1) * 10 if number < num_frames else 0
        assert torch.equal(cell.unique(), torch.tensor([expected], dtype=torch.uint8))
    rest = 128 - cells * side
    assert rest < cells
    assert int(grid[..., 128 - rest :, :].sum()) == int(grid[..., 128 - rest :].sum()) == 0


def test_frames_are_read_at_the_next_side_that_readers_give() -> None:
    assert read_px(4, frame_size=256) == 128
    assert read_px(8, frame_size=256) == 128  # cells of 85 px
    assert read_px(17, frame_size=256) == 64  # cells of 51 px
    assert torch.equal(
        tile_frames(levels(8, 128), frame_size=256)[0, 0, 0, :3], levels(1, 3)[0, 0, 0]
    )


def test_more_frames_than_px_have_no_room() -> None:
    with pytest.raises(ValueError, match="4097 frames have no room in a grid of 64 px"):
        cell_px(64**2 + 1, frame_size=64)
