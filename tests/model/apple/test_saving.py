"""A folder in Apple's layout: every field is there, and nothing that Apple's code misreads."""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import PreTrainedTokenizerFast

from fixtures_model import make_checkpoint, make_tokenizer
from flipbook.errors import CheckpointError
from flipbook.model.checkpoint import load_checkpoint
from flipbook.model.provenance import Provenance
from flipbook.model.saving import save_apple_checkpoint

ORIGIN = Provenance(
    base="x", base_layout="fast_vlm", trained={}, lora=None, data=[], recipe={}, versions={}
)


def config_of(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return content


def test_apples_layout_comes_back_unchanged(tmp_path: Path) -> None:
    checkpoint = make_checkpoint(aspect="crop")
    loaded = load_checkpoint(save_apple_checkpoint(tmp_path / "llava", checkpoint))
    assert loaded.settings == checkpoint.settings
    assert (loaded.layout, loaded.aspect) == ("llava_qwen2", "crop")
    for name, tensor in checkpoint.model.state_dict().items():
        assert torch.equal(tensor, loaded.model.state_dict()[name])


def test_every_field_of_the_contract_is_written(tmp_path: Path) -> None:
    folder = save_apple_checkpoint(tmp_path / "llava", make_checkpoint())
    written = config_of(folder)
    contract = {
        "architectures": ["LlavaQwen2ForCausalLM"],
        "eos_token_id": 257,
        "image_aspect_ratio": "pad",
        "mm_hidden_size": 128,
        "mm_patch_merge_type": "flat",
        "mm_projector_type": "mlp2x_gelu",
        "mm_use_im_patch_token": False,
        "mm_use_im_start_end": False,
        "mm_vision_tower": "mobileclip_l_128",
        "model_type": "llava_qwen2",
        "rope_theta": 1e6,
        "tie_word_embeddings": True,
        "tokenizer_model_max_length": 8192,
        "torch_dtype": "float32",
        "unfreeze_mm_vision_tower": True,
        "vocab_size": 320,
    }
    assert {name: written.get(name) for name in contract} == contract
    assert "image_token_index" not in written
    assert "rope_scaling" not in written  # transformers 4 takes null for it, 5 warns of the word
    tokenizer_config = json.loads((folder / "tokenizer_config.json").read_text())
    assert tokenizer_config["tokenizer_class"] == "Qwen2Tokenizer"
    assert (folder / "merges.txt").read_text() == "#version: 0.2\nt h\n"
    assert len(json.loads((folder / "vocab.json").read_text())) == 257


def test_the_image_is_no_word_where_it_is_the_last(tmp_path: Path) -> None:
    folder = save_apple_checkpoint(tmp_path / "llava", make_checkpoint())
    for name in ("tokenizer.json", "added_tokens.json", "tokenizer_config.json"):
        assert "<image>" not in (folder / name).read_text()
    plain = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    assert len(plain) == 260
    back = load_checkpoint(folder).tokenizer
    assert back.get_vocab() == make_tokenizer().get_vocab()


def test_the_image_stays_where_words_follow_it(tmp_path: Path) -> None:
    checkpoint = make_checkpoint()
    checkpoint.tokenizer.add_tokens(["<later>"], special_tokens=True)
    folder = save_apple_checkpoint(tmp_path / "llava", checkpoint)
    assert load_checkpoint(folder).tokenizer.get_vocab() == checkpoint.tokenizer.get_vocab()


def test_the_swift_app_is_told_the_id_of_the_image(tmp_path: Path) -> None:
    folder = save_apple_checkpoint(tmp_path / "llava", make_checkpoint(), for_swift=True)
    assert config_of(folder)["image_token_index"] == 260
    added = json.loads((folder / "added_tokens.json").read_text())
    assert added["<image>"] == 260
    assert load_checkpoint(folder).model.config.image_token_id == 260


@pytest.mark.parametrize(
    ("settings", "recipe", "expected"),
    [
        ({"num_frames": 4}, {}, 8192),  # as Apple's own
        ({"num_frames": 4}, {"model_max_length": 12000}, 12000),
        ({"num_frames": 4}, {"model_max_length": None, "longest_tokens": 9000}, 9000),
        ({"num_frames": 2000}, {}, 2000 * 5 + 1024),
        ({"sampler": "fps", "max_frames": 2000}, {}, 2000 * 5 + 1024),
        ({"num_frames": 20000}, {}, 32768),  # more than the model was made to read
    ],
)
def test_apples_code_may_read_what_was_trained(
    tmp_path: Path, settings: dict[str, Any], recipe: dict[str, Any], expected: int
) -> None:
    checkpoint = make_checkpoint(**settings)
    checkpoint.provenance = dataclasses.replace(ORIGIN, recipe=recipe)
    folder = save_apple_checkpoint(tmp_path / "llava", checkpoint)
    assert config_of(folder)["tokenizer_model_max_length"] == expected
    assert load_checkpoint(folder).provenance == checkpoint.provenance


def test_large_weights_are_saved_in_several_files(tmp_path: Path) -> None:
    checkpoint = make_checkpoint()
    folder = save_apple_checkpoint(tmp_path / "llava", checkpoint, max_shard_size="300KB")
    shards = sorted(folder.glob("*.safetensors"))
    assert len(shards) > 2
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    held = {name: path.name for path in shards for name in load_file(path)}
    assert index["weight_map"] == held
    loaded = load_checkpoint(folder).model.state_dict()
    for name, tensor in checkpoint.model.state_dict().items():
        assert torch.equal(tensor, loaded[name])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("model", "named 'model'; give a name with llava in it, such as 'llava-model'"),
        ("llava-prompt-tuned", "a name without 'mpt'.*takes it for a model of that kind"),
        ("llava-mistral", "a name without 'mistral'"),
    ],
)
def test_a_name_that_apples_code_misreads_is_refused(
    tmp_path: Path, name: str, message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        save_apple_checkpoint(tmp_path / name, make_checkpoint())
    assert not (tmp_path / name).exists()


def test_an_adapter_cannot_be_saved_in_apples_layout(tmp_path: Path) -> None:
    checkpoint = make_checkpoint()
    checkpoint.model.register_parameter("lora_A", torch.nn.Parameter(torch.zeros(1)))
    with pytest.raises(CheckpointError, match="Merge adapters"):
        save_apple_checkpoint(tmp_path / "llava", checkpoint)


def test_other_colours_have_no_word_in_apples_layout(tmp_path: Path) -> None:
    checkpoint = dataclasses.replace(make_checkpoint(), image_mean=(0.5, 0.5, 0.5))
    with pytest.raises(CheckpointError, match=r"mean \(0.5, 0.5, 0.5\).*feeds the tower plain"):
        save_apple_checkpoint(tmp_path / "llava", checkpoint)


def test_a_folder_that_breaks_the_contract_is_an_error(tmp_path: Path) -> None:
    checkpoint = make_checkpoint()
    checkpoint.tokenizer.add_tokens([f"<{number}>" for number in range(100)], special_tokens=True)
    with pytest.raises(CheckpointError, match="320 rows and the tokenizer 361 words"):
        save_apple_checkpoint(tmp_path / "llava", checkpoint)


def test_a_tower_that_apples_code_cannot_build_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="flipbook"):
        save_apple_checkpoint(tmp_path / "llava", make_checkpoint())
    assert "so only flipbook reads this folder" in caplog.text
    assert str(tmp_path) not in caplog.text  # an export writes it under another name first


def test_weights_beyond_float16_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    checkpoint = make_checkpoint()
    with caplog.at_level(logging.WARNING, logger="flipbook"):
        save_apple_checkpoint(tmp_path / "llava", checkpoint)
        assert "65504" not in caplog.text
        checkpoint.model.lm_head.weight.data[0, 0] = 70_000
        save_apple_checkpoint(tmp_path / "llava", checkpoint)
    assert "larger than 65504 (model.embed_tokens.weight" in caplog.text
    assert "float16, where they become infinite" in caplog.text
