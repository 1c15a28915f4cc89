"""Make the golden loss curves anew, after a change that is meant to move them.

    PYTHONPATH=src:tests python tests/golden/make.py [NAME ...]

Each curve is that of the first way of its class in `tests/fixtures_golden.py`; the file names the
versions that made it. Look at the difference in git before it is committed: a change of the data
path, the labels or the loss moves every curve, and must be explained in the change itself.
"""

from __future__ import annotations

import json
import platform
import sys
import tempfile
from pathlib import Path

import torch
import transformers

from fixtures_golden import CLASSES, GOLDEN, data_of, losses_of
from fixtures_model import make_checkpoint
from flipbook.data.generated.write import write_generated_data
from flipbook.model.saving import save_checkpoint


def make(names: list[str], folder: Path) -> None:
    torch.set_num_threads(1)
    model = save_checkpoint(folder / "fast_vlm", make_checkpoint())
    data = write_generated_data(
        folder / "data",
        clips_per_task=1,
        validation_clips_per_task=1,
        test_clips_per_task=1,
        replay_images=3,
        test_images_per_task=1,
        seed=7,
    )
    for name in names:
        way, settings = next(iter(CLASSES[name].items()))
        losses = losses_of(
            settings, model=model, data_path=data_of(name, data), folder=folder / name
        )
        made_by = {"torch": torch.__version__, "transformers": transformers.__version__}
        made_by |= {"python": platform.python_version(), "machine": platform.machine()}
        curve = {"way": way, "losses": losses, "made_by": made_by}
        (GOLDEN / f"{name}.json").write_text(json.dumps(curve, indent=1) + "\n")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        make(sys.argv[1:] or list(CLASSES), Path(made))
