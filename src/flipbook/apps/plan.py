"""`flipbook plan`: what would a training run do, and which choices fit, before a weight is read?

[config.yaml] flags of `flipbook train`, and a few of its own -> the plan, as text or as JSON

Records are read and measured as for training, but none is refused for its length: those over the
limit are what the plan is about. Of the model only configuration and words are read.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

import torch
from rich.console import Console

from flipbook.data.batch import DataModule, make_supervised_data_module
from flipbook.data.epochs.packing import PackedBatches
from flipbook.errors import ArgumentError, BudgetError
from flipbook.model.words_of import load_words_of
from flipbook.train.arguments import Arguments, DataArguments
from flipbook.train.batches import BatchRules
from flipbook.train.intake.taking import take_in
from flipbook.train.parsing import make_parser, parse_arguments
from flipbook.train.planning.facts import Plan, Wanted
from flipbook.train.planning.footprint import shape_model
from flipbook.train.planning.memory import available_bytes
from flipbook.train.planning.plan import make_plan
from flipbook.train.planning.text import show_plan
from flipbook.train.start import fit_to_words
from flipbook.video.frames import PX_PER_TOKEN

DEVICES = ("cpu", "cuda")
NEARLY_ALL = 1 - 1e-9  # of the records may be unusable: the plan tells of them, training refuses


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ArgumentError(f"{message}. See `flipbook plan --help`.")


def run(words: Sequence[str]) -> None:
    """Print the plan of the run that these words would start.

    Raises:
        ArgumentError: a flag is wrong.
        CheckpointError: the model's configuration or words cannot be read.
        DataError: no record can be used.
    """
    own = own_flags()
    if {"-h", "--help"} & set(words):
        print(own.format_help())
        make_parser().print_help()
        return
    given, rest = own.parse_known_args(list(words))
    _check(given)
    flags = _flags_elsewhere(rest) if given.device == "cuda" else []
    first = [rest.pop(0)] if rest and not rest[0].startswith("-") else []  # the YAML file
    arguments = parse_arguments([*first, *flags, *rest])
    console = Console(highlight=False, soft_wrap=True, quiet=given.json)
    with TemporaryDirectory() as folder:
        plan, data = find_plan(arguments, given, folder=Path(folder), console=console)
        if given.json:
            print(json.dumps(as_json(plan, data), indent=2))
            return
        console.print(f"Plan for {arguments.model.model_name_or_path}; no weight was read.")
        show_plan(console, plan, data)
    refusal = refused(plan, data, arguments.data)
    if refusal is not None:
        console.print(refusal, markup=False)


def own_flags() -> argparse.ArgumentParser:
    """Return the parser of the flags that `flipbook train` does not have."""
    parser = _Parser(prog="flipbook plan", allow_abbrev=False, add_help=False)
    parser.description = __doc__.splitlines()[0] if __doc__ else None
    add = parser.add_argument
    add("--frames", type=int, nargs="+", default=[4, 8, 16], help="frames of a clip to weigh")
    add("--sides", type=int, nargs="+", default=[256, 384, 512], help="sides in px to weigh")
    add("--batch_sizes", type=int, nargs="+", default=[1, 2, 4, 8], help="questions of a batch")
    add("--memory_gb", type=float, help="of one process; what is free here when none")
    add("--token_budget", type=int, help="most tokens of a batch")
    add("--num_processes", type=int, help="of the run; those of this one when none")
    add("--device", choices=DEVICES, help="on which the run would be; this machine's when none")
    add("--json", action="store_true", help="print the plan as JSON")
    return parser


def find_plan(
    arguments: Arguments, given: argparse.Namespace, *, folder: Path, console: Console
) -> tuple[Plan, DataModule]:
    """Return the plan of a run, and the data that it is about.

    Args:
        given: what `own_flags` parse.
        folder: for what is made of data that are no records yet.
        console: where that is told.
    """
    words = load_words_of(arguments.model.model_name_or_path)
    fitted = fit_to_words(arguments.data, words)
    data = _read(arguments, fitted, words.tokenizer, folder=folder, console=console)
    num_processes = given.num_processes or arguments.training.world_size
    batches = _pack(arguments, data, num_processes)
    model = shape_model(words.config, arguments)
    device_type = given.device or arguments.training.device.type
    wanted = Wanted(
        num_frames=tuple(given.frames),
        sides_px=tuple(given.sides),
        batch_sizes=tuple(given.batch_sizes),
        memory_bytes=_memory_bytes(given, arguments, num_processes),
        batch_tokens=given.token_budget,
        max_length=fitted.model_max_length,
        device_type=device_type,
    )
    plan = make_plan(model=model, data=data, batches=batches, arguments=arguments, wanted=wanted)
    return plan, data


def _read(
    arguments: Arguments, fitted: DataArguments, tokenizer: Any, *, folder: Path, console: Console
) -> DataModule:
    """Return the data, whatever the share of records that cannot be used, and of any length."""
    lenient = dataclasses.replace(arguments.data, max_bad_fraction=NEARLY_ALL, check_media=False)
    intake = take_in(
        dataclasses.replace(arguments, data=lenient),
        run_folder=folder,
        is_resumed=False,
        console=console,
        decodes=False,
    )
    unlimited = dataclasses.replace(fitted, model_max_length=None, max_bad_fraction=NEARLY_ALL)
    unlimited.data_seed = fitted.data_seed
    return make_supervised_data_module(
        tokenizer, unlimited, train=intake.train, validation=intake.validation
    )


def _pack(arguments: Arguments, data: DataModule, num_processes: int) -> PackedBatches:
    """Return the batches of the run; where one sample is longer than a batch, longer ones."""
    dataset, args = data["train_dataset"], arguments.training
    rules = BatchRules.of(arguments.data)
    if rules.max_batch_tokens is not None:
        longest = max(rules.max_batch_tokens, dataset.check.longest_tokens)
        rules = dataclasses.replace(rules, max_batch_tokens=longest)
    return rules.pack_training(
        dataset, args, batch_size=args.train_batch_size, num_processes=num_processes
    )


def _memory_bytes(given: argparse.Namespace, arguments: Arguments, num_processes: int) -> int:
    """Return what one process may take: as given, or what is free here."""
    if given.memory_gb is not None:
        return int(given.memory_gb * 1e9)
    device = arguments.training.device
    if given.device not in (None, device.type):
        raise ArgumentError(
            f"--device {given.device}: this machine has none to ask. Tell how much memory it has "
            "with --memory_gb."
        )
    free = available_bytes(device)
    return free if device.type == "cuda" else free // num_processes


def refused(plan: Plan, data: DataModule, data_args: DataArguments) -> str | None:
    """Return why training would refuse these records; None where it would not."""
    check = data["train_dataset"].check
    others = sum(not isinstance(error, BudgetError) for error in check.rejected)
    num_bad = plan.too_long.count + others
    fraction = num_bad / check.num_records
    if fraction <= data_args.max_bad_fraction:
        return None
    return (
        f"flipbook train would refuse these records: {num_bad:,} of {check.num_records:,} cannot "
        f"be used ({fraction:.1%}, allowed are {data_args.max_bad_fraction:.1%})."
    )


def as_json(plan: Plan, data: DataModule) -> dict[str, Any]:
    """Return the plan as JSON, with the records that are left out and why."""
    rejected = data["train_dataset"].check.rejected
    return {**dataclasses.asdict(plan), "left_out": [str(error) for error in rejected]}


def _check(given: argparse.Namespace) -> None:
    """Check the numbers.

    Raises:
        ArgumentError: one is out of its range.
    """
    for name in ("frames", "sides", "batch_sizes"):
        for value in getattr(given, name):
            if value < 1:
                raise ArgumentError(f"--{name} must be 1 or more, got {value}")
    for name in ("memory_gb", "token_budget", "num_processes"):
        value = getattr(given, name)
        if value is not None and not 0 < value < float("inf"):
            raise ArgumentError(f"--{name} must be above 0, got {value}")
    for side in given.sides:
        if side % PX_PER_TOKEN:
            below = max(side // PX_PER_TOKEN, 1) * PX_PER_TOKEN
            raise ArgumentError(
                f"--sides {side} is no multiple of {PX_PER_TOKEN} px: give {below} or "
                f"{below + PX_PER_TOKEN}."
            )


def _flags_elsewhere(words: Sequence[str]) -> list[str]:
    """Return the flags that a run on a GPU would have of itself, where this machine has none."""
    flags = {"bf16": "true"}
    if not torch.cuda.is_available():
        flags["use_cpu"] = "true"  # or transformers refuses bf16 here
    named = {word.split("=")[0].removeprefix("--") for word in words}
    return [f"--{name}={value}" for name, value in flags.items() if name not in named]
