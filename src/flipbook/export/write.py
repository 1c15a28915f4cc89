"""How does a tuned model reach the program that is to run it?

    run | folder | hub id, layout  ->  folder in that layout, with a model card: whole, or not there

A run with LoRA goes to `hf` as its adapter alone, or with `merge_lora` everywhere as a whole model.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from flipbook.errors import ArgumentError, StorageError
from flipbook.export.card import CardFacts, write_card
from flipbook.export.homes import DTYPES, STORED, ExportOptions, find_home
from flipbook.export.source import ExportSource, choose_source, read_scores
from flipbook.export.usage import ADAPTER
from flipbook.model.adapters.trained_on import AdapterBase
from flipbook.model.apple.contract import limits, name_fault
from flipbook.model.checkpoint import Checkpoint, load_checkpoint
from flipbook.model.describe import describe
from flipbook.model.folders import ADAPTER_FILE, is_adapter, plain_name, read_json, write_json
from flipbook.model.licence import APPLE_LICENCE, stated_licence
from flipbook.model.provenance import Provenance
from flipbook.model.saving import open_to_readers
from flipbook.video.settings import ClipSettings, refuse_only_here


@dataclass(frozen=True)
class Exported:
    """What an export left: where, for which home, and the size of every file in bytes."""

    folder: Path
    home: str
    file_bytes: dict[str, int]


def export_model(
    model: str | Path,
    *,
    layout: str,
    out: str | Path,
    merge_lora: bool = False,
    base: str | Path | None = None,
    options: ExportOptions | None = None,
    card_name: str | None = None,
) -> Exported:
    """Return what was written into `out`, which did not exist before or was empty.

    Args:
        model: a run folder, a model, an adapter, a hub id, or "tiny".
        layout: a key of `HOMES` in `homes.py`.
        out: the folder to make. A failure leaves nothing of it behind.
        merge_lora: write the whole model, with the adapter in its weights.
        base: the model under the adapter, where it is no longer in its place.
        options: of the weights.
        card_name: name of the model in its card; that of `out` if None.

    Raises:
        ArgumentError: the layout or an option is unknown or does not apply, a package is missing,
            `out` is taken, or clips are read as flipbook alone does.
        StorageError: `out` cannot be written.
        CheckpointError: the model cannot be loaded, or has no form in this layout.
    """
    options = options or ExportOptions()
    home = find_home(layout, options)
    target = _free_folder(out)
    fault = name_fault(target) if layout == "apple" else None
    if fault:
        raise ArgumentError(f"--out {target}: {fault}")
    source = choose_source(model, layout=layout, merge_lora=merge_lora, base=base)
    settings = ClipSettings.load(source.folder)
    if settings is not None:
        refuse_only_here(settings, reader=f"what reads the layout {layout}")
    # `flipbook evaluate` reports inside of a model that lies in no run
    scores = read_scores(source.run_folder or source.folder)
    name = card_name or target.name
    if source.is_adapter_alone:
        _refuse_options_of_adapter(options)
        facts = _facts_of_adapter(source.folder, name=name, scores=scores)
        with _staged(target) as staged:
            _copy_adapter(source.folder, staged)
            write_card(staged, facts)
        return _exported(target, ADAPTER)
    checkpoint = _load(source, options)
    facts = _facts_of_model(checkpoint, source, home=layout, name=name, scores=scores)
    with _staged(target) as staged:
        home.write(staged, checkpoint, options)
        if checkpoint.provenance is not None:
            checkpoint.provenance.save(staged)
        found = tuple(limits(staged)) if layout == "apple" else ()
        write_card(staged, dataclasses.replace(facts, limits=found))
    return _exported(target, layout)


def _refuse_options_of_adapter(options: ExportOptions) -> None:
    given = [f"--{name}" for name, value in vars(options).items() if value is not None]
    if given:
        raise ArgumentError(
            f"{' and '.join(given)} cannot change an adapter, which is copied as it was trained. "
            "Leave it out, or write a whole model with --merge_lora."
        )


def _free_folder(out: str | Path) -> Path:
    if not str(out).strip():
        raise ArgumentError("--out is empty. Give the folder to make.")
    target = Path(out).expanduser().absolute()
    try:
        taken = target.exists() and (not target.is_dir() or any(target.iterdir()))
    except OSError as error:
        raise _cannot_write(target, error) from error
    if taken:
        raise ArgumentError(f"--out {out} is there already and not empty. Give a new folder.")
    return target


@contextmanager
def _staged(target: Path) -> Iterator[Path]:
    """An empty folder beside `target` that takes its name at the end, or is gone."""
    staged = target.with_name(f".{target.name}.partial")
    made = [path for path in target.parents if not path.exists()]
    is_done = False
    try:
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir(parents=True)
        yield staged
        open_to_readers(staged)
        if target.exists():
            target.rmdir()
        staged.rename(target)
        is_done = True
    except (OSError, SafetensorError) as error:
        raise _cannot_write(target, error) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
        if not is_done:
            _remove_empty(made)


def _remove_empty(folders: list[Path]) -> None:
    """Remove the folders that were made for nothing, the innermost first."""
    for folder in folders:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _cannot_write(target: Path, error: Exception) -> StorageError:
    reason = getattr(error, "strerror", None) or " ".join(str(error).split())
    return StorageError(
        f"--out {target}: cannot be written ({reason}). Nothing is left of it; give a folder on a "
        "disk that has room and may be written to."
    )


def _load(source: ExportSource, options: ExportOptions) -> Checkpoint:
    dtype = DTYPES[options.dtype or STORED]
    if options.dtype is None and is_adapter(source.folder):
        dtype = _trained_dtype(source.folder)
    return load_checkpoint(source.model, dtype=dtype, base=source.base)


def _trained_dtype(adapter: Path) -> torch.dtype | None:
    """Precision in which a run would have saved its merged model, whatever its base has.

    A float32 adapter that is rounded to a bfloat16 base loses part of what it learned.
    """
    origin = Provenance.load(adapter)
    if origin is None:
        return None
    return torch.bfloat16 if origin.recipe.get("precision") == "bf16" else torch.float32


def _copy_adapter(folder: Path, staged: Path) -> None:
    """Copy an adapter; what names a folder of this machine gets the plain name of the base."""
    for path in sorted(folder.iterdir()):
        if path.is_file():
            shutil.copyfile(path, staged / path.name)
    config = read_json(staged / ADAPTER_FILE)
    config["base_model_name_or_path"] = _base_of_adapter(folder)
    write_json(staged / ADAPTER_FILE, config)


def _base_of_adapter(folder: Path) -> str:
    known = AdapterBase.load(folder)
    if known is not None:
        return known.name
    named = read_json(folder / ADAPTER_FILE).get("base_model_name_or_path")
    return plain_name(str(named or ""))


def _facts_of_adapter(folder: Path, *, name: str, scores: dict[str, Any] | None) -> CardFacts:
    found = describe(folder)  # refuses a damaged one
    return CardFacts(
        home=ADAPTER,
        name=name,
        source=_base_of_adapter(folder),
        settings=found.settings,
        research_only=found.research_only,
        licence=found.licence,
        provenance=found.provenance,
        scores=scores,
    )


def _facts_of_model(
    checkpoint: Checkpoint,
    source: ExportSource,
    *,
    home: str,
    name: str,
    scores: dict[str, Any] | None,
) -> CardFacts:
    return CardFacts(
        home=home,
        name=name,
        source=plain_name(checkpoint.source),
        settings=checkpoint.clip_settings,
        research_only=checkpoint.research_only,
        licence=APPLE_LICENCE if checkpoint.research_only else stated_licence(source.folder, {}),
        provenance=checkpoint.provenance,
        scores=scores,
    )


def _exported(target: Path, home: str) -> Exported:
    files = sorted(path for path in target.rglob("*") if path.is_file())
    sizes = {str(path.relative_to(target)): path.stat().st_size for path in files}
    return Exported(target, home, sizes)
