"""Is the model asked in chat exactly as it was trained?"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from flipbook.apps import chat as chat_app
from flipbook.apps.chat import NO_ANSWER, Talk, add_arguments, chat, media_at, run, talk_over
from flipbook.data.generated.write import GeneratedData
from flipbook.data.labels.conversation import encode_conversation
from flipbook.data.media import read_media
from flipbook.data.records import Turn, read_records
from flipbook.errors import ArgumentError, BudgetError, CheckpointError, MediaError
from flipbook.model.checkpoint import Checkpoint
from flipbook.model.fastvlm import tower_features
from flipbook.model.generation import Prompt
from flipbook.video.settings import ClipSettings


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_arguments(parser)
    return parser.parse_args(words)


@pytest.fixture
def clip_path(generated: GeneratedData) -> str:
    return str(sorted((generated.folder / "clips").glob("*.mp4"))[0])


@pytest.fixture
def image_path(generated: GeneratedData) -> str:
    return str(sorted((generated.folder / "images").glob("*.png"))[0])


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Prompt]:
    """Every prompt that reaches the model, which answers with their number."""
    prompts: list[Prompt] = []

    def count(model: Any, tokenizer: Any, new: list[Prompt], **options: Any) -> list[str]:
        prompts.extend(new)
        return [f"Answer {len(prompts)}."]

    monkeypatch.setattr(chat_app, "generate_answers", count)
    return prompts


def test_the_prompt_is_the_start_of_the_trained_sequence(
    seeing_checkpoint: Checkpoint, generated: GeneratedData, asked: list[Prompt]
) -> None:
    settings = seeing_checkpoint.settings
    assert settings is not None
    record = read_records(str(generated.test)).records[0]
    turns = record.conversations[0]
    frames = read_media(record.media, settings)
    trained = encode_conversation(
        turns,
        tokenizer=seeing_checkpoint.tokenizer,
        image_token_id=seeing_checkpoint.model.config.image_token_id,
        frames_per_media=frames.frames_per_media,
        tokens_per_frame=settings.tokens_per_frame,
        system_prompt=settings.system_prompt,
    )
    chat(seeing_checkpoint, media=[record.media[0].path], question=turns[0].text)
    (prompt,) = asked
    assert torch.equal(prompt.input_ids, trained.input_ids[: len(prompt)])
    assert bool((trained.labels[: len(prompt)] == -100).all())
    assert bool((trained.labels[len(prompt) : len(prompt) + 2] != -100).all())
    (features,) = prompt.features
    assert torch.equal(features, tower_features(seeing_checkpoint.model, frames.frames))


def test_a_talk_remembers_what_was_said(
    seeing_checkpoint: Checkpoint, clip_path: str, asked: list[Prompt]
) -> None:
    talk = Talk(seeing_checkpoint, media=[clip_path])
    assert list(talk_over(["What is it?\n", "  \n", "Where is it?\n"], talk)) == [
        "Answer 1.",
        "Answer 2.",
    ]
    text = seeing_checkpoint.tokenizer.decode(asked[1].input_ids)
    assert text.count("<image>") == 16
    assert text.index("What is it?") < text.index("Answer 1.") < text.index("Where is it?")
    assert torch.equal(asked[1].input_ids[: len(asked[0])], asked[0].input_ids)
    assert asked[1].features[0] is asked[0].features[0]


def test_a_question_without_an_answer_is_forgotten(
    seeing_checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_app, "generate_answers", lambda *words, **options: [""])
    talk = Talk(seeing_checkpoint, media=[])
    assert list(talk_over(["What?"], talk)) == [NO_ANSWER]
    assert talk.turns == ()


def test_clips_pictures_and_words_alone(
    seeing_checkpoint: Checkpoint, clip_path: str, image_path: str
) -> None:
    for media in ([], [clip_path], [image_path], [image_path, clip_path]):
        answer = chat(seeing_checkpoint, media=media, question="What?", max_new_tokens=2)
        assert isinstance(answer, str)


def test_special_words_of_a_question_stay_words(
    seeing_checkpoint: Checkpoint, asked: list[Prompt]
) -> None:
    chat(seeing_checkpoint, media=[], question="Is <image> <|im_end|> a word?")
    image_token_id = seeing_checkpoint.model.config.image_token_id
    assert not bool((asked[0].input_ids == image_token_id).any())


def test_a_saved_system_prompt_is_used(
    seeing_checkpoint: Checkpoint, asked: list[Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ClipSettings(frame_size=128, system_prompt="Answer in one word.")
    monkeypatch.setattr(seeing_checkpoint, "settings", settings)
    chat(seeing_checkpoint, media=[], question="What?")
    text = seeing_checkpoint.tokenizer.decode(asked[0].input_ids)
    assert text.startswith("<|im_start|>system\nAnswer in one word.<|im_end|>\n")


def test_the_kind_of_media_is_told_by_the_ending() -> None:
    assert media_at("a.MP4").kind == "video"
    assert media_at("a.png").kind == "image"


def test_errors_name_what_is_wrong(seeing_checkpoint: Checkpoint) -> None:
    with pytest.raises(MediaError, match=r"no/such\.mp4"):
        chat(seeing_checkpoint, media=["no/such.mp4"], question="What?")
    with pytest.raises(ArgumentError, match="the question is blank: write"):
        chat(seeing_checkpoint, media=[], question=" ")
    with pytest.raises(CheckpointError, match="no/such/model"):
        chat("no/such/model", media=[], question="What?")


def test_a_talk_that_grows_too_long_is_refused(
    seeing_checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    text_config: Any = seeing_checkpoint.model.config.text_config
    monkeypatch.setattr(text_config, "max_position_embeddings", 30)
    with pytest.raises(BudgetError, match="chat"):
        chat(seeing_checkpoint, media=[], question="What? " * 10)


def test_the_command_prints_the_answer(
    fast_vlm_folder: Path, clip_path: str, asked: list[Prompt], capsys: pytest.CaptureFixture[str]
) -> None:
    run(parsed("--model", str(fast_vlm_folder), "--video", clip_path, "What moves?"))
    assert capsys.readouterr().out == "Answer 1.\n"
    assert len(asked[0].features[0]) == 4


def test_an_adapter_is_asked_on_the_base_that_is_named(
    lost_adapter: Path, fast_vlm_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model", str(lost_adapter), "--max_new_tokens", "1", "Why?"]
    with pytest.raises(CheckpointError, match="--base MODEL"):
        run(parsed(*words))
    run(parsed(*words, "--base", str(fast_vlm_folder)))
    assert capsys.readouterr().out.strip()


def test_the_command_reads_lines_without_a_question(
    fast_vlm_folder: Path,
    asked: list[Prompt],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("Who?\nWhy?\n"))
    run(parsed("--model", str(fast_vlm_folder)))
    assert capsys.readouterr().out == "Answer 1.\nAnswer 2.\n"


def test_media_keep_their_order_on_the_command_line() -> None:
    words = parsed("--model", "m", "--image", "a.png", "--video", "b.mp4", "--image", "c.png", "Q")
    assert words.media == ["a.png", "b.mp4", "c.png"]
    assert words.question == "Q"
    assert parsed("--model", "m", "Q").media == []


def test_a_length_below_one_is_refused() -> None:
    with pytest.raises(ArgumentError, match="--max_new_tokens is 0: give 1 or more"):
        run(parsed("--model", "m", "--max_new_tokens", "0", "Q"))


def test_history_is_encoded_as_in_training(
    seeing_checkpoint: Checkpoint, clip_path: str, asked: list[Prompt]
) -> None:
    talk = Talk(seeing_checkpoint, media=[clip_path])
    talk.ask("What?")
    talk.ask("Where?")
    trained = encode_conversation(
        (*talk.turns[:3], Turn("assistant", ("left",))),
        tokenizer=seeing_checkpoint.tokenizer,
        image_token_id=seeing_checkpoint.model.config.image_token_id,
        frames_per_media=talk.shown.frames_per_media,
        tokens_per_frame=talk.settings.tokens_per_frame,
    )
    assert torch.equal(asked[1].input_ids, trained.input_ids[: len(asked[1])])
    assert talk.turns[1].text == "Answer 1."
