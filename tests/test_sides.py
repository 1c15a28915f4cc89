"""Clips of one batch may be seen at sides of different length: each as it would be alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from fixtures_model import make_checkpoint
from flipbook.data.batch import DataCollatorForSupervisedDataset, make_supervised_data_module
from flipbook.data.dataset import LazySupervisedDataset
from flipbook.data.features.store import FeatureStore
from flipbook.data.generated.write import GeneratedData
from flipbook.data.records import read_records
from flipbook.model.fastvlm import encode_visuals, join_features
from flipbook.model.loss import supervised_loss
from flipbook.score.answering import answer_questions
from flipbook.score.questions import questions_of
from flipbook.train.data_arguments import DataArguments

ARGUMENTS: dict[str, Any] = {
    "num_video_frames": 2,
    "min_frames": 1,
    "max_frames": 8,
    "frame_size": 128,
}


@pytest.fixture(scope="module")
def manifest(generated: GeneratedData) -> Path:
    """Records whose clips are seen at 128 px in 2 frames, at 192 in 3, at 64 in a stretch."""
    rows = json.loads(generated.train.read_text())[:3]
    rows[1]["clip"] = {"frame_size": 192, "num_frames": 3}
    rows[2]["clip"] = {"frame_size": 64}
    rows[2]["video"] = {"path": rows[2]["video"], "start_s": 0.25, "end_s": 0.75}
    path = generated.folder / "sides.json"
    path.write_text(json.dumps(rows))
    return path


@pytest.fixture(scope="module")
def checkpoint() -> Any:
    return make_checkpoint()


def _dataset(manifest: Path, checkpoint: Any) -> LazySupervisedDataset:
    arguments = DataArguments(**ARGUMENTS, data_path=[str(manifest)])
    return make_supervised_data_module(checkpoint.tokenizer, arguments)["train_dataset"]


def test_tokens_follow_from_the_side_and_the_frames_of_each(
    manifest: Path, checkpoint: Any
) -> None:
    dataset = _dataset(manifest, checkpoint)
    places = [int((dataset[i].input_ids == dataset.encoder.image_token_id).sum()) for i in range(3)]
    assert places == [2 * 4, 3 * 9, 2 * 1]
    assert dataset.table.num_tokens.tolist() == [len(dataset[i].input_ids) for i in range(3)]
    assert dataset.table.num_frames.tolist() == [2, 3, 2]
    assert dataset.table.num_videos.tolist() == [1, 1, 1]
    assert dataset.table.frame_size.tolist() == [128, 192, 64]


def test_a_row_of_all_sides_has_the_loss_of_each_alone(manifest: Path, checkpoint: Any) -> None:
    dataset, model = _dataset(manifest, checkpoint), checkpoint.model
    collate = DataCollatorForSupervisedDataset()

    def loss_of(*indices: int) -> tuple[float, int]:
        batch: Any = collate([dataset[index] for index in indices])
        features = join_features(encode_visuals(model, batch))
        with torch.no_grad():
            result = supervised_loss(model, batch, features=features)
        return float(result.loss) * result.num_targets, result.num_targets

    batch: Any = collate([dataset[index] for index in (0, 1, 2, 0)])
    shapes = [tuple(part.shape) for part in batch["frames"]]
    assert shapes == [(4, 3, 128, 128), (3, 3, 192, 192), (2, 3, 64, 64)]
    assert [slot.part for slot in batch["visuals"]] == [0, 1, 2, 0]
    together, num_targets = loss_of(0, 1, 2)
    alone = [loss_of(index) for index in range(3)]
    assert num_targets == sum(number for _, number in alone)
    assert together == pytest.approx(sum(loss for loss, _ in alone), rel=1e-5)


def test_features_of_each_view_are_stored_apart(
    manifest: Path, checkpoint: Any, tmp_path: Path
) -> None:
    dataset = _dataset(manifest, checkpoint)
    dataset.store = FeatureStore(tmp_path, encoder="tower")
    batch: Any = DataCollatorForSupervisedDataset()([dataset[index] for index in range(3)])
    made = encode_visuals(checkpoint.model, batch)
    dataset.store.write_visuals(batch["visuals"], made)
    dataset.store.flush()
    again = [visual for index in range(3) for visual in dataset[index].visuals]
    assert len({visual.key for visual in again}) == 3
    for visual, features in zip(again, made, strict=True):
        assert visual.features is not None
        assert torch.equal(visual.features, features)


def test_answers_do_not_depend_on_the_sides_of_batch_mates(manifest: Path, checkpoint: Any) -> None:
    questions = questions_of(read_records(manifest).records)
    how: Any = {"settings": checkpoint.clip_settings, "max_new_tokens": 4}
    together = answer_questions(checkpoint, questions, **how)["full"]
    for question, answer in zip(questions, together, strict=True):
        assert answer_questions(checkpoint, [question], **how)["full"] == [answer]


def test_a_tower_that_learns_is_not_shown_several_sides(manifest: Path, checkpoint: Any) -> None:
    dataset = _dataset(manifest, checkpoint)
    batch: Any = DataCollatorForSupervisedDataset()([dataset[0], dataset[1]])
    with pytest.raises(ValueError, match="frames of several sides cannot go through the tower"):
        supervised_loss(checkpoint.model, batch)
