"""A card says where a model comes from and what it may be used for, and guesses nothing."""

from __future__ import annotations

import ast
import dataclasses
import shlex
from typing import Any

import pytest
import yaml

from flipbook.export.card import LIBRARIES, CardFacts, make_card
from flipbook.export.homes import HOMES
from flipbook.export.usage import ADAPTER, LINES, USES, lines_of, uses_of
from flipbook.model.licence import RESEARCH_ONLY_NOTICE
from flipbook.model.provenance import Provenance
from flipbook.video.settings import ClipSettings

SHA = "5" * 64
PROVENANCE = Provenance(
    base="someone/FastVLM-0.5B",
    base_layout="llava_qwen2",
    trained={"projector": 3_600_000, "language_model": 8_800_000},
    lora={"rank": 16.0, "alpha": 32.0, "dropout": 0.05},
    data=[{"file": "train.json", "sha256": SHA, "num_records": 410, "split": "train"}],
    recipe={
        "optimizer_steps": 120,
        "learning_rates": {"projector": 2e-5},
        "precision": "bf16",
        "model_max_length": None,
    },
    versions={"torch": "2.15.0"},
)
SCORES: dict[str, Any] = {
    "untuned": {"mean": 0.25, "order": 0.25},
    "tuned": {"mean": 0.875, "order": 0.875},
    "shuffled": {"mean": 0.375, "order": 0.375},
    "num_questions": {"untuned": {"order": 40}, "tuned": {"order": 40}, "shuffled": {"order": 39}},
    "verdict": "It reads the order of frames.",
    "provenance": {"data_files": {"/home/someone/secret/test.json": SHA}},
}


def _facts(**changes: Any) -> CardFacts:
    facts = CardFacts(
        home="hf",
        name="someone/counts-laps",
        source="runs-first",
        settings=ClipSettings(frame_size=512, num_frames=4, system_prompt="Be brief | kind."),
        research_only=False,
        licence=None,
        provenance=PROVENANCE,
        scores=SCORES,
    )
    return dataclasses.replace(facts, **changes)


def _front_matter(card: str) -> dict[str, Any]:
    _, head, _ = card.split("---\n", 2)
    said: dict[str, Any] = yaml.safe_load(head)
    return said


def test_the_front_matter_is_what_the_hub_reads() -> None:
    assert _front_matter(make_card(_facts(licence="mit"))) == {
        "license": "mit",
        "base_model": "someone/FastVLM-0.5B",
        "library_name": "transformers",
        "pipeline_tag": "image-text-to-text",
        "tags": ["flipbook", "fastvlm", "video", "lora"],
    }


def test_a_base_without_a_place_on_the_hub_is_in_the_words_alone() -> None:
    origin = dataclasses.replace(PROVENANCE, base="my-folder", lora=None)
    card = make_card(_facts(provenance=origin))
    assert "base_model" not in _front_matter(card)
    assert "license" not in _front_matter(card)
    assert "Base: `my-folder`" in card
    assert "states no licence" in card


def test_an_adapter_says_that_it_is_one() -> None:
    said = _front_matter(make_card(_facts(home=ADAPTER)))
    assert said["base_model_relation"] == "adapter"
    assert said["library_name"] == "peft"
    assert "without its base" in make_card(_facts(home=ADAPTER))


@pytest.mark.parametrize("home", ["onnx", "coreml"])
def test_a_program_that_only_sees_does_not_claim_to_talk(home: str) -> None:
    card = make_card(_facts(home=home))
    assert _front_matter(card)["pipeline_tag"] == "image-feature-extraction"
    assert "The vision tower and projector" in card


def test_weights_of_apples_carry_the_notice() -> None:
    card = make_card(_facts(research_only=True, licence="apple-amlr"))
    assert _front_matter(card)["license"] == "apple-amlr"
    assert RESEARCH_ONLY_NOTICE in card
    assert RESEARCH_ONLY_NOTICE not in make_card(_facts())


def test_base_recipe_and_data_are_told() -> None:
    card = make_card(_facts())
    for line in (
        "Base: `someone/FastVLM-0.5B` (layout `llava_qwen2`).",
        "| language_model | 8,800,000 |",
        "With LoRA on the language model: rank 16, alpha 32, dropout 0.05.",
        "| optimizer steps | 120 |",
        "| learning rates | projector 2e-05 |",
        "| version of torch | 2.15.0 |",
        f"| train | train.json | 410 | `{SHA}` |",
    ):
        assert line in card
    assert "None" not in card


def test_scores_stand_beside_their_controls_and_questions() -> None:
    card = make_card(_facts())
    assert "| tuned | 0.875 | 40 | after; frames in order |" in card
    assert "| shuffled | 0.375 | 39 | after; frames in random order |" in card
    assert "| task | untuned | tuned | shuffled |" in card
    assert "| order | 0.250 | 0.875 | 0.375 |" in card
    assert "It reads the order of frames." in card
    assert f"- `test.json`, SHA-256 `{SHA}`" in card
    assert "secret" not in card


def test_how_it_sees_is_told() -> None:
    card = make_card(_facts())
    assert "| visual tokens of a frame | 64 |" in card
    assert "| visual tokens of a clip | 256 |" in card
    assert "| system prompt | Be brief \\| kind. |" in card
    fps = ClipSettings(frame_size=256, sampler="fps", frames_per_s=2.0, min_frames=4, max_frames=32)
    card = make_card(_facts(settings=fps))
    assert "| frames of a clip | 2 a second, 4 to 32 |" in card
    assert "| visual tokens of a clip | 64 to 512 |" in card


def test_what_is_not_known_is_left_out() -> None:
    card = make_card(_facts(provenance=None, scores=None, settings=None))
    assert "does not say how it was trained" in card
    for heading in ("## Scores", "## Data", "## How it sees", "Base:"):
        assert heading not in card


def test_every_home_has_its_words() -> None:
    homes = {*HOMES, ADAPTER}
    assert homes == LIBRARIES.keys() == USES.keys() == LINES.keys()
    for home in homes:
        assert len(lines_of(home, name="x")) == 3
        assert "## How to use it" in make_card(_facts(home=home))
        assert "{" not in "".join(lines_of(home, name="x"))


def test_names_with_spaces_and_quotes_are_one_word_in_every_command() -> None:
    name = 'my "laps" 50%'
    for home in USES:
        for use in uses_of(home, name=name, side=256):
            if use.language == "python":
                texts = [
                    n.value for n in ast.walk(ast.parse(use.code)) if isinstance(n, ast.Constant)
                ]
                assert any(str(text).split("/")[0] == name for text in texts)
            else:
                assert name in shlex.split(use.code)
    for home in ("hf", "apple", "mlx"):
        commands = [line for line in lines_of(home, name=name) if "--model" in line]
        assert commands
        assert all(name in shlex.split(line.split(": ")[-1]) for line in commands)
