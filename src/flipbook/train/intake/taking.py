"""From what the user named to the data sets of a run.

    --data_path: manifests, tables, class folders, a mixture
        -> converted, divided by group, checked              RUN/prepared/
        -> Intake: training, validation and test Sources     RUN/prepared/intake.json

Manifests that can be trained on as they are stay where they are. What was made is found again by
the other processes of a run, and when it resumes, if what it was made of is still the same.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from accelerate import PartialState
from rich.console import Console

from flipbook.data.converting.needed import as_records, format_to_convert, told_of
from flipbook.data.dataset import clip_settings
from flipbook.data.doctor.check import check_manifests
from flipbook.data.encoder import ConversationEncoder
from flipbook.data.formats.column_names import parse_map
from flipbook.data.sources import Source, names_of, sources_of
from flipbook.data.written import write_json_whole
from flipbook.errors import ArgumentError, DataError
from flipbook.model.words_of import load_words_of
from flipbook.score.kinds.table import unjudged
from flipbook.train.arguments import Arguments, DataArguments
from flipbook.train.intake.division import SPLIT_FOLDER, divide
from flipbook.train.intake.prepared import (
    PREPARED_IN_RUN,
    changed,
    clear_prepared,
    hashes_of,
)
from flipbook.train.run_folder import make_folder
from flipbook.train.start import fit_to_words
from flipbook.video.view import View

INTAKE_FILE = "intake.json"
CHECKED_FOLDER = "checked"
WAIT_S = 0.5
Sources = tuple[Source, ...]


@dataclass(frozen=True)
class Intake:
    """The data sets of a run; `test` is kept for the claim after training.

    `made_of` has a hash of each data set of which they were made; none where none was made.
    """

    train: Sources
    validation: Sources
    test: Sources = ()
    made_of: dict[str, str] = field(default_factory=dict)

    @property
    def claimed(self) -> Sources:
        """On what the tuned model is scored."""
        return self.test or self.validation

    def save(self, path: Path) -> None:
        """Write it down for other processes; the file is there whole or not at all."""
        content = {name: [_as_dict(source) for source in getattr(self, name)] for name in _PARTS}
        write_json_whole(path, content | {"made_of": self.made_of})

    @classmethod
    def load(cls, path: Path) -> Intake:
        """Return what `save` wrote."""
        content = json.loads(path.read_text(encoding="utf-8"))
        parts = {name: tuple(map(_from_dict, content[name])) for name in _PARTS}
        return cls(**parts, made_of=content["made_of"])


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


def is_prepared(data: DataArguments) -> bool:
    """Return whether something is made of what is named before it is trained on."""
    train, validation = named_sources(data)
    return data.check_media or not all(map(is_native, (*train, *validation)))


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
    arguments: Arguments,
    *,
    run_folder: Path,
    is_resumed: bool,
    console: Console,
    decodes: bool = True,
) -> Intake:
    """Return the data sets of a run, after making of them what can be trained on.

    One process does so, and the others wait for it.

    Args:
        decodes: see `prepare`.

    Raises:
        ArgumentError: what is named cannot be meant, is not what a run that goes on began with,
            or its files would be made where others are.
        DataError: it cannot be read, or too much of it cannot be used.
    """
    data = arguments.data
    train, validation = named_sources(data)
    named = (*train, *validation)
    if not is_prepared(data):
        for source in named:
            console.print(told_of(source), markup=False)
        return Intake(train, validation)
    folder = run_folder / PREPARED_IN_RUN
    state = PartialState()
    if is_resumed and (folder / INTAKE_FILE).is_file():
        return _as_before(named, run_folder, console=console)
    if state.is_main_process:
        make_folder(run_folder)
        clear_prepared(folder, named, made=(*_PARTS, SPLIT_FOLDER, INTAKE_FILE))
    state.wait_for_everyone()
    if state.is_main_process:
        made_of = hashes_of(named, run_folder=run_folder)
        intake = prepare(arguments, folder=folder, console=console, decodes=decodes)
        if torn := changed(made_of, hashes_of(named, run_folder=run_folder)):
            raise DataError(
                f"{', '.join(torn)}: changed while it was read. Nothing was trained. Start again "
                "when nothing writes to it."
            )
        replace(intake, made_of=made_of).save(folder / INTAKE_FILE)
        return intake
    while not (folder / INTAKE_FILE).is_file():  # where the first fails, the launcher ends all
        time.sleep(WAIT_S)
    return Intake.load(folder / INTAKE_FILE)


def _as_before(named: Sources, run_folder: Path, *, console: Console) -> Intake:
    """Return the data sets that a run began with, and tell where what is named has changed since.

    Raises:
        ArgumentError: others are named now.
    """
    folder = run_folder / PREPARED_IN_RUN
    intake = Intake.load(folder / INTAKE_FILE)
    now = hashes_of(named, run_folder=run_folder)
    if now.keys() != intake.made_of.keys():
        raise ArgumentError(
            f"The data of this run were made of {', '.join(intake.made_of)}, and named now are "
            f"{', '.join(now)}. Nothing was changed. A run goes on with the data that it began "
            "with: name these, or begin another run with another --output_dir."
        )
    for path in changed(intake.made_of, now):
        console.print(
            f"Warning: {path} has changed since this run began. The run goes on with the data "
            f"that it began with, which are in {folder}; for a run on the new ones give another "
            "--output_dir.",
            markup=False,
        )
    return intake


def prepare(
    arguments: Arguments, *, folder: Path, console: Console, decodes: bool = True
) -> Intake:
    """Return the data sets of a run, converted, divided and checked into a folder.

    Args:
        folder: without any such files; a journal of the check may be there.
        decodes: check all media by decoding them.

    Raises:
        ArgumentError, DataError: see `take_in`.
    """
    data, tell = arguments.data, partial(console.print, markup=False)
    train, validation = named_sources(data)
    parts: dict[str, list[Source]] = {name: [] for name in _PARTS}
    convert = partial(as_records, max_bad_fraction=data.max_bad_fraction, tell=tell)
    parts["validation"] += convert(validation, folder=folder / "validation")
    divides = divides_itself(data)
    fractions = data.split_fractions if divides else [1.0, 0.0, 0.0]
    for number, (source, made) in enumerate(
        zip(train, convert(train, folder=folder / "train"), strict=True)
    ):
        if made is source:
            parts["train"].append(source)
            continue
        divided = divide(
            made, arguments, fractions, folder=folder / SPLIT_FOLDER / str(number), tell=tell
        )
        for name, own in divided.items():
            if name == "train" or data.validation_data_path is None:
                parts[name].append(own)
            else:
                tell(f"{own.path} is left out: validation data are named")
    wanted = ["train", *(["validation"] if divides else [])]
    missing = [name for name in wanted if not parts[name]]
    if missing:
        raise DataError(
            f"{names_of(train)}: no records are left for {missing[0]}; name files with "
            "--validation_data_path, or give --split_fractions 1 0 0 to train without validation"
        )
    intake = Intake(tuple(parts["train"]), tuple(parts["validation"]), tuple(parts["test"]))
    return (
        _check(intake, arguments, folder=folder / CHECKED_FOLDER, console=console)
        if decodes
        else intake
    )


def _check(intake: Intake, arguments: Arguments, *, folder: Path, console: Console) -> Intake:
    """Return the data sets without the records that would fail, after decoding all of them."""
    words = load_words_of(arguments.model.model_name_or_path)
    data = fit_to_words(arguments.data, words)
    settings = clip_settings(data)
    checked = check_manifests(
        {name: getattr(intake, name) for name in _PARTS},
        settings=settings,
        encoder=ConversationEncoder(words.tokenizer, settings, data.model_max_length),
        out=folder,
        console=console,
        unjudged=unjudged,
    )
    checked.refuse_bad(arguments.data.max_bad_fraction)
    clean = checked.clean
    return Intake(clean["train"], clean["validation"], clean["test"])


def _as_dict(source: Source) -> dict[str, Any]:
    return asdict(source) | {"view": source.view.as_dict(), "columns": list(source.columns)}


def _from_dict(values: dict[str, Any]) -> Source:
    columns = tuple((str(name), str(column)) for name, column in values["columns"])
    return Source(**values | {"view": View.from_dict(values["view"]), "columns": columns})
