"""Do the usual way and ours, with any part left out, compute one and the same loss?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from fixtures_model import make_checkpoint
from flipbook.data.features.store import FeatureStore

Load = Callable[[str], ModuleType]


@pytest.fixture
def steps(load_benchmark: Load, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what makes steps of the small random model, without learning from them."""
    monkeypatch.setattr(load_benchmark("reference"), "has_decord", lambda: False)
    module = load_benchmark("steps")
    checkpoint = make_checkpoint()
    model = module.choose_usual_parts(checkpoint.model)
    made = module.Steps(model, checkpoint.tokenizer, num_frames=3, side=128)
    monkeypatch.setattr(made, "learn", lambda loss: loss.item())
    return made


@pytest.fixture
def asked(load_benchmark: Load, tmp_path: Path) -> Any:
    clips = load_benchmark("clips")
    return clips.make_asked(
        tmp_path, clips.SMOKE_FILE, num_clips=2, questions_per_clip=3, seconds=1
    )


@pytest.mark.parametrize(
    "left_out",
    [{}, {"decodes"}, {"encodes_few"}, {"short_logits"}, {"shares"}, {"shares", "packs"}],
)
def test_every_recipe_gives_the_loss_of_the_usual_way(
    left_out: set[str], steps: Any, asked: Any, load_benchmark: Load
) -> None:
    recipe = replace(load_benchmark("steps").Recipe(), **dict.fromkeys(left_out, False))
    assert steps.ours(asked, recipe)() == pytest.approx(steps.usual(asked)(), rel=1e-5)


def test_both_processors_of_the_usual_way_agree(steps: Any, asked: Any) -> None:
    by_torchvision = steps.usual(asked, kind="torchvision")()
    assert by_torchvision == pytest.approx(steps.usual(asked)(), rel=1e-3)


def test_stored_features_give_the_same_bits(
    steps: Any, asked: Any, load_benchmark: Load, tmp_path: Path
) -> None:
    recipe = load_benchmark("steps").Recipe(stores=True)
    store = FeatureStore(tmp_path / "features", encoder="test")
    way = steps.ours(asked, recipe, store=store)
    live = way()
    store.flush()
    batch = way.make()
    assert all(slot.is_stored for slot in batch["visuals"])
    assert way.run(batch) == live


def test_the_usual_tokens_are_ours(steps: Any, asked: Any, load_benchmark: Load) -> None:
    recipe = replace(load_benchmark("steps").Recipe(), shares=False)
    ours = steps.ours(asked, recipe).make()
    (usual,) = steps.usual(asked).make()
    rows = zip(usual["input_ids"], usual["labels"], usual["attention_mask"].bool(), strict=True)
    ids, labels = zip(*((ids[seen], labels[seen]) for ids, labels, seen in rows), strict=True)
    assert torch.equal(torch.cat(ids)[None], ours["input_ids"])
    assert torch.equal(torch.cat(labels)[None], ours["labels"])
