"""What tokens spell is the text, and who says each is told from the conversation."""

from __future__ import annotations

import unicodedata
from itertools import groupby
from typing import Any

import pytest
import torch

from fixtures_llama import make_llama_tokenizer, make_prepend_tokenizer
from fixtures_model import make_tokenizer
from flipbook.data.encoder import ConversationEncoder
from flipbook.data.proofs.token_roles import (
    bytes_of_tokens,
    readable,
    roles_of_tokens,
    spell_text,
    spell_tokens,
)
from flipbook.data.turns import Media, Turn
from flipbook.video.settings import ClipSettings

TEXT = "  Größe? \r\n\n 猫 👩\u200d👩\u200d👧 e\u0301 \x00 <|im_start|>x\n12  "
CLIP = Media("video", "/clips/a.mp4")
TALK = (
    Turn("user", (CLIP, "What moves?")),
    Turn("assistant", ("A ball.",)),
    Turn("user", ("Sure?",)),
    Turn("assistant", ("\nYes.",)),
)


def test_bytes_are_those_of_the_text(qwen_tokenizer: Any) -> None:
    ids = qwen_tokenizer(TEXT)["input_ids"]
    words = bytes_of_tokens(ids, qwen_tokenizer)
    assert len(words) == len(ids)
    assert b"".join(words) == unicodedata.normalize("NFC", TEXT).encode()
    assert b"".join(words).decode() == qwen_tokenizer.decode(ids)
    assert spell_tokens(words, qwen_tokenizer) == spell_text(TEXT, qwen_tokenizer)


def test_half_of_a_character_is_shown_as_bytes(qwen_tokenizer: Any) -> None:
    words = bytes_of_tokens(qwen_tokenizer("𓀀")["input_ids"], qwen_tokenizer)
    assert len(words) > 1
    assert readable(words[0]).startswith(r"b'\xf0")
    assert (readable(b" a\n"), readable("é\u200d".encode())) == (r"' a\n'", r"'é\u200d'")


def test_an_id_that_is_no_word_is_told() -> None:
    assert bytes_of_tokens([300, 3], make_tokenizer())[0] == b"[300]"


@pytest.mark.parametrize("legacy", [True, False, None])
def test_marks_of_word_starts_are_no_spaces_of_the_text(legacy: bool | None) -> None:
    made = make_prepend_tokenizer() if legacy is None else make_llama_tokenizer(legacy=legacy)
    text = "<s>USER: <image>\nWhat  moves? é 猫 ASSISTANT: A cat.</s>USER: x"
    words = bytes_of_tokens(made(text, add_special_tokens=False)["input_ids"], made)
    assert spell_tokens(words, made) == text.encode() == spell_text(text, made)
    assert spell_text("USER: x", made) != spell_text("USER:  x", made)


def shown(encoder: ConversationEncoder, **changes: Any) -> list[tuple[str, str]]:
    """What each role says, one after the other."""
    encoded = encoder.encode(TALK, frames_per_media=(2,), record_id="r")
    ids = changes.pop("ids", encoded.input_ids.tolist())
    roles = roles_of_tokens(ids, TALK, encoder, frames_per_media=(2,), record_id="r")
    assert len(roles) == len(ids)
    words = bytes_of_tokens(ids, encoder.tokenizer)
    pairs = groupby(zip(roles, words, strict=True), key=lambda pair: pair[0])
    return [(role, b"".join(word for _, word in said).decode()) for role, said in pairs]


def encoder_of(tokenizer: Any) -> ConversationEncoder:
    settings = ClipSettings(frame_size=128, num_frames=2, system_prompt="Look.")
    return ConversationEncoder(tokenizer, settings)


def test_everyone_says_what_is_theirs() -> None:
    frame = "<image>" * 4 + "\n"
    assert shown(encoder_of(make_tokenizer())) == [
        ("template", "<|im_start|>system\n"),
        ("system", "Look."),
        ("template", "<|im_end|>\n<|im_start|>user\n"),
        ("user", f"{frame}{frame}What moves?"),
        ("template", "<|im_end|>\n<|im_start|>assistant\n"),
        ("assistant", "A ball.<|im_end|>"),
        ("template", "\n<|im_start|>user\n"),
        ("user", "Sure?"),
        ("template", "<|im_end|>\n<|im_start|>assistant\n"),
        ("assistant", "\nYes.<|im_end|>"),
        ("template", "\n"),
    ]


def test_the_space_before_an_answer_is_the_models() -> None:
    said = shown(encoder_of(make_llama_tokenizer(legacy=False)))
    assert said[:2] == [("template", "<s>"), ("system", "Look.")]
    assert ("assistant", " A ball.</s>") in said
    assert ("user", "Sure?") in [(role, text.strip()) for role, text in said]


def test_a_token_that_is_partly_the_templates_is_the_others() -> None:
    tokenizer = make_tokenizer()
    tokenizer.add_tokens(["\nS"])
    turns = (Turn("user", ("So?",)), Turn("assistant", ("So.",)))
    encoder = encoder_of(tokenizer)
    ids = encoder.encode(turns, frames_per_media=(), record_id="r").input_ids.tolist()
    roles = roles_of_tokens(ids, turns, encoder, frames_per_media=(), record_id="r")
    place = bytes_of_tokens(ids, tokenizer).index(b"\nS")
    assert roles[place - 1 : place + 2] == ["template", "user", "user"]


def test_between_what_still_agrees_nobody_is_known() -> None:
    encoder = encoder_of(make_tokenizer())
    ids = encoder.encode(TALK, frames_per_media=(2,), record_id="r").input_ids
    place = bytes_of_tokens(ids.tolist(), encoder.tokenizer).index(b"W")
    changed = torch.cat([ids[:place], torch.tensor([3, 3, 3]), ids[place + 2 :]]).tolist()
    said = shown(encoder, ids=changed)
    number = [role for role, _ in said].index("?")
    assert said[number - 1][0] == said[number + 1][0] == "user"
    assert len(said[number][1]) == 3
