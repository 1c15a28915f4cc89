"""What is this tensor called in the other layout?

    Apple's llava_qwen2 name  <->  Hugging Face's fast_vlm name

The renaming is one to one, so it is written as one table of rules that is read in both
directions. Apple's tower names are those of the reparameterised MobileCLIP-L; ours are timm's.

    model.vision_tower.vision_tower.model.network.7.0.convffn.fc1.weight
    model.vision_tower.timm_model.stages.3.blocks.0.mlp.fc1.weight
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

from flipbook.errors import CheckpointError

AnyTensor = TypeVar("AnyTensor")

APPLE_TOWER = "model.vision_tower.vision_tower.model."
TOWER = "model.vision_tower.timm_model."
EMBEDDINGS = "model.language_model.embed_tokens.weight"
HEAD = "lm_head.weight"
CONSTANT_TENSOR = APPLE_TOWER + "head.proj"  # the classifier of the tower, which FastVLM never uses

# Apple's tower is one flat list: places 0, 2, 4, 7, 10 are stages, 6 and 9 position encodings,
# the rest make the picture smaller.
_STAGE_OF_BLOCKS = {0: 0, 2: 1, 4: 2, 7: 3, 10: 4}
_STAGE_OF_DOWNSAMPLE = {1: 1, 3: 2, 5: 3, 8: 4}
_STAGE_OF_POSITION = {6: 3, 9: 4}

_PREFIXES = (  # (Apple's, ours), longer ones first where one begins with the other
    (APPLE_TOWER + "patch_embed.", TOWER + "stem."),
    (APPLE_TOWER + "conv_exp.se.reduce.", TOWER + "final_conv.se.fc1."),
    (APPLE_TOWER + "conv_exp.se.expand.", TOWER + "final_conv.se.fc2."),
    (APPLE_TOWER + "conv_exp.", TOWER + "final_conv."),
    *(
        (
            f"{APPLE_TOWER}network.{place}.proj.0.lkb_reparam.",
            f"{TOWER}stages.{stage}.downsample.proj.0.reparam_conv.",
        )
        for place, stage in _STAGE_OF_DOWNSAMPLE.items()
    ),
    *(
        (f"{APPLE_TOWER}network.{place}.proj.1.", f"{TOWER}stages.{stage}.downsample.proj.1.")
        for place, stage in _STAGE_OF_DOWNSAMPLE.items()
    ),
    *(
        (f"{APPLE_TOWER}network.{place}.", f"{TOWER}stages.{stage}.pos_emb.")
        for place, stage in _STAGE_OF_POSITION.items()
    ),
    *(
        (f"{APPLE_TOWER}network.{place}.", f"{TOWER}stages.{stage}.blocks.")
        for place, stage in _STAGE_OF_BLOCKS.items()
    ),
    ("model.mm_projector.0.", "model.multi_modal_projector.linear_1."),
    ("model.mm_projector.2.", "model.multi_modal_projector.linear_2."),
    ("model.layers.", "model.language_model.layers."),
    ("model.embed_tokens.", "model.language_model.embed_tokens."),
    ("model.norm.", "model.language_model.norm."),
    ("lm_head.", "lm_head."),
)


def to_fast_vlm_name(apple_name: str) -> str | None:
    """Name of the tensor in the `fast_vlm` layout, or None where Apple's layout knows none such.

    >>> to_fast_vlm_name("model.mm_projector.0.bias")
    'model.multi_modal_projector.linear_1.bias'
    """
    for theirs, ours in _PREFIXES:
        if apple_name.startswith(theirs):
            rest = apple_name.removeprefix(theirs)
            return ours + (_to_timm(rest) if ".blocks." in ours else rest)
    return None


def to_apple_name(fast_vlm_name: str) -> str | None:
    """Name of the tensor in Apple's layout, or None where the `fast_vlm` layout knows none such."""
    for theirs, ours in _PREFIXES:
        if fast_vlm_name.startswith(ours):
            rest = fast_vlm_name.removeprefix(ours)
            return theirs + (_to_mobileclip(rest) if ".blocks." in ours else rest)
    return None


def tensor_named(state: Mapping[str, AnyTensor], name: str) -> AnyTensor:
    """Return the tensor of that `fast_vlm` name, or what is known about it.

    Raises:
        CheckpointError: there is none, so the checkpoint is not complete.
    """
    if name not in state:
        raise CheckpointError(
            f"the weights hold no tensor {to_apple_name(name)!r}, so this is no complete "
            "checkpoint in Apple's layout. Copy or download it again."
        )
    return state[name]


def _to_timm(rest: str) -> str:
    """`0.convffn.fc1.weight` -> `0.mlp.fc1.weight`; `0.layer_scale_2` -> `0.layer_scale_2.gamma`"""
    rest = re.sub(r"^(\d+)\.convffn\.", r"\1.mlp.", rest)
    return re.sub(r"^(\d+\.layer_scale(_[12])?)$", r"\1.gamma", rest)


def _to_mobileclip(rest: str) -> str:
    rest = re.sub(r"^(\d+)\.mlp\.", r"\1.convffn.", rest)
    return re.sub(r"^(\d+\.layer_scale(_[12])?)\.gamma$", r"\1", rest)
