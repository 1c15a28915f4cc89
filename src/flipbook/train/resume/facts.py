"""What decides the losses of a run?

    arguments, data, model, batches  ->  RunFacts  <->  run_facts.json in each checkpoint

To add a fact: one line in `facts_of`. A new setting is among them by itself; see `counted.py`.
"""

from __future__ import annotations

import dataclasses
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from flipbook.data.batch import DataModule
from flipbook.data.epochs.packing import PackedBatches
from flipbook.data.epochs.regrouping import RegroupedBatches
from flipbook.data.identity import fingerprint_conversations, fingerprint_media
from flipbook.errors import ArgumentError, CheckpointError
from flipbook.model.adapters.fingerprint import fingerprint_tensors, fingerprint_words
from flipbook.model.adapters.trained_on import AdapterBase
from flipbook.model.checkpoint import Checkpoint
from flipbook.model.folders import write_json
from flipbook.model.tuning import part_sizes
from flipbook.train.arguments import Arguments, TrainingArguments
from flipbook.train.record import package_versions
from flipbook.train.resume.counted import OF_BATCHES, OF_MODEL, is_compared

FACTS_FILE = "run_facts.json"
FORMAT_VERSION = 1
GROUPS = ("data", "model", "batches", "processes", "settings", "machine")
Facts = dict[str, Any]


@dataclass(frozen=True)
class RunFacts:
    """What decides the losses of a run, by name.

    Attributes:
        data: hashes of the record files, the conversations, and the sizes of the media.
        model: hashes of the start weights and words; what of it trains.
        batches: what decides which records are in which step.
        processes: how many there are, how many batches each reads for a step, and for how many
            these were made.
        settings: all others that count.
        machine: versions of the packages, and on what they run.
    """

    data: Facts
    model: Facts
    batches: Facts
    processes: Facts
    settings: Facts
    machine: Facts

    def save(self, folder: Path) -> Path:
        """Return the path of the `run_facts.json` written into `folder`."""
        path = folder / FACTS_FILE
        write_json(path, {"format": FORMAT_VERSION, **dataclasses.asdict(self)})
        return path

    @classmethod
    def load(cls, folder: Path) -> RunFacts:
        """Return the facts of a checkpoint.

        Raises:
            ArgumentError: it has none.
            CheckpointError: they cannot be read.
        """
        path = folder / FACTS_FILE
        if not path.is_file():
            raise ArgumentError(
                f"{folder} holds no {FACTS_FILE}, as checkpoints of older versions of flipbook, so "
                "nothing tells whether a run would go on as it began. Nothing was changed. Begin a "
                f"new run from its weights: --model_name_or_path {folder} and another --output_dir."
            )
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["format"] != FORMAT_VERSION:
                raise CheckpointError(
                    f"{path}: is of format {content['format']!r}, and this flipbook reads "
                    f"{FORMAT_VERSION}. Go on with the version that wrote it."
                )
            found = cls(**{name: dict(content[name]) for name in GROUPS})
            _ = {name: int(found.processes[name]) for name in PROCESS_FACTS}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"{path}: cannot be read ({type(error).__name__}: {error}), so this checkpoint "
                "cannot be gone on from. Take an earlier one with --resume_from_checkpoint."
            ) from error
        return found


PROCESS_FACTS = (
    "num_processes",
    "gradient_accumulation_steps",
    "packed_for_processes",
    "packed_for_accumulation",
)


def process_facts(args: TrainingArguments) -> Facts:
    """Return on how many processes a run goes, and for how many its batches were made."""
    numbers = (
        args.world_size,
        args.gradient_accumulation_steps,
        args.steps_processes,
        args.steps_accumulation,
    )
    return dict(zip(PROCESS_FACTS, numbers, strict=True))


def facts_of(
    arguments: Arguments,
    *,
    start_weights: Mapping[str, str],
    model: nn.Module,
    data: DataModule,
    batches: PackedBatches,
    files: Mapping[str, str],
) -> RunFacts:
    """Return what decides the losses of a run that is about to begin or to go on.

    Args:
        arguments: with what the checkpoint settles of the data settings.
        start_weights: hashes of what is tuned, from `start_weights_of`.
        model: with its trainable weights chosen.
        batches: of the training data.
        files: sha256 of each file of training records.
    """
    args, table = arguments.training, data["train_dataset"].table
    settings = settings_of(arguments)
    sizes = {one.part: one.num_trainable for one in part_sizes(model) if one.num_trainable}
    facts = RunFacts(
        data={
            **{f"sha256 of {name}": digest for name, digest in files.items()},
            "conversations": fingerprint_conversations(table),
            "sizes of media": fingerprint_media(table),
            "weights of data sets": [source.weight for source in table.sources],
        },
        model={
            **{f"start {part}": digest for part, digest in start_weights.items()},
            "weights that train": sizes,
            **{name: settings.pop(name) for name in sorted(OF_MODEL)},
        },
        batches={
            **{name: settings.pop(name) for name in sorted(OF_BATCHES)},
            "batches per epoch": _num_packed(batches),
        },
        processes=process_facts(args),
        settings=settings,
        machine=_machine(args),
    )
    return RunFacts(**json.loads(json.dumps(dataclasses.asdict(facts))))


def start_weights_of(checkpoint: Checkpoint, base: AdapterBase | None) -> dict[str, str]:
    """Return hashes of the weights and words with which a run begins.

    Args:
        checkpoint: before anything of it is chosen or changed.
        base: what adapters depend on, where there are some; it has such hashes already.
    """
    if base is not None:
        return dict(base.fingerprints)
    return {
        "words": fingerprint_words(checkpoint.tokenizer),
        "weights": fingerprint_tensors(checkpoint.model.state_dict()),
    }


def settings_of(arguments: Arguments) -> Facts:
    """Return the settings that count under their own names, as JSON has them."""
    schedule = str(plain(arguments.training.lr_scheduler_type))
    parts = (arguments.model, arguments.training, arguments.data)  # whose `data_seed` is the last
    return {
        field.name: plain(getattr(part, field.name))
        for part in parts
        for field in dataclasses.fields(part)
        if is_compared(field.name, schedule=schedule)
    }


def plain(value: Any) -> Any:
    """Return a setting as JSON has it."""
    value = getattr(value, "value", value)  # of an enumeration
    if isinstance(value, Mapping):
        return {str(key): plain(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(one) for one in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain(dataclasses.asdict(value))
    return str(value)


def _num_packed(batches: PackedBatches) -> int:
    return batches.num_packed if isinstance(batches, RegroupedBatches) else len(batches)


def _machine(args: TrainingArguments) -> Facts:
    """Return what computes: another version, or another device, may round otherwise."""
    device = args.device
    name = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    threads: Facts = {"threads": torch.get_num_threads()}
    if device.type == "cuda":
        name, threads = torch.cuda.get_device_name(device), {}
    return {**package_versions(), "device": f"{device.type} {name}", **threads}
