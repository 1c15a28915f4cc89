"""The tokenizer of a checkpoint: its family's end token and template, the word `<image>`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fixtures_llama import MARK, SPECIAL_WORDS, make_llama_tokenizer, make_prepend_tokenizer
from fixtures_model import make_tokenizer
from flipbook.data.labels.stretches import WordStarts, word_starts
from flipbook.data.templates.texts import FASTVLM_CHAT_TEMPLATE, V1_CHAT_TEMPLATE
from flipbook.errors import CheckpointError
from flipbook.model import words
from flipbook.model.families import FAMILIES, family_of
from flipbook.model.words import add_image_token, end_ids, generation_config, load_tokenizer

QWEN = FAMILIES["llava_qwen2"]
LLAMA = FAMILIES["llava_llama"]

# As the community's conversions have it: plain strings are dropped, an answer begins with an
# empty line.
BROKEN_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}{% if part is mapping %}\n{{ part['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}"
)
PLAIN_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.mark.parametrize("template", [None, BROKEN_TEMPLATE])
def test_a_missing_or_broken_template_is_replaced(tmp_path: Path, template: str | None) -> None:
    tokenizer = make_tokenizer()
    tokenizer.chat_template = template
    tokenizer.save_pretrained(tmp_path)
    assert load_tokenizer(tmp_path, QWEN).chat_template == FASTVLM_CHAT_TEMPLATE


def test_a_working_template_is_kept(tmp_path: Path) -> None:
    tokenizer = make_tokenizer()
    tokenizer.chat_template = PLAIN_TEMPLATE
    tokenizer.save_pretrained(tmp_path)
    assert load_tokenizer(tmp_path, QWEN).chat_template == PLAIN_TEMPLATE


def test_the_image_token_is_added_once_after_all_other_words() -> None:
    tokenizer = make_tokenizer(knows_image=False)
    num_words = len(tokenizer)
    assert add_image_token(tokenizer) == num_words
    assert add_image_token(tokenizer) == num_words
    assert tokenizer("<image>a")["input_ids"][0] == num_words


def test_no_tokenizer_is_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no tokenizer"):
        load_tokenizer(tmp_path, QWEN)


def test_a_damaged_tokenizer_is_told(tmp_path: Path) -> None:
    make_tokenizer().save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(CheckpointError, match="tokenizer cannot be loaded"):
        load_tokenizer(tmp_path, QWEN)


def test_a_tokenizer_without_the_end_of_a_turn_is_refused(tmp_path: Path) -> None:
    make_tokenizer().save_pretrained(tmp_path)
    path = tmp_path / "tokenizer.json"
    content = path.read_text().replace("<|im_end|>", "<|other|>")
    path.write_text(content)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config | {"eos_token": "<|other|>"}))
    with pytest.raises(CheckpointError, match=r"does not know <\|im_end\|>"):
        load_tokenizer(tmp_path, QWEN)


def test_answers_end_where_the_family_ends_them_and_at_the_end_of_a_text() -> None:
    qwen, llama = make_tokenizer(), make_llama_tokenizer()
    vocabulary = qwen.get_vocab()
    assert end_ids(qwen) == [vocabulary["<|im_end|>"], vocabulary["<|endoftext|>"]]
    assert end_ids(llama) == [2]
    config = generation_config(llama)
    assert (config.eos_token_id, config.pad_token_id, config.do_sample) == (2, 0, False)


def test_families_are_found_by_their_language_model_or_refused() -> None:
    assert family_of("llama") is LLAMA
    with pytest.raises(CheckpointError, match=r"'lama'; flipbook knows qwen2, llama\. Did you"):
        family_of("lama")


@pytest.mark.parametrize("legacy", [True, False])
def test_a_llama_is_given_its_familys_end_padding_and_template(
    tmp_path: Path, legacy: bool
) -> None:
    tokenizer = make_llama_tokenizer(legacy=legacy)
    tokenizer.chat_template = tokenizer.pad_token = None
    tokenizer.save_pretrained(tmp_path)
    loaded = load_tokenizer(tmp_path, LLAMA)
    assert (loaded.eos_token, loaded.pad_token) == ("</s>", "<unk>")
    assert loaded.chat_template == V1_CHAT_TEMPLATE
    assert word_starts(loaded) == WordStarts(at_start=True, after_token=legacy)


@pytest.mark.parametrize("legacy", [True, False])
def test_a_llama_of_llavas_code_begins_a_word_after_each_picture_also_when_saved_again(
    tmp_path: Path, legacy: bool
) -> None:
    make_llama_tokenizer(legacy=legacy).save_pretrained(tmp_path / "theirs")
    loaded = load_tokenizer(tmp_path / "theirs", LLAMA, splits_at_images=True)
    for number in range(2):
        assert loaded.tokenize("<image>A") == ["<image>", f"{MARK}A"]
        loaded.save_pretrained(tmp_path / str(number))
        loaded = load_tokenizer(tmp_path / str(number), LLAMA)


def test_a_llamas_normalising_tokenizer_is_read_as_its_file_says(tmp_path: Path) -> None:
    tokenizer = make_prepend_tokenizer()
    tokenizer.save_pretrained(tmp_path)
    loaded = load_tokenizer(tmp_path, LLAMA)
    text = "A cat.</s>USER: <image>\nWhy? \u00fc"
    assert loaded(text)["input_ids"] == tokenizer(text)["input_ids"]


def test_the_tokenizer_of_another_family_is_refused(tmp_path: Path) -> None:
    make_tokenizer().save_pretrained(tmp_path)
    message = "does not know </s>, <unk>, so it is not that of a FastVLM with llama. Copy the tok"
    with pytest.raises(CheckpointError, match=message):
        load_tokenizer(tmp_path, LLAMA)


def make_sentencepiece_folder(folder: Path) -> Any:
    """Return sentencepiece's own reader of the `tokenizer.model` that it leaves in a folder."""
    sentencepiece = pytest.importorskip("sentencepiece")
    pytest.importorskip("google.protobuf")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["USER: What moves? ASSISTANT: A red circle."] * 20),
        model_prefix=str(folder / "tokenizer"),
        model_type="bpe",
        vocab_size=300,
        byte_fallback=True,
        remove_extra_whitespaces=False,
        normalization_rule_name="identity",
        minloglevel=2,
    )
    (folder / "tokenizer.vocab").unlink()
    unk, bos, eos = SPECIAL_WORDS
    settings = {"tokenizer_class": "LlamaTokenizer", "legacy": False, "add_bos_token": True}
    tokens = {"unk_token": unk, "bos_token": bos, "eos_token": eos}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | tokens))
    return sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))


@pytest.mark.parametrize(
    "text", ["USER: What?", "A red circle\n\nmoves.", "\u00fc \u732b", "x  y "]
)
def test_a_sentencepiece_file_alone_gives_sentencepieces_own_ids(tmp_path: Path, text: str) -> None:
    reference = make_sentencepiece_folder(tmp_path)
    loaded = load_tokenizer(tmp_path, LLAMA, splits_at_images=True)
    assert loaded.chat_template == V1_CHAT_TEMPLATE
    assert loaded(text, add_special_tokens=False)["input_ids"] == reference.encode(text)


def test_a_sentencepiece_file_that_nothing_can_read_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tokenizer.model").write_bytes(b"")
    absent = {"there.is.no.such.module": "sentencepiece", "json": "protobuf"}
    monkeypatch.setattr(words, "_READERS_OF_SENTENCEPIECE", absent)
    message = (
        "the tokenizer is a tokenizer.model alone, which cannot be read without sentencepiece. "
        "Install what is missing: pip install sentencepiece"
    )
    with pytest.raises(CheckpointError, match=message):
        load_tokenizer(tmp_path, LLAMA)
