"""What is told of the data, and what of them is proven, before the first step?

data module, DataArguments  ->  a line for each, or a refusal
"""

from __future__ import annotations

import numpy as np
from rich.console import Console

from flipbook.data.batch import DataModule
from flipbook.data.proofs.prove import prove_sample_of
from flipbook.train.arguments import DataArguments


def _tell_shared(data: DataModule, *, console: Console) -> None:
    """Tell of clips that validation shares with training, as far as their paths tell."""
    if data["eval_dataset"] is None:
        return
    shown = (data["train_dataset"].table.shown, data["eval_dataset"].table.shown)
    number = len(np.intersect1d(*shown, assume_unique=True))
    if number:
        console.print(
            f"Warning: validation shows {number:,} clips or pictures that training shows too, so "
            "its scores say less than they seem to. `flipbook data check` with both files sorts "
            "them out."
        )


def prove(data: DataModule, data_args: DataArguments, *, console: Console) -> None:
    """Tell of shared clips, prove some records right, and refuse the run where one is not.

    Raises:
        LabelError: what would be learned of a record is not what it says.
        MediaError: a clip of it cannot be read.
    """
    _tell_shared(data, console=console)
    if data_args.proof_records == 0:
        return
    for dataset in (data["train_dataset"], data["eval_dataset"]):
        if dataset is not None:
            number = prove_sample_of(
                dataset, num_records=data_args.proof_records, seed=data_args.data_seed
            )
            what = "training" if dataset.training else "validation"
            console.print(
                f"Proven on {number} {what} conversations: prompts are those of inference, answers "
                "and their end tokens alone are learned, and each frame has its places."
            )
