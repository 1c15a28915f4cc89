"""A saved system prompt: any program that renders the template says it, and only once."""

from __future__ import annotations

from typing import Any

import pytest

from flipbook.data.conversation import encode_prompt
from flipbook.data.system_prompt import with_system_prompt, without_system_prompt
from flipbook.data.template import Template
from flipbook.data.template_texts import FASTVLM_CHAT_TEMPLATE
from flipbook.data.turns import Turn

PLAIN = Template(FASTVLM_CHAT_TEMPLATE, wants_parts=False)
PARTS = Template(
    "{%- for message in messages -%}{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{%- for part in message['content'] -%}{{ part['text'] }}{%- endfor -%}"
    "{{ '<|im_end|>\\n' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}",
    wants_parts=True,
)
PROMPTS = [
    "Be brief.",
    "",
    "It's \"quoted\", {{ not }} {% code -%}\n{#- nor this -#}\nand \\n no line break",
    "käse 😀 \u2028 \x07 '''",
]


def rendered(tokenizer: Any, template: str, *messages: dict[str, Any]) -> str:
    return str(
        tokenizer.apply_chat_template(
            list(messages), chat_template=template, tokenize=False, add_generation_prompt=True
        )
    )


@pytest.mark.parametrize("template", [PLAIN, PARTS], ids=["strings", "parts"])
@pytest.mark.parametrize("prompt", PROMPTS)
def test_the_template_says_it_as_training_does(
    qwen_tokenizer: Any, template: Template, prompt: str
) -> None:
    text = with_system_prompt(template, prompt)
    content: Any = [{"type": "text", "text": "Hi"}] if template.wants_parts else "Hi"
    trained = encode_prompt(
        [Turn("user", ("Hi",))],
        tokenizer=qwen_tokenizer,
        image_token_id=151646,
        frames_per_media=[],
        tokens_per_frame=1,
        system_prompt=prompt,
        chat_template=template.text,
    )
    said = rendered(qwen_tokenizer, text, {"role": "user", "content": content})
    assert said == qwen_tokenizer.decode(trained)
    assert said.startswith(f"<|im_start|>system\n{prompt}<|im_end|>\n")


def test_a_conversation_with_a_system_turn_keeps_its_own(qwen_tokenizer: Any) -> None:
    turns = ({"role": "system", "content": "Own."}, {"role": "user", "content": "Hi"})
    text = with_system_prompt(PLAIN, "Be brief.")
    assert rendered(qwen_tokenizer, text, *turns) == rendered(qwen_tokenizer, PLAIN.text, *turns)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_the_line_comes_off_again_and_never_nests(prompt: str) -> None:
    once = with_system_prompt(PLAIN, prompt)
    assert without_system_prompt(once) == PLAIN.text
    assert with_system_prompt(Template(once, wants_parts=False), prompt) == once
    assert with_system_prompt(Template(once, wants_parts=False), None) == PLAIN.text


def test_a_template_without_the_line_stays_as_it_is() -> None:
    assert without_system_prompt(PLAIN.text) == PLAIN.text
    assert with_system_prompt(PLAIN, None) == PLAIN.text
