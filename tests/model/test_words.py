"""The tokenizer of a checkpoint: the end of a turn, the template, the word `<image>`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fixtures_model import make_tokenizer
from flipbook.data.template_texts import FASTVLM_CHAT_TEMPLATE
from flipbook.errors import CheckpointError
from flipbook.model.words import add_image_token, load_tokenizer

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
    assert load_tokenizer(tmp_path).chat_template == FASTVLM_CHAT_TEMPLATE


def test_a_working_template_is_kept(tmp_path: Path) -> None:
    tokenizer = make_tokenizer()
    tokenizer.chat_template = PLAIN_TEMPLATE
    tokenizer.save_pretrained(tmp_path)
    assert load_tokenizer(tmp_path).chat_template == PLAIN_TEMPLATE


def test_the_image_token_is_added_once_after_all_other_words() -> None:
    tokenizer = make_tokenizer(knows_image=False)
    num_words = len(tokenizer)
    assert add_image_token(tokenizer) == num_words
    assert add_image_token(tokenizer) == num_words
    assert tokenizer("<image>a")["input_ids"][0] == num_words


def test_no_tokenizer_is_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no tokenizer"):
        load_tokenizer(tmp_path)


def test_a_damaged_tokenizer_is_told(tmp_path: Path) -> None:
    make_tokenizer().save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(CheckpointError, match="tokenizer cannot be loaded"):
        load_tokenizer(tmp_path)


def test_a_tokenizer_without_the_end_of_a_turn_is_refused(tmp_path: Path) -> None:
    make_tokenizer().save_pretrained(tmp_path)
    path = tmp_path / "tokenizer.json"
    content = path.read_text().replace("<|im_end|>", "<|other|>")
    path.write_text(content)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config | {"eos_token": "<|other|>"}))
    with pytest.raises(CheckpointError, match=r"does not know <\|im_end\|>"):
        load_tokenizer(tmp_path)
