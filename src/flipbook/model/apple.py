"""What does a folder in Apple's layout hold, in the words of the `fast_vlm` layout?

    config.json, tensors, tokenizer of `llava_qwen2`  ->  FastVlmConfig, renamed tensors
    FastVlmConfig, tensors  ->  config.json, renamed tensors of `llava_qwen2`

Apple's file says nothing about the tower but its name, so the tower's sizes are read from the
shapes of its tensors. Apple's placeholder for an image is the number -200, which is no word of the
vocabulary; here it becomes the word `<image>`, added to the tokenizer and the embeddings.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor
from transformers import FastVlmConfig, Qwen2Config

from flipbook.errors import CheckpointError
from flipbook.model.apple_names import (
    APPLE_TOWER,
    CONSTANT_TENSOR,
    TOWER,
    to_apple_name,
    to_fast_vlm_name,
)
from flipbook.video.frames import PX_PER_TOKEN

EMBEDDINGS = "model.language_model.embed_tokens.weight"
HEAD = "lm_head.weight"
ROWS_MULTIPLE = 64  # matrix kernels want the vocabulary in multiples of 64
_TEXT_SIZES = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
)
_TEXT_KEYS = (
    *_TEXT_SIZES,
    "attention_dropout",
    "bos_token_id",
    "eos_token_id",
    "hidden_act",
    "initializer_range",
    "max_position_embeddings",
    "max_window_layers",
    "rms_norm_eps",
    "rope_scaling",
    "rope_theta",
    "sliding_window",
    "use_sliding_window",
)
# What LLaVA's code can be told to do, and the only values FastVLM was made with.
_EXPECTED = {
    "mm_projector_type": ("mlp2x_gelu",),
    "mm_use_im_start_end": (False, None),
    "mm_patch_merge_type": ("flat", None),
}
_FASTVITHD = {  # what timm builds when it is told nothing (FastVLM, section 3.2)
    "layers": [2, 12, 24, 4, 2],
    "embed_dims": [96, 192, 384, 768, 1536],
    "mlp_ratios": [4.0, 4.0, 4.0, 4.0, 4.0],
}
_ASPECT_OF_RATIO = {"pad": "pad", "square": "crop", None: "crop"}
_TOWER_NAME = re.compile(r"mobileclip_l_(\d+)")


def read_frame_rule(apple_config: dict[str, Any]) -> tuple[int, str]:
    """Side of a frame in px and aspect rule that `config.json` of Apple's layout names.

    Raises:
        CheckpointError: the vision tower is not FastViTHD, or the aspect rule is unknown.
    """
    name = str(apple_config.get("mm_vision_tower"))
    found = _TOWER_NAME.fullmatch(name)
    if found is None:
        raise CheckpointError(
            f'config.json: "mm_vision_tower" is {name!r}; FastVLM\'s is "mobileclip_l_1024" (the '
            "number is the side of a picture). This is some other LLaVA model: give a FastVLM."
        )
    ratio = apple_config.get("image_aspect_ratio")
    if ratio not in _ASPECT_OF_RATIO:
        raise CheckpointError(
            f'config.json: "image_aspect_ratio" is {ratio!r}, which flipbook cannot do; known are '
            '"pad" and "square". If the model was trained with one of them, correct the file.'
        )
    return int(found[1]), _ASPECT_OF_RATIO[ratio]


def translate_config(
    apple_config: dict[str, Any], state: dict[str, Tensor], *, image_token_id: int
) -> FastVlmConfig:
    """`FastVlmConfig` for renamed tensors and the `config.json` they came with.

    Raises:
        CheckpointError: a size of the language model is missing, or a switch of LLaVA's code has a
            value that FastVLM was not made with.
    """
    missing = [name for name in _TEXT_SIZES if not isinstance(apple_config.get(name), int)]
    if missing:
        raise CheckpointError(
            f"config.json: no number under {', '.join(missing)}. Copy the checkpoint again."
        )
    for name, values in _EXPECTED.items():
        if name in apple_config and apple_config[name] not in values:
            raise CheckpointError(
                f'config.json: "{name}" is {apple_config[name]!r}, and FastVLM has {values[0]!r}. '
                "This model was trained by other rules than flipbook's: give another checkpoint."
            )
    frame_size, _ = read_frame_rule(apple_config)
    tied = bool(apple_config.get("tie_word_embeddings", False))
    text = {key: apple_config[key] for key in _TEXT_KEYS if apple_config.get(key) is not None}
    text |= {"vocab_size": _tensor(state, EMBEDDINGS).shape[0], "tie_word_embeddings": tied}
    return FastVlmConfig(
        vision_config=_tower_config(state),
        text_config=Qwen2Config.from_dict(text),
        image_token_index=image_token_id,
        image_seq_length=(frame_size // PX_PER_TOKEN) ** 2,
        tie_word_embeddings=tied,
    )


def _tower_config(state: dict[str, Tensor]) -> dict[str, Any]:
    """Configuration of timm's FastViTHD whose sizes are those of the tensors."""
    stages = [f"{TOWER}stages.{stage}.blocks." for stage in range(5)]
    first = [
        _tensor(state, f"{prefix}0.mlp.fc1.weight").shape for prefix in stages
    ]  # (4D, D, 1, 1)
    sizes = {
        "layers": [_count_blocks(state, prefix) for prefix in stages],
        "embed_dims": [shape[1] for shape in first],
        "mlp_ratios": [shape[0] / shape[1] for shape in first],
    }
    return {
        "model_type": "timm_wrapper",
        "architecture": "fastvit_mci3",
        "do_pooling": True,
        "global_pool": "avg",
        "hidden_size": _tensor(state, f"{TOWER}final_conv.reparam_conv.weight").shape[0],
        "initializer_range": 0.02,
        "model_args": {"inference_mode": True, **({} if sizes == _FASTVITHD else sizes)},
    }


def _count_blocks(state: dict[str, Tensor], prefix: str) -> int:
    return len(
        {name.removeprefix(prefix).split(".")[0] for name in state if name.startswith(prefix)}
    )


def _tensor(state: dict[str, Tensor], name: str) -> Tensor:
    if name not in state:
        theirs = to_apple_name(name)
        raise CheckpointError(
            f"the weights hold no tensor {theirs!r}, so this is no complete checkpoint in Apple's "
            "layout. Copy or download it again."
        )
    return state[name]


def translate_state(apple_state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of Apple's layout under their `fast_vlm` names, the same memory.

    The constant `head.proj` is left out, for no part of FastVLM reads it.

    Raises:
        CheckpointError: a tensor has a name that Apple's layout does not know.
    """
    state, unknown = {}, []
    for name, tensor in apple_state.items():
        ours = to_fast_vlm_name(name)
        if ours is not None:
            state[ours] = tensor
        elif name != CONSTANT_TENSOR:
            unknown.append(name)
    if unknown:
        shown = ", ".join(sorted(unknown)[:5]) + (", ..." if len(unknown) > 5 else "")
        raise CheckpointError(
            f"{len(unknown)} tensors have names that Apple's layout does not know: {shown}. "
            "A model exported for MLX or Core ML cannot be trained: give the original."
        )
    return state


def drop_tied_head(state: dict[str, Tensor], *, tied: bool) -> dict[str, Tensor]:
    """`state` without the output head where the configuration ties it to the embeddings.

    Raises:
        CheckpointError: it is tied by the configuration, and stored with other values.
    """
    if not tied or HEAD not in state:
        return state
    if not torch.equal(state[HEAD], _tensor(state, EMBEDDINGS)):
        raise CheckpointError(
            f'config.json says "tie_word_embeddings": true, and the stored {HEAD} differs from the '
            "embeddings. Set it to false if the two were trained apart, else delete the tensor."
        )
    return {name: tensor for name, tensor in state.items() if name != HEAD}


def grow_embeddings(state: dict[str, Tensor], *, num_words: int) -> dict[str, Tensor]:
    """`state` whose input and output embeddings have a row for each of `num_words` words.

    New rows are the mean of the old ones, so a new word starts as no word in particular.
    """
    grown = dict(state)
    for name in (EMBEDDINGS, HEAD):
        rows = grown.get(name)  # (words, D)
        if rows is None or rows.shape[0] >= num_words:
            continue
        num_rows = -(-num_words // ROWS_MULTIPLE) * ROWS_MULTIPLE
        mean = rows.float().mean(dim=0, keepdim=True).to(rows.dtype)  # (1, D)
        grown[name] = torch.cat([rows, mean.expand(num_rows - rows.shape[0], -1)])
    return grown


def apple_layout(
    config: Any, state: dict[str, Tensor], *, frame_size: int, aspect: str
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """`config.json` and tensors in Apple's layout of a model in the `fast_vlm` layout.

    Raises:
        CheckpointError: a tensor has no name in Apple's layout, or the aspect no word.
    """
    if aspect not in _ASPECT_OF_RATIO.values():
        raise CheckpointError(
            f"Apple's layout has no word for the aspect {aspect!r}; use pad or crop."
        )
    text = config.text_config
    width = config.vision_config.hidden_size
    theirs: dict[str, Any] = {
        "architectures": ["LlavaQwen2ForCausalLM"],
        "model_type": "llava_qwen2",
        **{key: getattr(text, key, None) for key in _TEXT_KEYS if not key.startswith("rope")},
        "rope_theta": text.rope_parameters["rope_theta"],
        "tie_word_embeddings": config.tie_word_embeddings,
        "vocab_size": text.vocab_size,
        "image_aspect_ratio": "pad" if aspect == "pad" else "square",
        "mm_hidden_size": width,
        "mm_patch_merge_type": "flat",
        "mm_projector_type": "mlp2x_gelu",
        "mm_use_im_patch_token": False,
        "mm_use_im_start_end": False,
        "mm_vision_select_feature": "patch",
        "mm_vision_select_layer": -2,
        "mm_vision_tower": f"mobileclip_l_{frame_size}",
        "unfreeze_mm_vision_tower": True,
        "use_mm_proj": True,
    }
    renamed = {name: to_apple_name(name) for name in state}
    unknown = sorted(name for name, new in renamed.items() if new is None)
    if unknown:
        raise CheckpointError(
            f"these tensors have no name in Apple's layout: {', '.join(unknown[:5])}. Merge "
            "adapters into the model first."
        )
    tensors = {str(renamed[name]): tensor for name, tensor in state.items()}
    tensors.setdefault(HEAD, state[EMBEDDINGS])  # Apple stores it even where it is tied
    head = torch.zeros(width, width // 4, dtype=state[EMBEDDINGS].dtype)
    return theirs, {**tensors, f"{APPLE_TOWER}head.proj": head}
