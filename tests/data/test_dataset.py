from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from fixtures_model import make_tokenizer
from flipbook.data.batch import DataCollatorForSupervisedDataset, make_supervised_data_module
from flipbook.data.dataset import LazySupervisedDataset
from flipbook.data.generated.write import GeneratedData
from flipbook.data.labels.conversation import IGNORE_INDEX
from flipbook.data.media import sample_rng
from flipbook.data.sample import Sample, Visual
from flipbook.errors import DataError, MediaError, RecordError
from flipbook.train.arguments import DataArguments


def _arguments(**changes: Any) -> DataArguments:
    settings: dict[str, Any] = {"num_video_frames": 4, "frame_size": 128} | changes
    return DataArguments(**settings)


def _manifest(folder: Path, rows: list[dict[str, Any]]) -> str:
    path = folder / "rows.json"
    path.write_text(json.dumps(rows))
    return str(path)


def _row(row_id: str, **media: Any) -> dict[str, Any]:
    return {
        "id": row_id,
        **media,
        "conversations": [
            {"from": "human", "value": "<image>\nWhat?" if media else "What?"},
            {"from": "gpt", "value": "That."},
        ],
    }


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory, generated: GeneratedData) -> str:
    """A clip under `image`, two pictures, a text: one manifest."""
    folder = tmp_path_factory.mktemp("mixed")
    clip = next((generated.folder / "clips").glob("train-*.mp4"))
    (folder / "clip.mp4").write_bytes(clip.read_bytes())
    Image.new("RGB", (60, 40), "red").save(folder / "a.png")
    Image.new("RGB", (40, 60), "blue").save(folder / "b.png")
    two = _row("two", image=["a.png", "b.png"])
    two["conversations"][0]["value"] = "<image>\n<image>\nWhich?"
    return _manifest(folder, [_row("clip", image="clip.mp4"), two, _row("text")])


def frames_of(sample: Sample) -> Tensor:
    parts = [visual.frames for visual in sample.visuals if visual.frames is not None]
    return torch.cat(parts) if parts else torch.zeros(0, 3, 128, 128, dtype=torch.uint8)


def test_a_video_sample_has_a_feature_for_every_placeholder(mixed: str) -> None:
    tokenizer = make_tokenizer()
    dataset = LazySupervisedDataset(mixed, tokenizer, _arguments())
    image_token_id = tokenizer.convert_tokens_to_ids("<image>")
    for index, frames_per_visual in enumerate([[4], [1, 1], []]):
        sample = dataset[index]
        assert [visual.num_frames for visual in sample.visuals] == frames_per_visual
        frames = frames_of(sample)
        assert frames.shape == (sum(frames_per_visual), 3, 128, 128)
        assert frames.dtype == torch.uint8
        assert int((sample.input_ids == image_token_id).sum()) == len(frames) * 4
        learned = sample.labels[sample.labels != IGNORE_INDEX]
        assert tokenizer.decode(learned) == "That.<|im_end|>"
        assert sample.segments == (len(sample.input_ids),)


def test_the_check_knows_the_lengths_without_decoding(mixed: str) -> None:
    dataset = LazySupervisedDataset(mixed, make_tokenizer(), _arguments())
    lengths = [len(dataset[i].input_ids) for i in range(3)]
    assert dataset.table.num_tokens.tolist() == lengths
    assert dataset.check.longest_tokens == max(lengths)
    assert dataset.check.num_conversations == 3


def test_images_videos_and_texts_stand_in_one_row(mixed: str) -> None:
    dataset = LazySupervisedDataset(mixed, make_tokenizer(), _arguments())
    samples = [dataset[2], dataset[1], dataset[0]]
    batch = DataCollatorForSupervisedDataset()(samples)
    shapes = [tuple(part.shape) for part in batch["frames"]]
    assert shapes == [(6, 3, 128, 128)]
    assert torch.equal(torch.cat(batch["frames"]), torch.cat([frames_of(s) for s in samples]))
    assert [slot.num_frames for slot in batch["visuals"]] == [1, 1, 4]
    assert torch.equal(batch["input_ids"], torch.cat([s.input_ids for s in samples])[None])
    assert torch.equal(batch["labels"], torch.cat([s.labels for s in samples])[None])
    places = [torch.arange(len(s.input_ids)) for s in samples]
    assert torch.equal(batch["position_ids"], torch.cat(places)[None])
    assert batch["segments"] == [s.segments for s in samples]
    assert batch["record_ids"] == ["text", "two", "clip"]
    assert not batch["is_filler"]


def test_a_batch_of_texts_has_no_frames(mixed: str) -> None:
    dataset = LazySupervisedDataset(mixed, make_tokenizer(), _arguments())
    batch = DataCollatorForSupervisedDataset()([dataset[2]])
    assert "frames" not in batch
    assert "features" not in batch
    assert batch["visuals"] == []


@pytest.mark.parametrize("number", [np.int64(1), torch.tensor(1)])
def test_a_number_of_any_kind_is_an_index(mixed: str, number: Any) -> None:
    dataset = LazySupervisedDataset(mixed, make_tokenizer(), _arguments())
    assert dataset[number].record_ids == dataset[1].record_ids == ("two",)


def test_questions_about_one_clip_are_one_sample(mixed: str, tmp_path: Path) -> None:
    clip = str(Path(mixed).parent / "clip.mp4")
    rows = [_row("a", video=clip), _row("b", video=clip), _row("c")]
    rows[1]["conversations"][1]["value"] = "Something else."
    arguments = _arguments(image_folder=str(Path(mixed).parent))
    dataset = LazySupervisedDataset(_manifest(tmp_path, rows), make_tokenizer(), arguments)
    first, second, both = dataset[0], dataset[1], dataset[(0, 1)]
    head = int(dataset.table.head_tokens[0])
    branches = [len(one.input_ids) - head for one in (first, second)]
    assert both.segments == (head, *branches)
    assert both.record_ids == ("a", "b")
    assert len(both.visuals) == 1
    assert torch.equal(both.input_ids[: len(first.input_ids)], first.input_ids)
    assert torch.equal(both.labels[len(first.labels) :], second.labels[head:])
    with pytest.raises(ValueError, match="a, c do not show the same media"):
        dataset[(0, 2)]


@pytest.mark.parametrize(
    ("visual", "reason"),
    [
        ({"num_frames": 2}, "needs either frames or features"),
        ({"num_frames": 2, "frames": torch.zeros(3, 3, 8, 8, dtype=torch.uint8)}, "of 2 frames"),
        ({"num_frames": 2, "frames": torch.zeros(2, 3, 8, 8)}, "uint8"),
        ({"num_frames": 2, "features": torch.zeros(2, 4)}, "features must be"),
    ],
)
def test_a_visual_refuses_what_does_not_fit(visual: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Visual(**visual)


@pytest.mark.parametrize(
    ("sample", "reason"),
    [
        ({"labels": torch.zeros(3)}, "must both be"),
        ({"segments": (1, 2)}, "do not cover 4 tokens"),
        ({"segments": (2, 1, 1)}, "1 records in segments"),
        ({"segments": (2, 2), "labels": torch.tensor([-100, 7, -100, 7])}, "is supervised"),
        ({"segments": (2, 2), "labels": torch.tensor([-100, -100, 7, 7])}, "is supervised"),
    ],
)
def test_a_sample_refuses_what_does_not_fit(sample: dict[str, Any], reason: str) -> None:
    ids = torch.zeros(4, dtype=torch.int64)
    sound: dict[str, Any] = {"record_ids": ("a",), "segments": (4,), "visuals": ()}
    with pytest.raises(ValueError, match=reason):
        Sample(**{"input_ids": ids, "labels": ids, **sound, **sample})


def test_a_broken_video_is_an_error_with_its_name_and_no_other_sample(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"this is no video" * 100)
    tokenizer = make_tokenizer()
    manifest = _manifest(tmp_path, [_row("good"), _row("bad", video="broken.mp4")])
    dataset = LazySupervisedDataset(manifest, tokenizer, _arguments())
    with pytest.raises(MediaError, match=r"broken\.mp4"):
        dataset[1]
    good, bad = dataset.__getitems__([0, 1])
    assert good.record_ids == ("good",)  # type: ignore[union-attr]
    assert isinstance(bad, MediaError)
    batch = DataCollatorForSupervisedDataset()([good, bad])
    assert batch == {"error": bad}


def test_over_long_records_are_refused_with_their_budget(mixed: str) -> None:
    arguments = _arguments(model_max_length=40, max_bad_fraction=0.9)
    dataset = LazySupervisedDataset(mixed, make_tokenizer(), _arguments(model_max_length=4000))
    assert len(dataset) == 3
    with pytest.raises(DataError, match=r"record clip: .*tokens"):
        LazySupervisedDataset(mixed, make_tokenizer(), _arguments(model_max_length=60))
    with pytest.raises(DataError, match="no record can be used"):
        LazySupervisedDataset(mixed, make_tokenizer(), arguments)


def test_rejections_within_the_allowed_share_are_kept_and_counted(tmp_path: Path) -> None:
    manifest = _manifest(tmp_path, [_row("good"), _row("gone", video="gone.mp4")])
    with pytest.raises(DataError, match=r"1 of 2 records.*50\.0%.*\n.*gone\.mp4") as caught:
        LazySupervisedDataset(manifest, make_tokenizer(), _arguments())
    assert "--max_bad_fraction" in str(caught.value)
    dataset = LazySupervisedDataset(manifest, make_tokenizer(), _arguments(max_bad_fraction=0.5))
    assert len(dataset) == 1
    (rejected,) = dataset.check.rejected
    assert isinstance(rejected, RecordError)
    assert rejected.record_id == "gone"


def test_randomness_depends_on_seed_epoch_and_record_alone(generated: GeneratedData) -> None:
    arguments = _arguments(frame_sampler="segments")
    first, second = (
        LazySupervisedDataset(str(generated.train), make_tokenizer(), arguments) for _ in range(2)
    )
    np.random.default_rng().random()
    assert torch.equal(frames_of(first[0]), frames_of(second[0]))
    epochs = []
    for epoch in range(4):
        first.set_epoch(epoch)
        epochs.append(frames_of(first[0]))
    assert any(not torch.equal(epochs[0], other) for other in epochs[1:])
    first.set_epoch(0)
    assert torch.equal(frames_of(first[0]), epochs[0])
    draws = {
        float(sample_rng(seed, epoch, name).random())
        for seed in (0, 1)
        for epoch in (0, 1)
        for name in ("a", "b")
    }
    assert len(draws) == 8


def test_validation_frames_do_not_move(generated: GeneratedData) -> None:
    arguments = _arguments(frame_sampler="segments")
    dataset = LazySupervisedDataset(
        str(generated.train), make_tokenizer(), arguments, training=False
    )
    before = frames_of(dataset[0])
    dataset.set_epoch(3)
    assert torch.equal(frames_of(dataset[0]), before)


def test_fps_counts_are_known_before_decoding(generated: GeneratedData) -> None:
    arguments = _arguments(frame_sampler="fps", frames_per_s=3.0, min_frames=2, max_frames=6)
    dataset = LazySupervisedDataset(str(generated.train), make_tokenizer(), arguments)
    assert dataset.table.num_tokens[0] == len(dataset[0].input_ids)


def test_the_data_module_has_what_a_trainer_takes(generated: GeneratedData, mixed: str) -> None:
    arguments = _arguments(data_path=[str(generated.train), mixed])
    module = make_supervised_data_module(make_tokenizer(), arguments)
    assert module["eval_dataset"] is None
    assert len(module["train_dataset"]) > 3
    arguments.validation_data_path = str(generated.validation)
    module = make_supervised_data_module(make_tokenizer(), arguments)
    assert module["eval_dataset"] is not None
    assert not module["eval_dataset"].training


def test_records_of_another_split_are_refused(generated: GeneratedData, tmp_path: Path) -> None:
    rows = json.loads(generated.train.read_text())[:3]
    for row, split in zip(rows, ("train", "test", None), strict=True):
        row["video"], row["split"] = str(generated.folder / row["video"]), split
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows))
    lenient = _arguments(image_folder=str(generated.folder), max_bad_fraction=0.5)
    trained = LazySupervisedDataset(str(path), make_tokenizer(), lenient)
    (error,) = trained.check.rejected
    assert error.record_id == rows[1]["id"]
    assert "is of split test, and its file is used for train; divide the file with" in str(error)
    watched = LazySupervisedDataset(str(path), make_tokenizer(), lenient, training=False)
    (error,) = watched.check.rejected
    assert error.record_id == rows[0]["id"]
    assert "used for validation" in str(error)
