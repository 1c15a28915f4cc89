"""A saved folder in the hands of plain transformers, with flipbook's processor and without."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoVideoProcessor,
    LlavaProcessor,
    pipeline,
)
from transformers.utils.chat_template_utils import Chat

from fixtures_llama import make_llama_checkpoint
from fixtures_model import make_checkpoint
from fixtures_video import MakeClip, make_clip, numbered_picture
from flipbook import FlipbookProcessor
from flipbook.apps.chat import chat
from flipbook.model.processor.media_processors import FlipbookVideoProcessor
from flipbook.model.saving import save_checkpoint

__all__ = ["make_clip"]

ALONE = """
import sys
from transformers import AutoModelForImageTextToText, AutoProcessor
model = AutoModelForImageTextToText.from_pretrained(sys.argv[1])
processor = AutoProcessor.from_pretrained(sys.argv[1])
print(type(processor).__name__)
def prompt(*content):
    message = {"role": "user", "content": [*content, {"type": "text", "text": "What is it?"}]}
    return processor.apply_chat_template([message], tokenize=True, add_generation_prompt=True,
        return_dict=True, return_tensors="pt")
inputs = prompt({"type": "image", "path": sys.argv[2]})
model.generate(**inputs, max_new_tokens=2)
print(processor.decode(inputs["input_ids"][0]), end="")
try:
    prompt({"type": "video", "path": sys.argv[3]})
except Exception as error:
    print(error)
assert "flipbook" not in sys.modules
"""
WITH_FLIPBOOK = """
import sys
from transformers import AutoProcessor, pipeline
from flipbook import FlipbookProcessor
assert type(AutoProcessor.from_pretrained(sys.argv[1])) is FlipbookProcessor
ask = pipeline("image-text-to-text", model=sys.argv[1])
message = {"role": "user", "content": [{"type": "video", "path": sys.argv[2]},
    {"type": "text", "text": "What moves?"}]}
print(ask([message], max_new_tokens=8, return_full_text=False)[0]["generated_text"], end="")
"""
PROMPT = (
    "<|im_start|>system\nBe {{ brief }}.<|im_end|>\n<|im_start|>user\n"
    "<image><image><image><image>\nWhat is it?<|im_end|>\n<|im_start|>assistant\n"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    checkpoint = make_checkpoint(system_prompt="Be {{ brief }}.", sampler="segments", aspect="crop")
    return save_checkpoint(tmp_path_factory.mktemp("pipeline") / "model", checkpoint)


@pytest.fixture
def clip_path(make_clip: MakeClip) -> str:
    return str(make_clip("pipeline.mp4", size=(128, 72)))


@pytest.fixture
def image_path(tmp_path: Path) -> str:
    path = tmp_path / "picture.png"
    Image.fromarray(numbered_picture(7)).save(path)
    return str(path)


def asking(*content: dict[str, str], text: str = "What moves?") -> list[dict[str, Any]]:
    return [{"role": "user", "content": [*content, {"type": "text", "text": text}]}]


def in_a_clean_process(program: str, *words: str | Path) -> str:
    command = [sys.executable, "-c", program, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_without_flipbook_pictures_work_and_a_clip_is_refused(
    folder: Path, image_path: str, clip_path: str
) -> None:
    said = in_a_clean_process(ALONE, folder, image_path, clip_path)
    assert said == f"LlavaProcessor\n{PROMPT}a video has no place here: give one image per frame\n"


def test_one_import_is_all_that_a_clip_needs(folder: Path, clip_path: str) -> None:
    said = in_a_clean_process(WITH_FLIPBOOK, folder, clip_path)
    answer = chat(folder, media=[clip_path], question="What moves?", max_new_tokens=8)
    assert said.strip() == answer


def test_the_pipeline_answers_as_chat_does(folder: Path, clip_path: str, image_path: str) -> None:
    ask = pipeline("image-text-to-text", model=str(folder))
    questions = {
        "What moves?": [clip_path],
        "What is it?": [image_path],
        "Which of them?": [clip_path, image_path],
        "Who are you?": [],
    }
    expected = [
        chat(folder, media=media, question=text, max_new_tokens=6)
        for text, media in questions.items()
    ]
    chats = [
        asking(
            *({"type": "video" if path == clip_path else "image", "path": path} for path in media),
            text=text,
        )
        for text, media in questions.items()
    ]
    options: dict[str, Any] = {"max_new_tokens": 6, "return_full_text": False}
    alone = [ask(chat, **options)[0]["generated_text"].strip() for chat in chats]
    assert alone == expected
    assert len(set(expected)) > 1
    # In one batch transformers wants pictures or clips in each of the chats, or in none.
    together = ask(chats[:3], batch_size=2, **options)
    assert [one[0]["generated_text"].strip() for one in together] == expected[:3]


def test_the_pipeline_takes_changes_to_the_settings(folder: Path, clip_path: str) -> None:
    ask = pipeline("image-text-to-text", model=str(folder))
    chat = Chat(asking({"type": "video", "path": clip_path}))
    changes = {"num_frames": 2, "frame_size": 64}
    for options in ({"processor_kwargs": changes}, changes):
        assert ask.preprocess(chat, **options)["pixel_values"].shape == (2, 3, 64, 64)
    assert ask.preprocess(chat)["pixel_values"].shape == (4, 3, 128, 128)


def test_auto_classes_give_flipbooks_and_leave_others_alone(
    folder: Path, tmp_path: Path, apple_folder: Path
) -> None:
    processor = AutoProcessor.from_pretrained(folder)
    assert type(processor) is FlipbookProcessor
    settings = processor.video_processor.settings
    assert (settings.sampler, settings.aspect, settings.num_frames) == ("segments", "crop", 4)
    assert settings.system_prompt == "Be {{ brief }}."
    video_processor = AutoVideoProcessor.from_pretrained(folder, num_frames=2)
    assert type(video_processor) is FlipbookVideoProcessor
    assert video_processor.settings.num_frames == 2
    assert AutoProcessor.from_pretrained(folder, fps=2).video_processor.settings.sampler == "fps"
    copy = tmp_path / "copy"
    ignored = shutil.ignore_patterns("*.safetensors", "flipbook.json", "video_*.json")
    shutil.copytree(folder, copy, ignore=ignored)
    assert type(AutoProcessor.from_pretrained(copy)) is LlavaProcessor
    without = FlipbookProcessor.from_pretrained(copy).video_processor.settings
    assert (without.frame_size, without.aspect, without.sampler) == (128, "crop", "uniform")
    apples = FlipbookProcessor.from_pretrained(apple_folder)
    assert apples.tokenizer.decode([apples.image_token_id]) == "<image>"


def test_a_processor_that_is_saved_again_is_the_same(
    folder: Path, tmp_path: Path, clip_path: str
) -> None:
    first = AutoProcessor.from_pretrained(folder, num_frames=3)
    written = first.save_pretrained(tmp_path / "again")
    assert str(tmp_path / "again" / "flipbook.json") in written
    (tmp_path / "again" / "config.json").write_bytes((folder / "config.json").read_bytes())
    again = AutoProcessor.from_pretrained(tmp_path / "again")
    assert again.video_processor.settings == first.video_processor.settings
    assert again.chat_template == first.chat_template
    assert again.chat_template.count("Be {{ brief }}.") == 1
    assert again.tokenizer.chat_template == first.tokenizer.chat_template
    chat = asking({"type": "video", "path": clip_path})
    options: dict[str, Any] = {"tokenize": True, "add_generation_prompt": True, "return_dict": True}
    one, two = (p.apply_chat_template(chat, **options) for p in (first, again))
    assert one["input_ids"] == two["input_ids"]
    assert torch.equal(one["pixel_values"], two["pixel_values"])
    assert len(one["pixel_values"]) == 3


def test_the_model_of_plain_transformers_generates_from_a_clip(
    folder: Path, clip_path: str
) -> None:
    model = AutoModelForImageTextToText.from_pretrained(folder)
    processor = AutoProcessor.from_pretrained(folder)
    inputs = processor.apply_chat_template(
        asking({"type": "video", "path": clip_path}),
        tokenize=True,
        add_generation_prompt=True,
        return_dict=True,
        return_tensors="pt",
    )
    ids = model.generate(**inputs, max_new_tokens=8)[0, inputs["input_ids"].shape[1] :]
    answer = chat(folder, media=[clip_path], question="What moves?", max_new_tokens=8)
    assert processor.decode(ids, skip_special_tokens=True).strip() == answer


def test_a_llama_answers_in_the_pipeline_as_in_chat(
    tmp_path: Path, clip_path: str, image_path: str
) -> None:
    checkpoint = make_llama_checkpoint()
    checkpoint.settings = replace(checkpoint.clip_settings, system_prompt="Be brief.")
    folder = save_checkpoint(tmp_path / "llama", checkpoint)
    ask = pipeline("image-text-to-text", model=str(folder))
    media = [{"type": "image", "path": image_path}, {"type": "video", "path": clip_path}]
    options: dict[str, Any] = {"max_new_tokens": 8, "return_full_text": False}
    answer = ask(asking(*media), **options)[0]["generated_text"].strip()
    paths = [image_path, clip_path]
    assert answer == chat(folder, media=paths, question="What moves?", max_new_tokens=8)
    text = ask.processor.apply_chat_template(asking(*media), add_generation_prompt=True)
    assert text == "<s>Be brief. USER: <image>\n<video>What moves? ASSISTANT:"
