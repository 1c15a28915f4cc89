"""Which tensors does a folder in Apple's layout hold, and under which names?

    tensors of llava_qwen2  ->  the same memory under `fast_vlm` names, a row for every word
    tensors of fast_vlm     ->  the same memory under Apple's names

Apple's placeholder for an image is the number -200, which is no word of the vocabulary; here it is
the word `<image>`, which may need a row more in the embeddings. No value of a tensor ever changes.
What may differ after there and back: the rows that were added, and the constant `head.proj`, which
no part of FastVLM reads.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from flipbook.errors import CheckpointError
from flipbook.model.apple.names import (
    CONSTANT_TENSOR,
    EMBEDDINGS,
    HEAD,
    TOWER,
    tensor_named,
    to_apple_name,
    to_fast_vlm_name,
)

ROWS_MULTIPLE = 64  # matrix kernels want the vocabulary in multiples of 64


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
    if not torch.equal(state[HEAD], tensor_named(state, EMBEDDINGS)):
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


def to_apple_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of the `fast_vlm` layout under Apple's names, the same memory.

    The output head is stored even where it is tied to the embeddings, as in Apple's files, and the
    constant `head.proj`, which is no part of the other layout, is filled with zeros.

    Raises:
        CheckpointError: a tensor has no name in Apple's layout.
    """
    tensors = rename_all(state, to_apple_name, layout="Apple's layout")
    tensors.setdefault(HEAD, state[EMBEDDINGS])
    last = state[f"{TOWER}final_conv.reparam_conv.weight"]
    width = last.shape[0]
    return {**tensors, CONSTANT_TENSOR: torch.zeros(width, width // 4, dtype=last.dtype)}


def rename_all(
    state: dict[str, Tensor], name_of: Callable[[str], str | None], *, layout: str
) -> dict[str, Tensor]:
    """Tensors under the names that `name_of` gives them, the same memory.

    Args:
        state: in the `fast_vlm` layout.
        name_of: a tensor's name in the other layout, or None where it has none there.
        layout: what the other is called in an error.

    Raises:
        CheckpointError: a tensor has no name in the other layout.
    """
    renamed = {name: name_of(name) for name in state}
    unknown = sorted(name for name, new in renamed.items() if new is None)
    if unknown:
        raise CheckpointError(
            f"these tensors have no name in {layout}: {', '.join(unknown[:5])}. Merge adapters "
            "into the model first, and export weights that are not quantised."
        )
    return {str(renamed[name]): tensor for name, tensor in state.items()}
