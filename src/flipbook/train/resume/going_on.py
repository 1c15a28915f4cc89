"""May this run go on from that checkpoint, and in which steps?

checkpoint, arguments  ->  RunFacts of before; arguments with the steps of before
RunFacts now           ->  go on, warned or not, or refused in all processes alike
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from rich.console import Console
from torch import nn

from flipbook.data.batch import DataModule
from flipbook.data.epochs.packing import PackedBatches
from flipbook.data.epochs.regrouping import RegroupedBatches
from flipbook.data.identity import media_written_after
from flipbook.errors import ArgumentError
from flipbook.model.adapters.trained_on import AdapterBase
from flipbook.model.checkpoint import Checkpoint
from flipbook.train.arguments import Arguments, TrainingArguments
from flipbook.train.checkpoints.identity import read_began_s
from flipbook.train.resume.compare import changes_between, refusal, warning
from flipbook.train.resume.facts import RunFacts, facts_of, start_weights_of

if TYPE_CHECKING:
    from flipbook.train.trainer import FlipbookTrainer


@dataclass
class GoingOn:
    """What a run goes on from, if it does, and what it is now.

    Attributes:
        folder: of the checkpoint; None for a run that begins.
        before: the facts of that checkpoint.
        now: those of this run, in the process that writes, after `settle`.
    """

    folder: Path | None = None
    before: RunFacts | None = None
    now: RunFacts | None = None
    start_weights: dict[str, str] = field(default_factory=dict)

    @classmethod
    def begin(cls, folder: str | None, arguments: Arguments) -> GoingOn:
        """Return what is gone on from; the arguments get the steps of before, where they are kept.

        With `--resume_remap`, and where an earlier run has done so, batches stay those that were
        made for the processes of before, and each process reads as many of them as it takes.

        Raises:
            ArgumentError: the checkpoint is too old to tell, or two flags exclude each other.
            CheckpointError: it is damaged.
        """
        args = arguments.training
        if folder is None:
            return cls()
        before = RunFacts.load(Path(folder))
        facts = before.processes
        was_remapped = facts["num_processes"] != facts["packed_for_processes"]
        stays = facts["num_processes"] == args.world_size
        if args.resume_remap or (was_remapped and stays):
            _check_remap(args)
            args.keep_steps_of(facts["packed_for_processes"], facts["packed_for_accumulation"])
        return cls(Path(folder), before)

    def note_start(self, checkpoint: Checkpoint, base: AdapterBase | None) -> None:
        """Take note of the weights with which the run begins, before any of them is chosen."""
        if PartialState().is_main_process:
            self.start_weights = start_weights_of(checkpoint, base)

    def settle(
        self,
        arguments: Arguments,
        checkpoint: Checkpoint,
        *,
        model: nn.Module,
        data: DataModule,
        batches: PackedBatches,
        console: Console,
    ) -> None:
        """Find out what this run is, and refuse it in all processes if it is another than before.

        Args:
            arguments: with what the checkpoint settles of the data settings.
            checkpoint: with its provenance, in the process that writes.
            model: with its trainable weights chosen.
            batches: of the training data.

        Raises:
            ArgumentError: what may not differ does.
        """
        args = arguments.training
        verdict: list[str | None] = [None]
        if checkpoint.provenance is not None:
            files = {
                one["file"]: one["sha256"]
                for one in checkpoint.provenance.data
                if one["split"] == "train"
            }
            self.now = facts_of(
                arguments,
                start_weights=self.start_weights,
                model=model,
                data=data,
                batches=batches,
                files=files,
            )
            verdict = [self._verdict(self.now, args, console)]
        if args.world_size > 1:
            broadcast_object_list(verdict)
        if verdict[0] is not None:
            raise ArgumentError(verdict[0])
        self._tell_steps(arguments, batches, console)
        if self.now is not None and self.folder is not None:
            _tell_later_media(self.folder.parent, data, console)

    def attach(self, trainer: FlipbookTrainer) -> None:
        """Let the facts go into each checkpoint of a trainer."""
        if self.now is not None:
            trainer.beside.append(self.now.save)

    def _verdict(self, now: RunFacts, args: TrainingArguments, console: Console) -> str | None:
        """Return why this run may not go on; None where it may, perhaps after a warning."""
        if self.folder is None or self.before is None:
            return None
        before = self.before
        if args.regrouping is not None:  # other processes are meant, and the batches tell the rest
            before = RunFacts(**{**vars(before), "processes": now.processes})
        changes = changes_between(before, now)
        found = refusal(changes, checkpoint=self.folder, changed_is_meant=args.resume_changed)
        told = warning(changes)
        if found is None and told is not None:
            console.print(told, markup=False)
        return found

    def _tell_steps(self, arguments: Arguments, batches: PackedBatches, console: Console) -> None:
        """Tell on how many processes a run goes on, where these are not those of its batches."""
        args = arguments.training
        if not isinstance(batches, RegroupedBatches):
            return
        given = "gradient_accumulation_steps" in arguments.explicit
        instead = " whatever --gradient_accumulation_steps says," if given else ""
        console.print(
            f"Processes were {args.steps_processes}, are {args.world_size}. Each reads "
            f"{args.gradient_accumulation_steps} batches for a step,{instead} in place of "
            f"{args.steps_accumulation}, so that every step has the records that it would have "
            f"had. {batches.share_of_fillers:.0%} of the time goes into fillers.",
            markup=False,
        )


def _tell_later_media(run_folder: Path, data: DataModule, console: Console) -> None:
    """Warn where media were written after a run began; that they are as large is known."""
    began_s = read_began_s(run_folder)
    if began_s is None:
        return
    # It is known to the second.
    count, names = media_written_after(data["train_dataset"].table, began_s + 1)
    if count:
        more = f" and {count - len(names):,} more" if count > len(names) else ""
        console.print(
            f"Warning: {count:,} videos or images were written after this run began "
            f"({', '.join(names)}{more}). Their sizes are as they were. If they were copied, all "
            "is well; if they show something else now, begin a new run.",
            markup=False,
        )


def _check_remap(args: Any) -> None:
    """Check that the steps of other processes can be taken.

    Raises:
        ArgumentError: they cannot.
    """
    for name, why in (("auto_find_batch_size", "changes them"), ("deepspeed", "divides them")):
        if getattr(args, name):
            raise ArgumentError(
                f"--resume_remap keeps batches and states as they were, and --{name} {why}. Leave "
                "one of them out, or start as many processes as before."
            )
