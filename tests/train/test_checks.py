from __future__ import annotations

from pathlib import Path

import pytest

from flipbook.errors import ArgumentError
from flipbook.train.parsing import parse_arguments


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ("--questions_per_pass=0", r"--questions_per_pass is 0: give a whole number from 1"),
        ("--feature_views=0", r"--feature_views is 0: give"),
        ("--feature_store_max_gb=-1", r"--feature_store_max_gb is -1.0: give a number from 0"),
        ("--max_batch_tokens=0", r"--max_batch_tokens is 0: give"),
        ("--max_batch_tokens=99 --auto_find_batch_size=true", r"counts tokens instead"),
        ("--frame_features=store --train_parts vision_tower", r"frozen vision tower.*vision_tower"),
        ("--train_sampling_strategy=group_by_length", r"packed by length, without padding"),
        ("--dataloader_drop_last=true", r"every record is trained on in every epoch"),
        ("--attn_implementation=flash_attention_2", r"flash attention takes no masks"),
        ("--attn_implementation=sdpaa", r"unknown word 'sdpaa'.*sdpa"),
        ("--feature_store=kept", r"--feature_store kept is used with --frame_features store only"),
        ('--accelerator_config={"split_batches":true}', r"with split_batches is not supported"),
        ('--accelerator_config={"dispatch_batches":true}', r"with dispatch_batches is not"),
        ("--frame_features=disk", r"invalid choice"),
        ("--num_clips=2", r"--num_clips 2 is used with --frame_sampler sparse only"),
        ("--clip_share=0.5", r"--clip_share 0.5 is used with --frame_sampler sparse only"),
        ("--augment=true --frame_features=store", r"--augment changes each clip anew.*Leave one"),
    ],
)
def test_what_cannot_be_meant_is_refused(flags: str, reason: str) -> None:
    with pytest.raises(ArgumentError, match=reason):
        parse_arguments(["--data_path", "rows.json", "--use_cpu=true", *flags.split()])


def test_a_divided_tower_stores_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = parse_arguments(["--data_path", "rows.json", "--frame_features=store"])
    monkeypatch.setattr(arguments.training, "fsdp", True)
    with pytest.raises(ArgumentError, match=r"--fsdp divides it.*live"):
        type(arguments)(arguments.model, arguments.data, arguments.training)


def test_a_store_may_be_switched_off_where_it_is_named() -> None:
    words = ["--data_path", "rows.json", "--feature_store=kept", "--frame_features=live"]
    assert parse_arguments(words).data.frame_features == "live"


def test_a_mixture_may_name_the_sampler_sparse_for_its_own(tmp_path: Path) -> None:
    mixture = tmp_path / "mixture.yaml"
    mixture.write_text("datasets: [{path: rows.json, frame_sampler: sparse}]")
    words = ["--clip_share=0.5", "--data_path"]
    assert parse_arguments([*words, str(mixture)]).data.clip_share == 0.5
    with pytest.raises(ArgumentError, match=r"--clip_share 0.5 is used with"):
        parse_arguments([*words, "rows.json"])
