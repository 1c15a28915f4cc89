"""Does a run by each way of taking instants end, and does its model ask as it learned?"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from fixtures_data import Tune
from flipbook.apps.chat import Talk
from flipbook.data.generated.write import GeneratedData
from flipbook.data.instants import times_of
from flipbook.data.labels.conversation import encode_conversation
from flipbook.data.records import Turn, read_records
from flipbook.data.shown import tokens_per_frame
from flipbook.errors import ArgumentError
from flipbook.model.checkpoint import load_checkpoint
from flipbook.score.answering import answer_questions
from flipbook.score.questions import questions_of

WAYS: dict[str, dict[str, Any]] = {
    "timestamps": {"timestamps": True},
    "sparse": {"frame_sampler": "sparse", "clip_share": 0.5, "num_clips": 2},
    "distinct": {"min_frame_change": 2.0},
    "augmented": {"augment": True},
}


@pytest.mark.parametrize("way", WAYS)
def test_a_run_learns_and_its_model_answers(tune: Tune, generated: GeneratedData, way: str) -> None:
    result = tune(**WAYS[way], proof_records=4)
    checkpoint = load_checkpoint(result.model_folder)
    settings = checkpoint.clip_settings
    names = {"frame_sampler": "sampler"}
    for name, value in WAYS[way].items():
        if name != "augment":  # of training alone
            assert getattr(settings, names.get(name, name)) == value
    asked = questions_of(read_records(str(generated.test)).records)[:2]
    answers = answer_questions(checkpoint, asked, settings=settings, max_new_tokens=2)
    assert all(answer is not None for answer in answers["full"])


def test_a_chat_says_the_instants_that_were_learned(tune: Tune, generated: GeneratedData) -> None:
    checkpoint = load_checkpoint(tune(timestamps=True).model_folder)
    media = read_records(str(generated.test)).records[0].media
    prompt = Talk(checkpoint, media=[item.path for item in media]).prompt(
        (Turn("user", (*media, "What moves?")),)
    )
    settings = checkpoint.clip_settings
    trained = encode_conversation(
        (Turn("user", (*media, "What moves?")), Turn("assistant", ("A ball.",))),
        tokenizer=checkpoint.tokenizer,
        image_token_id=checkpoint.model.config.image_token_id,
        frames_per_media=[2],
        tokens_per_frame=tokens_per_frame(media, settings),
        times_per_media=times_of(media, settings),
    ).input_ids
    assert torch.equal(trained[: len(prompt)], prompt.input_ids)
    assert checkpoint.tokenizer.decode(prompt.input_ids).count("s: <image>") == 2


def test_the_same_seed_gives_the_same_run(tune: Tune, tmp_path: Any) -> None:
    folders = [
        tune(output_dir=tmp_path / str(workers), dataloader_num_workers=workers, augment=True)
        for workers in (0, 1)
    ]
    first, second = (load_checkpoint(one.model_folder).model.state_dict() for one in folders)
    assert all(torch.equal(weights, second[name]) for name, weights in first.items())


def test_a_clip_that_is_sampled_late_says_no_instants(tune: Tune) -> None:
    with pytest.raises(ArgumentError, match="the sampler sparse chooses them later"):
        tune(timestamps=True, frame_sampler="sparse")
