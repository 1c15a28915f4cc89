"""Each check holds for what training reads, and fails where that is broken on purpose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from fixtures_model import make_tokenizer
from fixtures_proofs import FRAMES, KINDS, SETTINGS, TALK, failed, proven
from flipbook.data.encoder import ConversationEncoder
from flipbook.data.labels.conversation import IGNORE_INDEX, EncodedConversation
from flipbook.data.proofs.label_checks import CHECKS
from flipbook.data.proofs.prove import Proof, prove, refuse_failed
from flipbook.data.templates.texts import FASTVLM_CHAT_TEMPLATE
from flipbook.data.turns import Turn
from flipbook.errors import LabelError

PLACEHOLDERS, PROMPTS, TYPED, ENDS, ANSWERS, NOTHING_ELSE = CHECKS
Change = Callable[[EncodedConversation, Any], EncodedConversation]


@pytest.fixture(scope="module")
def encoder() -> ConversationEncoder:
    return ConversationEncoder(make_tokenizer(), SETTINGS)


def test_what_training_reads_is_proven(encoder: ConversationEncoder) -> None:
    proofs = proven(encoder)
    assert failed(proofs) == {}
    encoded = encoder.encode(TALK, frames_per_media=FRAMES, record_id="clip-7")
    num_learned = int((encoded.labels != IGNORE_INDEX).sum())
    assert proofs[PLACEHOLDERS].detail == "there are 12 placeholders and 12 features, of 3 frames"
    assert proofs[ENDS].detail == "'<|im_end|>' (257), 2 times"
    assert proofs[ANSWERS].detail == f"{num_learned} tokens of 2 answers"
    of_all = f"{num_learned} of {len(encoded.labels)} tokens are learned"
    assert proofs[NOTHING_ELSE].detail == of_all
    refuse_failed(list(proofs.values()), record_id="clip-7")


# Broken on purpose: what is changed, the check that fails first, and what it says.


def cut(encoded: EncodedConversation, place: int) -> EncodedConversation:
    """Without one token."""
    ids, labels = (
        torch.cat([values[:place], values[place + 1 :]])
        for values in (encoded.input_ids, encoded.labels)
    )
    return replace(encoded, input_ids=ids, labels=labels)


def put(encoded: EncodedConversation, place: int, token_id: int) -> EncodedConversation:
    """With one token more, which is not learned."""
    values = ((encoded.input_ids, token_id), (encoded.labels, IGNORE_INDEX))
    ids, labels = (torch.cat([v[:place], torch.tensor([new]), v[place:]]) for v, new in values)
    return replace(encoded, input_ids=ids, labels=labels)


def relabel(encoded: EncodedConversation, place: int, label: int) -> EncodedConversation:
    labels = encoded.labels.clone()
    labels[place] = label
    return replace(encoded, labels=labels)


def learn(encoded: EncodedConversation, place: int) -> EncodedConversation:
    return relabel(encoded, place, int(encoded.input_ids[place]))


def place_of(encoded: EncodedConversation, text: str, tokenizer: Any) -> int:
    """Where the first token of a text stands that comes once."""
    wanted = tokenizer(text)["input_ids"]
    ids = encoded.input_ids.tolist()
    (place,) = [n for n in range(len(ids)) if ids[n : n + len(wanted)] == wanted]
    return place


def shift(encoded: EncodedConversation, tokenizer: Any, *, by: int) -> EncodedConversation:
    is_learned = (encoded.labels != IGNORE_INDEX).roll(by)
    return replace(encoded, labels=torch.where(is_learned, encoded.input_ids, IGNORE_INDEX))


def shift_values(encoded: EncodedConversation, tokenizer: Any) -> EncodedConversation:
    return replace(encoded, labels=encoded.labels.roll(-1))


def last_end(encoded: EncodedConversation) -> int:
    return int((encoded.labels != IGNORE_INDEX).nonzero()[-1])


def no_last_end(encoded: EncodedConversation, tokenizer: Any) -> EncodedConversation:
    return cut(encoded, last_end(encoded))


def unlearned_end(encoded: EncodedConversation, tokenizer: Any) -> EncodedConversation:
    return relabel(encoded, last_end(encoded), IGNORE_INDEX)


def learned(text: str) -> Change:
    return lambda encoded, tokenizer: learn(encoded, place_of(encoded, text, tokenizer))


def unlearned(text: str) -> Change:
    return lambda encoded, tokenizer: relabel(
        encoded, place_of(encoded, text, tokenizer), IGNORE_INDEX
    )


def learned_frame(encoded: EncodedConversation, tokenizer: Any) -> EncodedConversation:
    image_id = tokenizer.convert_tokens_to_ids("<image>")
    return learn(encoded, encoded.input_ids.tolist().index(image_id))


def one_placeholder_less(encoded: EncodedConversation, tokenizer: Any) -> EncodedConversation:
    image_id = tokenizer.convert_tokens_to_ids("<image>")
    return cut(encoded, encoded.input_ids.tolist().index(image_id))


def one_line_break_more(encoded: EncodedConversation, tokenizer: Any) -> EncodedConversation:
    (line_break,) = tokenizer("\n")["input_ids"]
    return put(encoded, place_of(encoded, "A ball", tokenizer), line_break)


def another_word(encoded: EncodedConversation, tokenizer: Any) -> EncodedConversation:
    ids = encoded.input_ids.clone()
    ids[place_of(encoded, "closely", tokenizer)] = tokenizer("f")["input_ids"][0]
    return replace(encoded, input_ids=ids)


def words_after_all(encoded: EncodedConversation, tokenizer: Any) -> EncodedConversation:
    return put(encoded, len(encoded.labels), tokenizer("!")["input_ids"][0])


BROKEN: dict[str, tuple[Change, str, str]] = {
    "labels one too late": (
        partial(shift, by=1),
        ANSWERS,
        "turn 3: learned is ' ball.<|im_end|>', and the answer is 'A ball.<|im_end|>'",
    ),
    "labels one too early": (
        partial(shift, by=-1),
        ENDS,
        "turn 3: token 70, the '<|im_end|>' that ends the answer, is not learned",
    ),
    "labels of the next token": (shift_values, ENDS, "turn 3: token 70, the '<|im_end|>'"),
    "no end token": (
        no_last_end,
        PROMPTS,
        r"turn 5: training reads ... 'tart|>assistant\nNothing.\n', and transformers renders ... "
        r"'tart|>assistant\nNothing.<|im_end|>'",
    ),
    "an end that is not learned": (
        unlearned_end,
        ENDS,
        "the '<|im_end|>' that ends the answer, is not learned",
    ),
    "a word that is not learned": (
        unlearned("othing"),
        ANSWERS,
        "turn 5: learned is 'Nthing.<|im_end|>', and the answer is 'Nothing.<|im_end|>'",
    ),
    "a learned word of the user": (
        learned("What"),
        NOTHING_ELSE,
        "token 39, 'W', is the user's and is learned",
    ),
    "a learned word of the system turn": (
        learned("Look"),
        NOTHING_ELSE,
        "token 8, 'L', is the system turn's and is learned",
    ),
    "a learned role": (
        learned("assistant\nN"),
        NOTHING_ELSE,
        "'a', is the template's and is learned",
    ),
    "a learned frame": (
        learned_frame,
        NOTHING_ELSE,
        "token 29, '<image>', is a frame's and is learned",
    ),
    "one placeholder too few": (
        one_placeholder_less,
        PLACEHOLDERS,
        "there are 11 placeholders and 12 features, of 3 frames",
    ),
    "a line break more before the answer": (
        one_line_break_more,
        PROMPTS,
        r"turn 3: training reads ... '>\n<|im_start|>assistant\n\nA ball.<|im_end|>', and "
        r"transformers renders ... '>\n<|im_start|>assistant\nA ball.<|im_end|>'",
    ),
    "another word in the prompt": (
        another_word,
        PROMPTS,
        "turn 3: after 'ook ' training reads 'f' (69) as token 13, and inference 'c' (66)",
    ),
    "words after the last answer": (
        words_after_all,
        PROMPTS,
        r"after the last answer: training reads ... 'tant\nNothing.<|im_end|>\n!', "
        "and transformers renders",
    ),
}


def prove_again(encoder: ConversationEncoder, broken: EncodedConversation) -> tuple[Proof, ...]:
    return prove(TALK, encoder, frames_per_media=FRAMES, record_id="clip-7", encoded=broken)


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_found(name: str, encoder: ConversationEncoder) -> None:
    change, check, message = BROKEN[name]
    encoded = encoder.encode(TALK, frames_per_media=FRAMES, record_id="clip-7")
    broken = change(encoded, encoder.tokenizer)
    faults = failed(proven(encoder, encoded=broken))
    assert next(iter(faults)) == check
    assert message in faults[check]
    with pytest.raises(
        LabelError, match=f"record clip-7: there is no proof that {check}: "
    ) as told:
        refuse_failed(prove_again(encoder, broken), record_id="clip-7")
    assert message in str(told.value)
    assert "flipbook explain --record clip-7" in str(told.value)


TEMPLATE_WITH_A_LINE_MORE = FASTVLM_CHAT_TEMPLATE.replace(
    "{{- '<|im_start|>' + message['role'] + '\\n' -}}",
    "{{- '<|im_start|>' + message['role'] + '\\n' -}}"
    "{{- '\\n' if message['role'] == 'assistant' else '' -}}",
).replace("assistant\\n' -}}", "assistant\\n\\n' -}}")


def test_a_template_that_writes_one_line_break_more_is_found(encoder: ConversationEncoder) -> None:
    other = make_tokenizer()
    other.chat_template = TEMPLATE_WITH_A_LINE_MORE
    broken = replace(encoder, tokenizer=other)
    encoded = broken.encode(TALK, frames_per_media=FRAMES, record_id="clip-7")
    assert failed(proven(broken, encoded=encoded)) == {}
    faults = failed(proven(encoder, encoded=encoded))
    assert faults[PROMPTS] == (
        r"turn 3: training reads ... '>\n<|im_start|>assistant\n\nA ball.<|im_end|>', and "
        r"transformers renders ... '>\n<|im_start|>assistant\nA ball.<|im_end|>'"
    )


def test_a_template_that_ends_answers_with_another_token_is_found() -> None:
    tokenizer = make_tokenizer()
    tokenizer.chat_template = FASTVLM_CHAT_TEMPLATE.replace(
        "{{- '<|im_end|>\\n' -}}\n{%- endfor -%}",
        "{{- '<|endoftext|>' if message['role'] == 'assistant' else '<|im_end|>\\n' -}}\n"
        "{%- endfor -%}",
    )
    faults = failed(proven(ConversationEncoder(tokenizer, SETTINGS)))
    assert faults[ENDS] == "turn 3: the template does not end the answer with '<|im_end|>'"


class NaiveEncoder(ConversationEncoder):
    """Tokenises the whole text in one go, so that what a user typed becomes special tokens."""

    def text_of(self, turns: tuple[Turn, ...], **changes: Any) -> Tensor:
        said = [{"role": turn.role, "content": turn.text} for turn in turns]
        text = self.tokenizer.apply_chat_template(said, tokenize=False, **changes)
        return torch.tensor(self.tokenizer(text)["input_ids"])

    def encode(self, turns: tuple[Turn, ...], **_: Any) -> EncodedConversation:
        ids, prompt = self.text_of(turns), self.encode_prompt(turns[:-1])
        labels = torch.where(torch.arange(len(ids)) < len(prompt), IGNORE_INDEX, ids)
        labels[-1] = IGNORE_INDEX  # the line break behind the end token
        return EncodedConversation(ids, labels, 0, 0)

    def encode_prompt(self, turns: tuple[Turn, ...], **_: Any) -> Tensor:
        return self.text_of(turns, add_generation_prompt=True)


def typing(text: str) -> tuple[Turn, ...]:
    return Turn("user", (text,)), Turn("assistant", ("Yes.",))


@pytest.mark.parametrize(
    ("text", "check", "message"),
    [
        ("<|im_start|>x", TYPED, "'<|im_start|>' is a token 4 times, and the template writes it 3"),
        ("a <image>", PLACEHOLDERS, "there are 1 placeholders and 0 features, of 0 frames"),
    ],
)
def test_typed_special_tokens_that_become_tokens_are_found(
    text: str, check: str, message: str, encoder: ConversationEncoder
) -> None:
    naive = NaiveEncoder(encoder.tokenizer, SETTINGS)
    (fault,) = failed(proven(naive, typing(text), frames_per_media=())).items()
    assert fault[0] == check
    assert message in fault[1]
    assert failed(proven(naive, typing("plain"), frames_per_media=())) == {}
    assert failed(proven(encoder, typing(text), frames_per_media=())) == {}


def test_a_typed_end_token_that_ends_the_answer_is_found(encoder: ConversationEncoder) -> None:
    naive = NaiveEncoder(encoder.tokenizer, SETTINGS)
    turns = (Turn("user", ("What?",)), Turn("assistant", ("I say <|im_end|> often.",)))
    faults = failed(proven(naive, turns, frames_per_media=()))
    assert "'<|im_end|>' is a token 4 times, and the template writes it 3" in faults[TYPED]
    assert faults[ANSWERS].startswith("turn 2: learned is 'I say <|im_end|>', and the answer is")
    assert failed(proven(encoder, turns, frames_per_media=())) == {}


@pytest.mark.parametrize("kind", KINDS)
def test_shifted_labels_are_found_with_every_tokenizer(kind: str) -> None:
    encoder = ConversationEncoder(KINDS[kind](), SETTINGS)
    encoded = encoder.encode(TALK, frames_per_media=FRAMES, record_id="clip-7")
    for by in (1, -1):
        broken = shift(encoded, encoder.tokenizer, by=by)
        faults = failed(proven(encoder, encoded=broken))
        assert ANSWERS in faults
        assert (ENDS in faults) == (by < 0)
    assert ENDS in failed(proven(encoder, encoded=unlearned_end(encoded, encoder.tokenizer)))
