"""Which answers does a model give to the questions of a data set, and are they right?

    Records  ->  Questions  ->  for each clip: frames, once  ->  for each control: Predictions

A question is every assistant turn with words in it; the turns before it are shown as they stand in
the record. The clip is decoded once for all its questions and all controls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from flipbook.data.conversation import encode_prompt
from flipbook.data.media import media_of, read_media, tokens_per_frame
from flipbook.data.records import Media, Record, Turn
from flipbook.evaluate.controls import apply_control
from flipbook.model.checkpoint import Checkpoint
from flipbook.model.generation import Prompt, answers_match, generate_answers
from flipbook.video.settings import ClipSettings

MAX_FRAMES_HELD_BYTES = 256 * 1024 * 1024
MAX_PROMPTS_HELD = 512  # also where clips are small, so that progress is seen
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class AskedQuestion:
    """One answer to be given: a conversation up to, and with, the assistant turn that answers it.

    Raises:
        ValueError: `turns` does not end with an assistant turn.
    """

    record_id: str
    task: str | None
    turns: tuple[Turn, ...]

    def __post_init__(self) -> None:
        if not self.turns or self.turns[-1].role != "assistant":
            raise ValueError(f"question of {self.record_id} does not end with an assistant turn")

    @property
    def text(self) -> str:
        """The words of the last user turn, without its media."""
        asked = [turn for turn in self.turns if turn.role == "user"]
        return asked[-1].text.strip() if asked else ""

    @property
    def reference(self) -> str:
        """The answer that the record gives."""
        return self.turns[-1].text.strip()


@dataclass(frozen=True)
class Prediction:
    """What a model answered to one question, and whether that was right."""

    record_id: str
    task: str | None
    question: str
    reference: str
    answer: str
    correct: bool


def questions_of(records: Iterable[Record]) -> tuple[AskedQuestion, ...]:
    """Return every question of the records, in order."""
    return tuple(
        AskedQuestion(record.id, record.task, turns[: place + 1])
        for record in records
        for turns in record.conversations
        for place, turn in enumerate(turns)
        if turn.role == "assistant" and turn.text.strip()
    )


def choose_questions(
    questions: Sequence[AskedQuestion], limit: int | None
) -> tuple[AskedQuestion, ...]:
    """Return at most `limit` questions, as even over the tasks as can be, in their order.

    Inside a task they are spread evenly from first to last, so a file sorted by clip or by answer
    is not judged by its beginning. None and a limit that reaches all return all.
    """
    if limit is None or limit >= len(questions):
        return tuple(questions)
    by_task: dict[str | None, list[int]] = {}
    for place, question in enumerate(questions):
        by_task.setdefault(question.task, []).append(place)
    shares = _even_shares([len(places) for places in by_task.values()], limit)
    chosen = [
        places[step * len(places) // share]
        for places, share in zip(by_task.values(), shares, strict=True)
        for step in range(share)
    ]
    return tuple(questions[place] for place in sorted(chosen))


def predict(
    checkpoint: Checkpoint,
    records: Sequence[Record],
    *,
    settings: ClipSettings,
    control: str = "full",
    batch_size: int = 16,
    max_new_tokens: int = 64,
) -> list[Prediction]:
    """Return the predictions for all questions of the records under one control, in order.

    Raises: as `predict_controls`.
    """
    by_control = predict_controls(
        checkpoint,
        questions_of(records),
        settings=settings,
        controls=[control],
        batch_size=batch_size,
        max_new_tokens=max_new_tokens,
    )
    return by_control[control]


def predict_controls(
    checkpoint: Checkpoint,
    questions: Sequence[AskedQuestion],
    *,
    settings: ClipSettings,
    controls: Sequence[str] = ("full",),
    batch_size: int = 16,
    max_new_tokens: int = 64,
    on_progress: OnProgress | None = None,
) -> dict[str, list[Prediction]]:
    """Return, for each control, the predictions for all questions, in their order.

    `on_progress` is told how many questions are done, and of how many.

    Raises:
        MediaError: a clip or picture cannot be read.
        RecordError: a prompt cannot be made, or is longer than the language model may read.
    """
    answers: dict[str, list[str]] = {control: [""] * len(questions) for control in controls}
    num_done = 0
    for held in _in_portions(_prompts(checkpoint, questions, settings, controls)):
        new_answers = generate_answers(
            checkpoint.model,
            checkpoint.tokenizer,
            [item.prompt for item in held],
            image_mean=checkpoint.image_mean,
            image_std=checkpoint.image_std,
            batch_size=batch_size,
            max_new_tokens=max_new_tokens,
        )
        for item, answer in zip(held, new_answers, strict=True):
            answers[item.control][item.place] = answer
        num_done += len(held)
        if on_progress is not None:
            on_progress(num_done // len(controls), len(questions))
    return {
        control: [
            _judge(question, answer) for question, answer in zip(questions, given, strict=True)
        ]
        for control, given in answers.items()
    }


@dataclass(frozen=True)
class _Planned:
    """A prompt, and where its answer belongs."""

    place: int
    control: str
    prompt: Prompt


def _prompts(
    checkpoint: Checkpoint,
    questions: Sequence[AskedQuestion],
    settings: ClipSettings,
    controls: Sequence[str],
) -> Iterator[_Planned]:
    """Yield all prompts clip by clip, so that each clip is decoded once and then let go."""
    by_media: dict[tuple[Media, ...], list[int]] = {}
    for place, question in enumerate(questions):
        by_media.setdefault(media_of(question.turns), []).append(place)
    for media, places in by_media.items():
        frames, frames_per_media, _ = read_media(media, settings)
        for place in places:
            question = questions[place]
            input_ids = prompt_ids(
                checkpoint,
                question.turns,
                frames_per_media=frames_per_media,
                settings=settings,
                record_id=question.record_id,
            )
            for control in controls:
                changed = apply_control(
                    control,
                    frames,
                    frames_per_media=frames_per_media,
                    record_id=question.record_id,
                )
                yield _Planned(place, control, Prompt(question.record_id, input_ids, changed))


def prompt_ids(
    checkpoint: Checkpoint,
    turns: tuple[Turn, ...],
    *,
    frames_per_media: Sequence[int],
    settings: ClipSettings,
    record_id: str,
) -> Tensor:
    """Return the ids, int64 (L,), after which the model gives the last assistant turn of `turns`.

    They are byte for byte the start of what the model is trained on; that turn's words are not
    among them.

    Raises:
        RecordError: the prompt cannot be made, or is longer than the language model may read.
    """
    config: Any = checkpoint.model.config
    return encode_prompt(
        turns,
        tokenizer=checkpoint.tokenizer,
        image_token_id=config.image_token_id,
        frames_per_media=frames_per_media,
        tokens_per_frame=tokens_per_frame(media_of(turns), settings),
        system_prompt=settings.system_prompt,
        max_length=config.text_config.max_position_embeddings,
        record_id=record_id,
    )


def _in_portions(prompts: Iterable[_Planned]) -> Iterator[list[_Planned]]:
    """Yield the prompts in lists whose frames fit in memory together."""
    held: list[_Planned] = []
    held_bytes = 0
    for item in prompts:
        held.append(item)
        held_bytes += item.prompt.frames.nbytes
        if held_bytes >= MAX_FRAMES_HELD_BYTES or len(held) >= MAX_PROMPTS_HELD:
            yield held
            held, held_bytes = [], 0
    if held:
        yield held


def _judge(question: AskedQuestion, answer: str) -> Prediction:
    return Prediction(
        record_id=question.record_id,
        task=question.task,
        question=question.text,
        reference=question.reference,
        answer=answer,
        correct=answers_match(answer, question.reference),
    )


def _even_shares(sizes: Sequence[int], limit: int) -> list[int]:
    """Return how many to take of each group: all of the small ones, the rest evenly.

    sizes 2, 10, 10 and a limit of 15  ->  2, 7, 6
    """
    shares = [0] * len(sizes)
    order = sorted(range(len(sizes)), key=lambda group: sizes[group])
    left = limit
    for rank, group in enumerate(order):
        groups_left = len(sizes) - rank
        shares[group] = min(sizes[group], -(-left // groups_left))
        left -= shares[group]
    return shares
