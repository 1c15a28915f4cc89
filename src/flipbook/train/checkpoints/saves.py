"""What is a checkpoint on the way, and when is it there?

a model in training  ->  RUN/checkpoint-N/

It is written beside its place by all processes, then by one of them hashed, made to last, and
named: see `checkpoints/`. Optimizer, schedule and random numbers are plain values and tensors.
With FSDP and DeepSpeed the library's own files take the place of the optimizer's.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import Trainer
from transformers.trainer import TRAINER_STATE_NAME, TRAINING_ARGS_NAME

from flipbook.errors import StorageError
from flipbook.model.adapters.trained_on import AdapterBase
from flipbook.train.checkpoints.full_disk import refused_writes, storage_error
from flipbook.train.checkpoints.manifest import write_manifest
from flipbook.train.checkpoints.places import (
    PARTIAL,
    checkpoint_of,
    put_in_place,
    staged_of,
    step_of,
    whole_steps,
)
from flipbook.train.checkpoints.plain_state import save_state
from flipbook.train.checkpoints.random_state import random_state
from flipbook.train.checkpoints.rotation import rotate
from flipbook.train.ranks.together import fail_together
from flipbook.video.settings import ClipSettings

OPTIMIZER, SCHEDULE, SCALER, PROCESS = "optimizer", "schedule", "scaler", "process"
logger = logging.getLogger(__name__)


class WholeSaves(Trainer):
    """A Trainer whose checkpoints hold all that is needed to go on, and to be loaded with care.

    Attributes:
        adapter_base: what the adapters depend on, where there are some.
        beside: each writes further files into the folder of a checkpoint; called by the process
            that writes.
        run_id: of the run, see `checkpoints/identity.py`.

    Raises:
        StorageError: a checkpoint could not be written; the one before is as it was.
    """

    adapter_base: AdapterBase | None = None
    beside: list[Callable[[Path], object]]
    run_id: str = ""
    _settings: ClipSettings

    @property
    def _run_folder(self) -> Path:
        return Path(str(self.args.output_dir))

    @property
    def _keeps_own_way(self) -> bool:
        """Whether the library writes the state of the optimizer, in pieces."""
        return bool(self.is_fsdp_enabled or self.is_deepspeed_enabled)

    def _save(
        self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None
    ) -> None:
        super()._save(output_dir, state_dict)
        if not self.args.should_save:
            return  # the library calls this in every process and writes in one
        folder = output_dir or str(self.args.output_dir)
        (Path(folder) / TRAINING_ARGS_NAME).unlink(missing_ok=True)  # pickled, and read by nobody
        self._settings.save(folder)
        if self.adapter_base is not None:
            self.adapter_base.save(folder)  # so that an adapter on the way is loaded with care, too
        for write in self.beside:
            write(Path(folder))

    def _get_output_dir(self, trial: Any) -> str:
        return str(self._run_folder / PARTIAL)  # where the library may write, and delete

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        step, pushes = self.state.global_step, self.args.push_to_hub
        best = self.state.best_model_checkpoint
        refused: list[Exception] = []
        self.args.push_to_hub = False  # not before it is in its place
        with refused_writes(refused):
            super()._save_checkpoint(model, trial)
        self.args.push_to_hub = pushes
        self._end_together(refused, best=best)
        with refused_writes(refused):
            if self.args.should_save:
                self._put_in_place(step)
        self._end_together(refused, best=best)
        if self.args.should_save:
            self._rotate(step)
        if pushes:
            self._push_from_checkpoint(str(checkpoint_of(self._run_folder, step)))

    def _put_in_place(self, step: int) -> None:
        staged = staged_of(self._run_folder, step)
        if self.state.best_global_step == step:
            self.state.best_model_checkpoint = str(checkpoint_of(self._run_folder, step))
        self.state.save_to_json(str(staged / TRAINER_STATE_NAME))
        write_manifest(
            staged,
            step=step,
            run_id=self.run_id,
            num_processes=self.args.world_size,
            can_go_on=not self.args.save_only_model,
        )
        put_in_place(self._run_folder, step, run_id=self.run_id)

    def _end_together(self, refused: list[Exception], *, best: str | None) -> None:
        """Wait for all processes; where a write of one was refused, leave nothing and raise.

        Raises:
            StorageError: it was.
        """
        error = self._in_words(refused[0]) if refused else None
        try:
            fail_together(error)
        except StorageError:
            self.state.best_model_checkpoint = best
            shutil.rmtree(self._run_folder / PARTIAL, ignore_errors=True)
            raise

    def _in_words(self, error: Exception) -> StorageError:
        told = storage_error(
            error,
            what=f"checkpoint-{self.state.global_step}",
            run_folder=self._run_folder,
            needed_bytes=self._needed_bytes(),
        )
        told.__cause__ = error
        return told

    def _needed_bytes(self) -> int:
        """Return about how large a checkpoint of this run is: as the last one, if there is one."""
        steps = whole_steps(self._run_folder, self.run_id)
        if steps:
            return steps[max(steps)].num_bytes
        adapts, model = self.adapter_base is not None, self.model
        weights = () if model is None else model.parameters()
        held = [p for p in weights if p.requires_grad or not adapts]
        state = self.optimizer.state.values() if self.optimizer is not None else ()
        tensors = [value for values in state for value in values.values()]
        return sum(t.numel() * t.element_size() for t in (*held, *tensors) if hasattr(t, "numel"))

    def _rotate(self, step: int) -> None:
        best = self.state.best_model_checkpoint
        try:
            rotate(
                self._run_folder,
                run_id=self.run_id,
                limit=self.args.save_total_limit,
                newest=step,
                best=None if best is None else step_of(Path(best)),
            )
        except OSError as error:  # the new one is whole, and one too many does no harm
            logger.warning("%s: an older checkpoint stays (%s).", self._run_folder, error.strerror)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if self._keeps_own_way:
            super()._save_optimizer_and_scheduler(output_dir)
        elif self.args.should_save:
            assert self.optimizer is not None
            assert self.lr_scheduler is not None
            save_state(Path(output_dir), OPTIMIZER, self.optimizer.state_dict())
            save_state(Path(output_dir), SCHEDULE, self.lr_scheduler.state_dict())

    def _save_scaler(self, output_dir: str) -> None:
        scaler = getattr(self.accelerator, "scaler", None)
        if scaler is not None and self.args.should_save:
            save_state(Path(output_dir), SCALER, scaler.state_dict())

    def _save_rng_state(self, output_dir: str) -> None:
        """Write what each process has of its own: random numbers, and the loss since the log."""
        Path(output_dir).mkdir(parents=True, exist_ok=True)  # the first process may be behind
        state = {
            "random": random_state(self.args.device),
            "loss": self._tr_loss,
            "logged_step": self._globalstep_last_logged,
        }
        save_state(Path(output_dir), f"{PROCESS}-{self.args.process_index}", state)
