"""How does a run go on from a checkpoint?

RUN/checkpoint-N/  ->  weights, optimizer, schedule, random numbers and losses as they were

Whether it is whole is known before: see `checkpoints/choosing.py`. Nothing is unpickled; with FSDP
and DeepSpeed the library's own files are read in its own way.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import set_seed

from flipbook.errors import CheckpointError
from flipbook.train.arguments import TrainingArguments
from flipbook.train.checkpoints.aside import set_aside_later
from flipbook.train.checkpoints.manifest import read_manifest, refuse_pickles, verify
from flipbook.train.checkpoints.places import checkpoint_of
from flipbook.train.checkpoints.plain_state import load_state
from flipbook.train.checkpoints.random_state import set_random_state
from flipbook.train.checkpoints.rates import give_settings, settings_of
from flipbook.train.checkpoints.saves import OPTIMIZER, PROCESS, SCALER, SCHEDULE, WholeSaves
from flipbook.train.ranks.together import decided_by_main


class ExactResume(WholeSaves):
    """A Trainer that goes on from what `WholeSaves` has written, or says why it cannot.

    Attributes:
        arguments: of the run, the changed ones where `resume_changed`.
        verified: the checkpoint of which every byte was read already, see `run_folder.py`.

    Raises:
        CheckpointError: a file is missing or wrong; nothing is passed over in silence.
        StorageError: what the run leaves behind cannot be set aside.
    """

    arguments: TrainingArguments
    verified: str | None = None

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        self._check(Path(resume_from_checkpoint))
        super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _check(self, folder: Path) -> None:
        if str(folder) != self.verified:
            decided_by_main(lambda: verify(folder))
            self.verified = str(folder)
        if not self._keeps_own_way:
            refuse_pickles(folder)

    def _init_training_state(self, *args: Any, **kwargs: Any) -> tuple[int, int]:
        trained: tuple[int, int] = super()._init_training_state(*args, **kwargs)
        best = self.state.best_global_step
        if best and self.state.global_step > 0:
            self.state.best_model_checkpoint = self._best_of(best)
        return trained

    def _best_of(self, step: int) -> str | None:
        """Return the best checkpoint of the part of the run before, where it is now."""
        folder = checkpoint_of(self._run_folder, step)
        if folder.is_dir():
            return str(folder)
        if self.args.load_best_model_at_end and self.state.best_model_checkpoint is None:
            raise CheckpointError(
                f"{folder}: is missing, and was the best so far (step {step}), which is to be "
                "taken at the end. Nothing was changed. Copy it there as well, or give "
                "--load_best_model_at_end false."
            )
        return self.state.best_model_checkpoint

    def _prepare_for_training(self, max_steps: int, *args: Any, **kwargs: Any) -> Any:
        """Load what the run goes on from; then only set aside what it leaves behind."""
        prepared: Any = super()._prepare_for_training(  # type: ignore[no-untyped-call]
            max_steps, *args, **kwargs
        )
        step = self.state.global_step
        if 0 < step < max_steps:
            folder, run_id = self._run_folder, self.run_id
            decided_by_main(lambda: set_aside_later(folder, step, run_id=run_id))
        return prepared

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        if self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True  # the library would take one step more
            return
        super()._run_epoch(*args, **kwargs)  # type: ignore[no-untyped-call]

    def _load_best_model(self) -> None:
        self._check(Path(str(self.state.best_model_checkpoint)))
        super()._load_best_model()

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None or self._keeps_own_way:
            super()._load_optimizer_and_scheduler(checkpoint)
            return
        folder, optimizer, schedule = Path(checkpoint), self.optimizer, self.lr_scheduler
        assert optimizer is not None
        assert schedule is not None
        given = [settings_of(group) for group in optimizer.param_groups]
        try:
            optimizer.load_state_dict(load_state(folder, OPTIMIZER))
            schedule.load_state_dict(load_state(folder, SCHEDULE))
            if self.arguments.resume_changed:
                give_settings(given, optimizer, schedule)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(
                f"{folder}: its optimizer is not that of this run ({error}). Nothing was changed. "
                "Give the arguments with which it was written."
            ) from error

    def _load_scaler(self, checkpoint: str | None) -> None:
        scaler = getattr(self.accelerator, "scaler", None)
        if checkpoint is not None and scaler is not None:
            scaler.load_state_dict(load_state(Path(checkpoint), SCALER))

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """Go on with the random numbers of this process, and with its loss since the log."""
        if checkpoint is None:
            return
        folder, rank = Path(checkpoint), self.args.process_index
        if read_manifest(folder).num_processes != self.args.world_size:
            # There is none for each of another number of processes: each draws its own.
            set_seed(self.args.seed + self.state.global_step * self.args.world_size + rank)
            return
        state = load_state(folder, f"{PROCESS}-{rank}")
        try:
            set_random_state(state["random"], self.args.device)
            self._go_on_counting(state["loss"], state["logged_step"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"{folder}: the state of process {rank} is not one of random numbers ({error}). "
                "Take an older checkpoint."
            ) from error

    def _go_on_counting(self, loss: torch.Tensor, logged_step: int) -> None:
        """Let the next line of the log be the one that it would have been."""
        self._tr_loss += loss.to(self._tr_loss.device)
        self._globalstep_last_logged = logged_step
        self._total_loss_scalar -= float(loss)  # those steps are not of this part of the run
