"""The embedded model is whole, sees, answers questions about pictures, and speaks ChatML."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor, AutoTokenizer

from flipbook.data.generated.scenes import TASKS, make_movie
from flipbook.data.generated.shapes import draw_picture
from flipbook.data.generated.stills import STILL_TASKS, make_still
from flipbook.data.labels.conversation import FASTVLM_CHAT_TEMPLATE
from flipbook.model.tiny import TINY_FOLDER
from flipbook.model.tiny.build import SPECIAL_TOKENS, TOKENS_PER_FRAME, build_model, build_tokenizer

SEED = 5_000_000_000  # of pictures that no training has seen


@pytest.fixture(scope="module")
def model() -> Any:
    return AutoModelForImageTextToText.from_pretrained(TINY_FOLDER, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def processor() -> Any:
    return AutoProcessor.from_pretrained(TINY_FOLDER)


def test_shipped_folder_is_a_few_megabytes() -> None:
    names = {path.name for path in TINY_FOLDER.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "flipbook.json"} <= names
    assert sum(path.stat().st_size for path in TINY_FOLDER.iterdir()) < 4_000_000


def test_every_weight_is_finite_and_features_differ(model: Any) -> None:
    assert all(torch.isfinite(tensor).all() for tensor in model.state_dict().values())
    pictures = [draw_picture(make_still("side", seed=SEED + i)[0]) for i in range(8)]
    pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        features = model.model.get_image_features(pixel_values=pixels).pooler_output
    assert features.shape == (8, TOKENS_PER_FRAME, 128)
    assert features.std(dim=0).mean() > 1e-2


def test_changing_one_frame_changes_the_logits(model: Any, processor: Any) -> None:
    frames = [draw_picture(make_still("side", seed=SEED + i)[0]) for i in range(4)]
    text = _prompt(processor, "Which way does the red circle move?", num_frames=4)
    with torch.no_grad():
        inputs = processor(
            images=list(map(Image.fromarray, frames)), text=text, return_tensors="pt"
        )
        full = model(**inputs).logits[0, -1]
        inputs["pixel_values"] = inputs["pixel_values"].index_fill(0, torch.tensor([2]), 0.0)
        assert (model(**inputs).logits[0, -1] - full).abs().max() > 1e-2


def test_plain_transformers_answers_questions_about_pictures(model: Any, processor: Any) -> None:
    asked = [make_still(task, seed=SEED + i) for task in STILL_TASKS for i in range(8)]
    processor.tokenizer.padding_side = "left"
    inputs = processor(
        images=[Image.fromarray(draw_picture(picture)) for picture, _ in asked],
        text=[_prompt(processor, question.text) for _, question in asked],
        padding=True,
        return_tensors="pt",
    )
    ids = model.generate(**inputs, max_new_tokens=6)[:, inputs["input_ids"].shape[1] :]
    answers = processor.batch_decode(ids, skip_special_tokens=True)
    right = [answer == q.answer for answer, (_, q) in zip(answers, asked, strict=True)]
    assert np.mean(right) >= 0.95


def test_processor_feeds_a_picture_of_the_right_size_unchanged(processor: Any) -> None:
    pixels = draw_picture(make_still("colour", seed=1)[0])
    inputs = processor(
        images=Image.fromarray(pixels), text=_prompt(processor, "Why?"), return_tensors="pt"
    )
    expected = torch.from_numpy(pixels).permute(2, 0, 1) / 255
    torch.testing.assert_close(inputs["pixel_values"][0], expected)
    image_id = processor.tokenizer.convert_tokens_to_ids("<image>")
    assert int((inputs["input_ids"] == image_id).sum()) == TOKENS_PER_FRAME


def test_tokenizer_knows_the_words_and_spells_the_rest() -> None:
    tokenizer = AutoTokenizer.from_pretrained(TINY_FOLDER)
    assert tokenizer.eos_token == "<|im_end|>"
    assert tokenizer.pad_token == "<|endoftext|>"
    assert tokenizer.chat_template == FASTVLM_CHAT_TEMPLATE
    for token in SPECIAL_TOKENS:
        assert tokenizer.encode(token) == [tokenizer.convert_tokens_to_ids(token)]
    for task in TASKS:
        for question in make_movie(task, seed=0).questions:
            words = len(question.text.split()) + question.text.count(",") + 1  # its question mark
            assert len(tokenizer.encode(question.text)) == words
    for text in ("Zwölf Boxkämpfer, 12 % (?)\n\n\t🎞️ 漢字", "<|im_star", "it's", "  a  b "):
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_building_is_a_function_of_texts_and_seed() -> None:
    texts = ["Which way does the red circle move?", "left"]
    tokenizer = build_tokenizer(texts)
    assert tokenizer.get_vocab() == build_tokenizer(reversed(texts)).get_vocab()
    one, same = (build_model(tokenizer, seed=0).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], same[name]) for name in one)


def _prompt(processor: Any, question: str, *, num_frames: int = 1) -> str:
    turns = [{"role": "user", "content": "<image>\n" * num_frames + question}]
    text = processor.tokenizer.apply_chat_template(
        turns, tokenize=False, add_generation_prompt=True
    )
    return str(text)
