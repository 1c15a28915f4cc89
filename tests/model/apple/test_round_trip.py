"""From one layout to the other and back: not a bit of a weight, not a word of a file differs.

What may differ is stated here and nowhere else: the rows that `<image>` needs in a file which has
none to spare, the constant `head.proj`, a head that is stored though tied, the width of a window
that is off, and the end token, which Apple's config.json takes from the tokenizer.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import FastVlmForConditionalGeneration

from fixtures_model import VOCABULARY_ROWS, make_checkpoint, make_model, make_tokenizer
from flipbook.model.apple.config import translate_config, write_config
from flipbook.model.apple.contract import check_apple_folder
from flipbook.model.apple.names import CONSTANT_TENSOR, EMBEDDINGS, HEAD
from flipbook.model.apple.tensors import (
    drop_tied_head,
    grow_embeddings,
    to_apple_state,
    translate_state,
)
from flipbook.model.checkpoint import Checkpoint, load_checkpoint
from flipbook.model.saving import save_apple_checkpoint, save_checkpoint

APPLE_EMBEDDINGS = "model.embed_tokens.weight"
NUM_WORDS = 260  # of the small tokenizer without `<image>`
SIZES = {"0.5b": 151646, "1.5b": 151646, "7b": 151665}  # and the id of `<image>`
SIGNS = {torch.bfloat16: "BF16", torch.int64: "I64"}
State = dict[str, torch.Tensor]


def make_state(*, dtype: torch.dtype, tied: bool, num_rows: int = VOCABULARY_ROWS) -> Checkpoint:
    checkpoint = make_checkpoint()
    model: Any = make_model(NUM_WORDS, tied=tied)
    if num_rows != VOCABULARY_ROWS:
        model.resize_token_embeddings(num_rows)
    model.config.text_config.eos_token_id = checkpoint.tokenizer.eos_token_id
    model.config.vision_config.global_pool = "avg"  # as in the community's conversions
    checkpoint.model = model.to(dtype)
    return checkpoint


def bits(state: State) -> dict[str, tuple[Any, ...]]:
    """Return dtype, shape and every byte of all tensors."""
    return {
        name: (tensor.dtype, tensor.shape, tensor.contiguous().view(-1).view(torch.uint8).tolist())
        for name, tensor in state.items()
    }


def facts(state: State) -> dict[str, tuple[Any, ...]]:
    return {name: (tensor.dtype, tensor.shape) for name, tensor in state.items()}


def config_of(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return content


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("num_rows", [VOCABULARY_ROWS, NUM_WORDS + 1])
def test_our_layout_comes_back_from_apples(
    tmp_path: Path, dtype: torch.dtype, tied: bool, num_rows: int
) -> None:
    checkpoint = make_state(dtype=dtype, tied=tied, num_rows=num_rows)
    made = save_checkpoint(tmp_path / "made", checkpoint)
    first = save_checkpoint(tmp_path / "hf", load_checkpoint(made, dtype=None))
    assert bits(load_file(first / "model.safetensors")) == bits(
        load_file(made / "model.safetensors")
    )
    apple = save_apple_checkpoint(tmp_path / "llava", load_checkpoint(first, dtype=None))
    second = save_checkpoint(tmp_path / "again", load_checkpoint(apple, dtype=None))
    stored = load_file(first / "model.safetensors")
    assert (HEAD in stored) != tied
    assert HEAD in load_file(apple / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {dtype, torch.int64}
    assert bits(load_file(second / "model.safetensors")) == bits(stored)
    assert config_of(second) == config_of(first)
    words = ("tokenizer.json", "chat_template.jinja", "flipbook.json", "generation_config.json")
    for name in words:
        assert (second / name).read_text() == (first / name).read_text()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("tied", [True, False])
def test_apples_layout_comes_back_from_ours(tmp_path: Path, dtype: torch.dtype, tied: bool) -> None:
    checkpoint = make_state(dtype=dtype, tied=tied)
    checkpoint.tokenizer = make_tokenizer(knows_image=False)
    first = save_apple_checkpoint(tmp_path / "llava", checkpoint)
    hf = save_checkpoint(tmp_path / "hf", load_checkpoint(first, dtype=None))
    second = save_apple_checkpoint(tmp_path / "llava2", load_checkpoint(hf, dtype=None))
    assert bits(load_file(second / "model.safetensors")) == bits(
        load_file(first / "model.safetensors")
    )
    for name in ("config.json", "vocab.json", "merges.txt", "added_tokens.json"):
        assert (second / name).read_text() == (first / name).read_text()


def test_only_rows_are_added_where_there_is_none_for_the_image(tmp_path: Path) -> None:
    """Apple's file saved again by Apple's loader has exactly as many rows as words."""
    checkpoint = make_state(dtype=torch.bfloat16, tied=False, num_rows=NUM_WORDS)
    checkpoint.tokenizer = make_tokenizer(knows_image=False)
    first = save_apple_checkpoint(tmp_path / "llava", checkpoint)
    hf = save_checkpoint(tmp_path / "hf", load_checkpoint(first, dtype=None))
    second = save_apple_checkpoint(tmp_path / "llava2", load_checkpoint(hf, dtype=None))
    given, back = (load_file(folder / "model.safetensors") for folder in (first, second))
    for name in (HEAD, APPLE_EMBEDDINGS):
        assert given[name].shape[0] == NUM_WORDS
        assert back[name].shape[0] == 320
        back[name] = back[name][:NUM_WORDS]
    assert bits(back) == bits(given)
    assert config_of(second) == config_of(first) | {"vocab_size": 320}


def test_the_constant_is_all_that_another_value_is_lost_of(tmp_path: Path) -> None:
    checkpoint = make_checkpoint()
    first = save_apple_checkpoint(tmp_path / "llava", checkpoint)
    state = load_file(first / "model.safetensors")
    state[CONSTANT_TENSOR] += 1
    save_file(state, first / "model.safetensors", metadata={"format": "pt"})
    hf = save_checkpoint(tmp_path / "hf", load_checkpoint(first, dtype=None))
    second = save_apple_checkpoint(tmp_path / "llava2", load_checkpoint(hf, dtype=None))
    back = load_file(second / "model.safetensors")
    assert not back.pop(CONSTANT_TENSOR).any()
    state.pop(CONSTANT_TENSOR)
    assert bits(back) == bits(state)


@pytest.mark.parametrize("layout", ["fast_vlm", "llava_qwen2"])
@pytest.mark.parametrize("kind", ["safetensors", "bin"])
def test_one_file_or_many_hold_the_same(tmp_path: Path, layout: str, kind: str) -> None:
    save: Any = save_checkpoint if layout == "fast_vlm" else save_apple_checkpoint
    checkpoint = make_state(dtype=torch.bfloat16, tied=True)
    whole = save(tmp_path / "llava-whole", checkpoint)
    parts = save(tmp_path / "llava-parts", checkpoint, max_shard_size="200KB")
    assert len(list(parts.glob("model-*.safetensors"))) > 2
    if kind == "bin":
        _pickle(parts)
        assert not list(parts.glob("*.safetensors*"))
    expected = load_checkpoint(whole, dtype=None).model.state_dict()
    loaded = load_checkpoint(parts, dtype=None)
    assert loaded.layout == layout
    assert bits(loaded.model.state_dict()) == bits(expected)


def _pickle(folder: Path) -> None:
    """Turn a folder of sharded safetensors into one of sharded `.bin` files."""
    index = folder / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    index.unlink()
    for path in folder.glob("*.safetensors"):
        torch.save(load_file(path), folder / path.name.replace(".safetensors", ".bin"))
        path.unlink()
    weight_map = {
        name: file.replace(".safetensors", ".bin") for name, file in content["weight_map"].items()
    }
    content["weight_map"] = weight_map
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(content))


def make_meta(config: Any, dtype: torch.dtype) -> State:
    with torch.device("meta"):
        model: Any = FastVlmForConditionalGeneration(config).to(dtype)
    state: State = model.state_dict()
    return state


@pytest.mark.parametrize("size", list(SIZES))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_true_sizes_go_there_and_back(random_script: Any, size: str, dtype: torch.dtype) -> None:
    config = random_script.make_config(size, frame_size=1024, image_token_id=SIZES[size])
    tied = size != "7b"
    state = make_meta(config, dtype)
    theirs = to_apple_state(state)
    written = write_config(config, frame_size=1024, aspect="pad")
    back = translate_state(theirs)
    assert facts(back) == facts(state)
    translated = translate_config(written, back, image_token_id=SIZES[size])
    assert translated.to_dict() == config.to_dict()
    assert write_config(translated, frame_size=1024, aspect="pad") == written
    assert facts(make_meta(translated, dtype)) == facts(state)
    assert translated.tie_word_embeddings == tied
    assert len(theirs) == len(state) + 1
    assert facts(to_apple_state(back)) == facts(theirs)


@pytest.mark.parametrize("size", list(SIZES))
def test_the_rows_of_a_true_size_that_was_saved_again(random_script: Any, size: str) -> None:
    """Apple's loader cuts the table to its words; `<image>` then needs a row, and gets 64."""
    config = random_script.make_config(size, frame_size=1024, image_token_id=SIZES[size])
    config.text_config.vocab_size = SIZES[size]
    theirs = to_apple_state(make_meta(config, torch.bfloat16))
    state = translate_state(theirs)
    state = drop_tied_head(state, tied=False)
    grown = grow_embeddings(state, num_words=SIZES[size] + 1)
    for name in (EMBEDDINGS, HEAD):
        assert grown[name].shape[0] == -(-(SIZES[size] + 1) // 64) * 64
    changed = {name for name in state if grown[name] is not state[name]}
    assert changed == {EMBEDDINGS, HEAD}


def write_headers(path: Path, state: dict[str, torch.Tensor]) -> None:
    """Write a safetensors file of any size whose tensors are one hole on the disk."""
    header, end = {}, 0
    for name, tensor in state.items():
        start, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": SIGNS[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)


@pytest.mark.parametrize("size", list(SIZES))
def test_a_folder_of_a_true_size_has_no_fault(
    random_script: Any, size: str, tmp_path: Path
) -> None:
    folder = tmp_path / "llava-fastvithd"
    folder.mkdir()
    config = random_script.make_config(size, frame_size=1024, image_token_id=SIZES[size])
    with torch.device("meta"):
        model: Any = FastVlmForConditionalGeneration(config).to(torch.bfloat16)
    state = to_apple_state(model.state_dict())
    write_headers(folder / "model.safetensors", state)
    written = write_config(config, frame_size=1024, aspect="pad")
    written |= {"eos_token_id": 151645, "tokenizer_model_max_length": 8192}
    words = {"<|endoftext|>": 151643, "<|im_start|>": 151644, "<|im_end|>": 151645}
    for name, content in {
        "config.json": written,
        "vocab.json": {"a": 0},
        "added_tokens.json": words,
        "tokenizer_config.json": {"tokenizer_class": "Qwen2Tokenizer"},
    }.items():
        (folder / name).write_text(json.dumps(content))
    (folder / "merges.txt").touch()
    assert check_apple_folder(folder) == []
    (folder / "config.json").write_text(json.dumps(written | {"num_hidden_layers": 23}))
    assert "do not fit config.json" in check_apple_folder(folder)[0]
