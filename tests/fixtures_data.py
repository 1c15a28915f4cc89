"""Which small data sets do the tests share?

generated  ->  a few generated clips and pictures with their manifests, made once
tune       ->  a function that runs a short training of the small random model on them
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from flipbook.data.generated.write import GeneratedData, write_generated_data
from flipbook.train.parsing import parse_arguments
from flipbook.train.run import RunResult, train

Tune = Callable[..., RunResult]
SHORT_RUN: dict[str, object] = {
    "num_video_frames": 2,
    "frame_size": 128,
    "per_device_train_batch_size": 4,
    "max_steps": 2,
    "learning_rate": 1e-3,
    "dataloader_num_workers": 0,
    "save_strategy": "no",
    "logging_steps": 1,
    "use_cpu": True,
    "report_to": "none",
    "eval_num_answers": 0,
    "proof_records": 0,
}


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> GeneratedData:
    return write_generated_data(
        tmp_path_factory.mktemp("generated"),
        clips_per_task=1,
        validation_clips_per_task=1,
        test_clips_per_task=1,
        replay_images=3,
        test_images_per_task=1,
        seed=7,
    )


@pytest.fixture
def tune(fast_vlm_folder: Path, generated: GeneratedData, tmp_path: Path) -> Tune:
    """Return a function: flags -> RunResult, of a run with 2 frames a clip in `tmp_path/run`."""

    def run(output_dir: Path | None = None, **flags: object) -> RunResult:
        settings = (
            SHORT_RUN
            | {
                "model_name_or_path": fast_vlm_folder,
                "data_path": generated.train,
                "output_dir": output_dir or tmp_path / "run",
            }
            | flags
        )
        words = [f"--{name}={value}" for name, value in settings.items() if name != "train_parts"]
        if "train_parts" in flags:
            words += ["--train_parts", *str(flags["train_parts"]).split()]
        return train(parse_arguments(words), console=Console(file=io.StringIO()))

    return run
