"""A model that learned by what only flipbook does is not written for another program."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures_model import make_checkpoint
from flipbook.errors import ArgumentError
from flipbook.export.lmms import open_for_task
from flipbook.export.write import export_model
from flipbook.model.saving import save_checkpoint


@pytest.fixture(scope="module")
def timed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("timed") / "model"
    save_checkpoint(folder, make_checkpoint(timestamps=True))
    return folder


@pytest.mark.parametrize("layout", ["hf", "apple"])
def test_no_layout_is_written(timed: Path, tmp_path: Path, layout: str) -> None:
    message = f"trained with --timestamps, which what reads the layout {layout} does not follow"
    with pytest.raises(ArgumentError, match=message):
        export_model(timed, layout=layout, out=tmp_path / "llava-out")
    assert not (tmp_path / "llava-out").exists()


def test_no_benchmark_of_another_program_is_run(timed: Path) -> None:
    with pytest.raises(ArgumentError, match="--timestamps, which lmms-eval does not follow"):
        open_for_task(str(timed), dtype="float32", overrides={})
    with pytest.raises(ArgumentError, match="sparse, which lmms-eval does not follow"):
        open_for_task(
            str(timed), dtype="float32", overrides={"timestamps": False, "sampler": "sparse"}
        )
