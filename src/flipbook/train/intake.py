"""From what the user named to the data sets of a run.

    --data_path: manifests, tables, class folders, a mixture
        -> converted, divided by group, checked              RUN/prepared/
        -> Intake: training, validation and test Sources     RUN/prepared/intake.json

Manifests that can be trained on as they are stay where they are. What was made is found again by
the other processes of a run, and when it resumes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from shutil import rmtree
from typing import Any

from accelerate import PartialState
from rich.console import Console

from flipbook.data.convert import convert_if_needed, format_to_convert
from flipbook.data.dataset import clip_settings
from flipbook.data.encoder import ConversationEncoder
from flipbook.data.formats.column_names import parse_map
from flipbook.data.sources import Source, sources_of
from flipbook.data.splitting import split_manifest
from flipbook.errors import DataError
from flipbook.model.words_of import load_words_of
from flipbook.train.arguments import Arguments, DataArguments
from flipbook.train.start import fit_to_words
from flipbook.video.view import View

PREPARED_IN_RUN = "prepared"
INTAKE_FILE = "intake.json"
WAIT_S = 0.5
Sources = tuple[Source, ...]


@dataclass(frozen=True)
class Intake:
    """The data sets of a run; `test` is kept for the claim after training."""

    train: Sources
    validation: Sources
    test: Sources = ()

    @property
    def claimed(self) -> Sources:
        """On what the tuned model is scored."""
        return self.test or self.validation

    def save(self, path: Path) -> None:
        """Write it down for other processes; the file is there whole or not at all."""
        content = {name: [_as_dict(source) for source in getattr(self, name)] for name in _PARTS}
        staged = path.with_suffix(".unfinished")
        staged.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        staged.replace(path)

    @classmethod
    def load(cls, path: Path) -> Intake:
        """Return what `save` wrote."""
        content = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{name: tuple(map(_from_dict, content[name])) for name in _PARTS})


_PARTS = ("train", "validation", "test")


def named_sources(data: DataArguments) -> tuple[Sources, Sources]:
    """Return the data sets that the arguments name for training and for validation.

    Raises:
        ArgumentError: a mixture cannot be read, or `--map` is wrong.
    """
    told = Source(
        "",
        format_name=data.format,
        columns=tuple(parse_map(data.map).items()) if data.map else (),
        prompt=data.prompt,
        view=View(frames_fps=data.frames_fps),
    )
    train = sources_of(data.data_path, image_folder=data.image_folder)
    validation = sources_of(data.validation_data_path or (), image_folder=data.image_folder)
    return (
        tuple(source.filled_from(told) for source in train),
        tuple(source.filled_from(told) for source in validation),
    )


def is_native(source: Source) -> bool:
    """Return whether a source can be trained on as it is."""
    return format_to_convert(source) is None


def divides_itself(data: DataArguments) -> bool:
    """Return whether validation data are taken from what is named for training.

    That is so for folders and tables that become records on the way, where no other validation
    data are named and a share of them is asked for.
    """
    if data.validation_data_path is not None or data.split_fractions[1] <= 0:
        return False
    train, _ = named_sources(data)
    return any(not is_native(source) for source in train)


def take_in(
    arguments: Arguments, *, run_folder: Path, is_resumed: bool, console: Console
) -> Intake:
    """Return the data sets of a run, after making of them what can be trained on.

    One process does so, and the others wait for it.

    Raises:
        ArgumentError: what is named cannot be meant.
        DataError: it cannot be read, or too much of it cannot be used.
    """
    data = arguments.data
    train, validation = named_sources(data)
    if not data.check_media and all(map(is_native, (*train, *validation))):
        return Intake(train, validation)
    folder = run_folder / PREPARED_IN_RUN
    state = PartialState()
    if is_resumed and (folder / INTAKE_FILE).is_file():
        return Intake.load(folder / INTAKE_FILE)
    if state.is_main_process:
        rmtree(folder, ignore_errors=True)
    state.wait_for_everyone()
    if state.is_main_process:
        intake = prepare(arguments, folder=folder, console=console)
        intake.save(folder / INTAKE_FILE)
        return intake
    while not (folder / INTAKE_FILE).is_file():  # where the first fails, the launcher ends all
        time.sleep(WAIT_S)
    return Intake.load(folder / INTAKE_FILE)


def prepare(arguments: Arguments, *, folder: Path, console: Console) -> Intake:
    """Return the data sets of a run, converted, divided and checked into a folder.

    Raises:
        ArgumentError, DataError: see `take_in`.
    """
    train, validation = named_sources(arguments.data)
    folder.mkdir(parents=True, exist_ok=True)
    converted = _convert(train, arguments.data, folder=folder / "train", console=console)
    intake = Intake(
        converted,
        _convert(validation, arguments.data, folder=folder / "validation", console=console),
    )
    if divides_itself(arguments.data):
        is_divided = [not is_native(source) for source in train]
        intake = _divide(intake, is_divided, arguments, folder=folder, console=console)
    return _check(intake, arguments, folder=folder / "checked", console=console)


def _convert(sources: Sources, data: DataArguments, *, folder: Path, console: Console) -> Sources:
    """Return sources of records; those that are none yet are written into a folder."""
    made = []
    for number, source in enumerate(sources):
        converted = convert_if_needed(
            source, out_folder=folder / str(number), max_bad_fraction=data.max_bad_fraction
        )
        if converted is None:
            made.append(source)
            continue
        console.print(converted.told(), markup=False)
        made.append(
            replace(source, path=str(converted.path), image_folder=_text(converted.image_folder))
        )
    return tuple(made)


def _divide(
    intake: Intake,
    is_divided: Sequence[bool],
    arguments: Arguments,
    *,
    folder: Path,
    console: Console,
) -> Intake:
    """Return the data sets with validation and test data taken from those that were converted."""
    parts: dict[str, list[Source]] = {name: [] for name in _PARTS}
    for number, (source, divides) in enumerate(zip(intake.train, is_divided, strict=True)):
        if not divides:
            parts["train"].append(source)
            continue
        result = split_manifest(
            source.path,
            out=folder / "split" / str(number),
            image_folder=source.image_folder,
            fractions=arguments.data.split_fractions,
            seed=arguments.training.order_seed,
            max_bad_fraction=arguments.data.max_bad_fraction,
            by_content=True,
        )
        for name, path in result.paths.items():
            own = replace(source, path=str(path), image_folder=_text(result.image_folder))
            parts[name].append(own)
            console.print(
                f"{name}: {result.counts[name].records:,} records in {path}", markup=False
            )
        for note in result.notes:
            console.print(f"  {note}", markup=False)
    if not parts["train"] or not parts["validation"]:
        missing = "training" if not parts["train"] else "validation"
        raise DataError(
            f"{', '.join(source.path for source in intake.train)}: no records are left for "
            f"{missing}; name files with --validation_data_path, or give --split_fractions 1 0 0 to "
            "train on all of them without validation"
        )
    return Intake(**{name: tuple(found) for name, found in parts.items()})


def _check(intake: Intake, arguments: Arguments, *, folder: Path, console: Console) -> Intake:
    """Return the data sets without the records that would fail, after decoding all of them."""
    from flipbook.data.doctor.check import check_manifests

    words = load_words_of(arguments.model.model_name_or_path)
    data = fit_to_words(arguments.data, words)
    settings = clip_settings(data)
    checked = check_manifests(
        {name: getattr(intake, name) for name in _PARTS},
        settings=settings,
        encoder=ConversationEncoder(words.tokenizer, settings, data.model_max_length),
        out=folder,
        console=console,
    )
    checked.refuse_bad(arguments.data.max_bad_fraction)
    return Intake(**{name: checked.clean[name] for name in _PARTS})


def _text(path: Path | str | None) -> str | None:
    return None if path is None else str(path)


def _as_dict(source: Source) -> dict[str, Any]:
    return asdict(source) | {"view": source.view.as_dict(), "columns": list(source.columns)}


def _from_dict(values: dict[str, Any]) -> Source:
    columns = tuple((str(name), str(column)) for name, column in values["columns"])
    return Source(**values | {"view": View.from_dict(values["view"]), "columns": columns})


def all_of(intake: Intake) -> Iterable[Source]:
    """Return every data set of a run."""
    return (*intake.train, *intake.validation, *intake.test)
