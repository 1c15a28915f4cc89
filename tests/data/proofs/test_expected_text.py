"""What transformers renders of a conversation is cut into prompts and answers."""

from __future__ import annotations

from typing import Any

import pytest

from fixtures_llama import make_llama_tokenizer
from fixtures_model import make_tokenizer
from flipbook.data.proofs.expected_text import ExpectedAnswer, ExpectedText, expected_text
from flipbook.data.templates.texts import FASTVLM_CHAT_TEMPLATE
from flipbook.data.turns import Media, Turn

CLIP = Media("video", "/clips/a.mp4")
START, END = "<|im_start|>", "<|im_end|>\n"


def expect(tokenizer: Any, *texts: str, system_prompt: str | None = "Look.") -> ExpectedText:
    turns = [Turn("assistant" if n % 2 else "user", (text,)) for n, text in enumerate(texts)]
    turns[0] = Turn("user", (CLIP, texts[0]))
    return expected_text(
        turns,
        tokenizer=tokenizer,
        frames_per_media=(2,),
        tokens_per_frame=(3,),
        system_prompt=system_prompt,
    )


def test_it_is_the_templates_text_with_a_word_for_each_token_of_a_frame() -> None:
    found = expect(make_tokenizer(), "What?", "That.", "Sure?", "Yes.")
    frame = "<image><image><image>\n"
    prompt = f"{START}system\nLook.{END}{START}user\n{frame}{frame}What?{END}{START}assistant\n"
    assert found.answers[0] == ExpectedAnswer(2, prompt, "That.", "<|im_end|>")
    prompt += f"That.{END}{START}user\nSure?{END}{START}assistant\n"
    assert found.answers[1] == ExpectedAnswer(4, prompt, "Yes.", "<|im_end|>")
    assert found.whole == f"{prompt}Yes.{END}"
    assert found.bare.count(START) == 5
    assert "Look" not in found.bare


def test_a_system_turn_takes_the_place_of_the_prompt_and_counts_as_a_turn() -> None:
    turns = (Turn("system", ("Own.",)), Turn("user", ("A?",)), Turn("assistant", ("B.",)))
    found = expected_text(
        turns,
        tokenizer=make_tokenizer(),
        frames_per_media=(),
        tokens_per_frame=(),
        system_prompt="Look.",
    )
    assert found.answers[0].turn == 3
    assert found.whole.startswith(f"{START}system\nOwn.{END}")


def test_the_space_that_v1_renders_before_an_answer_is_the_answers() -> None:
    (answer,) = expect(make_llama_tokenizer(), "What?", "That.").answers
    assert answer.prompt.endswith("What? ASSISTANT:")
    assert (answer.words, answer.end) == (" That.", "</s>")


@pytest.mark.parametrize("answer", ["  That. ", "\n\nThat.", "<|im_end|>", "assistant\n"])
def test_answers_are_found_as_they_are(answer: str) -> None:
    (found,) = expect(make_tokenizer(), "What?", answer).answers
    assert (found.words, found.end) == (answer, "<|im_end|>")


def test_a_template_that_trims_answers_is_followed() -> None:
    tokenizer = make_tokenizer()
    tokenizer.chat_template = FASTVLM_CHAT_TEMPLATE.replace(
        "{{- message['content'] -}}", "{{- message['content'] | trim -}}"
    )
    (found,) = expect(tokenizer, "What?", " That. ").answers
    assert (found.words, found.end) == ("That.", "<|im_end|>")


def test_an_answer_that_another_token_ends_has_no_end() -> None:
    tokenizer = make_tokenizer()
    tokenizer.eos_token = "<|endoftext|>"  # noqa: S105 - a word of the vocabulary
    (found,) = expect(tokenizer, "What?", "That.").answers
    assert (found.words, found.end) == ("That.", "")
