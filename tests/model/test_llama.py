"""A FastVLM around a Llama: read, tuned, asked, saved and read again."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForImageTextToText, LlamaConfig, LlavaProcessor

from fixtures_data import Tune
from fixtures_llama import END_ID, make_llama_checkpoint, make_llama_tokenizer
from flipbook import FlipbookProcessor
from flipbook.apps.chat import Talk
from flipbook.data.generated.write import GeneratedData
from flipbook.data.labels.conversation import encode_prompt
from flipbook.data.labels.stretches import word_starts
from flipbook.data.placeholders import IMAGE_TOKEN
from flipbook.data.templates.texts import V1_CHAT_TEMPLATE
from flipbook.data.turns import Media, Turn
from flipbook.model.checkpoint import Checkpoint, load_checkpoint
from flipbook.model.fastvlm import normalise_frames
from flipbook.model.saving import save_apple_checkpoint, save_checkpoint

QUESTION = Turn("user", (Media("video", "/clips/a.mp4"), "What moves?"))


@pytest.fixture(scope="module")
def loaded(llava_llama_folder: Path) -> Checkpoint:
    return load_checkpoint(llava_llama_folder)


def logits_of(checkpoint: Checkpoint, *, num_frames: int = 2) -> Tensor:
    """Logits of one question about frames drawn at random.

    The weights are copied first: where a file lies in memory decides which kernel multiplies it,
    and the last bit of a sum.
    """
    ids = encode_prompt(
        [QUESTION],
        tokenizer=checkpoint.tokenizer,
        image_token_id=checkpoint.model.config.image_token_id,
        frames_per_media=[num_frames],
        tokens_per_frame=4,
    )
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (num_frames, 3, 128, 128), generator=generator)
    pixels = normalise_frames(
        frames.to(torch.uint8), image_mean=checkpoint.image_mean, image_std=checkpoint.image_std
    )
    with torch.inference_mode():
        return copy.deepcopy(checkpoint.model)(input_ids=ids[None], pixel_values=pixels).logits


def test_llavas_folder_holds_a_llama_and_no_word_for_images(llava_llama_folder: Path) -> None:
    config = json.loads((llava_llama_folder / "config.json").read_text())
    assert config["model_type"] == "llava_llama"
    assert config["architectures"] == ["LlavaLlamaForCausalLM"]
    assert config["rope_theta"] == 5e4
    tokenizer = json.loads((llava_llama_folder / "tokenizer_config.json").read_text())
    assert tokenizer["tokenizer_class"] == "LlamaTokenizer"
    assert IMAGE_TOKEN not in make_llama_tokenizer(knows_image=False).get_vocab()


@pytest.mark.parametrize("num_frames", [1, 4])
def test_llavas_folder_is_read_with_the_logits_of_the_model_in_memory(
    loaded: Checkpoint, num_frames: int
) -> None:
    text = loaded.model.config.text_config
    assert isinstance(text, LlamaConfig)
    assert text.rope_parameters["rope_theta"] == 5e4
    assert loaded.layout == "llava_llama"
    assert loaded.tokenizer.chat_template == V1_CHAT_TEMPLATE
    assert word_starts(loaded.tokenizer).after_token
    assert loaded.model.generation_config.eos_token_id == END_ID
    original = make_llama_checkpoint()
    ours, theirs = (logits_of(each, num_frames=num_frames) for each in (loaded, original))
    num_words = len(original.tokenizer)
    assert torch.equal(ours[..., :num_words], theirs[..., :num_words])


def test_saved_in_the_other_layout_it_is_the_same_for_us_and_for_plain_transformers(
    loaded: Checkpoint, tmp_path: Path
) -> None:
    folder = save_checkpoint(tmp_path / "saved", loaded)
    again = load_checkpoint(folder)
    assert again.layout == "fast_vlm"
    assert again.tokenizer.chat_template == V1_CHAT_TEMPLATE
    assert again.tokenizer.get_vocab() == loaded.tokenizer.get_vocab()
    assert torch.equal(logits_of(again), logits_of(loaded))
    plain = AutoModelForImageTextToText.from_pretrained(folder).eval()
    again.model = plain
    assert torch.equal(logits_of(again), logits_of(loaded))


@pytest.mark.parametrize("system_prompt", [None, "Be brief."])
@pytest.mark.parametrize("kind", ["image", "video"])
def test_processors_make_the_prompt_of_training(
    loaded: Checkpoint, tmp_path: Path, kind: str, system_prompt: str | None
) -> None:
    settings = replace(loaded.clip_settings, system_prompt=system_prompt, num_frames=3)
    folder = save_checkpoint(tmp_path / "saved", replace(loaded, settings=settings))
    processor: Any = {"image": LlavaProcessor, "video": FlipbookProcessor}[kind]
    processor = processor.from_pretrained(folder)
    num_frames = {"image": 1, "video": 3}[kind]
    seen = torch.zeros(num_frames, 3, 128, 128, dtype=torch.uint8)
    seen = seen[0] if kind == "image" else seen
    parts = [{"type": kind, kind: seen}, {"type": "text", "text": "What moves?"}]
    chat = [{"role": "user", "content": parts}]
    asked = {"return_dict": True, "return_tensors": "pt", "add_generation_prompt": True}
    inputs = processor.apply_chat_template(chat, tokenize=True, **asked)
    ids = encode_prompt(
        [QUESTION],
        tokenizer=loaded.tokenizer,
        image_token_id=loaded.model.config.image_token_id,
        frames_per_media=[num_frames],
        tokens_per_frame=4,
        system_prompt=system_prompt,
    )
    assert inputs["input_ids"][0].tolist() == ids.tolist()
    if kind == "video":  # transformers' own writes `<s>` once more before a text that has it
        text = processor.apply_chat_template(chat, add_generation_prompt=True)
        assert processor(text=text, videos=[seen])["input_ids"] == [ids.tolist()]


@pytest.mark.parametrize("tied", [False, True])
def test_there_and_back_no_weight_and_no_setting_differs(tied: bool, tmp_path: Path) -> None:
    original = make_llama_checkpoint(tied=tied)
    first = save_apple_checkpoint(tmp_path / "llava-1", original)
    middle = load_checkpoint(first)
    save_checkpoint(tmp_path / "middle", middle)
    second = save_apple_checkpoint(tmp_path / "llava-2", load_checkpoint(tmp_path / "middle"))
    last = load_checkpoint(second)
    state, expected = last.model.state_dict(), middle.model.state_dict()
    assert state.keys() == expected.keys() == original.model.state_dict().keys()
    assert all(torch.equal(state[name], tensor) for name, tensor in expected.items())
    assert last.model.config.text_config.to_dict() == middle.model.config.text_config.to_dict()
    assert (first / "config.json").read_text() == (second / "config.json").read_text()
    text = "USER: <image>\nWhat moves? ASSISTANT: A cat.</s>USER: Why?"
    assert last.tokenizer(text)["input_ids"] == original.tokenizer(text)["input_ids"]


@pytest.mark.parametrize("lora", [False, True])
def test_it_is_tuned_and_its_run_is_read_again_with_equal_logits(
    tune: Tune, llava_llama_folder: Path, lora: bool
) -> None:
    flags: dict[str, Any] = {"lora_r": 2} if lora else {}
    result = tune(
        model_name_or_path=llava_llama_folder, train_parts="projector language_model", **flags
    )
    lines = (result.run_folder / "log.jsonl").read_text().splitlines()
    losses = [line["loss"] for line in map(json.loads, lines) if "loss" in line]
    assert len(losses) == 2
    assert all(0 < loss < 20 for loss in losses)
    tuned = load_checkpoint(result.run_folder)
    assert tuned.tokenizer.chat_template == V1_CHAT_TEMPLATE
    assert word_starts(tuned.tokenizer).after_token
    before = load_checkpoint(llava_llama_folder)
    assert not torch.equal(logits_of(tuned), logits_of(before))
    assert torch.equal(logits_of(load_checkpoint(result.model_folder)), logits_of(tuned))


def test_it_answers_questions_about_a_clip_until_its_own_end_token(
    loaded: Checkpoint, generated: GeneratedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = sorted((generated.folder / "clips").glob("*.mp4"))[0]
    given: dict[str, Any] = {}
    generate = loaded.model.generate

    def watched(**inputs: Any) -> Tensor:
        given.update(inputs)
        return generate(**inputs)

    monkeypatch.setattr(loaded.model, "generate", watched)
    talk = Talk(loaded, media=[clip], max_new_tokens=3)
    answer = talk.ask("What moves?")
    assert given["eos_token_id"] == [END_ID]
    text = loaded.tokenizer.decode(given["input_ids"][0])
    assert text.startswith("<s> A chat between a curious user and")
    assert text.endswith("What moves? ASSISTANT:")
    if answer.strip() and talk.turns:
        talk.ask("Why?")
        assert f"ASSISTANT: {answer}</s>" in loaded.tokenizer.decode(given["input_ids"][0])
