"""How does this model answer in mlx-vlm?

    Checkpoint  ->  folder that `mlx_vlm.load` reads

Names and memory order of the tensors are those of mlx-vlm's FastVLM, which knows Qwen2 language
models only. mlx-vlm 0.7 mixes up several pictures in one prompt; `flipbook.export.mlx_chat` reads
the same folder and puts them in their places.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from flipbook.errors import ArgumentError
from flipbook.export.vision import need_package
from flipbook.model.apple.names import to_apple_name
from flipbook.model.apple.tensors import rename_all
from flipbook.model.checkpoint import Checkpoint
from flipbook.model.folders import write_json

APPLE_PLACEHOLDER = -200  # the id at which mlx-vlm puts a picture's features
HEAD_WIDTH = 768  # of the constant projection that mlx-vlm expects and FastVLM never uses
_CONVOLUTION = re.compile(r"\.(reparam_conv|lkb_reparam|conv|fc1|fc2|reduce|expand)\.weight$")
_SCALE = re.compile(r"\.layer_scale(_[12])?$")


def write_mlx(folder: str | Path, checkpoint: Checkpoint) -> Path:
    """Return `folder` after writing into it weights, configuration, tokenizer and clip settings.

    The weights keep their dtype.

    Raises:
        ArgumentError: mlx-vlm is not installed, or the language model is no Qwen2.
        CheckpointError: a tensor has no name in mlx-vlm.
    """
    need_package("mlx_vlm", extra="mlx")
    folder = Path(folder)
    model, tokenizer = checkpoint.model, checkpoint.tokenizer
    if model.config.text_config.model_type != "qwen2":
        raise ArgumentError(
            f"mlx-vlm's FastVLM has a Qwen2 language model, and this one is a "
            f"{model.config.text_config.model_type!r}. Export it with --layout hf or apple."
        )
    tensors = mlx_tensors(
        model.state_dict(),
        tied=model.config.tie_word_embeddings,
        tower_width=model.config.vision_config.hidden_size,
    )
    save_file(tensors, folder / "model.safetensors", metadata={"format": "mlx"})
    tokenizer.save_pretrained(folder)
    write_json(folder / "config.json", mlx_config(checkpoint))
    write_json(folder / "preprocessor_config.json", _image_rule(checkpoint))
    checkpoint.clip_settings.save(folder)
    return folder


def mlx_config(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return what `config.json` of the folder holds.

    `tokenizer_model_max_length` is the language model's whole context: mlx-vlm cuts a longer
    prompt off without a word.
    """
    config = checkpoint.model.config
    text = config.text_config
    sizes = config.vision_config.model_args or {}
    tower = {name: sizes[name] for name in ("layers", "embed_dims", "mlp_ratios") if name in sizes}
    return {
        "architectures": ["LlavaQwen2ForCausalLM"],
        "model_type": "llava_qwen2",
        "eos_token_id": checkpoint.tokenizer.eos_token_id,
        "image_token_index": APPLE_PLACEHOLDER,
        "mm_hidden_size": config.vision_config.hidden_size,
        "mm_projector_type": "mlp2x_gelu",
        "tokenizer_model_max_length": text.max_position_embeddings,
        "text_config": {
            "model_type": "qwen2",
            "hidden_size": text.hidden_size,
            "intermediate_size": text.intermediate_size,
            "max_position_embeddings": text.max_position_embeddings,
            "num_attention_heads": text.num_attention_heads,
            "num_hidden_layers": text.num_hidden_layers,
            "num_key_value_heads": text.num_key_value_heads,
            "rms_norm_eps": text.rms_norm_eps,
            "rope_theta": text.rope_parameters["rope_theta"],
            "tie_word_embeddings": config.tie_word_embeddings,
            "vocab_size": text.vocab_size,
        },
        "vision_config": {
            "model_type": "llava_qwen2",
            "image_size": checkpoint.clip_settings.frame_size,
            "projection_dim": HEAD_WIDTH,
            **tower,
        },
    }


def mlx_tensors(state: dict[str, Tensor], *, tied: bool, tower_width: int) -> dict[str, Tensor]:
    """Return a FastVLM's tensors as mlx-vlm stores them: channels last, under its own names.

    Args:
        state: of the model, in the `fast_vlm` layout.
        tied: the head is the embeddings, and is then left out.
        tower_width: number of channels that the tower gives.

    Raises:
        CheckpointError: a tensor has no name there.
    """
    tensors = rename_all(state, _mlx_name, layout="mlx-vlm")
    if tied:
        tensors.pop("language_model.lm_head.weight", None)
    tensors = {
        name: _channels_last(name, tensor.detach().cpu()).contiguous()
        for name, tensor in tensors.items()
    }
    reference = tensors["mm_projector.0.weight"]
    tensors["vision_tower.vision_model.head.proj"] = reference.new_zeros(tower_width, HEAD_WIDTH)
    return {name: tensor for name, tensor in tensors.items() if "num_batches_tracked" not in name}


def _mlx_name(name: str) -> str | None:
    theirs = to_apple_name(name)
    if theirs is None:
        return None
    if theirs.startswith("model.vision_tower."):
        rest = theirs.removeprefix("model.vision_tower.vision_tower.model.")
        return "vision_tower.vision_model." + rest.replace("patch_embed.", "patch_embed.blocks.")
    if theirs.startswith("model.mm_projector."):
        return theirs.removeprefix("model.")
    return "language_model." + theirs


def _channels_last(name: str, tensor: Tensor) -> Tensor:
    if tensor.dim() == 4 and _CONVOLUTION.search(name):
        return tensor.permute(0, 2, 3, 1)  # (out, h, w, in)
    if tensor.dim() == 3 and _SCALE.search(name):
        return tensor.permute(1, 2, 0)  # (1, 1, D)
    return tensor


def _image_rule(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return how mlx-vlm's own processor makes a picture square: it pads, whatever it is told."""
    side = checkpoint.clip_settings.frame_size
    return {
        "image_processor_type": "FastVLMImageProcessor",
        "processor_class": "FastVLMProcessor",
        "size": {"shortest_edge": side},
        "crop_size": {"height": side, "width": side},
        "do_center_crop": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": list(checkpoint.image_mean),
        "image_std": list(checkpoint.image_std),
        "resample": 3,  # bicubic, in Pillow's numbering
    }
