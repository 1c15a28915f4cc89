"""How is a question answered that several stretches of a clip are shown for?

    ClipSettings                         ->  the settings of each stretch
    how likely an answer is after each   ->  its mean
    the answer that is given after each  ->  the one that is likeliest after all of them

The sampler `sparse` shows one drawn stretch in training. Afterwards a question is put once for each
of `num_clips` stretches, at equal distances over the clip. With any other sampler there is one, and
nothing changes.

Source: Lei et al., Less is More: ClipBERT (2021), section 3: scores of clips are averaged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from flipbook.model.likelihood import Options, answer_ids
from flipbook.model.prompt import Prompt
from flipbook.video.settings import ClipSettings

Score = Callable[[Sequence[Sequence[Options]]], list[tuple[float, ...]]]


def stretches_of(settings: ClipSettings) -> tuple[ClipSettings, ...]:
    """Return the settings with which each stretch of a clip is seen, from the first to the last.

    They go by the sampler of the run: a clip that names `sparse` for itself is seen in its middle.

        num_clips 3   ->   clip_place 0.0, 0.5, 1.0
        num_clips 1   ->   as it stands in the settings
    """
    last = settings.num_clips - 1
    if settings.sampler != "sparse" or not last:
        return (settings,)
    return tuple(replace(settings, clip_place=place / last) for place in range(last + 1))


def mean_scores(scores: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """Return the mean of each option's scores (N,) over stretches (S, N)."""
    return tuple(math.fsum(values) / len(scores) for values in zip(*scores, strict=True))


def agreed_answers(
    texts: Sequence[Sequence[str]],
    prompts: Sequence[Sequence[Prompt]],
    *,
    tokenizer: Any,
    score: Score,
) -> list[str]:
    """Return of each question the answer that is likeliest on the mean over its stretches.

    Of equally likely ones the first is taken. Blank answers stand back behind any with words.

    Args:
        texts: what was answered after each stretch.
        prompts: with which it was asked.
        score: gives each option's mean log-likelihood over the stretches of a question.
    """
    different = [list(dict.fromkeys(text for text in given if text)) for given in texts]
    open_ones = [number for number, given in enumerate(different) if len(given) > 1]
    likely = score([_options(prompts[n], different[n], tokenizer) for n in open_ones])
    chosen = [given[0] if given else "" for given in different]
    for number, values in zip(open_ones, likely, strict=True):
        chosen[number] = different[number][values.index(max(values))]
    return chosen


def _options(prompts: Sequence[Prompt], texts: Sequence[str], tokenizer: Any) -> list[Options]:
    ids = tuple(answer_ids(tokenizer, text) for text in texts)
    return [Options(prompt, ids) for prompt in prompts]
