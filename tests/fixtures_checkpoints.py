"""Which small checkpoints without a model do the tests share?

run folder, step  ->  RUN/checkpoint-N of a few bytes, staged, hashed and named as a real one is
"""

from __future__ import annotations

from pathlib import Path

from flipbook.train.checkpoints.manifest import write_manifest
from flipbook.train.checkpoints.places import put_in_place, staged_of

RUN = "this-run"


def write_small_checkpoint(
    run_folder: Path, step: int, *, run_id: str = RUN, can_go_on: bool = True
) -> Path:
    """Folder of a checkpoint with three files, one of them in a folder."""
    staged = staged_of(run_folder, step)
    (staged / "inner").mkdir(parents=True, exist_ok=True)
    (staged / "model.safetensors").write_bytes(bytes([step % 256]) * 40)
    (staged / "trainer_state.json").write_text(f'{{"global_step": {step}}}')
    (staged / "inner" / "more.json").write_text("{}")
    write_manifest(staged, step=step, run_id=run_id, num_processes=1, can_go_on=can_go_on)
    return put_in_place(run_folder, step, run_id=run_id)
