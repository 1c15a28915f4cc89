"""Does a model learn, and is it asked, in the layout that was chosen, whichever it is?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from fixtures_model import make_checkpoint
from flipbook.apps.chat import Talk
from flipbook.data.batch import DataCollatorForSupervisedDataset
from flipbook.data.dataset import LazySupervisedDataset
from flipbook.data.features.store import FeatureStore
from flipbook.data.generated.write import GeneratedData
from flipbook.data.media import media_of, read_media
from flipbook.data.proofs.explanation import explain
from flipbook.data.proofs.prove import prove_sample_of
from flipbook.data.records import read_records
from flipbook.data.turns import Turn
from flipbook.errors import BudgetError
from flipbook.model.checkpoint import Checkpoint
from flipbook.model.fastvlm import encode_visuals, join_features
from flipbook.model.loss import supervised_loss
from flipbook.model.pooling import pool_visuals
from flipbook.score.answering import answer_questions
from flipbook.score.controls import CONTROLS, ORDERS, in_order
from flipbook.score.questions import questions_of
from flipbook.score.seen import Sight
from flipbook.train.data_arguments import DataArguments
from flipbook.train.planning.lengths import Frames, SampleLengths
from flipbook.video.layouts import LAYOUTS

OTHERS = [name for name in LAYOUTS if name != "frames"]


@pytest.fixture(scope="module")
def checkpoints() -> dict[str, Checkpoint]:
    return {name: make_checkpoint(layout=name) for name in LAYOUTS}


@pytest.fixture(scope="module")
def manifest(generated: GeneratedData) -> Path:
    """Two clips, of one the frames of each second, a picture beside a clip, and words alone."""
    rows = json.loads(generated.train.read_text())[:2]
    rows[1]["clip"] = {"sampler": "fps", "frames_per_s": 3.0, "min_frames": 2, "max_frames": 6}
    stills = json.loads(generated.images.read_text())
    for row in stills:
        row["image"] = str(generated.folder / row["image"])
    both = dict(rows[0], id="both")
    both["image"] = stills[0]["image"]
    both["conversations"] = [
        {"from": "human", "value": "<image><video>What moves?"},
        {"from": "gpt", "value": "That."},
    ]
    words = [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "So."}]
    path = generated.folder / "layouts.json"
    path.write_text(json.dumps([*rows, both, {"id": "words", "conversations": words}]))
    return path


def dataset_of(manifest: Path, checkpoint: Checkpoint, **changes: Any) -> LazySupervisedDataset:
    settings = checkpoint.clip_settings
    named: dict[str, Any] = {
        "data_path": [str(manifest)],
        "frame_size": settings.frame_size,
        "num_video_frames": settings.num_frames,
        "frame_layout": settings.layout,
    }
    arguments = DataArguments(**named | changes)
    return LazySupervisedDataset(str(manifest), checkpoint.tokenizer, arguments)


def batch_of(dataset: LazySupervisedDataset) -> Any:
    return DataCollatorForSupervisedDataset()([dataset[place] for place in range(len(dataset))])


@pytest.mark.parametrize("name", LAYOUTS)
def test_features_are_as_many_as_their_places(
    manifest: Path, checkpoints: dict[str, Checkpoint], name: str
) -> None:
    dataset = dataset_of(manifest, checkpoints[name])
    batch = batch_of(dataset)
    lengths = [len(dataset[place].input_ids) for place in range(len(dataset))]
    assert dataset.table.num_tokens.tolist() == lengths
    made = encode_visuals(checkpoints[name].model, batch)
    features = join_features(pool_visuals(batch["visuals"], made))
    places = int((batch["input_ids"] == dataset.encoder.image_token_id).sum())
    assert places == features.shape[0] * features.shape[1]
    assert prove_sample_of(dataset) == len(dataset)


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_projector_learns_by_it(
    manifest: Path, checkpoints: dict[str, Checkpoint], name: str
) -> None:
    model = checkpoints[name].model
    batch = batch_of(dataset_of(manifest, checkpoints[name]))
    features = join_features(pool_visuals(batch["visuals"], encode_visuals(model, batch)))
    model.zero_grad()
    model.model.vision_tower.requires_grad_(False)
    supervised_loss(model, batch, features=features).loss.backward()
    projector = list(model.model.multi_modal_projector.parameters())
    assert all(bool(weight.grad.abs().sum() > 0) for weight in projector)
    model.zero_grad()


@pytest.mark.parametrize("name", LAYOUTS)
def test_stored_features_are_the_live_ones(
    manifest: Path, checkpoints: dict[str, Checkpoint], name: str, tmp_path: Path
) -> None:
    dataset = dataset_of(manifest, checkpoints[name])
    dataset.store = FeatureStore(tmp_path, encoder="tower")
    live = batch_of(dataset)
    made = encode_visuals(checkpoints[name].model, live)
    dataset.store.write_visuals(live["visuals"], made)
    dataset.store.flush()
    stored = batch_of(dataset)
    assert all(slot.is_stored for slot in stored["visuals"])
    assert [s.pooling for s in stored["visuals"]] == [s.pooling for s in live["visuals"]]
    again = encode_visuals(checkpoints[name].model, stored)
    for one, other in zip(
        pool_visuals(live["visuals"], made), pool_visuals(stored["visuals"], again), strict=True
    ):
        assert torch.equal(one, other)
    assert torch.equal(live["input_ids"], stored["input_ids"])


@pytest.mark.parametrize("name", OTHERS)
def test_a_still_image_keeps_all_its_tokens(
    manifest: Path, checkpoints: dict[str, Checkpoint], name: str
) -> None:
    dataset = dataset_of(manifest, checkpoints[name])
    seen = dataset.visuals(2)
    picture = seen.visuals[0]
    assert (picture.num_frames, picture.pooling) == (1, "none")
    assert picture.frames is not None
    assert picture.frames.shape == (1, 3, 128, 128)
    explained = explain(dataset.table[2].turns, dataset.encoder, record_id="both")
    assert explained.frames_per_media == seen.frames_per_media
    assert [f.num_tokens for f in explained.frames if f.medium == 1] == [4]
    tokens = tuple(frame.num_tokens for frame in explained.frames if frame.medium == 2)
    assert tokens == dataset.settings.tokens_of_clip(4)
    assert all(proof.holds for proof in explained.proofs)


@pytest.mark.parametrize("name", LAYOUTS)
def test_chat_asks_as_training_does(
    generated: GeneratedData, checkpoints: dict[str, Checkpoint], name: str
) -> None:
    checkpoint = checkpoints[name]
    record = read_records(str(generated.test)).records[0]
    turns = record.conversations[0]
    dataset = dataset_of(generated.test, checkpoint)
    talk = Talk(checkpoint, media=[record.media[0].path], max_new_tokens=1)
    prompt = talk.prompt((Turn("user", (*talk.media, turns[0].text.strip())),))
    assert torch.equal(prompt.input_ids, dataset[0].input_ids[: len(prompt)])
    batch = DataCollatorForSupervisedDataset()([dataset[0]])
    made = pool_visuals(batch["visuals"], encode_visuals(checkpoint.model, batch))
    for ours, theirs in zip(prompt.features, made, strict=True):
        assert torch.equal(ours, theirs)
    talk.ask("What moves?")


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_control_is_answered(
    generated: GeneratedData, checkpoints: dict[str, Checkpoint], name: str
) -> None:
    checkpoint = checkpoints[name]
    questions = questions_of(read_records(str(generated.test)).records[:3])
    answers = answer_questions(
        checkpoint,
        questions,
        settings=checkpoint.clip_settings,
        controls=CONTROLS,
        max_new_tokens=1,
        score_options=False,
    )
    assert set(answers) == set(CONTROLS)
    assert all(answer is not None for answer in answers["shuffled"])


def test_frames_change_their_cells_before_they_are_tiled(
    generated: GeneratedData, checkpoints: dict[str, Checkpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    from flipbook.score import seen

    checkpoint = checkpoints["grid"]
    shown: list[torch.Tensor] = []

    def note(model: Any, frames: torch.Tensor, **options: Any) -> torch.Tensor:
        shown.append(frames)
        return torch.zeros(len(frames), 4, 8)

    monkeypatch.setattr(seen, "tower_features", note)
    media = media_of(read_records(str(generated.test)).records[0].conversations[0])
    sight = Sight(checkpoint.model, checkpoint, checkpoint.clip_settings)
    for control in ORDERS:
        sight.look(media, control=control, record_id="r")
    cells = [cells_of(picture) for picture in shown]
    for control, moved in zip(ORDERS, cells, strict=True):
        assert torch.equal(moved, in_order(control, cells[0], record_id="r"))
    assert not torch.equal(cells[1], cells[0])


def cells_of(picture: torch.Tensor) -> torch.Tensor:
    """Return the four cells of a grid of 128 px in reading order, (4, 3, 64, 64)."""
    rows = picture[0].unfold(1, 64, 64).unfold(2, 64, 64)  # (3, 2, 2, 64, 64)
    return rows.permute(1, 2, 0, 3, 4).flatten(0, 1)


def test_a_single_frame_is_the_same_one_on_both_paths(
    generated: GeneratedData, checkpoints: dict[str, Checkpoint]
) -> None:
    checkpoint = checkpoints["slow_fast"]
    media = media_of(read_records(str(generated.test)).records[0].conversations[0])
    sight = Sight(checkpoint.model, checkpoint, checkpoint.clip_settings)
    fast, slow = sight.look(media, control="single_frame", record_id="r").features
    full_fast, _ = sight.look(media, control="full", record_id="r").features
    assert all(torch.equal(frame, full_fast[2]) for frame in fast)
    assert torch.equal(slow[0], slow[1])
    assert sight.look(media, control="blank", record_id="r").frames_per_media == (6,)


def test_pooling_comes_after_the_order(
    generated: GeneratedData, checkpoints: dict[str, Checkpoint]
) -> None:
    checkpoint = checkpoints["spatio_temporal"]
    media = media_of(read_records(str(generated.test)).records[0].conversations[0])
    sight = Sight(checkpoint.model, checkpoint, checkpoint.clip_settings)
    (full,) = sight.look(media, control="full", record_id="r").features
    (turned,) = sight.look(media, control="reversed", record_id="r").features
    assert torch.equal(turned[0, :4], full[0, :4].flip(0))
    assert torch.allclose(turned[0, 4:], full[0, 4:], atol=1e-5)


def test_frames_alone_are_not_what_a_pooling_model_reads(
    generated: GeneratedData, checkpoints: dict[str, Checkpoint]
) -> None:
    media = media_of(read_records(str(generated.test)).records[0].conversations[0])
    with pytest.raises(ValueError, match="the layout pooled pools features; read the visuals"):
        read_media(media, checkpoints["pooled"].clip_settings)


def test_a_conversation_too_long_is_not_told_to_take_other_frames(
    manifest: Path, checkpoints: dict[str, Checkpoint]
) -> None:
    dataset = dataset_of(
        manifest, checkpoints["slow_fast"], model_max_length=110, max_bad_fraction=0.9
    )
    (first, *_) = [one for one in dataset.check.rejected if isinstance(one, BudgetError)]
    assert "6 frames x 1 or 4 +" in str(first)
    assert "Nothing is ever cut: raise the limit to" in str(first)


@pytest.mark.parametrize("name", OTHERS)
def test_a_plan_knows_no_other_lengths(
    manifest: Path, checkpoints: dict[str, Checkpoint], name: str
) -> None:
    dataset = dataset_of(manifest, checkpoints[name])
    lengths = SampleLengths.of(dataset)
    assert lengths.is_laid_out
    for frames in (lengths.measured, Frames(99, 640)):
        assert lengths.num_tokens(frames).tolist() == dataset.table.num_tokens.tolist()
    assert f"= {dataset.table.num_tokens[0]} tokens" in lengths.budget(0)
    pictures = {"grid": 1, "pooled": 4, "spatio_temporal": 4, "slow_fast": 6}
    assert dataset.table.num_frames[0] == pictures[name]
