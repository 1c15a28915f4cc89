"""Of which models and batches is the memory of a step measured?

    Case: sizes -> configuration, arguments, StepShape

Towers are FastVLM's own or the embedded model's; language models are Qwen2 of several sizes.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from transformers import FastVlmConfig

from flipbook.train.arguments import (
    Arguments,
    DataArguments,
    ModelArguments,
    TrainingArguments,
)
from flipbook.train.planning.forecast import StepShape

sys.path.append(str(Path(__file__).parents[1] / "scripts"))
from make_random_checkpoint import NUM_ROWS, TEXT_SIZES, TINY_TOWER

IMAGE_TOKEN_ID = 5
ANSWER_TOKENS = 12  # learned of each question
# width, feed-forward width, layers, heads, key-value heads, rows of the vocabulary
TEXTS: dict[str, tuple[int, int, int, int, int, int]] = {
    "a": (256, 1024, 6, 4, 2, 8_000),
    "b": (512, 2048, 8, 8, 2, 32_000),
    "c": (768, 3072, 10, 12, 4, 64_000),
    "d": (640, 3456, 12, 10, 2, 48_000),  # held out
    "e": (384, 1408, 16, 6, 2, 20_000),  # held out
    "f": (448, 1792, 20, 7, 1, 24_000),  # held out
    "g": (896, 4864, 4, 14, 2, 8_000),  # held out: few layers, as wide as FastVLM-0.5B's
    "0.5b": (*TEXT_SIZES["0.5b"].values(), NUM_ROWS),  # held out
}


@dataclass(frozen=True)
class Case:
    """One step that is measured: a model, what of it learns, and a batch.

    Attributes:
        text: of `TEXTS`; `tower`: tiny or true.
        samples: of the batch, each with `frames` frames of `side` px and `words` tokens of text.
        lora: rank of adapters; 0 for none.
        parts: that train.
        bf16: whether the step is multiplied in bfloat16, frozen weights included.
        recompute: whether activations are computed twice.
    """

    text: str
    tower: str = "tiny"
    samples: int = 4
    frames: int = 8
    side: int = 256
    words: int = 100
    lora: int = 0
    parts: str = "projector language_model"
    bf16: bool = False
    recompute: bool = False

    @property
    def sample_tokens(self) -> int:
        """Tokens of a sample; a line break follows each frame."""
        return self.frames * ((self.side // 64) ** 2 + 1) + self.words


ALL_PARTS = "vision_tower projector language_model"
BATCHES = {  # samples, frames, side
    "a": ((1, 4, 256), (4, 8, 256), (8, 8, 512)),
    "b": ((1, 4, 256), (4, 8, 256), (2, 8, 512)),
    "c": ((1, 4, 256), (2, 8, 256), (1, 8, 512)),
}
CASES = (
    *(
        Case(text, samples=samples, frames=frames, side=side, lora=lora)
        for text, batches in BATCHES.items()
        for lora in (0, 16)
        for samples, frames, side in batches
    ),
    Case("b", samples=2, frames=8, side=384, lora=64),
    Case("c", samples=1, frames=4, side=256, words=400),
    Case("a", samples=16, frames=16, side=256, lora=16),
    Case("a", samples=8, frames=8, side=512, bf16=True),
    Case("b", samples=2, frames=8, side=256, bf16=True, lora=16),
    Case("b", samples=2, frames=8, side=256, bf16=True),
    Case("a", samples=8, frames=8, side=512, recompute=True),
    Case("b", samples=4, frames=8, side=256, recompute=True),
    Case("a", samples=8, frames=8, side=512, recompute=True, lora=16),
    Case("a", "true", samples=1, frames=4, side=256, lora=16),
    Case("a", "true", samples=1, frames=2, side=512, lora=16),
    Case("b", "true", samples=1, frames=1, side=1024),
    Case("a", "true", samples=1, frames=2, side=256, parts=ALL_PARTS),
    Case("b", "true", samples=1, frames=1, side=512, parts=ALL_PARTS),
    Case("b", "true", samples=1, frames=2, side=256, parts=ALL_PARTS, recompute=True),
    Case("a", samples=4, frames=8, side=512, parts=ALL_PARTS, lora=16),
    Case("a", samples=4, frames=8, side=512, parts=ALL_PARTS, recompute=True),
)
HELD_OUT = (
    Case("d", samples=1, frames=6, side=256),
    Case("d", samples=1, frames=12, side=320),
    Case("d", samples=2, frames=4, side=384, lora=8),
    Case("d", samples=1, frames=8, side=384, lora=16),
    Case("d", samples=2, frames=4, side=384, recompute=True),
    Case("d", samples=1, frames=6, side=256, bf16=True, lora=16),
    Case("d", "true", samples=1, frames=2, side=384, lora=16),
    Case("d", "true", samples=1, frames=1, side=384, parts=ALL_PARTS),
    Case("e", samples=3, frames=8, side=256),
    Case("e", samples=3, frames=8, side=256, lora=16),
    Case("e", samples=3, frames=8, side=256, lora=16, recompute=True),
    Case("e", samples=3, frames=8, side=256, bf16=True),
    Case("f", samples=2, frames=6, side=320, lora=8),
    Case("f", samples=2, frames=6, side=320, lora=8, recompute=True),
    Case("f", samples=2, frames=6, side=320, recompute=True),
    Case("g", samples=4, frames=8, side=512, lora=16),
    Case("g", samples=4, frames=8, side=512, lora=16, recompute=True),
    Case("0.5b", "true", samples=1, frames=4, side=256, lora=16),
    Case("0.5b", "true", samples=1, frames=4, side=256),
)
SMOKE = (Case("a", samples=1, frames=2, side=128), Case("a", samples=1, frames=2, side=128, lora=4))


def config_of(case: Case) -> FastVlmConfig:
    """Return the configuration of a case's model; its head is tied, as FastVLM-0.5B's."""
    width, inner, layers, heads, key_value_heads, rows = TEXTS[case.text]
    tiny = case.tower == "tiny"
    return FastVlmConfig(
        text_config={
            "model_type": "qwen2",
            "hidden_size": width,
            "intermediate_size": inner,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "num_key_value_heads": key_value_heads,
            "vocab_size": rows,
            "tie_word_embeddings": True,
        },
        vision_config={
            "model_type": "timm_wrapper",
            "architecture": "fastvit_mci3",
            "global_pool": "avg",
            "hidden_size": 2 * TINY_TOWER["embed_dims"][-1] if tiny else 3072,
            "model_args": {"inference_mode": True} | (TINY_TOWER if tiny else {}),
        },
        image_token_index=IMAGE_TOKEN_ID,
        image_seq_length=(case.side // 64) ** 2,
        tie_word_embeddings=True,
    )


def arguments_of(case: Case) -> Arguments:
    """Return the arguments of a run that takes such steps."""
    return Arguments(
        ModelArguments(train_parts=case.parts.split(), lora_r=case.lora),
        DataArguments(),
        TrainingArguments(
            use_cpu=True,
            report_to="none",
            bf16=case.bf16,
            activation_checkpointing=case.recompute,
        ),
    )


def step_of(case: Case) -> StepShape:
    """Return the shape of a case's step."""
    return StepShape(
        num_tokens=case.samples * case.sample_tokens,
        num_targets=case.samples * ANSWER_TOKENS,
        num_frames=case.samples * case.frames,
        side_px=case.side,
        recomputes=case.recompute,
    )
