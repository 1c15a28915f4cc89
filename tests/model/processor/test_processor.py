"""What transformers' interfaces give the model is what training gave it: every id, every pixel."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from fixtures_llama import make_llama_checkpoint
from fixtures_model import make_checkpoint
from fixtures_video import MakeClip, numbered_picture
from flipbook import FlipbookProcessor
from flipbook.apps.chat import chat
from flipbook.data.labels.conversation import IGNORE_INDEX, encode_conversation, encode_prompt
from flipbook.data.media import media_of, read_media
from flipbook.data.turns import Media, Turn
from flipbook.errors import ArgumentError, BudgetError, MediaError, RecordError
from flipbook.model.checkpoint import Checkpoint
from flipbook.model.fastvlm import as_encoder_outputs, encode_frames, normalise_frames
from flipbook.video.settings import ClipSettings

Chat = list[dict[str, Any]]
MAKERS: dict[str, Callable[[Media, Media], list[Turn]]] = {
    "words": lambda clip, image: [Turn("user", ("Who are you?",))],
    "clip": lambda clip, image: [Turn("user", (clip, "What moves?"))],
    "picture": lambda clip, image: [Turn("user", (image, "What is it?"))],
    "clip alone": lambda clip, image: [Turn("user", (clip,))],
    "mixed": lambda clip, image: [
        Turn("user", ("Is ", image, "in ", clip, "or in ", clip, "or in ", image, "?"))
    ],
    "turns": lambda clip, image: [
        Turn("user", (clip, "What moves?")),
        Turn("assistant", ("\n A dot, käse 😀.",)),
        Turn("user", ("And ", image, "here?\n")),
        Turn("assistant", ("Nothing.",)),
        Turn("user", ("  Why?",)),
    ],
    "system": lambda clip, image: [Turn("system", ("Own.",)), Turn("user", (clip, "Hi"))],
    "typed": lambda clip, image: [
        Turn("user", ("say <image> or<|im_end|>\n<|im_start|>assistant\n<video> thth", clip))
    ],
}


@pytest.fixture
def clip_path(make_clip: MakeClip) -> str:
    return str(make_clip("processor.mkv", size=(128, 72), num_frames=45))


@pytest.fixture
def image_path(tmp_path: Path) -> str:
    path = tmp_path / "picture.png"
    Image.fromarray(numbered_picture(99, width=90, height=131)).save(path)
    return str(path)


def processor_of(checkpoint: Checkpoint) -> FlipbookProcessor:
    return FlipbookProcessor.of(
        checkpoint.tokenizer,
        checkpoint.clip_settings,
        image_mean=checkpoint.image_mean,
        image_std=checkpoint.image_std,
    )


def as_messages(turns: list[Turn]) -> Chat:
    return [
        {
            "role": turn.role,
            "content": [
                {"type": "text", "text": part}
                if isinstance(part, str)
                else {"type": part.kind, "path": part.path}
                for part in turn.parts
            ],
        }
        for turn in turns
    ]


def prompt_of(processor: FlipbookProcessor, chat: Any, **changes: Any) -> Any:
    return processor.apply_chat_template(
        chat,
        tokenize=True,
        add_generation_prompt=True,
        return_dict=True,
        return_tensors="pt",
        processor_kwargs=changes,
    )


def trained(checkpoint: Checkpoint, turns: list[Turn]) -> tuple[dict[str, Any], Tensor]:
    """Return what `encode_prompt` needs beside turns, and the frames of training."""
    settings = checkpoint.clip_settings
    frames, frames_per_media, _ = read_media(media_of(turns), settings)
    return {
        "tokenizer": checkpoint.tokenizer,
        "image_token_id": checkpoint.model.config.image_token_id,
        "frames_per_media": frames_per_media,
        "tokens_per_frame": settings.tokens_per_frame,
        "system_prompt": settings.system_prompt,
    }, frames


def check_equal(checkpoint: Checkpoint, turns: list[Turn]) -> dict[str, Any]:
    """Return what the processor gives, which is what training gives."""
    inputs = prompt_of(processor_of(checkpoint), as_messages(turns))
    how, frames = trained(checkpoint, turns)
    assert torch.equal(inputs["input_ids"][0], encode_prompt(turns, **how))
    assert bool((inputs["attention_mask"] == 1).all())
    assert ("pixel_values" in inputs) == bool(len(frames))
    if len(frames):
        mean, std = checkpoint.image_mean, checkpoint.image_std
        expected = normalise_frames(frames, image_mean=mean, image_std=std)
        assert torch.equal(inputs["pixel_values"], expected)
    return dict(inputs)


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("system_prompt", [None, "Be {{ brief }}."])
def test_prompts_and_pixels_are_those_of_training(
    kind: str, system_prompt: str | None, clip_path: str, image_path: str
) -> None:
    checkpoint = make_checkpoint(system_prompt=system_prompt)
    turns = MAKERS[kind](Media("video", clip_path), Media("image", image_path))
    check_equal(checkpoint, turns)


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("legacy", [True, False])
def test_llamas_prompts_are_those_of_training_too(
    kind: str, legacy: bool, clip_path: str, image_path: str
) -> None:
    checkpoint = make_llama_checkpoint(legacy=legacy)
    turns = MAKERS[kind](Media("video", clip_path), Media("image", image_path))
    inputs = check_equal(checkpoint, turns)
    assert inputs["input_ids"][0, 0] == checkpoint.tokenizer.bos_token_id


@pytest.mark.parametrize("sampler", ["uniform", "segments", "fps"])
@pytest.mark.parametrize("aspect", ["pad", "crop", "stretch"])
def test_every_sampler_and_aspect_is_followed(
    sampler: str, aspect: str, clip_path: str, image_path: str
) -> None:
    checkpoint = make_checkpoint(
        sampler=sampler, aspect=aspect, num_frames=3, frames_per_s=4.0, frame_snap=0.2
    )
    checkpoint.image_mean, checkpoint.image_std = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
    turns = MAKERS["mixed"](Media("video", clip_path), Media("image", image_path))
    inputs = check_equal(checkpoint, turns)
    num_frames = 6 if sampler == "fps" else 3
    assert inputs["pixel_values"].shape == (2 + 2 * num_frames, 3, 128, 128)


@pytest.mark.parametrize("kind", ["clip", "mixed", "turns"])
def test_logits_and_words_are_those_of_our_own_path(
    kind: str, clip_path: str, image_path: str, seeing_checkpoint: Checkpoint
) -> None:
    model = seeing_checkpoint.model
    turns = MAKERS[kind](Media("video", clip_path), Media("image", image_path))
    how, frames = trained(seeing_checkpoint, turns)
    inputs = prompt_of(processor_of(seeing_checkpoint), as_messages(turns))
    ids = encode_prompt(turns, **how)[None]
    with torch.inference_mode():
        theirs = model(**inputs).logits
        as_trained = model(input_ids=ids, pixel_values=normalise_frames(frames)).logits
        stored = as_encoder_outputs(encode_frames(model, frames))
        as_answered = model(input_ids=ids, mm_encoder_outputs=stored).logits
        blank = model(**inputs | {"pixel_values": torch.zeros_like(inputs["pixel_values"])}).logits
    assert torch.equal(theirs, as_trained)
    # Where the tower is frozen, its convolutions read another memory order and round otherwise.
    torch.testing.assert_close(theirs, as_answered, atol=1e-5, rtol=1e-5)
    assert (theirs - blank).abs().max() > 1e-2


def test_generate_gives_the_words_of_chat(seeing_checkpoint: Checkpoint, clip_path: str) -> None:
    processor = processor_of(seeing_checkpoint)
    turns = [Turn("user", (Media("video", clip_path), "What moves?"))]
    inputs = prompt_of(processor, as_messages(turns))
    ids = seeing_checkpoint.model.generate(**inputs, max_new_tokens=8, do_sample=False)
    words = processor.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    answer = chat(seeing_checkpoint, media=[clip_path], question="What moves?", max_new_tokens=8)
    assert words.strip() == answer


def test_a_batch_is_padded_on_the_left(
    seeing_checkpoint: Checkpoint, clip_path: str, image_path: str
) -> None:
    processor = processor_of(seeing_checkpoint)
    media = Media("video", clip_path), Media("image", image_path)
    chats = [as_messages(MAKERS[kind](*media)) for kind in ("clip", "words", "mixed")]
    alone = [prompt_of(processor, chat) for chat in chats]
    batch = prompt_of(processor, chats)
    for row, one in enumerate(alone):
        length = one["input_ids"].shape[1]
        assert torch.equal(batch["input_ids"][row, -length:], one["input_ids"][0])
        assert batch["attention_mask"][row].sum() == length
        assert bool((batch["attention_mask"][row, -length:] == 1).all())
    seen = [one["pixel_values"] for one in alone if "pixel_values" in one]
    assert torch.equal(batch["pixel_values"], torch.cat(seen))


def test_the_side_of_the_padding_is_the_tokenizers_or_that_of_the_call() -> None:
    processor = processor_of(make_checkpoint())
    chats = [[{"role": "user", "content": words}] for words in ("Hi", "Hi, who are you?")]

    def is_on_the_left(inputs: Any) -> bool:
        return inputs["attention_mask"][0].tolist()[::-1][0] == 1

    def both(**changes: Any) -> list[bool]:
        texts = ["Hi", "Hi, who are you?"]
        rendered = processor(text=texts, return_tensors="pt", **changes)
        return [is_on_the_left(prompt_of(processor, chats, **changes)), is_on_the_left(rendered)]

    assert both() == [True, True]
    assert both(padding_side="right") == [False, False]
    processor.tokenizer.padding_side = "right"  # as trainers set it
    assert both() == [False, False]
    assert both(padding_side="left") == [True, True]


def test_a_whole_chat_gives_the_labels_of_training(
    seeing_checkpoint: Checkpoint, clip_path: str, image_path: str
) -> None:
    turns = MAKERS["turns"](Media("video", clip_path), Media("image", image_path))
    turns.append(Turn("assistant", ("Because.",)))
    how, _ = trained(seeing_checkpoint, turns)
    expected = encode_conversation(turns, **how)
    processor = processor_of(seeing_checkpoint)
    short = as_messages([Turn("user", ("A",)), Turn("assistant", ("B",))])
    whole = processor.apply_chat_template(
        [as_messages(turns), short],
        tokenize=True,
        return_dict=True,
        return_assistant_tokens_mask=True,
        return_tensors="pt",
    )
    assert torch.equal(whole["input_ids"][0], expected.input_ids)
    assert torch.equal(whole["assistant_masks"][0], (expected.labels != IGNORE_INDEX).long())
    assert processor.decode(whole["input_ids"][1][whole["assistant_masks"][1] == 1]) == (
        "B<|im_end|>"
    )


def test_an_answer_can_be_continued(seeing_checkpoint: Checkpoint) -> None:
    turns = [Turn("user", ("Why?",)), Turn("assistant", ("Because of",))]
    ids = processor_of(seeing_checkpoint).apply_chat_template(
        as_messages(turns), tokenize=True, continue_final_message=True
    )
    how, _ = trained(seeing_checkpoint, turns)
    whole = encode_conversation(turns, **how).input_ids.tolist()
    assert ids[0] == whole[:-2]  # <|im_end|> and a line break


def test_plain_strings_and_lists_of_parts_are_the_same(seeing_checkpoint: Checkpoint) -> None:
    processor = processor_of(seeing_checkpoint)
    strings = [{"role": "system", "content": "S"}, {"role": "user", "content": "Why <image>?"}]
    parts = as_messages([Turn("system", ("S",)), Turn("user", ("Why <image>?",))])
    assert torch.equal(
        prompt_of(processor, strings)["input_ids"], prompt_of(processor, parts)["input_ids"]
    )


@pytest.mark.parametrize("key", ["video", "path", "url"])
def test_a_clip_may_stand_under_any_of_the_usual_keys(
    seeing_checkpoint: Checkpoint, clip_path: str, key: str
) -> None:
    given: Any = Path(clip_path) if key == "video" else clip_path
    chat = [{"role": "user", "content": [{"type": "video", key: given}]}]
    how, _ = trained(seeing_checkpoint, turns := [Turn("user", (Media("video", clip_path),))])
    inputs = prompt_of(processor_of(seeing_checkpoint), chat)
    assert torch.equal(inputs["input_ids"][0], encode_prompt(turns, **how))


def test_a_picture_may_stand_under_any_of_the_usual_keys(
    seeing_checkpoint: Checkpoint, image_path: str
) -> None:
    coded = base64.b64encode(Path(image_path).read_bytes()).decode()
    address = f"data:image/png;base64,{coded}"
    processor = processor_of(seeing_checkpoint)
    expected = prompt_of(processor, as_messages([Turn("user", (Media("image", image_path),))]))
    for part in (
        {"type": "image", "image": Image.open(image_path)},
        {"type": "image", "url": address},
        {"type": "image", "base64": coded},
        {"type": "image_url", "image_url": {"url": address}},
    ):
        inputs = prompt_of(processor, [{"role": "user", "content": [part]}])
        assert torch.equal(inputs["pixel_values"], expected["pixel_values"])
        assert torch.equal(inputs["input_ids"], expected["input_ids"])


def test_settings_may_be_changed_for_one_call(
    seeing_checkpoint: Checkpoint, clip_path: str
) -> None:
    processor = processor_of(seeing_checkpoint)
    turns = [Turn("user", (Media("video", clip_path), "What moves?"))]
    changes = {"num_frames": 2, "frame_size": 64, "aspect": "crop", "sampler": "segments"}
    settings = dataclasses.replace(seeing_checkpoint.clip_settings, **changes)
    changed = dataclasses.replace(seeing_checkpoint, settings=settings)
    how, frames = trained(changed, turns)
    for inputs in (
        prompt_of(processor, as_messages(turns), **changes),
        processor.apply_chat_template(
            as_messages(turns), tokenize=True, add_generation_prompt=True, return_dict=True,
            return_tensors="pt", **changes,
        ),
    ):  # fmt: skip
        assert torch.equal(inputs["input_ids"][0], encode_prompt(turns, **how))
        assert torch.equal(inputs["pixel_values"], normalise_frames(frames))
    check_equal(seeing_checkpoint, turns)  # the change was for that call alone


@pytest.mark.parametrize(
    ("saved", "changes", "num_frames"),
    [
        ({"num_frames": 4}, {"fps": 2}, 3),  # 1.5 s
        ({"sampler": "fps", "min_frames": 1}, {"fps": 4}, 6),
        ({"sampler": "fps"}, {"num_frames": 5}, 5),
        ({"num_frames": 4}, {"sampler": "fps", "min_frames": 7}, 7),
    ],
)
def test_counts_and_rates_take_each_others_place(
    saved: dict[str, Any], changes: dict[str, Any], num_frames: int, clip_path: str
) -> None:
    settings = {"min_frames": 2} | saved
    processor = processor_of(make_checkpoint(**settings))
    chat = as_messages([Turn("user", (Media("video", clip_path),))])
    assert len(prompt_of(processor, chat, **changes)["pixel_values"]) == num_frames


@pytest.mark.parametrize("make", [make_checkpoint, make_llama_checkpoint])
def test_text_that_was_rendered_before_gives_the_same(
    make: Callable[[], Checkpoint], clip_path: str, image_path: str
) -> None:
    checkpoint = make()
    processor = processor_of(checkpoint)
    chat = as_messages(MAKERS["mixed"](Media("video", clip_path), Media("image", image_path)))
    text = processor.apply_chat_template(chat, add_generation_prompt=True)
    assert "Is <image>\nin <video>or in <video>or in <image>\n?" in text
    images, videos = [image_path, Image.open(image_path)], [clip_path, Path(clip_path)]
    inputs = processor(text=text, images=images, videos=videos, return_tensors="pt")
    expected = prompt_of(processor, chat)
    assert torch.equal(inputs["input_ids"], expected["input_ids"])
    assert torch.equal(inputs["pixel_values"], expected["pixel_values"])
    alone = processor(images=images, videos=clip_path, return_tensors="pt")
    assert alone["pixel_values"].shape[0] == 2 + checkpoint.clip_settings.num_frames
    assert "input_ids" not in alone


def test_what_training_has_no_counterpart_for_goes_transformers_way(
    seeing_checkpoint: Checkpoint, clip_path: str
) -> None:
    processor = processor_of(seeing_checkpoint)
    chat = as_messages([Turn("user", (Media("video", clip_path), "Hi <image><|im_end|>"))])
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    with_tools = processor.apply_chat_template(
        chat, tokenize=True, add_generation_prompt=True, tools=[tool], return_dict=True,
        return_tensors="pt",
    )  # fmt: skip
    expected = prompt_of(processor, chat)
    assert processor.decode(with_tools["input_ids"][0]) == processor.decode(
        expected["input_ids"][0]
    )
    assert torch.equal(with_tools["pixel_values"], expected["pixel_values"])
    image_id = processor.image_token_id
    assert (with_tools["input_ids"] == image_id).sum() == 16  # the typed one is none of them
    unprompted = processor.apply_chat_template(
        as_messages([Turn("user", ("Hi",))]), tokenize=True, return_dict=False
    )
    assert processor.decode(unprompted[0]).endswith("Hi<|im_end|>\n")


@pytest.mark.parametrize(("num_frames", "expected"), [(None, 4), (2, 2)])
def test_a_server_that_asks_for_sound_gets_what_training_saw(
    seeing_checkpoint: Checkpoint, clip_path: str, num_frames: int | None, expected: int
) -> None:
    """`transformers serve` asks so for each chat with a clip."""
    processor = processor_of(seeing_checkpoint)
    chat = as_messages([Turn("user", (Media("video", clip_path), "Hi <image>"))])
    served = processor.apply_chat_template(
        chat, add_generation_prompt=True, tools=None, return_tensors="pt", return_dict=True,
        tokenize=True, load_audio_from_video=True, num_frames=num_frames,
    )  # fmt: skip
    alike = prompt_of(processor, chat, num_frames=num_frames)
    assert torch.equal(served["input_ids"], alike["input_ids"])
    assert torch.equal(served["pixel_values"], alike["pixel_values"])
    assert len(served["pixel_values"]) == expected


BAD_CHATS: list[tuple[Any, type[Exception], str]] = [
    ([{"type": "audio", "path": "a.wav"}], ArgumentError, "its 'type' must be text"),
    ([{"type": "vidoe", "path": "a.mp4"}], ArgumentError, "Did you mean 'video'"),
    ([{"type": "text"}], ArgumentError, "with its 'text'"),
    ([{"type": "video"}], ArgumentError, "must hold one of video, url, path, and has none"),
    ([{"type": "video", "path": "a", "url": "b"}], ArgumentError, "has url and path"),
    ([{"type": "video", "url": "https://a.com/b.mp4"}], MediaError, "is an address"),
    (
        [{"type": "video", "url": "data:video/mp4;base64," + "A" * 5000}],
        ArgumentError,
        r"^a clip is given as 'data:video/mp4;base64,AA'\.\.\. itself, and only files are read",
    ),
    ([{"type": "video", "path": "absent.mp4"}], MediaError, "does not exist"),
    ([{"type": "image", "path": "absent.png"}], MediaError, "does not exist"),
    ([{"type": "video", "video": 3}], ArgumentError, "a clip is given as int"),
    ([{"type": "video", "video": []}], ArgumentError, "holds none"),
    ("", RecordError, "blank question"),
]


@pytest.mark.parametrize(("content", "kind", "message"), BAD_CHATS)
def test_parts_that_cannot_be_meant_are_refused(
    seeing_checkpoint: Checkpoint, content: Any, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        prompt_of(processor_of(seeing_checkpoint), [{"role": "user", "content": content}])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": {"shortest_edge": 64}}, r"size=.* has no effect"),
        ({"do_resize": False}, "do_resize=False has no effect"),
        ({"num_frames": 2, "fps": 1.0}, "exclude each other"),
        ({"frame_size": 100}, "no multiple of 64"),
        ({"sampler": "unifrom"}, "Did you mean 'uniform'"),
        ({"do_sample_frames": False}, "always chosen by a sampler"),
        ({"videos_kwargs": {"frame_size": 64}}, r"sides of \[64, 128\] px"),
    ],
)
def test_changes_that_cannot_be_meant_are_refused(
    seeing_checkpoint: Checkpoint,
    clip_path: str,
    image_path: str,
    changes: dict[str, Any],
    message: str,
) -> None:
    turns = [Turn("user", (Media("video", clip_path), Media("image", image_path)))]
    with pytest.raises(ArgumentError, match=message):
        prompt_of(processor_of(seeing_checkpoint), as_messages(turns), **changes)


def test_other_mistakes_are_refused(seeing_checkpoint: Checkpoint, clip_path: str) -> None:
    processor = processor_of(seeing_checkpoint)
    chat = as_messages([Turn("user", (Media("video", clip_path), "Hi"))])
    with pytest.raises(BudgetError, match="tokens"):
        prompt_of(processor, chat, truncation=True, max_length=20)
    with pytest.raises(ArgumentError, match="does not hear"):
        processor(text="Hi", audio=np.zeros(8))
    with pytest.raises(ArgumentError, match="the text has 0 <video>, and 1 of them"):
        processor(text="Hi", videos=[clip_path])
    with pytest.raises(RecordError, match="unknown role 'tool'"):
        prompt_of(processor, [{"role": "tool", "content": "x"}, {"role": "user", "content": "y"}])
    with pytest.raises(ValueError, match="must all be given"):
        FlipbookProcessor(tokenizer=processor.tokenizer)


def test_settings_are_those_of_the_dataclass() -> None:
    """A setting that is added to ClipSettings can be changed in a call."""
    only_here = {"timestamps", "clip_share", "clip_place", "num_clips", "min_frame_change"}
    only_here |= {"layout", "slow_frames", "system_prompt"}
    own = {field.name for field in dataclasses.fields(ClipSettings)} - only_here
    processor = processor_of(make_checkpoint())
    assert own <= set(processor.video_processor.valid_kwargs.__annotations__)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"timestamps": True}, "--timestamps"),
        ({"sampler": "sparse"}, "--frame_sampler sparse"),
        ({"min_frame_change": 4.0}, "--min_frame_change 4"),
    ],
)
def test_what_flipbook_alone_follows_is_refused(settings: dict[str, Any], named: str) -> None:
    message = f"trained with {named}, which a processor of transformers does not follow"
    with pytest.raises(ArgumentError, match=message):
        processor_of(make_checkpoint(**settings))
    with pytest.raises(ArgumentError, match=message):
        processor_of(make_checkpoint()).video_processor.frames_of("a.mp4", **settings)
