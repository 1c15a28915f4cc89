"""What does `config.json` of Apple's layout say, in the words of the `fast_vlm` layout?

    config.json of llava_qwen2 or llava_llama, shapes of the tensors  ->  FastVlmConfig
    FastVlmConfig, side, aspect                                       ->  config.json

Apple's file says nothing about the tower but its name, so the tower's sizes are read from the
shapes of its tensors. Both directions read the same tables: what the language model is told
(`TEXT_KEYS`), and what LLaVA's code is told (`RULES`, `NEUTRAL`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol

from transformers import CONFIG_MAPPING, FastVlmConfig

from flipbook.errors import CheckpointError
from flipbook.model.apple.names import EMBEDDINGS, TOWER, tensor_named
from flipbook.model.families import FAMILIES, Family, family_of
from flipbook.video.frames import PX_PER_TOKEN

TEXT_SIZES = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
)
_EVERY_TEXT = (
    *TEXT_SIZES,
    "attention_dropout",
    "bos_token_id",
    "eos_token_id",
    "hidden_act",
    "initializer_range",
    "max_position_embeddings",
    "rms_norm_eps",
)
# What config.json says about the language model, under the same names in both layouts.
TEXT_KEYS: dict[str, tuple[str, ...]] = {
    "qwen2": (*_EVERY_TEXT, "max_window_layers", "sliding_window", "use_sliding_window"),
    "llama": (*_EVERY_TEXT, "attention_bias", "head_dim", "mlp_bias", "pretraining_tp"),
}
# What LLaVA's code can be told to do, and the only values FastVLM was made with, of which the
# first is written. A missing field counts as None.
RULES: dict[str, tuple[object, ...]] = {
    "mm_projector_type": ("mlp2x_gelu",),
    "mm_use_im_start_end": (False, None),
    "mm_patch_merge_type": ("flat", None),
}
# What Apple's code reads and this module does not need to.
NEUTRAL: dict[str, object] = {
    "mm_use_im_patch_token": False,
    "mm_vision_select_feature": "patch",
    "mm_vision_select_layer": -2,
    "tokenizer_padding_side": "right",
    "tune_mm_mlp_adapter": False,
    "unfreeze_mm_vision_tower": True,
    "use_cache": True,
    "use_mm_proj": True,
}
FASTVITHD = {  # what timm builds when it is told nothing (FastVLM, section 3.2)
    "layers": [2, 12, 24, 4, 2],
    "embed_dims": [96, 192, 384, 768, 1536],
    "mlp_ratios": [4.0, 4.0, 4.0, 4.0, 4.0],
}
RATIO_OF_ASPECT = {"pad": "pad", "crop": "square"}
_ASPECT_OF_RATIO = {"pad": "pad", "square": "crop", None: "crop"}
_TOWER_NAME = re.compile(r"mobileclip_l_(\d+)")
THETA_BEFORE_THE_KEY = {"llama": 10000.0}  # transformers before 4.31 wrote no rope_theta


class Shaped(Protocol):
    """A tensor, or what a file's header says about one."""

    @property
    def shape(self) -> tuple[int, ...]: ...


def read_frame_rule(apple_config: Mapping[str, Any]) -> tuple[int, str]:
    """Side of a frame in px and aspect rule that `config.json` of Apple's layout names.

    Raises:
        CheckpointError: the vision tower is not FastViTHD, or the aspect rule is unknown, or the
            positions, which transformers reads before anyone can ask, are no object.
    """
    for name in ("rope_parameters", "rope_scaling"):
        if not isinstance(apple_config.get(name), dict | None):
            raise CheckpointError(
                f'config.json: "{name}" is {apple_config[name]!r} and no object. Copy it again.'
            )
    name = str(apple_config.get("mm_vision_tower"))
    found = _TOWER_NAME.fullmatch(name)
    if found is None and "vision_config" in apple_config:
        raise CheckpointError(
            'config.json: "vision_config" stands where Apple\'s layout names "mm_vision_tower". A '
            "model exported for MLX is read by mlx-vlm alone: give the original."
        )
    if found is None or int(found[1]) % PX_PER_TOKEN or int(found[1]) == 0:
        raise CheckpointError(
            f'config.json: "mm_vision_tower" is {name!r}; FastVLM\'s is "mobileclip_l_1024" (the '
            "number is the side of a picture). This is some other LLaVA model: give a FastVLM."
        )
    ratio = apple_config.get("image_aspect_ratio")
    if ratio not in list(_ASPECT_OF_RATIO):  # a list, for what has no hash
        raise CheckpointError(
            f'config.json: "image_aspect_ratio" is {ratio!r}, which flipbook cannot do; known are '
            '"pad" and "square". If the model was trained with one of them, correct the file.'
        )
    return int(found[1]), _ASPECT_OF_RATIO[ratio]


def translate_config(
    apple_config: Mapping[str, Any], state: Mapping[str, Shaped], *, image_token_id: int
) -> FastVlmConfig:
    """`FastVlmConfig` for renamed tensors and the `config.json` they came with.

    Raises:
        CheckpointError: a size or the position base of the language model is missing, or a switch
            of LLaVA's code has a value that FastVLM was not made with.
    """
    missing = [name for name in TEXT_SIZES if not isinstance(apple_config.get(name), int)]
    if missing:
        raise CheckpointError(
            f"config.json: no number under {', '.join(missing)}. Copy the checkpoint again."
        )
    for name, values in RULES.items():
        if name in apple_config and apple_config[name] not in values:
            raise CheckpointError(
                f'config.json: "{name}" is {apple_config[name]!r}, and FastVLM has {values[0]!r}. '
                "This model was trained by other rules than flipbook's: give another checkpoint."
            )
    frame_size, _ = read_frame_rule(apple_config)
    text_type = FAMILIES[str(apple_config["model_type"])].text_model_type
    tied = bool(apple_config.get("tie_word_embeddings", False))
    text = {key: apple_config.get(key) for key in TEXT_KEYS[text_type]}
    text = {key: value for key, value in text.items() if value is not None}
    text |= _read_positions(apple_config, text_type)
    text |= {"vocab_size": tensor_named(state, EMBEDDINGS).shape[0], "tie_word_embeddings": tied}
    return FastVlmConfig(
        vision_config=_tower_config(state),
        text_config=CONFIG_MAPPING[text_type].from_dict(text),
        image_token_index=image_token_id,
        image_seq_length=(frame_size // PX_PER_TOKEN) ** 2,
        tie_word_embeddings=tied,
    )


def _read_positions(apple_config: Mapping[str, Any], text_type: str) -> dict[str, Any]:
    """The position base and its scaling, in old words or, saved by transformers 5, in new ones."""
    new = apple_config.get("rope_parameters") or {}
    theta = apple_config.get("rope_theta", new.get("rope_theta"))
    theta = THETA_BEFORE_THE_KEY.get(text_type) if theta is None else theta
    if theta is None:
        raise CheckpointError(
            'config.json: no "rope_theta", the base of the positions, without which Apple\'s code '
            "takes 10000 and answers wrongly. Copy config.json of the original (FastVLM: 1000000)."
        )
    scaling = apple_config.get("rope_scaling") or {
        key: value for key, value in new.items() if key != "rope_theta"
    }
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    scaling = {key: value for key, value in scaling.items() if key != "type"} | {"rope_type": kind}
    return {"rope_parameters": {"rope_theta": theta, **scaling}}


def _write_positions(text: Any) -> dict[str, Any]:
    """The same in old words; transformers before 4.43 knows `type`, later ones `rope_type`."""
    rope = dict(text.rope_parameters)
    theta, kind = rope.pop("rope_theta"), rope.pop("rope_type", "default")
    if kind == "default":
        return {"rope_theta": theta}
    return {"rope_theta": theta, "rope_scaling": {**rope, "type": kind, "rope_type": kind}}


def _tower_config(state: Mapping[str, Shaped]) -> dict[str, Any]:
    """Configuration of timm's FastViTHD whose sizes are those of the tensors."""
    sizes = tower_sizes(state)
    changed = {name: value for name, value in sizes.items() if value != FASTVITHD[name]}
    return {
        "model_type": "timm_wrapper",
        "architecture": "fastvit_mci3",
        "do_pooling": True,
        "global_pool": "avg",
        "hidden_size": tensor_named(state, f"{TOWER}final_conv.reparam_conv.weight").shape[0],
        "initializer_range": 0.02,
        "model_args": {"inference_mode": True, **changed},
    }


def tower_sizes(state: Mapping[str, Shaped]) -> dict[str, list[Any]]:
    """Return how many blocks the stages of a tower have, and how wide these are."""
    stages = [f"{TOWER}stages.{stage}.blocks." for stage in range(5)]
    first = [
        tensor_named(state, f"{prefix}0.mlp.fc1.weight").shape for prefix in stages
    ]  # (4D, D, 1, 1)
    return {
        "layers": [_count_blocks(state, prefix) for prefix in stages],
        "embed_dims": [shape[1] for shape in first],
        "mlp_ratios": [shape[0] / shape[1] for shape in first],
    }


def _count_blocks(state: Mapping[str, Shaped], prefix: str) -> int:
    return len(
        {name.removeprefix(prefix).split(".")[0] for name in state if name.startswith(prefix)}
    )


def write_config(config: Any, *, frame_size: int, aspect: str) -> dict[str, Any]:
    """`config.json` in Apple's layout of a model in the `fast_vlm` layout.

    Raises:
        CheckpointError: Apple's layout has no word for the language model or the aspect.
    """
    text = config.text_config
    family: Family = family_of(text.model_type)
    if aspect not in RATIO_OF_ASPECT:
        raise CheckpointError(
            f"Apple's layout has no word for the aspect {aspect!r}; use pad or crop."
        )
    return {
        "architectures": [family.architecture],
        "model_type": family.layout,
        **{key: getattr(text, key, None) for key in TEXT_KEYS[family.text_model_type]},
        **_write_positions(text),
        **{name: values[0] for name, values in RULES.items()},
        **NEUTRAL,
        "image_aspect_ratio": RATIO_OF_ASPECT[aspect],
        "mm_hidden_size": config.vision_config.hidden_size,
        "mm_vision_tower": f"mobileclip_l_{frame_size}",
        "tie_word_embeddings": config.tie_word_embeddings,
        "vocab_size": text.vocab_size,
    }
