"""Are all questions asked once, of the right frames, and is each clip decoded once?"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from flipbook.data.conversation import encode_conversation
from flipbook.data.extras import Extras
from flipbook.data.generated.write import GeneratedData
from flipbook.data.media import MediaFrames, media_of, read_media
from flipbook.data.records import Media, Record, Turn, read_records
from flipbook.errors import BudgetError, MediaError
from flipbook.evaluate import scoring
from flipbook.evaluate.controls import CONTROLS
from flipbook.evaluate.scoring import (
    AskedQuestion,
    choose_questions,
    predict,
    predict_controls,
    prompt_ids,
    questions_of,
)
from flipbook.model.checkpoint import Checkpoint
from flipbook.model.generation import Prompt


def user(text: str, *media: Media) -> Turn:
    return Turn("user", (*media, text))


def answer(text: str) -> Turn:
    return Turn("assistant", (text,))


def question(task: str | None, number: int = 0) -> AskedQuestion:
    return AskedQuestion(f"{task} {number}", task, (user("Which way?"), answer("left")))


def test_every_answer_of_every_conversation_is_a_question() -> None:
    talk = (user("What?"), answer("A circle."), user("Where?"), answer("left"))
    talks = (talk, (user("How many?"), answer("3")))
    record = Record(id="a", conversations=talks, extras=Extras(task="mix"))
    asked = questions_of([record])
    assert [(q.text, q.reference) for q in asked] == [
        ("What?", "A circle."),
        ("Where?", "left"),
        ("How many?", "3"),
    ]
    assert [len(q.turns) for q in asked] == [2, 4, 2]
    assert {(q.record_id, q.task) for q in asked} == {("a", "mix")}


def test_the_words_of_a_question_are_without_its_clip() -> None:
    turns = (user("Which way?\n", Media("video", "/clip.mp4")), answer(" left\n"))
    asked = AskedQuestion("a", None, turns)
    assert (asked.text, asked.reference) == ("Which way?", "left")


def test_a_question_ends_with_its_answer() -> None:
    with pytest.raises(ValueError, match="question of a does not end with an assistant turn"):
        AskedQuestion("a", None, (user("What?"),))


def test_a_choice_is_even_over_tasks_and_spread_inside_them() -> None:
    sizes = {"rare": 2, "count": 10, "order": 10}
    questions = [question(task, i) for task, size in sizes.items() for i in range(size)]
    chosen = choose_questions(questions, 15)
    assert [q.task for q in chosen] == ["rare"] * 2 + ["count"] * 7 + ["order"] * 6
    places = [questions.index(q) for q in chosen]
    assert places == sorted(places)
    assert [q.record_id for q in chosen if q.task == "order"] == [
        f"order {i}" for i in (0, 1, 3, 5, 6, 8)
    ]


@pytest.mark.parametrize("limit", [None, 3, 100])
def test_a_limit_that_reaches_all_chooses_all(limit: int | None) -> None:
    questions = [question("order", i) for i in range(3)]
    assert choose_questions(questions, limit) == tuple(questions)


def test_each_clip_is_read_once_and_answers_come_in_order(
    seeing_checkpoint: Checkpoint, generated: GeneratedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = read_records(str(generated.test)).records
    mixed = [*records[::2], *records[1::2]]
    read: list[tuple[Media, ...]] = []
    asked: list[Prompt] = []

    def counted(media: tuple[Media, ...], settings: Any) -> MediaFrames:
        read.append(media)
        return read_media(media, settings)

    def echo(model: Any, tokenizer: Any, prompts: list[Prompt], **options: Any) -> list[str]:
        asked.extend(prompts)
        return [f"{prompt.record_id} {int(prompt.frames.sum())}" for prompt in prompts]

    monkeypatch.setattr(scoring, "read_media", counted)
    monkeypatch.setattr(scoring, "generate_answers", echo)
    monkeypatch.setattr(scoring, "MAX_PROMPTS_HELD", 7)
    settings = seeing_checkpoint.clip_settings
    progress: list[tuple[int, int]] = []
    by_control = predict_controls(
        seeing_checkpoint,
        questions_of(mixed),
        settings=settings,
        controls=tuple(CONTROLS),
        on_progress=lambda done, total: progress.append((done, total)),
    )
    assert len(read) == len({media_of(r.conversations[0]) for r in records}) < len(records)
    assert len(asked) == len(CONTROLS) * len(records)
    assert progress[-1] == (len(records), len(records))
    for control in CONTROLS:
        assert [p.record_id for p in by_control[control]] == [r.id for r in mixed]
        for record, prediction in zip(mixed, by_control[control], strict=True):
            frames = read_media(media_of(record.conversations[0]), settings).frames
            seen = int(CONTROLS[control](frames, record.id).sum())
            assert prediction.answer == f"{record.id} {seen}"
            assert not prediction.correct


def test_prompts_are_the_start_of_what_is_trained_on(
    seeing_checkpoint: Checkpoint, generated: GeneratedData
) -> None:
    settings = seeing_checkpoint.clip_settings
    for asked in questions_of(read_records(str(generated.test)).records[:4]):
        frames_per_media = read_media(media_of(asked.turns), settings).frames_per_media
        ids = prompt_ids(
            seeing_checkpoint,
            asked.turns,
            frames_per_media=frames_per_media,
            settings=settings,
            record_id=asked.record_id,
        )
        trained = encode_conversation(
            asked.turns,
            tokenizer=seeing_checkpoint.tokenizer,
            image_token_id=seeing_checkpoint.model.config.image_token_id,
            frames_per_media=frames_per_media,
            tokens_per_frame=settings.tokens_per_frame,
            system_prompt=settings.system_prompt,
        )
        assert torch.equal(ids, trained.input_ids[: len(ids)])
        assert int(trained.labels[len(ids)]) == int(trained.input_ids[len(ids)])
        assert bool((trained.labels[: len(ids)] == -100).all())


def test_a_real_model_answers_clips_pictures_and_words(
    seeing_checkpoint: Checkpoint, generated: GeneratedData
) -> None:
    records = [
        *read_records(str(generated.test)).records[:2],
        *read_records(str(generated.images)).records[:1],
        Record(id="words", conversations=((user("Why?"), answer("Because.")),)),
    ]
    settings = seeing_checkpoint.clip_settings
    for control in ("full", "shuffled"):
        given = predict(
            seeing_checkpoint, records, settings=settings, control=control, max_new_tokens=2
        )
        assert [p.record_id for p in given] == [r.id for r in records]
        again = predict(
            seeing_checkpoint,
            records,
            settings=settings,
            control=control,
            batch_size=1,
            max_new_tokens=2,
        )
        assert given == again


def test_a_missing_clip_stops_the_scoring(seeing_checkpoint: Checkpoint) -> None:
    media = Media("video", "/no/such/clip.mp4")
    record = Record(id="gone", conversations=((user("What?", media), answer("left")),))
    with pytest.raises(MediaError, match=r"/no/such/clip\.mp4"):
        predict(seeing_checkpoint, [record], settings=seeing_checkpoint.clip_settings)


def test_a_prompt_that_is_too_long_is_refused_by_name(
    seeing_checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    text_config: Any = seeing_checkpoint.model.config.text_config
    monkeypatch.setattr(text_config, "max_position_embeddings", 20)
    record = Record(id="long", conversations=((user("Why? " * 20), answer("Because.")),))
    with pytest.raises(BudgetError, match="long"):
        predict(seeing_checkpoint, [record], settings=seeing_checkpoint.clip_settings)
