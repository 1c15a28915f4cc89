"""Which attention is chosen, and that without a row it is that of transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers.integrations.flex_attention
from torch.nn.attention.flex_attention import flex_attention

from fixtures_llama import make_llama_checkpoint
from fixtures_model import make_checkpoint
from fixtures_rows import as_row, make_talk
from flipbook.errors import ArgumentError, CheckpointError
from flipbook.model.attention import choose_attention, row_arguments, set_attention
from flipbook.model.fastvlm import encode_visuals
from flipbook.model.generation import Prompt, generate_answers
from flipbook.model.loss import supervised_loss
from flipbook.model.saving import save_checkpoint

IMPLEMENTATIONS = ("sdpa", "packed_sdpa", "packed_flex", "eager")


@pytest.mark.parametrize(
    ("name", "device_type", "chosen"),
    [
        ("auto", "cpu", "packed_sdpa"),
        ("auto", "cuda", "packed_flex"),
        ("auto", "mps", "packed_sdpa"),
        ("sdpa", "cuda", "packed_sdpa"),
        ("flex_attention", "cuda", "packed_flex"),
        ("eager", "cpu", "eager"),
    ],
)
def test_a_word_becomes_an_implementation(name: str, device_type: str, chosen: str) -> None:
    assert choose_attention(name, device_type=device_type) == chosen


def test_what_cannot_be_done_is_refused_with_a_reason() -> None:
    with pytest.raises(ArgumentError, match=r"flash_attention_2: flash attention takes no masks"):
        choose_attention("flash_attention_2", device_type="cuda")
    with pytest.raises(ArgumentError, match=r"flex_attention needs a CUDA GPU.* is on cpu"):
        choose_attention("flex_attention", device_type="cpu")
    with pytest.raises(ArgumentError, match=r"unknown word 'spda'.*sdpa.*Known: auto, sdpa"):
        choose_attention("spda", device_type="cpu")


def test_a_model_that_sees_a_window_only_is_refused() -> None:
    model = make_checkpoint().model
    config = model.config.text_config
    config.layer_types = ["full_attention", "sliding_attention"]
    config.sliding_window = 4096
    with pytest.raises(CheckpointError, match=r"qwen2\) sees only the last 4096 tokens"):
        set_attention(model, "packed_sdpa")


def test_an_attention_that_knows_no_rows_is_refused() -> None:
    model = make_checkpoint().model
    model.model.language_model.config._attn_implementation = "paged|sdpa"
    with pytest.raises(ValueError, match=r"'paged\|sdpa' knows no rows; call set_attention first"):
        row_arguments(model, [(3,)], device=torch.device("cpu"))


@pytest.mark.parametrize("kind", [make_checkpoint, make_llama_checkpoint])
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS[1:3])
def test_answers_are_those_of_plain_sdpa(kind: Any, implementation: str) -> None:
    checkpoint = kind()
    model = checkpoint.model
    talks = [make_talk(model.config.image_token_id, lengths=[n], seed=n) for n in (5, 9, 14)]
    prompts = [Prompt("r", talk.sample.input_ids, talk.frames) for talk in talks]
    answers = []
    for name in ("sdpa", implementation):
        set_attention(model, name)
        answers.append(
            generate_answers(
                model,
                checkpoint.tokenizer,
                prompts,
                image_mean=checkpoint.image_mean,
                image_std=checkpoint.image_std,
                max_new_tokens=6,
            )
        )
    assert answers[0] == answers[1]


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_flex_attention_gives_the_loss_of_the_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    def uncompiled(*args: Any, training: bool, **kwargs: Any) -> Any:
        del training
        return flex_attention(*args, **kwargs)

    monkeypatch.setattr(
        transformers.integrations.flex_attention, "compile_friendly_flex_attention", uncompiled
    )
    model = make_checkpoint().model
    row = as_row(
        *(
            make_talk(model.config.image_token_id, lengths=lengths, num_frames=frames, seed=frames)
            for frames, lengths in enumerate(([5], [60, 70], [4, 9, 5, 90]))
        )
    )
    losses = {}
    with torch.no_grad():
        features = torch.cat(encode_visuals(model, row))
        for name in IMPLEMENTATIONS:
            set_attention(model, name)
            losses[name] = supervised_loss(model, row, features=features).loss
    for name in IMPLEMENTATIONS[1:]:
        torch.testing.assert_close(losses[name], losses["sdpa"], rtol=1e-6, atol=0)


def test_no_checkpoint_remembers_it(tmp_path: Path) -> None:
    checkpoint = make_checkpoint()
    set_attention(checkpoint.model, "packed_sdpa")
    folder = save_checkpoint(tmp_path / "model", checkpoint)
    assert "packed" not in json.dumps(json.loads((folder / "config.json").read_text()))
