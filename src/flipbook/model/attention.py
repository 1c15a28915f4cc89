"""Who computes the attention of a row of samples?

    --attn_implementation, device -> the attention of a language model
    segments of each sample       -> what to tell that attention about one row

On a CPU each sample is attended to on its own, with no work between samples and little between
branches; on a GPU FlexAttention skips the blocks of a row in which nothing is seen.

To add an implementation: a function registered at the end, a line in `IMPLEMENTATIONS`, and what it
must be told of a row in `row_arguments`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention.flex_attention import BlockMask
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.flex_attention import flex_attention_forward
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from flipbook.errors import ArgumentError, CheckpointError, did_you_mean
from flipbook.model.fastvlm import plain_model
from flipbook.model.reach import block_mask, row_mask, row_reach

# From the words of --attn_implementation to the names under which transformers finds the functions.
IMPLEMENTATIONS = {"sdpa": "packed_sdpa", "flex_attention": "packed_flex", "eager": "eager"}


@dataclass(frozen=True)
class SampleSpan:
    """Where one sample of a row stands: its beginning `[start, shared_end)`, its branches to `end`.

    `branch_mask` is bool (1, 1, all branches, all of the sample), what the branches see of it; None
    for one conversation alone, which is all beginning.
    """

    start: int
    end: int
    shared_end: int
    branch_mask: Tensor | None


@dataclass(frozen=True)
class RowLayout:
    """The samples of a row; one thing to a compiler, which would else compile for each number."""

    spans: tuple[SampleSpan, ...]


def choose_attention(name: str, *, device_type: str) -> str:
    """Return transformers' name of the attention for a word of `--attn_implementation`.

    Args:
        name: auto, sdpa, flex_attention or eager.
        device_type: cpu, cuda, ...

    Raises:
        ArgumentError: the word is unknown, or cannot be done, or not on this device.
    """
    if name == "auto":
        name = "flex_attention" if device_type == "cuda" else "sdpa"
    if name.startswith("flash_attention"):
        raise ArgumentError(
            f"--attn_implementation {name}: flash attention takes no masks, so the questions of "
            "one clip could not share its frames. Use auto."
        )
    if name not in IMPLEMENTATIONS:
        known = ["auto", *IMPLEMENTATIONS]
        raise ArgumentError(
            f"--attn_implementation: unknown word {name!r}.{did_you_mean(name, known)} "
            f"Known: {', '.join(known)}."
        )
    if name == "flex_attention" and device_type != "cuda":
        raise ArgumentError(
            "--attn_implementation flex_attention needs a CUDA GPU: elsewhere it computes no "
            f"gradients, and this run is on {device_type}. Use auto."
        )
    return IMPLEMENTATIONS[name]


def set_attention(model: nn.Module, implementation: str) -> None:
    """Let the language model of `model` compute its attention with what `choose_attention` chose.

    Raises:
        CheckpointError: the language model looks back over a window only.
    """
    language_model: Any = plain_model(model).model.language_model
    config = language_model.config
    if "sliding_attention" in (getattr(config, "layer_types", None) or ()):
        raise CheckpointError(
            f"The language model ({config.model_type}) sees only the last {config.sliding_window} "
            "tokens, and samples are packed for models that see all of them. Set "
            "use_sliding_window to false in config.json if its weights allow that."
        )
    language_model.set_attn_implementation(implementation)


def row_arguments(
    model: nn.Module, segments: Sequence[Sequence[int]], *, device: torch.device
) -> dict[str, Any]:
    """Return the arguments of a forward call that tell the attention of `model` about a row.

    Args:
        segments: of each sample in the row, in order; see `flipbook.data.sample.Sample`.

    Raises:
        ValueError: the model's attention is none that knows rows.
    """
    name = plain_model(model).model.language_model.config._attn_implementation
    if name == "packed_sdpa":
        # transformers hands on a mask of four dimensions as it is; without any it would make one.
        unused = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=device)
        layout = RowLayout(sample_spans(segments, device=device))
        return {"attention_mask": unused, "row_layout": layout}
    reach = row_reach(segments, device=device)
    if name == "packed_flex":
        return {"attention_mask": block_mask(reach)}
    seen = row_mask(reach)[None, None]  # (1, 1, L, L)
    if name == "sdpa":
        return {"attention_mask": seen}
    if name == "eager":  # adds its mask to the scores
        lowest = torch.finfo(torch.float32).min
        return {"attention_mask": torch.zeros(seen.shape, device=device).masked_fill(~seen, lowest)}
    raise ValueError(f"attention {name!r} knows no rows; call set_attention first")


def sample_spans(
    segments: Iterable[Sequence[int]], *, device: torch.device | str
) -> tuple[SampleSpan, ...]:
    """Return where the samples of a row stand, with the masks of those that have branches."""
    spans = []
    start = 0
    for lengths in segments:
        first, end = start + lengths[0], start + sum(lengths)
        mask = None
        if len(lengths) > 1:
            mask = row_mask(row_reach([lengths], device=device))[lengths[0] :][None, None]
        spans.append(SampleSpan(start, end, first, mask))
        start = end
    return tuple(spans)


def _packed_sdpa(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    row_layout: RowLayout | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attend within each sample: its beginning causally, then all its branches at once.

    One masked call a sample costs up to twice as much, and one call a branch is no faster.

    Args:
        query, key, value: (1, heads, L, width of a head).
        row_layout: of the row; without them everything is as with "sdpa".
    """
    if row_layout is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)

    def attend(queries: slice, keys: slice, mask: Tensor | None) -> Tensor:
        seen = key[:, :, keys], value[:, :, keys]
        return sdpa_attention_forward(module, query[:, :, queries], *seen, mask, **kwargs)[0]

    parts = []
    for span in row_layout.spans:
        beginning = slice(span.start, span.shared_end)
        parts.append(attend(beginning, beginning, None))  # no mask: causal
        if span.branch_mask is not None:
            whole = slice(span.start, span.end)
            parts.append(attend(slice(span.shared_end, span.end), whole, span.branch_mask))
    return torch.cat(parts, dim=1), None  # (1, L, heads, width)


def _packed_flex(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | BlockMask | None,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """Attend with FlexAttention over a row, and as "sdpa" without one, as in generation."""
    if isinstance(attention_mask, BlockMask):
        return flex_attention_forward(module, query, key, value, attention_mask, **kwargs)
    return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)


for _name, _function in (
    # Not to be compiled: that would be done anew for each way in which a row is divided.
    ("packed_sdpa", torch.compiler.disable(_packed_sdpa)),  # type: ignore[no-untyped-call]
    ("packed_flex", _packed_flex),
):
    AttentionInterface.register(_name, _function)
    AttentionMaskInterface.register(_name, sdpa_mask)
