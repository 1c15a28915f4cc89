"""Which language models does a FastVLM come with, and how does each of them speak?

    "llava_qwen2" | "llava_llama", the model_type of Apple's layout  ->  Family
    "qwen2" | "llama", the model_type of the language model          ->  Family

To add one: an entry in `FAMILIES`, its chat template in `data/templates/texts.py`, and the fields
of its configuration that Apple's layout holds.
"""

from __future__ import annotations

from dataclasses import dataclass

from flipbook.data.templates.texts import BROUGHT_ALONG
from flipbook.errors import CheckpointError, did_you_mean


@dataclass(frozen=True, kw_only=True)
class Family:
    """A kind of language model and its manner of speaking.

    Attributes:
        layout: `model_type` of a FastVLM with it in Apple's layout.
        architecture: the class that reads that layout in Apple's code.
        text_model_type: `model_type` of the language model in transformers.
        tokenizer_class: of its tokenizer, as `tokenizer_config.json` names it.
        template_name: what LLaVA's code calls its way of speaking (`--version`).
        chat_template: that way of speaking, in Jinja.
        end_token: ends an answer.
        pad_token: fills up a batch where the tokenizer names no token for it.
    """

    layout: str
    architecture: str
    text_model_type: str
    tokenizer_class: str
    template_name: str
    chat_template: str
    end_token: str
    pad_token: str


FAMILIES = {
    "llava_qwen2": Family(
        layout="llava_qwen2",
        architecture="LlavaQwen2ForCausalLM",
        text_model_type="qwen2",
        tokenizer_class="Qwen2Tokenizer",
        template_name="qwen_2",
        chat_template=BROUGHT_ALONG["qwen_2"].text,
        end_token="<|im_end|>",  # noqa: S106
        pad_token="<|endoftext|>",  # noqa: S106
    ),
    "llava_llama": Family(
        layout="llava_llama",
        architecture="LlavaLlamaForCausalLM",
        text_model_type="llama",
        tokenizer_class="LlamaTokenizer",
        template_name="v1",
        chat_template=BROUGHT_ALONG["v1"].text,
        end_token="</s>",  # noqa: S106
        pad_token="<unk>",  # noqa: S106
    ),
}


def family_of(text_model_type: str) -> Family:
    """Return the family of a language model, by its `model_type` in transformers.

    Raises:
        CheckpointError: flipbook knows no such family.
    """
    known = {family.text_model_type: family for family in FAMILIES.values()}
    if text_model_type in known:
        return known[text_model_type]
    raise CheckpointError(
        f"the language model is a {text_model_type!r}; flipbook knows {', '.join(known)}."
        f"{did_you_mean(text_model_type, known)} Give a FastVLM with one of these."
    )
