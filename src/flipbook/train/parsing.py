"""How do a file and some words become Arguments?

    ["config.yaml", "--lora_r", "16"] -> Arguments

The file's lines are turned into flags and stand before the user's own, so that one parser checks
both and the last word wins.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch
import yaml
from transformers import HfArgumentParser

from flipbook.errors import ArgumentError, did_you_mean
from flipbook.train.arguments import Arguments, DataArguments, ModelArguments, TrainingArguments
from flipbook.train.intake.taking import divides_itself
from flipbook.train.llava_flags import llava_hint

LORA_LEARNING_RATE = 2e-4  # about ten times the full rate (Hu et al. 2021; Schulman et al. 2025)
MAX_WORKERS = 16


class Parser(HfArgumentParser):
    """A parser whose complaints are ArgumentErrors."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of leaving the process."""
        raise ArgumentError(f"{message}. See `flipbook train --help`.")


def make_parser() -> Parser:
    """Return the parser of `flipbook train`."""
    return Parser(
        (ModelArguments, DataArguments, TrainingArguments),  # type: ignore[arg-type]
        prog="flipbook train [config.yaml]",
        description="Fine-tune a FastVLM on videos and images.",
        allow_abbrev=False,
    )


def parse_arguments(words: Sequence[str]) -> Arguments:
    """Return the Arguments that a command line asks for.

    Args:
        words: what follows `flipbook train`: optionally a YAML file, then flags.

    Raises:
        ArgumentError: the file cannot be read, or a name or a value is wrong.
    """
    words = list(words)
    flags: list[str] = []
    if words and not words[0].startswith("-"):
        flags = _flags_of_file(words.pop(0))
    flags += words
    parser = make_parser()
    _refuse_unknown(parser, flags)
    explicit = frozenset(
        action.dest
        for word in flags
        if (action := parser._option_string_actions.get(word.split("=")[0])) is not None
    )
    namespace = parser.parse_args([*_defaults_for_here(explicit), *flags])
    values = vars(namespace)
    model = ModelArguments(**_fields_of(ModelArguments, values))
    data = DataArguments(**_fields_of(DataArguments, values))
    if model.lora_r > 0 and "learning_rate" not in explicit:
        values["learning_rate"] = LORA_LEARNING_RATE
    if not data.data_path:
        raise ArgumentError(
            "--data_path is missing: name a file of records, a table, a folder of clips by class, "
            "or a mixture."
        )
    if data.validation_data_path is None and not divides_itself(data):
        _without_validation(values, explicit)
    if "load_best_model_at_end" not in explicit:
        both = (str(values["eval_strategy"]), str(values["save_strategy"]))
        values["load_best_model_at_end"] = both in (("epoch", "epoch"), ("steps", "steps"))
    training = _make_training(values)
    data.data_seed = training.order_seed
    return Arguments(model, data, training, explicit)


def _make_training(values: dict[str, Any]) -> TrainingArguments:
    try:
        return TrainingArguments(**_fields_of(TrainingArguments, values))
    except (ValueError, TypeError, ImportError) as error:
        raise ArgumentError(f"{error} See `flipbook train --help`.") from error


def _defaults_for_here(explicit: frozenset[str]) -> list[str]:
    """Return flags for what the user left open and this machine decides."""
    defaults = {
        "dataloader_num_workers": str(_num_workers()),
        "bf16": str(_has_bf16()).lower(),
        "eval_strategy": "epoch",
    }
    return [f"--{name}={value}" for name, value in defaults.items() if name not in explicit]


def _without_validation(values: dict[str, Any], explicit: frozenset[str]) -> None:
    if "eval_strategy" in explicit and values["eval_strategy"] != "no":
        raise ArgumentError(
            f"--eval_strategy {values['eval_strategy']} needs --validation_data_path."
        )
    values["eval_strategy"] = "no"


def _num_workers() -> int:
    num_processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, min(MAX_WORKERS, (os.cpu_count() or 1) // num_processes - 1))


def _has_bf16() -> bool:
    return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)


def _fields_of(kind: type, values: dict[str, Any]) -> dict[str, Any]:
    fields = kind.__dataclass_fields__  # type: ignore[attr-defined]
    return {name: values[name] for name, f in fields.items() if f.init and name in values}


def _refuse_unknown(parser: Parser, flags: Sequence[str]) -> None:
    known = [name for name in parser._option_string_actions if name.startswith("--")]
    for word in flags:
        name = word.split("=")[0]
        if word.startswith("--") and name not in known:
            hint = llava_hint(name[2:]) or did_you_mean(name, known)
            raise ArgumentError(f"Unknown flag {name}.{hint} See `flipbook train --help`.")


def _flags_of_file(path: str) -> list[str]:
    """Return a YAML file's lines as flags."""
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ArgumentError(
            f"{path}: the configuration file cannot be read ({error}). Flags start with --."
        ) from error
    except yaml.YAMLError as error:
        raise ArgumentError(f"{path}: not valid YAML. {error}") from error
    if not isinstance(content, dict):
        raise ArgumentError(f"{path}: expected lines of `name: value`.")
    known = [name[2:] for name in make_parser()._option_string_actions if name.startswith("--")]
    flags: list[str] = []
    for name, value in content.items():
        if str(name) not in known:
            hint = llava_hint(str(name)) or did_you_mean(str(name), known)
            raise ArgumentError(f"{path}: unknown name {name!r}.{hint}")
        flags += _flag(str(name), value)
    return flags


def _flag(name: str, value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, list):
        return [f"--{name}", *map(str, value)]
    if isinstance(value, dict):
        return [f"--{name}={json.dumps(value)}"]
    if isinstance(value, bool):
        return [f"--{name}={str(value).lower()}"]
    return [f"--{name}={value}"]
