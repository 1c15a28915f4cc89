"""What is in this folder, and is it sound?

    flipbook info DIR_OR_ID           ->  tables that fit 80 columns
    flipbook info DIR_OR_ID --json    ->  the same facts for another program

No weights are loaded, and of a model on the hub none are downloaded.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flipbook.model.describe import ADAPTER_ALONE, AdapterFacts, Description, describe
from flipbook.model.licence import RESEARCH_ONLY_NOTICE
from flipbook.model.provenance import Provenance
from flipbook.video.frames import PX_PER_TOKEN
from flipbook.video.layouts import FRAMES
from flipbook.video.settings import ClipSettings

SIDES_PX = (256, 512, 768, 1024)
LAYOUT_NAMES = {
    "fast_vlm": "Hugging Face's",
    "llava_qwen2": "Apple's",
    "llava_llama": "LLaVA's",
    ADAPTER_ALONE: "of a LoRA adapter; its base is elsewhere",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the words of `flipbook info`."""
    parser.add_argument("model", help="A run folder, a model, an adapter, a hub id, or 'tiny'.")
    parser.add_argument("--json", action="store_true", help="Print JSON instead of tables.")


def run(args: argparse.Namespace) -> None:
    """Print what is known of a model.

    Raises:
        CheckpointError: it is missing, incomplete, damaged, or no FastVLM.
    """
    description = describe(args.model)
    if args.json:
        print(json.dumps(as_json(args.model, description), indent=2, ensure_ascii=False))
        return
    console = Console(highlight=False, markup=False)
    for block in info_blocks(args.model, description):
        console.print(block)


def as_json(name: str, description: Description) -> dict[str, Any]:
    """Return all facts, with the tokens that follow from them."""
    settings = description.settings
    return {
        "name": name,
        **asdict(description),
        "num_bytes": sum(description.file_bytes.values()),
        "tokens_per_frame": tokens_by_side(settings),
        "tokens_per_clip": list(tokens_per_clip(settings)) if settings else None,
    }


def info_blocks(name: str, description: Description) -> Iterable[Table | Text | str]:
    """Yield what is printed, from the broadest fact to the finest."""
    yield _facts_table(name, description)
    if description.parts:
        yield "\nSizes, as stored"
        yield _parts_table(description)
    yield "\nTokens per frame"
    yield _sides_table(description.settings)
    if description.prompt is not None:
        yield f"\nA question about one clip ({description.template_name})"
        yield Text(folded_prompt(description.prompt).rstrip(), style="dim")
    if description.provenance is not None:
        yield "\nWhat trained"
        yield _provenance_table(description.provenance)
    if description.research_only:
        yield f"\n{RESEARCH_ONLY_NOTICE}"
    if description.apple_faults:
        yield "\nFaults that Apple's code would meet"
        yield Text("\n".join(f"- {fault}" for fault in description.apple_faults))


def tokens_by_side(settings: ClipSettings | None) -> dict[int, int]:
    """Return the visual tokens of a frame by its side in px, the model's own side among them."""
    own = [settings.frame_size] if settings else []
    return {side: (side // PX_PER_TOKEN) ** 2 for side in sorted({*SIDES_PX, *own})}


def tokens_per_clip(settings: ClipSettings) -> tuple[int, int]:
    """Return the fewest and the most visual tokens of a clip."""
    least, most = settings.num_frames, settings.num_frames
    if settings.sampler == "fps":
        least, most = settings.min_frames, settings.max_frames
    return sum(settings.tokens_of_clip(least)), sum(settings.tokens_of_clip(most))


def folded_prompt(prompt: str) -> str:
    """Return a prompt with one line for lines that repeat, and how often they do."""
    lines = []
    for line, repeats in itertools.groupby(prompt.split("\n")):
        count = len(list(repeats))
        lines.append(f"{line}  (x {count})" if count > 1 and line else line)
    return "\n".join(lines)


def size_in_words(num_bytes: int) -> str:
    """Return a size in words: 1.2 kB, 12.3 MB, 1.02 GB."""
    if num_bytes >= 1e9:
        return f"{num_bytes / 1e9:.2f} GB"
    return f"{num_bytes / 1e6:.1f} MB" if num_bytes >= 1e6 else f"{num_bytes / 1e3:.1f} kB"


def _facts_table(name: str, description: Description) -> Table:
    rows = {
        "model": name,
        "layout": f"{description.layout} ({LAYOUT_NAMES[description.layout]})",
        "language model": description.language_model or "that of the base",
        "on disk": f"{size_in_words(sum(description.file_bytes.values()))} "
        f"in {len(description.file_bytes)} files",
        "vocabulary": _vocabulary(description),
        "context": f"{description.context_tokens:,} tokens" if description.context_tokens else "",
        "frames": _frames(description),
        "a clip": _clip(description.settings),
        "adapter": _adapter(description.adapter),
        "licence": _licence(description),
    }
    return two_columns({name: value for name, value in rows.items() if value})


def _vocabulary(description: Description) -> str:
    if description.num_words is None:
        return ""
    rows = description.vocabulary_rows
    shown = f"{rows:,} rows, " if rows is not None else ""
    return f"{shown}{description.num_words:,} words, <image> is {description.image_token_id}"


def _frames(description: Description) -> str:
    settings = description.settings
    if settings is None:
        return "those of the base"
    count = f"{settings.num_frames}"
    if settings.sampler == "fps":
        count = f"{settings.frames_per_s:g} a second, {settings.min_frames}-{settings.max_frames}"
    saved = "saved with the model" if description.settings_saved else "not saved: the defaults"
    lie = "" if settings.layout == FRAMES else f", as {settings.layout}"
    side = f"{settings.frame_size} px, {settings.aspect}"
    return f"{count} ({settings.sampler}) of {side}{lie}; {saved}"


def _clip(settings: ClipSettings | None) -> str:
    if settings is None:
        return ""
    least, most = tokens_per_clip(settings)
    return f"{least:,} visual tokens" if least == most else f"{least:,} to {most:,} visual tokens"


def _adapter(adapter: AdapterFacts | None) -> str:
    if adapter is None:
        return ""
    rank = "rank not stated" if adapter.rank is None else f"rank {adapter.rank}"
    alpha = "" if adapter.alpha is None else f", alpha {adapter.alpha:g}"
    return (
        f"{rank}{alpha}, {adapter.num_weights:,} weights ({', '.join(adapter.dtypes)}) on "
        f"{adapter.base or 'a base that it does not name'}"
    )


def _licence(description: Description) -> str:
    if description.research_only:
        return f"{description.licence}: research only"
    return description.licence or "not stated"


def _parts_table(description: Description) -> Table:
    table = Table(box=None)
    for heading, justify in (
        ("part", "left"),
        ("weights", "right"),
        ("size", "right"),
        ("dtype", "left"),
    ):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for part in description.parts:
        size = size_in_words(part.num_bytes)
        table.add_row(part.part, f"{part.num_weights:,}", size, ", ".join(part.dtypes))
    total = sum(part.num_weights for part in description.parts)
    size = size_in_words(sum(part.num_bytes for part in description.parts))
    table.add_row("all", f"{total:,}", size, "")
    return table


def _sides_table(settings: ClipSettings | None) -> Table:
    table = Table(box=None)
    by_side = tokens_by_side(settings)
    table.add_column("side")
    for side in by_side:
        own = settings is not None and side == settings.frame_size
        table.add_column(f"{side} px{' *' if own else ''}", justify="right")
    table.add_row("tokens", *(str(tokens) for tokens in by_side.values()))
    return table


def _provenance_table(provenance: Provenance) -> Table:
    rows = {"base": f"{provenance.base} ({provenance.base_layout})"}
    for part, num_weights in provenance.trained.items():
        rows[part] = f"{num_weights:,} weights" if num_weights else "frozen"
    if provenance.lora is not None:
        rows["LoRA"] = ", ".join(f"{name} {value:g}" for name, value in provenance.lora.items())
    for entry in provenance.data:
        rows[str(entry.get("split", "data"))] = (
            f"{entry.get('file')}, {entry.get('num_records')} records"
        )
    known = {name: value for name, value in provenance.recipe.items() if value is not None}
    rows |= {name.replace("_", " "): _shown(value) for name, value in known.items()}
    return two_columns(rows)


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(item)}" for name, item in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)


def two_columns(rows: Mapping[str, str]) -> Table:
    """Return names and values side by side; long values are folded."""
    table = Table(box=None, show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(Text(name), Text(value))
    return table
