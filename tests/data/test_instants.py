"""Are instants said before frames exactly, before decoding, in training as in asking?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from fixtures_llama import make_llama_tokenizer
from fixtures_model import make_checkpoint, make_tokenizer
from fixtures_proofs import failed
from fixtures_table import row, write
from fixtures_video import MakeClip, make_clip, numbered_picture
from flipbook.apps.data.page.pieces import pieces_of
from flipbook.data.dataset import LazySupervisedDataset
from flipbook.data.encoder import ConversationEncoder
from flipbook.data.instants import times_of
from flipbook.data.labels.conversation import encode_conversation
from flipbook.data.placeholders import expand_frames, text_of
from flipbook.data.proofs.prove import prove
from flipbook.data.turns import Media, Turn
from flipbook.errors import MediaError
from flipbook.score.prompts import prompt_ids
from flipbook.train.arguments import DataArguments
from flipbook.video.settings import ClipSettings
from flipbook.video.view import View

__all__ = ["make_clip"]

SETTINGS = ClipSettings(frame_size=128, num_frames=3, timestamps=True)


@pytest.fixture
def clip(make_clip: MakeClip) -> Media:
    return Media("video", str(make_clip("timed.mp4", num_frames=31, rate=10)))  # 3.1 s


def talk(*media: Media) -> tuple[Turn, ...]:
    return Turn("user", (*media, "When?")), Turn("assistant", ("At 1.5s: <image>.",))


def test_instants_are_those_of_the_sampler(clip: Media) -> None:
    assert times_of([clip], SETTINGS) == ((0.0, 1.5, 3.0),)
    assert times_of([clip, Media("image", "b.png")], SETTINGS)[1] == ()
    stretch = Media("video", clip.path, view=View(start_s=1.0, end_s=2.0, num_frames=2))
    assert times_of([stretch], SETTINGS)[0] == pytest.approx((1.0, 1.9))
    named = Media("video", clip.path, view=View(times_s=(0.2, 2.5)))
    assert times_of([named], SETTINGS) == ((0.2, 2.5),)
    off = ClipSettings(frame_size=128, num_frames=3)
    assert times_of([clip, Media("video", "/missing.mp4")], off) == ((), ())


def test_pictures_of_a_clip_need_a_rate(tmp_path: Path) -> None:
    for number in range(5):
        Image.fromarray(numbered_picture(number)).save(tmp_path / f"{number}.png")
    timed = Media("video", str(tmp_path), view=View(frames_fps=2.0))
    assert times_of([timed], SETTINGS) == ((0.0, 1.0, 2.0),)
    with pytest.raises(MediaError, match="nobody says how many.*no timestamps.*--frames_fps"):
        times_of([Media("video", str(tmp_path))], SETTINGS)
    with pytest.raises(MediaError, match="cannot be read"):
        times_of([Media("video", "/missing.mp4")], SETTINGS)


def test_words_stand_before_frames() -> None:
    parts = ["See ", "clip", "picture", "?"]
    media = iter(["clip", "picture"])
    items = [part if part in ("See ", "?") else Media("video", next(media)) for part in parts]
    expanded = expand_frames(items, iter([2, 1]), iter([(0.0, 61.25), ()]))
    assert text_of(expanded) == "See 0.0s: <image>\n61.2s: <image>\n<image>\n?"
    with pytest.raises(ValueError, match="1 instants are said of 2 frames"):
        expand_frames(items, iter([2, 1]), iter([(0.0,), ()]))


@pytest.mark.parametrize("kind", ["small", "qwen", "llama"])
def test_ids_are_those_of_the_plain_text(kind: str, request: pytest.FixtureRequest) -> None:
    tokenizer: Any = make_tokenizer() if kind == "small" else make_llama_tokenizer(legacy=False)
    if kind == "qwen":
        tokenizer = request.getfixturevalue("qwen_tokenizer")
    image_token_id = tokenizer.convert_tokens_to_ids("<image>")
    how = {"tokenizer": tokenizer, "image_token_id": image_token_id}
    encoded = encode_conversation(
        (Turn("user", (Media("video", "/a.mp4"), "When?")), Turn("assistant", ("Then.",))),
        frames_per_media=[2],
        tokens_per_frame=1,
        times_per_media=[(0.0, 1.5)],
        **how,
    )
    typed = encode_conversation(
        (
            Turn("user", ("0.0s: ", Media("image", "/a.png"), "1.5s: ", Media("image", "/b.png"))),
            Turn("assistant", ("Then.",)),
        ),
        frames_per_media=[1, 1],
        tokens_per_frame=1,
        **how,
    )
    said = tokenizer.apply_chat_template(
        [
            {"role": "user", "content": "0.0s: <image>\n1.5s: <image>\nWhen?"},
            {"role": "assistant", "content": "Then."},
        ],
        tokenize=False,
    )
    by_hand = tokenizer(said, add_special_tokens=False)["input_ids"]
    assert encoded.input_ids.tolist() == by_hand
    assert encoded.num_mismatched_tokens == 0
    assert typed.input_ids.tolist()[:20] == by_hand[:20]
    with pytest.raises(ValueError, match="times_per_media has 2 entries, media 1"):
        encode_conversation(
            (Turn("user", (Media("video", "/a.mp4"),)), Turn("assistant", ("Then.",))),
            frames_per_media=[1],
            tokens_per_frame=1,
            times_per_media=[(0.0,), (1.0,)],
            **how,
        )


def test_what_is_measured_is_what_is_learned_and_what_is_asked(clip: Media, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(Path(clip.path).read_bytes())
    part = {"type": "video", "video": "a.mp4", "start_s": 1.0, "end_s": 2.0}
    messages = [
        {"role": "user", "content": [part, {"type": "text", "text": "When?"}]},
        {"role": "assistant", "content": "Then."},
    ]
    rows = [
        row("long", "<video>\nWhen?", "Then.", video="a.mp4"),
        {"id": "part", "messages": messages},
    ]
    arguments = DataArguments(num_video_frames=3, frame_size=128, timestamps=True)
    checkpoint = make_checkpoint(num_frames=3, timestamps=True)
    dataset = LazySupervisedDataset(
        write(tmp_path / "rows.json", rows), checkpoint.tokenizer, arguments
    )
    for index, first in enumerate(["0.0s: ", "1.0s: "]):
        sample = dataset[index]
        assert len(sample.input_ids) == dataset.table.num_tokens[index]
        asked = prompt_ids(
            checkpoint,
            dataset.table[index].turns,
            frames_per_media=[3],
            settings=dataset.settings,
            record_id="r",
        )
        assert torch.equal(sample.input_ids[: len(asked)], asked)
        said = checkpoint.tokenizer.decode(sample.input_ids)
        assert said.split("user\n")[1].startswith(f"{first}<image>")
        assert said.count("s: <image>") == 3


def test_a_longer_file_in_the_same_place_is_measured_anew(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    path = tmp_path / "clip.mp4"
    lengths = []
    for name, rate in (("slow.mp4", 2), ("fast.mp4", 30)):
        path.write_bytes(make_clip(name, rate=rate).read_bytes())
        rows = write(tmp_path / "rows.json", [row("a", "<video>\nWhen?", "Then.", video=str(path))])
        arguments = DataArguments(num_video_frames=3, frame_size=128, timestamps=True)
        dataset = LazySupervisedDataset(rows, make_tokenizer(), arguments)
        assert len(dataset[0].input_ids) == dataset.table.num_tokens[0]
        lengths.append(dataset.table.num_tokens[0])
    assert lengths[0] == lengths[1] + 1  # the last frame is at 14.5 s, and then at 1.0 s


def test_it_is_proven_and_shown_as_anything_else(clip: Media) -> None:
    encoder = ConversationEncoder(make_tokenizer(), SETTINGS)
    turns = talk(clip, Media("image", "/b.png"))
    proofs = prove(turns, encoder, frames_per_media=(3, 1), record_id="r")
    assert failed({proof.name: proof for proof in proofs}) == {}
    encoded = encoder.encode(turns, frames_per_media=(3, 1), record_id="r")
    pieces = pieces_of(
        encoded,
        encoder.tokenizer,
        image_token_id=encoder.image_token_id,
        frames_per_media=(3, 1),
    )
    shown = [text for piece in pieces if piece.kind == "visual" for text in piece.texts]
    assert shown == [
        *["1 frame \u00d7 4 tokens"] * 2,
        "1 frame \u00d7 4 tokens",
        "1 frame \u00d7 4 tokens",
    ]
