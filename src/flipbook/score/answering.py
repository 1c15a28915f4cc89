"""Which answers does a model give to questions, under each control?

    AskedQuestions  ->  portions of clips  ->  for each control: prompts  ->  Answers, in order

A clip is seen once for all its questions and all controls. What is in a portion, and so in a batch,
is the same on any number of processes: so is every bit of an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, NamedTuple

from flipbook.data.features.store import FeatureStore
from flipbook.data.turns import Media
from flipbook.model.checkpoint import Checkpoint
from flipbook.model.generation import Prompt, generate_answers
from flipbook.model.likelihood import Options, answer_ids, option_log_likelihoods
from flipbook.score.controls import (
    CONTROLS,
    FULL,
    OTHER_CLIP,
    TEXT_ONLY,
    with_other_clips,
    without_media,
)
from flipbook.score.kinds.choice import reordered
from flipbook.score.kinds.options import spoken_options
from flipbook.score.prediction import Answer
from flipbook.score.processes import in_all
from flipbook.score.prompts import prompt_ids
from flipbook.score.questions import MULTIPLE_CHOICE, AskedQuestion
from flipbook.score.seen import Sight
from flipbook.score.sparse import agreed_answers, mean_scores, stretches_of
from flipbook.video.settings import ClipSettings

NUM_BATCHES = 4  # of a portion, at most
MAX_PORTION_BYTES = 256 * 1024 * 1024  # of tower features, before controls give them other orders
BYTES_OF_FLOAT = 4
OnProgress = Callable[[int, int], None]


def answer_questions(
    checkpoint: Checkpoint,
    questions: Sequence[AskedQuestion],
    *,
    settings: ClipSettings,
    controls: Sequence[str] = (FULL,),
    store: FeatureStore | None = None,
    batch_size: int = 16,
    max_new_tokens: int = 64,
    score_options: bool = True,
    model: Any = None,
    divided: bool = True,
    on_progress: OnProgress | None = None,
) -> dict[str, list[Answer | None]]:
    """Return, for each control, the answer to each question, in their order, in every process.

    None stands where a control has nothing to show: no other clip, or no words without pictures.

    Args:
        checkpoint: its tokenizer and how its pictures are normalised; its model where `model` is
            None.
        settings: how clips are read.
        store: of tower features; None encodes each clip here.
        score_options: how likely each option is, where a question has some, is told beside the
            generated answer; under "full" also which is the most likely in another order.
        divided: see `flipbook.score.processes.in_all`.
        on_progress: is told how many questions are done, and of how many.

    Raises:
        MediaError: a clip or picture cannot be read.
        RecordError: a prompt cannot be made, or is longer than the language model may read.
    """
    questions = tuple(questions)
    asked = {control: _under(control, questions) for control in controls}
    portions = list(_portions(questions, settings, checkpoint, most=batch_size * NUM_BATCHES))
    model = checkpoint.model if model is None else model
    examiner = _Examiner(
        checkpoint,
        model,
        tuple(Sight(model, checkpoint, one, store) for one in stretches_of(settings)),
        batch_size=batch_size,
        max_new_tokens=max_new_tokens,
        score_options=score_options,
    )

    def work(places: list[int]) -> list[_Answered]:
        put = [(c, p, q) for c in controls for p in places if (q := asked[c][p]) is not None]
        return examiner.answer([_Put(*one) for one in put])

    def tell(num_portions: int) -> None:
        if on_progress is not None:
            on_progress(sum(map(len, portions[:num_portions])), len(questions))

    answers: dict[str, list[Answer | None]] = {c: [None] * len(questions) for c in controls}
    for portion in in_all(portions, work, divided=divided, on_done=tell):
        for control, place, answer in portion:
            answers[control][place] = answer
    return answers


class _Put(NamedTuple):
    """A question as a control puts it, and where its answer belongs."""

    control: str
    place: int
    question: AskedQuestion


class _Answered(NamedTuple):
    control: str
    place: int
    answer: Answer


def _under(control: str, questions: Sequence[AskedQuestion]) -> Sequence[AskedQuestion | None]:
    """Return each question as a control puts it; None where it has nothing to put."""
    if control not in CONTROLS:
        raise ValueError(f"unknown control {control!r}; known are {', '.join(CONTROLS)}")
    if control == OTHER_CLIP:
        return with_other_clips(questions)
    if control == TEXT_ONLY:
        return [without_media(question) for question in questions]
    return questions


def _portions(
    questions: Sequence[AskedQuestion],
    settings: ClipSettings,
    checkpoint: Checkpoint,
    *,
    most: int,
) -> Iterator[list[int]]:
    """Yield the places of at most `most` questions and no more features than may be held.

    Questions about the same clip stand together. Nothing but the questions and how they are asked
    decides what is in a portion.
    """
    by_media: dict[tuple[Media, ...], list[int]] = {}
    for place, question in enumerate(questions):
        by_media.setdefault(question.media, []).append(place)
    width: int = checkpoint.model.config.vision_config.hidden_size
    num_stretches = len(stretches_of(settings))
    portion: list[int] = []
    portion_bytes = 0
    for media, places in by_media.items():
        num_tokens = sum(_most_tokens(item, settings) for item in media) * num_stretches
        clip_bytes = num_tokens * width * BYTES_OF_FLOAT
        for start in range(0, len(places), most):
            part = places[start : start + most]
            is_full = len(portion) + len(part) > most
            if portion and (is_full or portion_bytes + clip_bytes > MAX_PORTION_BYTES):
                yield portion
                portion, portion_bytes = [], 0
            portion += part
            portion_bytes += clip_bytes
    if portion:
        yield portion


def _most_tokens(item: Media, settings: ClipSettings) -> int:
    """Return the most visual tokens that a clip or picture can have, without opening it."""
    own = item.view.over(settings)
    if item.kind == "image":
        return own.tokens_per_frame
    at_most = own.max_frames if own.sampler == "fps" else own.num_frames
    return max(len(item.view.times_s), at_most) * own.tokens_per_frame


@dataclass(frozen=True)
class _Examiner:
    """Puts questions to one model."""

    checkpoint: Checkpoint
    model: Any
    sights: tuple[Sight, ...]  # one for each stretch of a clip
    _: KW_ONLY
    batch_size: int
    max_new_tokens: int
    score_options: bool

    def answer(self, asked: Sequence[_Put]) -> list[_Answered]:
        """Return the answers to the questions of a portion."""
        prompts = [self._prompts(one.control, one.question) for one in asked]
        texts = self._texts(prompts)
        likely = self._log_likelihoods(asked, prompts) if self.score_options else {}
        again = self._reordered(asked) if self.score_options else {}
        for sight in self.sights:
            sight.forget()
        return [
            _Answered(
                one.control,
                one.place,
                Answer(text, likely.get(number, ()), again.get(number)),
            )
            for number, (one, text) in enumerate(zip(asked, texts, strict=True))
        ]

    def _texts(self, prompts: Sequence[Sequence[Prompt]]) -> list[str]:
        """Return the answer to each question, put with a prompt for each stretch."""
        given = iter(
            generate_answers(
                self.model,
                self.checkpoint.tokenizer,
                [prompt for one in prompts for prompt in one],
                batch_size=self.batch_size,
                max_new_tokens=self.max_new_tokens,
                **self._normalisation(),
            )
        )
        texts = [[next(given) for _ in one] for one in prompts]
        return agreed_answers(
            texts, prompts, tokenizer=self.checkpoint.tokenizer, score=self._score
        )

    def _log_likelihoods(
        self, asked: Sequence[_Put], prompts: Sequence[Sequence[Prompt]]
    ) -> dict[int, tuple[float, ...]]:
        """Return how likely each option is, by the number of its question."""
        chosen = [number for number, one in enumerate(asked) if one.question.options]
        options = [self._options(asked[n].question, prompts[n]) for n in chosen]
        return dict(zip(chosen, self._score(options), strict=True))

    def _reordered(self, asked: Sequence[_Put]) -> dict[int, int]:
        """Return which option is the most likely when they are asked in another order."""
        found: dict[int, tuple[list[Options], tuple[int, ...]]] = {}
        for number, one in enumerate(asked):
            if one.control == FULL and one.question.kind == MULTIPLE_CHOICE:
                other = reordered(one.question)
                if other is not None:
                    prompts = self._prompts(one.control, other[0])
                    found[number] = self._options(other[0], prompts), other[1]
        scored = self._score([options for options, _ in found.values()])
        return {
            number: old_places[likely.index(max(likely))]
            for (number, (_, old_places)), likely in zip(found.items(), scored, strict=True)
        }

    def _prompts(self, control: str, question: AskedQuestion) -> list[Prompt]:
        """Return a prompt for each stretch; a single one where no clip is shown."""
        has_clip = any(item.kind == "video" for item in question.media)
        sights = self.sights if has_clip else self.sights[:1]
        return [self._prompt(control, question, sight) for sight in sights]

    def _prompt(self, control: str, question: AskedQuestion, sight: Sight) -> Prompt:
        media = question.media
        seen = sight.look(media, control=control, record_id=question.record_id)
        input_ids = prompt_ids(
            self.checkpoint,
            question.turns,
            frames_per_media=seen.frames_per_media,
            settings=sight.settings,
            record_id=question.record_id,
        )
        return Prompt(question.record_id, input_ids, features=seen.features)

    def _options(self, question: AskedQuestion, prompts: Sequence[Prompt]) -> list[Options]:
        words = spoken_options(question)
        ids = tuple(answer_ids(self.checkpoint.tokenizer, w) for w in words)
        return [Options(prompt, ids) for prompt in prompts]

    def _score(self, options: Sequence[Sequence[Options]]) -> list[tuple[float, ...]]:
        """Return each option's mean log-likelihood over the stretches of its question."""
        flat = [after_one for one in options for after_one in one]
        found = iter(option_log_likelihoods(self.model, flat, **self._normalisation()))
        return [mean_scores([next(found) for _ in one]) for one in options]

    def _normalisation(self) -> dict[str, Any]:
        return {
            "image_mean": self.checkpoint.image_mean,
            "image_std": self.checkpoint.image_std,
        }
