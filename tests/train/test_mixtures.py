"""A run on several data sets shows each as often, and in the way, that the mixture says."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures_data import Tune
from fixtures_model import make_tokenizer
from flipbook.data.batch import DataCollatorForSupervisedDataset
from flipbook.data.dataset import LazySupervisedDataset
from flipbook.data.generated.write import GeneratedData
from flipbook.data.sources import read_mixture
from flipbook.errors import ArgumentError
from flipbook.train.arguments import DataArguments, TrainingArguments
from flipbook.train.batches import BatchRules, make_loader, num_epochs_of

NUM_EPOCHS = 4


@pytest.fixture
def mixture(generated: GeneratedData, tmp_path: Path) -> Path:
    """Clips in one file, still images in another, each read in a way of its own."""
    rows = json.loads(generated.train.read_text())
    for key in ("video", "image"):
        own = [row for row in rows if key in row]
        (tmp_path / f"{key}.json").write_text(json.dumps(own))
    path = tmp_path / "mixture.yaml"
    shared = {"image_folder": str(generated.folder)}
    path.write_text(
        yaml.safe_dump(
            {
                "datasets": [
                    {"path": "video.json", "weight": 1.5, "num_video_frames": 3, **shared},
                    {"path": "image.json", "weight": 0.5, "frame_size": 64, **shared},
                ]
            }
        )
    )
    return path


def _dataset(mixture: Path) -> LazySupervisedDataset:
    arguments = DataArguments(data_path=[str(mixture)], num_video_frames=2, frame_size=128)
    arguments.data_seed = 5
    return LazySupervisedDataset(
        read_mixture(mixture, image_folder=None), make_tokenizer(), arguments
    )


def _arguments(tmp_path: Path, **settings: Any) -> TrainingArguments:
    common = {"output_dir": str(tmp_path), "use_cpu": True, "report_to": "none", "seed": 5}
    return TrainingArguments(**common | {"num_train_epochs": NUM_EPOCHS} | settings)


def _shown(mixture: Path, tmp_path: Path, *, num_workers: int) -> list[list[list[str]]]:
    """Return the records of each batch of each epoch, as the loader gives them."""
    dataset = _dataset(mixture)
    args = _arguments(tmp_path, dataloader_num_workers=num_workers)
    batches = BatchRules(questions_per_pass=4).pack_training(dataset, args, batch_size=4)
    loader = make_loader(dataset, batches, args=args, collator=DataCollatorForSupervisedDataset())
    shown = []
    for epoch in range(NUM_EPOCHS):
        dataset.set_epoch(epoch)
        shown.append([batch["record_ids"] for batch in loader])
    return shown


def test_each_data_set_is_seen_as_its_weight_says_on_any_number_of_workers(
    mixture: Path, tmp_path: Path
) -> None:
    alone = _shown(mixture, tmp_path, num_workers=0)
    assert _shown(mixture, tmp_path, num_workers=2) == alone
    assert len({len(epoch) for epoch in alone}) == 1
    counts = Counter(name for epoch in alone for batch in epoch for name in batch)
    table = _dataset(mixture).table
    for index in range(len(table)):
        is_clip = table.source_of[index] == 0
        times = counts[table[index].record_id]
        assert times == NUM_EPOCHS * 1.5 if is_clip else times == NUM_EPOCHS * 0.5


def test_each_data_set_is_read_in_its_own_way(mixture: Path) -> None:
    table = _dataset(mixture).table
    found = {
        (int(table.source_of[i]), int(table.frame_size[i]), int(table.num_frames[i]))
        for i in range(len(table))
    }
    assert found == {(0, 128, 3), (1, 64, 1)}


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_still_images_are_replayed(mixture: Path, tmp_path: Path, share: float) -> None:
    dataset = _dataset(mixture)
    rules = BatchRules(questions_per_pass=4, image_replay=share)
    batches = rules.pack_training(dataset, _arguments(tmp_path), batch_size=4)
    stills = clips = 0
    for epoch in range(NUM_EPOCHS):
        dataset.set_epoch(epoch)
        for batch in batches:
            for unit in batch:
                own = [one for one in unit if one >= 0]
                stills += sum(int(dataset.table.source_of[one]) == 1 for one in own)
                clips += sum(int(dataset.table.source_of[one]) == 0 for one in own)
    assert stills / (stills + clips) == pytest.approx(share, abs=0.03)


def test_epochs_of_a_run_that_counts_steps(mixture: Path, tmp_path: Path) -> None:
    dataset = _dataset(mixture)
    rules = BatchRules()
    args = _arguments(tmp_path, max_steps=9, gradient_accumulation_steps=2)
    batches = rules.pack_training(dataset, args, batch_size=4)
    read = 9 * 2 / len(batches)
    assert read <= num_epochs_of(batches, args) <= read + 2


def test_a_run_on_a_mixture_learns_and_goes_on(tune: Tune, mixture: Path, tmp_path: Path) -> None:
    flags: dict[str, Any] = {
        "data_path": mixture,
        "image_replay": 0.3,
        "max_steps": 6,
        "save_strategy": "steps",
        "save_steps": 3,
        "frame_sampler": "segments",
    }
    straight = tune(tmp_path / "straight", **flags)
    shutil.copytree(straight.run_folder / "checkpoint-3", tmp_path / "cut" / "checkpoint-3")
    resumed = tune(tmp_path / "cut", **flags | {"resume_from_checkpoint": "latest"})

    def losses(folder: Path) -> dict[int, float]:
        lines = map(json.loads, (folder / "log.jsonl").read_text().splitlines())
        return {line["step"]: line["loss"] for line in lines if "loss" in line}

    expected, found = losses(straight.run_folder), losses(resumed.run_folder)
    assert [found[step] for step in (4, 5, 6)] == [expected[step] for step in (4, 5, 6)]
    config = yaml.safe_load((straight.run_folder / "config.yaml").read_text())
    assert config["data_path"] == [str(mixture)]


def test_a_share_of_images_that_are_not_there_is_refused(tune: Tune, mixture: Path) -> None:
    with pytest.raises(ArgumentError, match="do not hold still images"):
        tune(data_path=_clips_only(mixture), image_replay=0.2)
    with pytest.raises(ArgumentError, match="--image_replay is 1.0: give a number above 0 and"):
        tune(data_path=mixture, image_replay=1.0)


def _clips_only(mixture: Path) -> Path:
    content = yaml.safe_load(mixture.read_text())
    path = mixture.with_name("clips.yaml")
    path.write_text(yaml.safe_dump({"datasets": content["datasets"][:1]}))
    return path


def test_a_tower_that_learns_sees_one_side(tune: Tune, mixture: Path) -> None:
    with pytest.raises(ArgumentError, match="frames of 64 and 128 px, and a vision tower"):
        tune(data_path=mixture, train_parts="vision_tower projector")
