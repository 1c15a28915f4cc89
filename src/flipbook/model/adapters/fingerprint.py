"""Are these the same weights, whatever the layout and precision they are stored in?

    model, number of words  ->  one hash for each part: vision_tower, projector, embeddings, ...

A hash is taken over float32 values under the names of the `fast_vlm` layout, so both layouts give
the same one, and so does a copy in a precision that loses nothing. Left out is what may differ
between equal models: the head where it is tied to the embeddings, and the rows of both that stand
for no word or for `<image>`, in whose place a picture is read.

To add a part: one line in `FINGERPRINTED`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import xxhash
from torch import Tensor

FINGERPRINTED = {  # part -> how the names of its tensors begin, the first that fits counts
    "vision_tower": "model.vision_tower.",
    "projector": "model.multi_modal_projector.",
    "embeddings": "model.language_model.embed_tokens.",
    "language_model": "model.language_model.",
    "head": "lm_head.",
}
_ROWS_ARE_WORDS = ("embeddings", "head")
_CHUNK = 1 << 22  # values hashed at a time: 16 MB, so a large tensor costs little memory


def fingerprint_parts(model: Any, *, num_words: int) -> dict[str, str]:
    """Hash of each part of a model in the `fast_vlm` layout; a tied head has none.

    Args:
        model: a `FastVlmForConditionalGeneration` whose weights are as stored, or float32.
        num_words: the rows of the embeddings that stand for words.
    """
    hashes = {part: xxhash.xxh3_128() for part in FINGERPRINTED}
    image_token_id = model.config.image_token_id
    used = set()
    for name, tensor in sorted(model.state_dict().items()):
        part = part_of_tensor(name)
        if part == "head" and model.config.tie_word_embeddings:
            continue
        used.add(part)
        pieces = [tensor]
        if part in _ROWS_ARE_WORDS:
            pieces = [tensor[:image_token_id], tensor[image_token_id + 1 : num_words]]
        hashes[part].update(f"{name} {[list(piece.shape) for piece in pieces]}".encode())
        for piece in pieces:
            _add_values(hashes[part], piece)
    return {part: hashes[part].hexdigest() for part in FINGERPRINTED if part in used}


def fingerprint_tensors(tensors: Mapping[str, Tensor]) -> str:
    """Hash of named tensors, whatever their order and device."""
    hashed = xxhash.xxh3_128()
    for name, tensor in sorted(tensors.items()):
        hashed.update(f"{name} {list(tensor.shape)}".encode())
        _add_values(hashed, tensor)
    return hashed.hexdigest()


def fingerprint_words(tokenizer: Any) -> str:
    """Hash of which words a tokenizer knows, and under which numbers."""
    words = sorted((number, word) for word, number in tokenizer.get_vocab().items())
    text = "\n".join(f"{number} {word}" for number, word in words)
    return xxhash.xxh3_128_hexdigest(text.encode())


def part_of_tensor(name: str) -> str:
    """Part of `FINGERPRINTED` that a tensor belongs to, by its `fast_vlm` name."""
    return next(part for part, prefix in FINGERPRINTED.items() if name.startswith(prefix))


@torch.no_grad()
def _add_values(hashed: Any, tensor: Tensor) -> None:
    values = tensor.detach().reshape(-1)
    for start in range(0, len(values), _CHUNK):
        chunk = values[start : start + _CHUNK]
        hashed.update(chunk.to("cpu", torch.float32).contiguous().numpy())
