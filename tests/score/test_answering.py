"""Are all questions asked once, of the right frames, and is each clip seen once?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from flipbook.data.extras import Extras
from flipbook.data.features.store import FeatureStore
from flipbook.data.formats.prompts import choice_question
from flipbook.data.generated.write import GeneratedData
from flipbook.data.labels.conversation import encode_conversation
from flipbook.data.media import read_media
from flipbook.data.records import Media, Record, Turn, read_records
from flipbook.errors import BudgetError, MediaError
from flipbook.model.checkpoint import Checkpoint
from flipbook.model.encoder import encoder_fingerprint
from flipbook.model.fastvlm import tower_features
from flipbook.model.generation import Prompt, generate_answers
from flipbook.score import answering, seen
from flipbook.score.answering import answer_questions
from flipbook.score.controls import CONTROLS, ORDERS, in_order, with_other_clips
from flipbook.score.prediction import Answer
from flipbook.score.prompts import prompt_ids
from flipbook.score.questions import AskedQuestion, questions_of

FEW = {"max_new_tokens": 2}


def user(text: str, *media: Media) -> Turn:
    return Turn("user", (*media, text))


def answer(text: str) -> Turn:
    return Turn("assistant", (text,))


def texts(answers: Sequence[Answer | None]) -> list[str | None]:
    return [None if one is None else one.text for one in answers]


def test_each_clip_is_seen_once_and_answers_come_in_order(
    seeing_checkpoint: Checkpoint, generated: GeneratedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = read_records(str(generated.test)).records
    questions = questions_of([*records[::2], *records[1::2]])
    encoded: list[int] = []
    asked: list[Prompt] = []

    def counted(model: Any, frames: torch.Tensor, **options: Any) -> torch.Tensor:
        encoded.append(len(frames))
        return tower_features(model, frames, **options)

    def echo(model: Any, tokenizer: Any, prompts: list[Prompt], **options: Any) -> list[str]:
        asked.extend(prompts)
        return [f"{p.record_id} {float(p.features[0].sum())}" for p in prompts if p.features]

    monkeypatch.setattr(seen, "tower_features", counted)
    monkeypatch.setattr(answering, "generate_answers", echo)
    settings = seeing_checkpoint.clip_settings
    progress: list[tuple[int, int]] = []
    by_control = answer_questions(
        seeing_checkpoint,
        questions,
        settings=settings,
        controls=[control for control in CONTROLS if control != "text_only"],
        batch_size=2,
        on_progress=lambda done, total: progress.append((done, total)),
    )
    clips = {question.media for question in questions}
    assert len(clips) < len(questions)
    assert encoded.count(settings.num_frames) == len(clips)
    assert encoded.count(1) == 1  # the black frame
    assert len(asked) == (len(CONTROLS) - 1) * len(questions)
    assert progress[-1] == (len(questions), len(questions))
    assert len(progress) > 1
    others = with_other_clips(questions)
    sight = seen.Sight(seeing_checkpoint.model, seeing_checkpoint, settings)
    for control, answers in by_control.items():
        for place, question in enumerate(questions):
            shown = others[place] if control == "other_clip" else question
            assert shown is not None
            looked = sight.look(shown.media, control=control, record_id=question.record_id)
            (own,) = looked.features
            assert texts(answers)[place] == f"{question.record_id} {float(own.sum())}"


@pytest.mark.parametrize("control", ORDERS)
def test_features_of_ordered_frames_are_those_of_the_frames_in_that_order(
    seeing_checkpoint: Checkpoint, generated: GeneratedData, control: str
) -> None:
    settings = seeing_checkpoint.clip_settings
    question = questions_of(read_records(str(generated.test)).records)[0]
    frames = in_order(control, read_media(question.media, settings).frames, record_id="r")
    sight = seen.Sight(seeing_checkpoint.model, seeing_checkpoint, settings)
    (features,) = sight.look(question.media, control=control, record_id="r").features
    expected = tower_features(seeing_checkpoint.model, frames)
    assert torch.allclose(features, expected, atol=1e-5)
    assert not torch.equal(features[0], features[-1]) or control == "single_frame"


def test_prompts_are_the_start_of_what_is_trained_on(
    seeing_checkpoint: Checkpoint, generated: GeneratedData
) -> None:
    settings = seeing_checkpoint.clip_settings
    for asked in questions_of(read_records(str(generated.test)).records[:4]):
        frames_per_media = read_media(asked.media, settings).frames_per_media
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


def mixed_records(generated: GeneratedData) -> list[Record]:
    return [
        *read_records(str(generated.test)).records[:3],
        *read_records(str(generated.images)).records[:1],
        Record(id="words", conversations=((user("Why?"), answer("Because.")),)),
    ]


def test_answers_are_those_of_frames_shown_directly(
    seeing_checkpoint: Checkpoint, generated: GeneratedData
) -> None:
    settings = seeing_checkpoint.clip_settings
    questions = questions_of(mixed_records(generated))
    given = answer_questions(seeing_checkpoint, questions, settings=settings, **FEW)["full"]
    prompts = []
    for question in questions:
        media = read_media(question.media, settings)
        ids = prompt_ids(
            seeing_checkpoint,
            question.turns,
            frames_per_media=media.frames_per_media,
            settings=settings,
            record_id=question.record_id,
        )
        prompts.append(Prompt(question.record_id, ids, media.frames))
    expected = generate_answers(
        seeing_checkpoint.model,
        seeing_checkpoint.tokenizer,
        prompts,
        image_mean=seeing_checkpoint.image_mean,
        image_std=seeing_checkpoint.image_std,
        **FEW,
    )
    assert texts(given) == expected


def test_words_alone_are_put_without_places_for_frames(
    seeing_checkpoint: Checkpoint, generated: GeneratedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Prompt] = []

    def note(model: Any, tokenizer: Any, prompts: list[Prompt], **options: Any) -> list[str]:
        asked.extend(prompts)
        return ["" for _ in prompts]

    monkeypatch.setattr(answering, "generate_answers", note)
    questions = questions_of(mixed_records(generated))
    answer_questions(
        seeing_checkpoint,
        questions,
        settings=seeing_checkpoint.clip_settings,
        controls=["text_only"],
    )
    image_token_id = seeing_checkpoint.model.config.image_token_id
    for question, prompt in zip(questions, asked, strict=True):
        words = seeing_checkpoint.tokenizer.decode(prompt.input_ids)
        assert f"user\n{question.text}<|im_end|>" in words
        assert int((prompt.input_ids == image_token_id).sum()) == 0
        assert prompt.features == ()


def choice(
    record_id: str, options: tuple[str, ...], right: str, *media: Media, letter: str
) -> AskedQuestion:
    extras = Extras(kind="multiple_choice", options=options, answer=right)
    turns = (user(choice_question("Which way?", options), *media), answer(letter))
    return AskedQuestion(record_id, "way", turns, 1, extras)


def test_options_are_scored_as_the_record_says_them_and_in_another_order(
    seeing_checkpoint: Checkpoint, generated: GeneratedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = read_records(str(generated.test)).records[0].media[0]
    options = ("left", "right", "up")
    questions = [
        choice("letters", options, "right", clip, letter="B"),
        choice("words", options, "up", clip, letter="up"),
        *questions_of(mixed_records(generated)[:1]),
    ]
    scored: list[list[str]] = []
    real = answering.option_log_likelihoods

    decode = seeing_checkpoint.tokenizer.decode

    def noted(model: Any, asked: Any, **how: Any) -> Any:
        scored.extend([decode(ids) for ids in one.option_ids] for one in asked)
        return real(model, asked, **how)

    monkeypatch.setattr(answering, "option_log_likelihoods", noted)
    given = answer_questions(
        seeing_checkpoint,
        questions,
        settings=seeing_checkpoint.clip_settings,
        controls=["full", "blank"],
        **FEW,
    )
    end = "<|im_end|>"
    letters = [f"{letter}{end}" for letter in "ABC"]
    words = [f"{word}{end}" for word in options]
    assert scored[:4] == [letters, words, letters, words]
    assert scored[4] == letters
    assert sorted(scored[5]) == sorted(words)
    assert scored[5] != words
    for control, answers in given.items():
        by_letter, by_word, open_one = answers
        assert by_letter is not None
        assert by_word is not None
        assert len(by_letter.option_log_likelihoods) == 3
        assert max(by_word.option_log_likelihoods) < 0
        assert open_one is not None
        assert open_one.option_log_likelihoods == ()
        assert (by_letter.reordered_choice is None) == (control == "blank")
        assert open_one.reordered_choice is None
    plain = answer_questions(
        seeing_checkpoint,
        questions,
        settings=seeing_checkpoint.clip_settings,
        score_options=False,
        **FEW,
    )
    assert all(one == Answer(one.text) for one in plain["full"] if one is not None)


def test_stored_features_give_the_same_answers_and_spare_the_tower(
    seeing_checkpoint: Checkpoint,
    generated: GeneratedData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    questions = questions_of(mixed_records(generated))
    store = FeatureStore(
        tmp_path,
        encoder=encoder_fingerprint(
            seeing_checkpoint.model,
            image_mean=seeing_checkpoint.image_mean,
            image_std=seeing_checkpoint.image_std,
        ),
    )
    how: dict[str, Any] = {
        "settings": seeing_checkpoint.clip_settings,
        "controls": ("full", "shuffled"),
        **FEW,
    }
    live = answer_questions(seeing_checkpoint, questions, **how)
    first = answer_questions(seeing_checkpoint, questions, store=store, **how)
    monkeypatch.setattr(seen, "tower_features", None)
    again = answer_questions(seeing_checkpoint, questions, store=store, **how)
    assert live == first == again


def test_a_missing_clip_stops_the_scoring(seeing_checkpoint: Checkpoint) -> None:
    media = Media("video", "/no/such/clip.mp4")
    record = Record(id="gone", conversations=((user("What?", media), answer("left")),))
    with pytest.raises(MediaError, match=r"/no/such/clip\.mp4"):
        answer_questions(
            seeing_checkpoint, questions_of([record]), settings=seeing_checkpoint.clip_settings
        )


def test_a_prompt_that_is_too_long_is_refused_by_name(
    seeing_checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    text_config: Any = seeing_checkpoint.model.config.text_config
    monkeypatch.setattr(text_config, "max_position_embeddings", 20)
    record = Record(id="long", conversations=((user("Why? " * 20), answer("Because.")),))
    with pytest.raises(BudgetError, match="long"):
        answer_questions(
            seeing_checkpoint, questions_of([record]), settings=seeing_checkpoint.clip_settings
        )


def test_an_unknown_control_is_a_mistake(seeing_checkpoint: Checkpoint) -> None:
    with pytest.raises(ValueError, match="unknown control 'mirrored'; known are full"):
        answer_questions(
            seeing_checkpoint,
            [],
            settings=seeing_checkpoint.clip_settings,
            controls=["mirrored"],
        )
