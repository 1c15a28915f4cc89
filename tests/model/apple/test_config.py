"""config.json of Apple's layout: every field there and back, and refusals that say what to do."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import CONFIG_MAPPING, FastVlmConfig, FastVlmForConditionalGeneration

from flipbook.errors import CheckpointError
from flipbook.model.apple.config import (
    TEXT_KEYS,
    read_frame_rule,
    translate_config,
    write_config,
)
from flipbook.model.apple.names import CONSTANT_TENSOR
from flipbook.model.apple.tensors import to_apple_state, translate_state

# What Apple's 0.5B writes, without what training alone reads.
CONFIG = {
    "architectures": ["LlavaQwen2ForCausalLM"],
    "hidden_act": "silu",
    "hidden_size": 896,
    "image_aspect_ratio": "pad",
    "initializer_range": 0.02,
    "intermediate_size": 4864,
    "max_position_embeddings": 32768,
    "max_window_layers": 24,
    "mm_hidden_size": 3072,
    "mm_patch_merge_type": "flat",
    "mm_projector_type": "mlp2x_gelu",
    "mm_use_im_start_end": False,
    "mm_vision_tower": "mobileclip_l_1024",
    "model_type": "llava_qwen2",
    "num_attention_heads": 14,
    "num_hidden_layers": 24,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-06,
    "rope_theta": 1000000.0,
    "sliding_window": 32768,
    "tie_word_embeddings": True,
    "use_sliding_window": False,
    "vocab_size": 151936,
}
# What transformers 5 has no place for: a window that is off has no width.
LOST = {"sliding_window"}


def make_config(**text: Any) -> FastVlmConfig:
    """Return FastVLM-0.5B as the community's conversion describes it."""
    sizes = {key: CONFIG[key] for key in ("hidden_size", "intermediate_size", "vocab_size")}
    counts = {key: CONFIG[key] for key in CONFIG if key.startswith("num_")}
    whole = {"model_type": "qwen2", "max_window_layers": 24, "tie_word_embeddings": True}
    return FastVlmConfig(
        text_config={**whole, "rope_theta": 1e6, **sizes, **counts, **text},
        image_seq_length=256,
        tie_word_embeddings=True,
    )


def on_meta(config: FastVlmConfig) -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        state: dict[str, torch.Tensor] = FastVlmForConditionalGeneration(config).state_dict()
    return state


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    """Tensors of FastVLM-0.5B without memory."""
    return on_meta(make_config())


def test_the_full_size_model_is_translated_without_a_remainder(
    state: dict[str, torch.Tensor],
) -> None:
    tensors = to_apple_state(state)
    assert len([name for name in tensors if "vision_tower" in name]) == 629
    assert len([name for name in tensors if "mm_projector" in name]) == 4
    assert tensors[CONSTANT_TENSOR].shape == (3072, 768)
    written = write_config(make_config(), frame_size=1024, aspect="pad")
    assert {name: written[name] for name in CONFIG if name not in LOST} == {
        name: value for name, value in CONFIG.items() if name not in LOST
    }
    back = translate_state(tensors)
    assert set(back) == set(state)
    config = translate_config(CONFIG, back, image_token_id=151646)
    assert config.vision_config.model_args == {"inference_mode": True}
    assert config.vision_config.hidden_size == 3072
    assert config.text_config.rope_parameters["rope_theta"] == 1e6
    assert config.to_dict() == make_config().to_dict()


@pytest.mark.parametrize(
    "scaling",
    [
        {"rope_type": "linear", "factor": 2.0},
        {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768},
    ],
)
def test_scaled_positions_go_there_and_back(
    state: dict[str, torch.Tensor], scaling: dict[str, Any]
) -> None:
    config = make_config(rope_parameters={"rope_theta": 5e5, **scaling})
    written = write_config(config, frame_size=1024, aspect="pad")
    assert written["rope_theta"] == 5e5
    assert written["rope_scaling"] == scaling | {"type": scaling["rope_type"]}
    back = translate_config(written, state, image_token_id=151646)
    assert back.text_config.rope_parameters == config.text_config.rope_parameters
    without_new_word = written | {
        "rope_scaling": {k: v for k, v in written["rope_scaling"].items() if k != "rope_type"}
    }
    back = translate_config(without_new_word, state, image_token_id=151646)
    assert back.text_config.rope_parameters == config.text_config.rope_parameters


def test_a_folder_saved_by_transformers_5_keeps_its_positions(
    state: dict[str, torch.Tensor],
) -> None:
    given = {key: value for key, value in CONFIG.items() if key != "rope_theta"}
    given["rope_parameters"] = {"rope_theta": 1e6, "rope_type": "default"}
    config = translate_config(given, state, image_token_id=151646)
    assert config.text_config.rope_parameters["rope_theta"] == 1e6


def test_missing_positions_are_refused(state: dict[str, torch.Tensor]) -> None:
    given = {key: value for key, value in CONFIG.items() if key != "rope_theta"}
    with pytest.raises(CheckpointError, match=r'no "rope_theta".*takes 10000 and answers wrongly'):
        translate_config(given, state, image_token_id=151646)


@pytest.mark.parametrize("text_type", list(TEXT_KEYS))
def test_every_key_is_one_of_the_language_model(text_type: str) -> None:
    known = CONFIG_MAPPING[text_type]().to_dict()
    assert set(TEXT_KEYS[text_type]) <= set(known)


@pytest.mark.parametrize("side", [256, 1024])
def test_the_side_is_in_the_name_of_the_tower(side: int) -> None:
    assert read_frame_rule(CONFIG | {"mm_vision_tower": f"mobileclip_l_{side}"}) == (side, "pad")


@pytest.mark.parametrize("ratio", ["square", None])
def test_no_padding_means_the_crop_of_apples_processor(ratio: str | None) -> None:
    assert read_frame_rule(CONFIG | {"image_aspect_ratio": ratio})[1] == "crop"


def test_stretched_frames_have_no_word_in_apples_layout() -> None:
    with pytest.raises(CheckpointError, match="no word for the aspect 'stretch'; use pad or crop"):
        write_config(make_config(), frame_size=256, aspect="stretch")
