"""What does an answer of this model cost?

    Checkpoint, questions, clip settings  ->  Cost: times in ms, tokens, memory  ->  cost.json

One question at a time, as one person asks. Decoding a clip is not counted: it depends on the file
more than on the model.

    frames  --encode_ms-->  what the language model reads  --prefill_ms-->  first token
                                                           --ms_per_token-->  each further one
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from flipbook.data.media import MediaVisuals, read_visuals
from flipbook.data.sample import Visual
from flipbook.evaluate.peak import PeakMemory
from flipbook.model.checkpoint import Checkpoint
from flipbook.model.evaluating import evaluating
from flipbook.model.fastvlm import as_encoder_outputs, tower_features
from flipbook.model.pooling import pool_visuals
from flipbook.model.prompt import Prompt, see
from flipbook.score.prompts import prompt_ids
from flipbook.score.questions import AskedQuestion, choose_questions
from flipbook.video.settings import ClipSettings

Result = TypeVar("Result")
FEWEST_NEW_TOKENS = 8  # fewer tell the clock's noise


@dataclass(frozen=True)
class Spread:
    """The middle of some numbers, and their 10th and 90th percentile."""

    median: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What answers cost, one question at a time.

    Attributes:
        device: its kind, and its name or number of threads.
        dtype: of the weights.
        num_questions: that were measured.
        frames: that the tower sees of a question, the middle number; `frame_size` is in px.
        visual_tokens, prompt_tokens: of a question; visual ones are part of its prompt.
        encode_ms: vision tower and projector, all of a question's clips and pictures.
        prefill_ms: from there to the first token.
        ms_per_token: of each further token.
        peak_memory_bytes: see `peak_memory_is`.
    """

    device: str
    dtype: str
    num_questions: int
    frames: int
    frame_size: int
    visual_tokens: Spread
    prompt_tokens: Spread
    encode_ms: Spread
    prefill_ms: Spread
    ms_per_token: Spread
    peak_memory_bytes: int
    peak_memory_is: str

    @property
    def latency_ms(self) -> float:
        """From decoded frames to the first token, medians added."""
        return self.encode_ms.median + self.prefill_ms.median

    def as_dict(self) -> dict[str, Any]:
        """Return the content of cost.json."""
        return asdict(self)


def measure_cost(
    checkpoint: Checkpoint,
    questions: Sequence[AskedQuestion],
    *,
    settings: ClipSettings,
    num_questions: int = 8,
    num_new_tokens: int = 16,
) -> Cost:
    """Return what answers cost on the device where the model is.

    The first question is answered once more before, so that nothing is loaded or compiled while
    the clock runs. Tokens are the most likely ones, as in an answer, and go on after its end: every
    question pays for as many. Where answers are taken over several stretches of a clip, this is
    the cost of one of them.

    Args:
        questions: of these, `num_questions` are measured, even over tasks.
        settings: how clips are read.
        num_new_tokens: 8 or more.

    Raises:
        MediaError, RecordError: a clip or a prompt is bad.
        ValueError: there are no questions, or fewer than 8 tokens to time.
    """
    chosen = choose_questions(questions, num_questions)
    if not chosen or num_new_tokens < FEWEST_NEW_TOKENS:
        raise ValueError(
            f"{len(chosen)} questions and {num_new_tokens} tokens: cost needs at least 1 question "
            f"and {FEWEST_NEW_TOKENS} tokens"
        )
    clock = _Clock(checkpoint, settings, num_new_tokens)
    with evaluating(checkpoint.model):
        clock.measure(chosen[0])
        peak = PeakMemory(checkpoint.model.device)
        measured = []
        for question in chosen:
            measured.append(clock.measure(question))
            peak.note()
    of_each = {name: [getattr(m, name) for m in measured] for name in _Measured._fields}
    num_frames = of_each.pop("num_frames")
    return Cost(
        device=device_name(checkpoint.model.device),
        dtype=str(checkpoint.model.dtype).removeprefix("torch."),
        num_questions=len(chosen),
        frames=int(median(num_frames)),
        frame_size=settings.frame_size,
        peak_memory_bytes=peak.num_bytes,
        peak_memory_is=peak.meaning,
        **{name: spread_of(values) for name, values in of_each.items()},
    )


def spread_of(values: Sequence[float]) -> Spread:
    """Return the middle of one or more numbers, and their 10th and 90th percentile."""
    low, middle, high = np.percentile(np.array(values, dtype=np.float64), [10, 50, 90]).tolist()
    return Spread(middle, low, high)


def device_name(device: torch.device) -> str:
    """Return what computes, as "cuda, NVIDIA H100" or "cpu, 8 threads"."""
    if device.type == "cuda":
        return f"cuda, {torch.cuda.get_device_name(device)}"
    if device.type == "cpu":
        number = torch.get_num_threads()
        return f"cpu, {number} thread{'s' if number > 1 else ''}"
    return device.type


class _Measured(NamedTuple):
    """Of one question."""

    num_frames: int
    visual_tokens: int
    prompt_tokens: int
    encode_ms: float
    prefill_ms: float
    ms_per_token: float


class _Clock:
    """Answers single questions with the clock in hand."""

    def __init__(self, checkpoint: Checkpoint, settings: ClipSettings, num_new_tokens: int) -> None:
        self.checkpoint = checkpoint
        self.settings = settings
        self.num_new_tokens = num_new_tokens
        self.rule = {
            "image_mean": checkpoint.image_mean,
            "image_std": checkpoint.image_std,
        }

    def measure(self, question: AskedQuestion) -> _Measured:
        """Return what an answer to one question costs."""
        read = read_visuals(question.media, self.settings)
        model, device = self.checkpoint.model, self.checkpoint.model.device
        seen, tower_ms = self._timed(lambda: self._through_tower(read.visuals))
        prompt = self._prompt(question, read, seen)
        features, project_ms = self._timed(lambda: see([prompt], model, **self.rule).of([0])[0])
        ids = prompt.input_ids[None].to(device)
        (token, cache), prefill_ms = self._timed(lambda: self._first(ids, features))
        _, further_ms = self._timed(lambda: self._further(token, cache))
        return _Measured(
            num_frames=sum(visual.num_frames for visual in read.visuals),
            visual_tokens=len(features),
            prompt_tokens=len(prompt),
            encode_ms=tower_ms + project_ms,
            prefill_ms=prefill_ms,
            ms_per_token=further_ms / (self.num_new_tokens - 1),
        )

    def _through_tower(self, visuals: Sequence[Visual]) -> tuple[Tensor, ...]:
        """Return tower features (T, P, C) of each visual, pooled as its layout asks."""
        model = self.checkpoint.model
        frames = [visual.frames for visual in visuals if visual.frames is not None]
        return tuple(
            pool_visuals(visuals, [tower_features(model, part, **self.rule) for part in frames])
        )

    def _prompt(
        self, question: AskedQuestion, read: MediaVisuals, seen: tuple[Tensor, ...]
    ) -> Prompt:
        input_ids = prompt_ids(
            self.checkpoint,
            question.turns,
            frames_per_media=read.frames_per_media,
            settings=self.settings,
            record_id=question.record_id,
        )
        return Prompt(question.record_id, input_ids, features=seen)

    def _first(self, ids: Tensor, features: Tensor) -> tuple[Tensor, Any]:
        """Return the first token of the answer, (1, 1), and what the model remembers."""
        seen = {"mm_encoder_outputs": as_encoder_outputs(features[None])} if len(features) else {}
        output = self.checkpoint.model(input_ids=ids, use_cache=True, logits_to_keep=1, **seen)
        return output.logits[:, -1:].argmax(-1), output.past_key_values

    def _further(self, token: Tensor, cache: Any) -> None:
        for _ in range(self.num_new_tokens - 1):
            output = self.checkpoint.model(input_ids=token, past_key_values=cache, use_cache=True)
            token, cache = output.logits[:, -1:].argmax(-1), output.past_key_values

    def _timed(self, work: Callable[[], Result]) -> tuple[Result, float]:
        """Return what `work` returns, and how many ms it took until the device was done."""
        self._wait()
        start = time.perf_counter()
        result = work()
        self._wait()
        return result, (time.perf_counter() - start) * 1000.0

    def _wait(self) -> None:
        device = self.checkpoint.model.device
        if device.type != "cpu":
            torch.accelerator.synchronize(device)
