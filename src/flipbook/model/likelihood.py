"""How likely does a model find each of some answers to a prompt?

    Prompt, ids of each option  ->  rows in which the options share the prompt
                                ->  of each option, the logarithm of its probability

The prompt is read once for all its options, as the questions of one clip share its frames in
training; every option sees the prompt and itself. Its first token is predicted by the last one of
the prompt, and its own last one predicts nothing that is asked for, so it is not read:

    option_ids      (7 8 9)  (7 6)
    row             prompt .  7 8   7          the options' beginnings
    predicted              7  8 9   6
                           7
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from flipbook.data.labels.conversation import IGNORE_INDEX, encode_conversation
from flipbook.data.labels.joining import positions
from flipbook.data.turns import Turn
from flipbook.model.attention import row_arguments, set_attention
from flipbook.model.evaluating import evaluating
from flipbook.model.fastvlm import as_encoder_outputs, plain_model
from flipbook.model.prompt import Prompt, see
from flipbook.model.words import add_image_token

BATCH_TOKENS = 4096  # of a row; a row of one prompt and one option may be longer
# How many scores a row may ask for: in float32, 256 MiB on a CPU and 1 GiB on a GPU.
LOGITS_PER_ROW = {"cpu": 2**26, "cuda": 2**28}


@dataclass(frozen=True)
class Options:
    """Answers that are to be compared after one prompt.

    Attributes:
        option_ids: of each option, int64 (n,), n of 1 or more, its end token among them; see
            `answer_ids`.

    Raises:
        ValueError: there is no option, or a shape or a dtype is another one.
    """

    prompt: Prompt
    option_ids: tuple[Tensor, ...]

    def __post_init__(self) -> None:
        if not self.option_ids:
            raise ValueError(f"prompt {self.prompt.record_id} has no options to compare")
        for ids in self.option_ids:
            if ids.dim() != 1 or ids.dtype != torch.int64 or not len(ids):
                raise ValueError(
                    f"prompt {self.prompt.record_id}: option_ids must be int64 (n,) with n of 1 or "
                    f"more, got {ids.dtype} {tuple(ids.shape)}"
                )


def answer_ids(tokenizer: Any, text: str) -> Tensor:
    """Return the ids with which training supervises an answer, its end token too, int64 (n,).

    Args:
        tokenizer: with the image token and the chat template of its checkpoint.

    Raises:
        RecordError: the answer has no words.
        LabelError: the chat template changes its words.
    """
    template = str(getattr(tokenizer, "chat_template", None))
    return _answer_ids(tokenizer, add_image_token(tokenizer), template, text)


@lru_cache(maxsize=4096)
def _answer_ids(tokenizer: Any, image_token_id: int, _template: str, text: str) -> Tensor:
    encoded = encode_conversation(
        (Turn("user", ("?",)), Turn("assistant", (text,))),
        tokenizer=tokenizer,
        image_token_id=image_token_id,
        frames_per_media=(),
        tokens_per_frame=1,
        record_id=f"option {text!r}",
    )
    return encoded.input_ids[encoded.labels != IGNORE_INDEX]


def option_log_likelihoods(
    model: Any,
    asked: Sequence[Options],
    *,
    image_mean: Sequence[float],
    image_std: Sequence[float],
    batch_tokens: int = BATCH_TOKENS,
) -> list[tuple[float, ...]]:
    """Return the natural log-likelihood of each option right after its prompt, in order.

    Those of an option's tokens, each in float32, are summed. What is in a row depends on nothing
    but `asked`. The model runs in `eval()`; afterwards every module is in the mode in which it was
    found.

    Args:
        model: a FastVLM, or a wrapper around one.
        batch_tokens: of a row. Options that do not fit beside their prompt go into further rows,
            each with the prompt; a prompt with a single option may be longer.

    Raises:
        ValueError: a prompt's image tokens are not as many as it has features, or `batch_tokens`
            is below 1.
        CheckpointError: the language model looks back over a window only.
    """
    if batch_tokens < 1:
        raise ValueError(f"batch_tokens ({batch_tokens}) must be 1 or more")
    found: list[list[float]] = [[] for _ in asked]
    max_targets = _max_targets(model)
    with evaluating(model), _attention_of_rows(model):
        for row in _rows(asked, max_tokens=batch_tokens, max_targets=max_targets):
            options = [part.options for part in row]
            seen = see(
                [one.prompt for one in options], model, image_mean=image_mean, image_std=image_std
            )
            likely = _row_log_likelihoods(model, options, seen.of(range(len(options))))
            for part, values in zip(row, likely, strict=True):
                found[part.number] += values
    return [tuple(values) for values in found]


@dataclass(frozen=True)
class _Part:
    """Some options of `asked[number]`, or all, in one row."""

    number: int
    options: Options

    @property
    def num_tokens(self) -> int:
        """In the row."""
        return len(self.options.prompt) + sum(len(ids) - 1 for ids in self.options.option_ids)

    @property
    def num_targets(self) -> int:
        """How many places are scored, the end of the prompt once for each option."""
        return sum(len(ids) for ids in self.options.option_ids)


def _rows(asked: Sequence[Options], *, max_tokens: int, max_targets: int) -> Iterator[list[_Part]]:
    """Yield what goes into each row, in order."""
    row: list[_Part] = []
    for part in _parts(asked, max_tokens=max_tokens, max_targets=max_targets):
        tokens = sum(one.num_tokens for one in (*row, part))
        targets = sum(one.num_targets for one in (*row, part))
        if row and (tokens > max_tokens or targets > max_targets):
            yield row
            row = []
        row.append(part)
    if row:
        yield row


def _parts(asked: Sequence[Options], *, max_tokens: int, max_targets: int) -> Iterator[_Part]:
    """Yield the options of each prompt, divided where they are too many for one row."""
    for number, options in enumerate(asked):
        chosen: list[Tensor] = []
        for ids in options.option_ids:
            longer = _Part(number, Options(options.prompt, (*chosen, ids)))
            if chosen and (longer.num_tokens > max_tokens or longer.num_targets > max_targets):
                yield _Part(number, Options(options.prompt, tuple(chosen)))
                chosen = []
            chosen.append(ids)
        yield _Part(number, Options(options.prompt, tuple(chosen)))


def _max_targets(model: Any) -> int:
    inner = plain_model(model)
    device_type = next(inner.parameters()).device.type
    limit = LOGITS_PER_ROW.get(device_type, LOGITS_PER_ROW["cuda"])
    return max(1, limit // int(inner.config.text_config.vocab_size))


def _row_log_likelihoods(
    model: Any, asked: Sequence[Options], features: Sequence[Tensor]
) -> list[list[float]]:
    """Return the log-likelihood of each option of a row.

    Args:
        features: what each prompt shows, (N, D); see `Seen.of`.
    """
    device = next(plain_model(model).parameters()).device
    segments = [_segments(options) for options in asked]
    input_ids = torch.cat([_read_ids(options) for options in asked])  # (L,)
    scored = torch.cat(_shifted([_scored_places(options) for options in asked], segments))
    keep = torch.zeros_like(input_ids, dtype=torch.bool)
    keep[scored] = True
    visual = [part for part in features if len(part)]
    seen = {"mm_encoder_outputs": as_encoder_outputs(torch.cat(visual)[None])} if visual else {}
    output = model(
        input_ids=input_ids[None].to(device),
        position_ids=torch.cat([positions(lengths) for lengths in segments])[None].to(device),
        logits_to_keep=keep[None].to(device),
        use_cache=False,
        **row_arguments(model, segments, device=device),
        **seen,
    )
    targets = torch.cat([ids for options in asked for ids in options.option_ids])
    kept = (keep.cumsum(0) - 1)[scored]  # of each target its row among the logits
    tokens = _log_likelihoods(
        output.logits.flatten(0, -2), kept.to(device), targets.to(device)
    ).cpu()
    values = iter(tokens.tolist())  # of each token, in float32
    return [
        [math.fsum(next(values) for _ in ids) for ids in options.option_ids] for options in asked
    ]


def _log_likelihoods(logits: Tensor, rows: Tensor, targets: Tensor) -> Tensor:
    """Return the log-likelihood of targets (N,), each in a row of logits (R, V), float32 (N,)."""
    chosen = logits[rows, targets].float()
    return (
        chosen - torch.cat([part.float().logsumexp(-1) for part in torch.split(logits, 64)])[rows]
    )


def _segments(options: Options) -> tuple[int, ...]:
    """Return the lengths of the prompt, and of each option's beginning where it has one."""
    branches = [len(ids) - 1 for ids in options.option_ids]
    return (len(options.prompt), *(length for length in branches if length))


def _read_ids(options: Options) -> Tensor:
    return torch.cat([options.prompt.input_ids, *(ids[:-1] for ids in options.option_ids)])


def _scored_places(options: Options) -> Tensor:
    """Return which place predicts each token of the options, from the start of the prompt."""
    end = len(options.prompt)
    places = []
    for ids in options.option_ids:
        places += [len(options.prompt) - 1, *range(end, end + len(ids) - 1)]
        end += len(ids) - 1
    return torch.tensor(places)


def _shifted(places: Sequence[Tensor], segments: Sequence[Sequence[int]]) -> list[Tensor]:
    """Return places inside each sample as places inside their row."""
    starts = [0]
    for lengths in segments:
        starts.append(starts[-1] + sum(lengths))
    return [part + start for part, start in zip(places, starts[:-1], strict=True)]


@contextmanager
def _attention_of_rows(model: nn.Module) -> Iterator[None]:
    """Let a model that is loaded with "sdpa" attend to each sample of a row on its own.

    It is the same function. Without being told of rows it would need a mask of every place of the
    row to every other one.
    """
    name = plain_model(model).model.language_model.config._attn_implementation
    if name != "sdpa":
        yield
        return
    set_attention(model, "packed_sdpa")
    try:
        yield
    finally:
        set_attention(model, name)
