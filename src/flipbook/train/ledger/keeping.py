"""When is the ledger of a run written?

trainer, its data and batches  ->  counts after each step, both files at each save and at the end
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from transformers import TrainerCallback

from flipbook.data.epochs.packing import PackedBatches
from flipbook.data.tables.table import ConversationTable
from flipbook.errors import FlipbookError, StorageError, TrainingError
from flipbook.train.arguments import Arguments
from flipbook.train.examining.stopping import StoppingCallback
from flipbook.train.intake.prepared import PREPARED_IN_RUN
from flipbook.train.intake.taking import is_prepared, named_sources
from flipbook.train.ledger.counts import TrainedCounts, promised_counts
from flipbook.train.ledger.upstream import Upstream, upstream_of
from flipbook.train.ledger.writing import (
    TOTALS_FILE,
    check_promise,
    told_of_ledger,
    write_ledger,
)
from flipbook.train.trainer import FlipbookTrainer


@dataclass(eq=False)
class Ledger(TrainerCallback):
    """Counts what a trainer trains on, and writes it down.

    Attributes:
        trainer: whose steps are counted.
        batches: of its training data, on all processes.
        run_folder: where the files lie.
        goes_on_from: the checkpoint from which it goes on.
        upstream: of the process that writes; None in the others.
    """

    trainer: FlipbookTrainer
    batches: PackedBatches
    run_folder: Path
    goes_on_from: str | None
    upstream: Upstream | None
    console: Console = field(default_factory=lambda: Console(quiet=True))

    @property
    def counts(self) -> TrainedCounts:
        """Of the trainer."""
        return self.trainer.counts

    @property
    def table(self) -> ConversationTable:
        """Of the training data."""
        dataset: Any = self.trainer.train_dataset
        found: ConversationTable = dataset.table
        return found

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begin to count, from where the checkpoint was."""
        folder = Path(self.goes_on_from) if self.goes_on_from and state.global_step else None
        self.counts.begin(folder)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Count the batches of a step."""
        self.counts.finish_step(is_skipped=self.trainer.accelerator.optimizer_step_was_skipped)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Write down what was counted when the checkpoint was made."""
        self._write_or_tell()

    def write(self) -> dict[str, Any]:
        """Return the totals after writing the files; nothing where another process does so.

        Raises:
            StorageError: they cannot be written.
        """
        if self.upstream is None:
            return {}
        planned = int(self.trainer.state.max_steps)
        return write_ledger(
            self.run_folder, self.table, self.counts, self.upstream, planned_steps=planned
        )

    def _write_or_tell(self) -> dict[str, Any]:
        """Return the totals after writing the files; nothing, and a warning, where that fails.

        A disk that is full for them is no reason to lose what was learned.
        """
        try:
            return self.write()
        except StorageError as error:
            self.console.print(f"Warning: {error}. Training goes on without.", markup=False)
            return {}

    def finish(self) -> None:
        """Write the ledger of a run that has ended, and hold it against what was to be done.

        Raises:
            TrainingError: there were fewer steps than planned and nothing had stopped the run,
                records were trained on more or less often than they should have been, or some are
                missing from the ledger.
        """
        self.trainer.add_up_counts()
        totals = self._write_or_tell()
        self._refuse_early_end()
        promised = promised_counts(
            self.batches,
            step=self.counts.step,
            accumulation=self.trainer.args.gradient_accumulation_steps,
            num_conversations=len(self.table),
        )
        if not self.trainer.arguments.auto_find_batch_size:  # which makes other batches on the way
            check_promise(self.table, self.counts, promised)
        if not totals:
            return
        if not totals["adds_up"]:
            raise TrainingError(
                f"{self.run_folder / TOTALS_FILE}: {totals['named']:,} records were named, and the "
                "ledger has another number. The checkpoints are kept. Files of records may have "
                "changed while the run read them; start again when nothing writes to them."
            )
        self.console.print(told_of_ledger(totals), markup=False)

    def _refuse_early_end(self) -> None:
        """Check that all steps were made, or that early stopping ended the run.

        Raises:
            TrainingError: neither is so.
        """
        done, planned = self.trainer.state.global_step, self.trainer.state.max_steps
        watches = self.trainer.callback_handler.callbacks
        is_meant = any(isinstance(one, StoppingCallback) and one.stops for one in watches)
        if done < planned and not is_meant:
            raise TrainingError(
                f"The run ended after step {done} of {planned}, and nothing had asked it to stop. "
                "No model is written; the checkpoints are kept, and ledger.jsonl has how often "
                "each record was trained on. This is a mistake of flipbook: please report it with "
                "the run's config.yaml."
            )

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Write the ledger when what is within ends, however it does."""
        try:
            yield
        except BaseException:
            if self.trainer.args.world_size == 1:  # others may not be there any more
                self.trainer.add_up_counts()
            with contextlib.suppress(FlipbookError, OSError):  # the first error is to be told
                self.write()
            raise
        self.finish()


def keep_ledger(
    trainer: FlipbookTrainer,
    arguments: Arguments,
    batches: PackedBatches,
    *,
    goes_on_from: str | None,
    console: Console,
) -> Ledger:
    """Return the ledger of a run; its counts go into each checkpoint."""
    run_folder, upstream = Path(str(arguments.training.output_dir)), None
    provenance = trainer.checkpoint.provenance  # in the process that writes
    if provenance is not None:
        prepared = run_folder / PREPARED_IN_RUN if is_prepared(arguments.data) else None
        named, _ = named_sources(arguments.data)
        num_read = sum(one["num_records"] for one in provenance.data if one["split"] == "train")
        upstream = upstream_of(named, prepared=prepared, num_read=num_read)
    ledger = Ledger(trainer, batches, run_folder, goes_on_from, upstream, console)
    trainer.add_callback(ledger)
    trainer.beside.append(trainer.counts.save)
    return ledger
