"""The script that made the embedded model trains on still pictures, the same way every time."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
import torch

from flipbook.data.generated.movies import Question
from flipbook.model.tiny.build import TOKENS_PER_FRAME, build_model, build_tokenizer


@pytest.fixture(scope="module")
def script(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("make_tiny_model")


def test_only_the_answer_and_its_end_are_learned(script: ModuleType) -> None:
    tokenizer = build_tokenizer(["What colour is the circle?", "red"])
    question = Question("colour", "What colour is the circle?", "red")
    ids, labels = script.encode(question, tokenizer)
    assert tokenizer.decode(labels[labels != -100]) == "red<|im_end|>"
    assert int((ids == tokenizer.convert_tokens_to_ids("<image>")).sum()) == TOKENS_PER_FRAME


def test_two_makings_take_the_same_steps(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(script, "PICTURES_PER_STEP", 2)
    tokenizer = build_tokenizer(["What colour is the circle?", "red"])
    made = []
    for _ in range(2):
        model = build_model(tokenizer, seed=0)
        script.train(model, tokenizer, steps=2, seed=0)
        made.append(model.state_dict())
    capsys.readouterr()
    assert all(torch.equal(made[0][name], made[1][name]) for name in made[0])
    start = build_model(tokenizer, seed=0).state_dict()
    assert not torch.equal(start["lm_head.weight"], made[0]["lm_head.weight"])
