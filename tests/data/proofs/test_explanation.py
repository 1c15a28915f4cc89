"""A conversation is explained as it is encoded, with its frames really read."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from fixtures_table import encoder
from flipbook.data.generated.write import GeneratedData
from flipbook.data.proofs.explanation import Explanation, explain
from flipbook.data.turns import Media, Turn
from flipbook.errors import MediaError
from flipbook.video.view import View


@pytest.fixture(scope="module")
def clip(generated: GeneratedData) -> str:
    return str(next((generated.folder / "clips").glob("train-*.mp4")))


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("pictures") / "b.png"
    Image.new("RGB", (60, 40), "red").save(path)
    return str(path)


def explained(*media: Media, max_length: int | None = None) -> Explanation:
    turns = (Turn("user", (*media, "Which?")), Turn("assistant", ("Both.",)))
    return explain(turns, encoder(max_length), record_id="r")


def test_tokens_are_those_of_training(clip: str) -> None:
    found = explained(Media("video", clip))
    turns = (Turn("user", (Media("video", clip), "Which?")), Turn("assistant", ("Both.",)))
    encoded = encoder().encode(turns, frames_per_media=(2,), record_id="r")
    assert [token.id for token in found.tokens] == encoded.input_ids.tolist()
    assert [token.is_learned for token in found.tokens] == (encoded.labels >= 0).tolist()
    learned = b"".join(token.word for token in found.tokens if token.is_learned)
    assert learned == b"Both.<|im_end|>"
    assert {token.role for token in found.tokens if token.is_learned} == {"assistant"}
    assert found.frames_per_media == (2,)
    assert [frame.time_s for frame in found.frames][0] == 0.0
    assert all(proof.holds for proof in found.proofs)


def test_frames_of_several_sizes_are_told_apart(clip: str, picture: str) -> None:
    large = Media("video", clip, view=View(frame_size=256, num_frames=1))
    found = explained(large, Media("image", picture))
    assert [(frame.medium, frame.num_tokens) for frame in found.frames] == [(1, 16), (2, 4)]
    assert [frame.time_s for frame in found.frames] == [0.0, None]
    assert [frame.path for frame in found.frames] == [clip, picture]
    places = [token.frame for token in found.tokens if token.is_visual]
    assert places == [0] * 16 + [1] * 4
    assert found.budget.tokens_per_frame == (4, 16)
    assert all(proof.holds for proof in found.proofs)


def test_the_budget_counts_every_token_once_and_refuses_none(clip: str) -> None:
    found = explained(Media("video", clip), max_length=10)
    budget = found.budget
    assert budget.total == len(found.tokens) > 10
    assert (budget.num_frames, budget.num_visual, budget.limit) == (2, 8, 10)
    assert budget.num_answer == sum(token.is_learned for token in found.tokens)


def test_media_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "torn.mp4").write_bytes(b"torn")
    with pytest.raises(MediaError, match=r"torn\.mp4: "):
        explained(Media("video", str(tmp_path / "torn.mp4")))
