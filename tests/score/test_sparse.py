"""Are answers averaged over stretches, and left alone where there is one?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fixtures_video import MakeClip, make_clip
from flipbook.data.extras import Extras
from flipbook.data.records import Media, Record, Turn
from flipbook.model.checkpoint import Checkpoint
from flipbook.model.generation import generate_answers
from flipbook.model.likelihood import Options, answer_ids, option_log_likelihoods
from flipbook.model.prompt import Prompt
from flipbook.score import answering
from flipbook.score.answering import answer_questions
from flipbook.score.prompts import prompt_ids
from flipbook.score.questions import AskedQuestion, questions_of
from flipbook.score.seen import Sight
from flipbook.score.sparse import agreed_answers, mean_scores, stretches_of
from flipbook.video.settings import ClipSettings

__all__ = ["make_clip"]

SPARSE = ClipSettings(frame_size=128, num_frames=2, sampler="sparse", num_clips=3)
OPTIONS = ("up", "down")


def test_stretches_lie_at_equal_distances() -> None:
    assert [one.clip_place for one in stretches_of(SPARSE)] == [0.0, 0.5, 1.0]
    single = ClipSettings(frame_size=128, sampler="sparse", num_clips=1)
    assert stretches_of(single) == (single,)
    assert single.clip_place == 0.5
    uniform = ClipSettings(frame_size=128, num_clips=3)
    assert stretches_of(uniform) == (uniform,)


def test_scores_are_averaged_and_a_single_one_is_left_as_it_is() -> None:
    assert mean_scores([(-1.0, -4.0), (-2.0, -1.0)]) == (-1.5, -2.5)
    assert mean_scores([(-0.1, -1 / 3)]) == (-0.1, -1 / 3)


def question(path: Path, kind: str = "multiple_choice") -> AskedQuestion:
    record = Record(
        id="r",
        conversations=(
            (
                Turn("user", (Media("video", str(path)), "Which way?")),
                Turn("assistant", ("up",)),
            ),
        ),
        extras=Extras(kind=kind, options=OPTIONS, answer="up"),
    )
    return questions_of([record])[0]


@pytest.fixture
def asked(make_clip: MakeClip) -> AskedQuestion:
    return question(make_clip("sparse.mp4", num_frames=60))


def prompts_of(
    checkpoint: Checkpoint, asked: AskedQuestion, settings: Sequence[ClipSettings]
) -> list[Prompt]:
    found = []
    for one in settings:
        sight = Sight(checkpoint.model, checkpoint, one)
        seen = sight.look(asked.media, control="full", record_id="r")
        ids = prompt_ids(
            checkpoint,
            asked.turns,
            frames_per_media=seen.frames_per_media,
            settings=one,
            record_id="r",
        )
        found.append(Prompt("r", ids, features=seen.features))
    return found


def normalisation(checkpoint: Checkpoint) -> dict[str, Any]:
    return {"image_mean": checkpoint.image_mean, "image_std": checkpoint.image_std}


def test_options_are_as_likely_as_on_the_mean_of_stretches(
    seeing_checkpoint: Checkpoint, asked: AskedQuestion
) -> None:
    prompts = prompts_of(seeing_checkpoint, asked, stretches_of(SPARSE))
    shown = [prompt.features[0] for prompt in prompts if prompt.features]
    assert not torch.equal(shown[0], shown[2])
    ids = tuple(answer_ids(seeing_checkpoint.tokenizer, word) for word in OPTIONS)
    per_stretch = [
        option_log_likelihoods(
            seeing_checkpoint.model, [Options(prompt, ids)], **normalisation(seeing_checkpoint)
        )[0]
        for prompt in prompts
    ]
    (answer,) = answer_questions(seeing_checkpoint, [asked], settings=SPARSE)["full"]
    assert answer is not None
    assert answer.option_log_likelihoods == pytest.approx(np.mean(per_stretch, axis=0), abs=1e-4)
    assert not np.allclose(per_stretch[0], per_stretch[2], atol=1e-3)


def test_the_likeliest_of_the_given_answers_is_chosen(
    seeing_checkpoint: Checkpoint, asked: AskedQuestion, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ["down", "", "up"]
    monkeypatch.setattr(answering, "generate_answers", lambda *_args, **_how: list(given))
    (answer,) = answer_questions(seeing_checkpoint, [asked], settings=SPARSE)["full"]
    assert answer is not None
    likely = dict(zip(OPTIONS, answer.option_log_likelihoods, strict=True))
    assert answer.text == max(("down", "up"), key=likely.__getitem__)


def test_one_stretch_answers_as_that_stretch_alone(
    seeing_checkpoint: Checkpoint, asked: AskedQuestion
) -> None:
    settings = ClipSettings(frame_size=128, num_frames=2, sampler="sparse", num_clips=1)
    (answer,) = answer_questions(seeing_checkpoint, [asked], settings=settings)["full"]
    alone = generate_answers(
        seeing_checkpoint.model,
        seeing_checkpoint.tokenizer,
        prompts_of(seeing_checkpoint, asked, [settings]),
        **normalisation(seeing_checkpoint),
    )
    assert answer is not None
    assert [answer.text] == alone


def test_pictures_and_words_are_asked_about_once(
    seeing_checkpoint: Checkpoint, asked: AskedQuestion, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_for: list[int] = []

    def counted(_model: Any, _tokenizer: Any, prompts: Sequence[Prompt], **_how: Any) -> list[str]:
        asked_for.append(len(prompts))
        return ["up"] * len(prompts)

    monkeypatch.setattr(answering, "generate_answers", counted)
    controls = ("full", "text_only")
    answer_questions(seeing_checkpoint, [asked], settings=SPARSE, controls=controls)
    assert asked_for == [4]  # three stretches, and the words alone


def test_blank_answers_stand_back_and_equal_ones_need_no_scores() -> None:
    def score(options: Any) -> list[tuple[float, ...]]:
        assert list(options) == []
        return []

    texts = [["up", "up"], ["", "up"], ["", ""]]
    chosen = agreed_answers(texts, [[], [], []], tokenizer=None, score=score)
    assert chosen == ["up", "up", ""]
