"""Apple's layout: sizes out of shapes, rows for `<image>`, and refusals that say what to do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from flipbook.errors import CheckpointError
from flipbook.model.apple.names import CONSTANT_TENSOR
from flipbook.model.apple.tensors import grow_embeddings, to_apple_state, translate_state
from flipbook.model.checkpoint import load_checkpoint

HEAD = "lm_head.weight"
APPLE_EMBEDDINGS = "model.embed_tokens.weight"


@pytest.fixture
def copied(apple_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(apple_folder, tmp_path / "copy"))


def edit_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    state = load_file(folder / "model.safetensors")
    change(state)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def test_the_sizes_of_a_small_tower_are_read_from_its_tensors(apple_folder: Path) -> None:
    config = load_checkpoint(apple_folder).model.config
    assert config.vision_config.model_args["layers"] == [1, 1, 2, 1, 1]
    assert config.vision_config.model_args["embed_dims"] == [16, 32, 32, 32, 64]
    assert config.vision_config.hidden_size == 128
    assert config.text_config.rope_parameters["rope_theta"] == 1e6
    assert config.tie_word_embeddings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mm_vision_tower": "openai/clip-vit-large-patch14-336"}, "some other LLaVA model"),
        ({"mm_vision_tower": None}, "\"mm_vision_tower\" is 'None'"),
        ({"mm_vision_tower": None, "vision_config": {}}, "exported for MLX is read by mlx-vlm"),
        ({"image_aspect_ratio": "anyres"}, "'anyres', which flipbook cannot do"),
        ({"mm_projector_type": "linear"}, "FastVLM has 'mlp2x_gelu'"),
        ({"mm_use_im_start_end": True}, "FastVLM has False"),
        ({"hidden_size": None, "num_hidden_layers": None}, "hidden_size, num_hidden_layers"),
    ],
)
def test_another_kind_of_llava_is_refused(
    copied: Path, changes: dict[str, Any], message: str
) -> None:
    edit_config(copied, **changes)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(copied)


def test_a_missing_row_for_the_image_token_is_added(copied: Path, apple_folder: Path) -> None:
    """A folder saved again by Apple's loader has as many rows as its tokenizer has words."""

    def shorten(state: dict[str, torch.Tensor]) -> None:
        for name in (HEAD, APPLE_EMBEDDINGS):
            state[name] = state[name][:260].clone()

    edit_weights(copied, shorten)
    loaded, whole = load_checkpoint(copied), load_checkpoint(apple_folder)
    assert loaded.model.config.image_token_id == 260
    rows = loaded.model.get_input_embeddings().weight
    old = whole.model.get_input_embeddings().weight[:260]
    assert rows.shape[0] == loaded.model.config.text_config.vocab_size == 320
    assert torch.equal(rows[:260], old)
    torch.testing.assert_close(rows[260:], old.mean(dim=0).expand(60, -1))


def test_only_missing_rows_are_added_to_input_and_output() -> None:
    embeddings = torch.arange(8.0).reshape(4, 2)
    state = {"model.language_model.embed_tokens.weight": embeddings, HEAD: -embeddings}
    assert grow_embeddings(state, num_words=4)[HEAD] is state[HEAD]
    grown = grow_embeddings(state, num_words=5)
    assert [tensor.shape for tensor in grown.values()] == [(64, 2), (64, 2)]
    assert grown[HEAD][4].tolist() == [-3.0, -4.0]


def test_an_untied_head_is_kept(copied: Path) -> None:
    edit_config(copied, tie_word_embeddings=False)
    edit_weights(copied, lambda state: state.update({HEAD: state[HEAD] + 1}))
    model = load_checkpoint(copied).model
    assert torch.equal(model.lm_head.weight, model.get_input_embeddings().weight + 1)


def test_a_tied_head_with_other_values_is_refused(copied: Path) -> None:
    edit_weights(copied, lambda state: state.update({HEAD: state[HEAD] + 1}))
    with pytest.raises(CheckpointError, match=r"lm_head\.weight differs from the embeddings"):
        load_checkpoint(copied)


def test_a_tied_head_need_not_be_stored(copied: Path) -> None:
    edit_weights(copied, lambda state: state.pop(HEAD))
    model = load_checkpoint(copied).model
    assert model.lm_head.weight is model.get_input_embeddings().weight


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("model.norm.weight", r"1 missing: model\.language_model\.norm\.weight"),
        (APPLE_EMBEDDINGS, r"no tensor 'model\.embed_tokens\.weight'"),
        (
            "model.vision_tower.vision_tower.model.conv_exp.reparam_conv.weight",
            r"no tensor 'model\.vision_tower.*conv_exp",
        ),
    ],
)
def test_a_missing_tensor_is_named(copied: Path, name: str, message: str) -> None:
    edit_weights(copied, lambda state: state.pop(name))
    edit_config(copied, tie_word_embeddings=False)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(copied)


def test_there_and_back_is_the_same_memory(apple_folder: Path) -> None:
    state = load_checkpoint(apple_folder).model.state_dict()
    theirs = to_apple_state(state)
    assert theirs[HEAD] is state[HEAD]
    width = theirs[CONSTANT_TENSOR].shape[0]
    assert torch.equal(theirs[CONSTANT_TENSOR], torch.zeros(width, width // 4))
    back = translate_state(theirs)
    assert set(back) == set(state)
    assert all(back[name] is tensor for name, tensor in state.items())


def test_names_of_another_program_are_refused(copied: Path) -> None:
    edit_weights(copied, lambda state: state.update({"language_model.x": torch.zeros(1)}))
    with pytest.raises(CheckpointError, match=r"1 tensors have names .*: language_model\.x\. A"):
        load_checkpoint(copied)
