"""A conversation that is too long says what would make it fit, and that does."""

from __future__ import annotations

import re

import pytest

from flipbook.data.budget import check_budget
from flipbook.errors import BudgetError


def advice(*, frames_per_media: tuple[int, ...], tokens_per_frame: int, max_length: int) -> str:
    num_tokens = sum(frames_per_media) * tokens_per_frame + 40 + 10
    with pytest.raises(BudgetError) as caught:
        check_budget(
            num_tokens=num_tokens,
            num_answer_tokens=10,
            frames_per_media=frames_per_media,
            tokens_per_frame=[tokens_per_frame] * len(frames_per_media),
            max_length=max_length,
            record_id="clip-7",
        )
    return str(caught.value)


def test_what_fits_passes() -> None:
    for max_length in (None, 306):
        check_budget(
            num_tokens=306,
            num_answer_tokens=10,
            frames_per_media=(1,),
            tokens_per_frame=(256,),
            max_length=max_length,
            record_id="clip-7",
        )


def test_the_sum_is_shown_with_three_ways_out() -> None:
    message = advice(frames_per_media=(8,), tokens_per_frame=256, max_length=2048)
    assert message == (
        "record clip-7: 8 frames x 256 + 40 of text + 10 of answers = 2098 tokens, and the limit "
        "is 2048. Nothing is ever cut: --num_video_frames 7, or --frame_size 960, or raise the "
        "limit to 2098 (--model_max_length)."
    )


@pytest.mark.parametrize("max_length", [51, 60, 300, 449, 850, 3000])
@pytest.mark.parametrize("frames_per_media", [(8,), (8, 1), (4, 8, 2)])
def test_advice_fits(frames_per_media: tuple[int, ...], max_length: int) -> None:
    message = advice(frames_per_media=frames_per_media, tokens_per_frame=400, max_length=max_length)
    frames = re.search(r"--num_video_frames (\d+)", message)
    if frames:
        counts = [min(count, int(frames[1])) for count in frames_per_media]
        assert sum(counts) * 400 + 50 <= max_length
    size = re.search(r"--frame_size (\d+)", message)
    if size:
        assert sum(frames_per_media) * (int(size[1]) // 64) ** 2 + 50 <= max_length
    assert "--model_max_length" in message


def test_text_alone_can_only_be_allowed_more() -> None:
    message = advice(frames_per_media=(), tokens_per_frame=16, max_length=20)
    assert message.endswith("Nothing is ever cut: raise the limit to 50 (--model_max_length).")
