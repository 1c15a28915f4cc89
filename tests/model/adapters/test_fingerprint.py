"""The hash of a part: the same for the same weights in any layout, another for any change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from fixtures_model import make_model, make_tokenizer
from flipbook.model.adapters import fingerprint
from flipbook.model.adapters.fingerprint import (
    FINGERPRINTED,
    fingerprint_parts,
    fingerprint_words,
    part_of_tensor,
)
from flipbook.model.checkpoint import load_checkpoint

IMAGE_ID = 260
NUM_WORDS = 261


@pytest.fixture
def model() -> Any:
    return make_model(IMAGE_ID)


def changed(before: dict[str, str], model: Any) -> set[str]:
    after = fingerprint_parts(model, num_words=NUM_WORDS)
    return {part for part in before | after if before.get(part) != after.get(part)}


def test_equal_weights_have_equal_hashes(model: Any) -> None:
    first = fingerprint_parts(model, num_words=NUM_WORDS)
    assert first == fingerprint_parts(make_model(IMAGE_ID), num_words=NUM_WORDS)
    assert set(first) == set(FINGERPRINTED) - {"head"}
    assert all(len(digest) == 32 for digest in first.values())
    assert len(set(first.values())) == len(first)


def test_both_layouts_have_one_hash(fast_vlm_folder: Path, apple_folder: Path) -> None:
    ours, theirs = load_checkpoint(fast_vlm_folder), load_checkpoint(apple_folder)
    assert changed(fingerprint_parts(ours.model, num_words=NUM_WORDS), theirs.model) == set()
    assert fingerprint_words(ours.tokenizer) == fingerprint_words(theirs.tokenizer)


def test_every_tensor_counts(model: Any) -> None:
    before = fingerprint_parts(model, num_words=NUM_WORDS)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name == "lm_head.weight":
                continue  # the embeddings themselves
            place = tensor[0, 0] if "embed_tokens" in name else tensor.view(-1)[-1]
            kept = place.clone()
            place += 1
            assert changed(before, model) == {part_of_tensor(name)}, name
            place.copy_(kept)
    assert changed(before, model) == set()


def test_statistics_of_the_tower_count(model: Any) -> None:
    before = fingerprint_parts(model, num_words=NUM_WORDS)
    (name, buffer), *_ = (
        (name, buffer) for name, buffer in model.named_buffers() if "running_var" in name
    )
    buffer[0] += 1
    assert changed(before, model) == {part_of_tensor(name)} == {"vision_tower"}


def test_a_precision_that_loses_nothing_changes_nothing(model: Any) -> None:
    model.to(torch.bfloat16)
    before = fingerprint_parts(model, num_words=NUM_WORDS)
    assert changed(before, model.float()) == set()


def test_a_precision_that_loses_bits_changes_the_hash(model: Any) -> None:
    before = fingerprint_parts(model, num_words=NUM_WORDS)
    assert changed(before, model.to(torch.bfloat16)) == set(before)


def test_rows_without_a_word_do_not_count(model: Any) -> None:
    before = fingerprint_parts(model, num_words=NUM_WORDS)
    rows = model.get_input_embeddings().weight.data
    rows[IMAGE_ID] += 1  # a picture is read in its place
    rows[NUM_WORDS:] += 1
    assert changed(before, model) == set()
    rows[IMAGE_ID - 1] += 1
    assert changed(before, model) == {"embeddings"}


def test_a_head_that_is_not_tied_counts() -> None:
    model = make_model(IMAGE_ID, tied=False)
    before = fingerprint_parts(model, num_words=NUM_WORDS)
    assert "head" in before
    model.lm_head.weight.data[0] += 1
    assert changed(before, model) == {"head"}


def test_two_tensors_that_change_places_change_the_hash(model: Any) -> None:
    before = fingerprint_parts(model, num_words=NUM_WORDS)
    layers = model.model.language_model.layers
    first, second = layers[0].input_layernorm.weight.data, layers[1].input_layernorm.weight.data
    first.fill_(2.0)
    second.fill_(3.0)
    one_way = fingerprint_parts(model, num_words=NUM_WORDS)
    first.fill_(3.0)
    second.fill_(2.0)
    assert changed(one_way, model) == changed(before, model) == {"language_model"}


def test_pieces_are_only_a_way_to_save_memory(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint_parts(model, num_words=NUM_WORDS)
    monkeypatch.setattr(fingerprint, "_CHUNK", 1000)
    assert changed(before, model) == set()


def test_words_count_with_their_numbers() -> None:
    one, other = make_tokenizer(), make_tokenizer()
    assert fingerprint_words(one) == fingerprint_words(other)
    other.add_tokens(["<new>"])
    assert fingerprint_words(one) != fingerprint_words(other)
    assert fingerprint_words(one) != fingerprint_words(make_tokenizer(knows_image=False))
