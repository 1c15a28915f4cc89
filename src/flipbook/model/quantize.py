"""Can the language model be held in 4 or 8 bits here, and how is transformers told?

    "4bit" | "8bit" | None  ->  keyword arguments of from_pretrained

Only the language model's matrices shrink. The vision tower, the projector and the output head stay
as they are: they are small, and their rounding errors would be seen in every token.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import torch

from flipbook.errors import ArgumentError, did_you_mean

KEPT_PARTS = ("model.vision_tower", "model.multi_modal_projector", "lm_head")


def quantization_kwargs(quantize: str | None, *, compute_dtype: torch.dtype) -> dict[str, Any]:
    """Keyword arguments for `from_pretrained`, empty when nothing is to be quantised.

    Raises:
        ArgumentError: the word is unknown, or bitsandbytes or a CUDA GPU is missing.
    """
    if quantize is None:
        return {}
    if quantize not in ("4bit", "8bit"):
        raise ArgumentError(
            f"quantize {quantize!r} is unknown; known are 4bit, 8bit."
            f"{did_you_mean(quantize, ('4bit', '8bit'))}"
        )
    if not torch.cuda.is_available():
        raise ArgumentError(
            f"quantize {quantize!r} needs a CUDA GPU, and there is none here. Leave it out; for "
            "less memory take smaller frames, or train the projector alone."
        )
    if importlib.util.find_spec("bitsandbytes") is None:
        raise ArgumentError(
            f"quantize {quantize!r} needs bitsandbytes, which is not installed. "
            "Run: pip install 'flipbook-vlm[quantization]'."
        )
    from transformers import BitsAndBytesConfig  # noqa: PLC0415  (imports only what is needed)

    config = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=quantize == "4bit",
        load_in_8bit=quantize == "8bit",
        bnb_4bit_quant_type="nf4",  # QLoRA, section 3
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute_dtype,
        llm_int8_skip_modules=list(KEPT_PARTS),
    )
    return {"quantization_config": config, "device_map": {"": torch.cuda.current_device()}}
