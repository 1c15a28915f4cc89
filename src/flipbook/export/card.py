"""What must a model tell those who find it without its makers?

    home, settings, Provenance, scores, licence  ->  README.md: front matter for the hub, then words

Everything that cannot be known is left out or called unknown; nothing is guessed. A section is one
function from `CardFacts` to lines; to add one, write it and name it in `_SECTIONS`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from flipbook.evaluate.rows import MEANING, ROWS
from flipbook.export.usage import ADAPTER, uses_of
from flipbook.model.licence import OUR_TAG, RESEARCH_ONLY_NOTICE
from flipbook.model.processing import DEFAULT_FRAME_SIZE
from flipbook.model.provenance import Provenance
from flipbook.score.scores import MEAN
from flipbook.video.settings import ClipSettings

LIBRARIES = {
    "hf": "transformers",
    ADAPTER: "peft",
    "apple": "ml-fastvlm",
    "mlx": "mlx",
    "onnx": "onnx",
    "coreml": "coreml",
}
_ONLY_EYES = ("onnx", "coreml")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_UNKNOWN_ORIGIN = "The folder that was exported does not say how it was trained."


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """What a card is made of.

    Attributes:
        home: a key of `LIBRARIES`.
        name: of the exported folder, or its id on the hub.
        source: what was exported, without the folders of this machine.
        licence: as the hub calls it, or None where nothing states one.
        scores: content of a run's `scores.json`, or None.
        limits: what keeps Apple's code from reading the folder, in sentences.
    """

    home: str
    name: str
    source: str
    settings: ClipSettings | None
    research_only: bool
    licence: str | None
    provenance: Provenance | None
    scores: Mapping[str, Any] | None
    limits: tuple[str, ...] = ()

    @property
    def base(self) -> str:
        """What was tuned, or else what was exported."""
        return self.provenance.base if self.provenance else self.source


def make_card(facts: CardFacts) -> str:
    """Return the text of a README.md."""
    head = yaml.safe_dump(_front_matter(facts), sort_keys=False, allow_unicode=True)
    sections = [lines for section in _SECTIONS if (lines := section(facts))]
    body = "\n\n".join("\n".join(lines) for lines in sections)
    return f"---\n{head}---\n\n{body}\n"


def write_card(folder: Path, facts: CardFacts) -> Path:
    """Return the path of the README.md written into `folder`."""
    path = folder / "README.md"
    path.write_text(make_card(facts), encoding="utf-8")
    return path


def _front_matter(facts: CardFacts) -> dict[str, Any]:
    said: dict[str, Any] = {}
    if facts.licence:
        said["license"] = facts.licence
    if _HUB_ID.fullmatch(facts.base):
        said["base_model"] = facts.base
        if facts.home == ADAPTER:
            said["base_model_relation"] = "adapter"
    said["library_name"] = LIBRARIES[facts.home]
    said["pipeline_tag"] = (
        "image-feature-extraction" if facts.home in _ONLY_EYES else "image-text-to-text"
    )
    said["tags"] = [OUR_TAG, "fastvlm", "video", *(["lora"] if _lora(facts) else [])]
    return said


def _lora(facts: CardFacts) -> dict[str, float] | None:
    return facts.provenance.lora if facts.provenance else None


def _opening(facts: CardFacts) -> list[str]:
    what = {
        ADAPTER: "A LoRA adapter for a FastVLM, without its base",
        "onnx": "The vision tower and projector of a FastVLM as an ONNX program",
        "coreml": "The vision tower and projector of a FastVLM as a Core ML program",
    }.get(facts.home, "A FastVLM")
    how = f"tuned with flipbook from `{facts.base}`" if facts.provenance else "written by flipbook"
    return [f"# {facts.name.split('/')[-1]}", "", f"{what}, {how}."]


def _licence(facts: CardFacts) -> list[str]:
    if facts.research_only:
        return ["## Licence", "", RESEARCH_ONLY_NOTICE]
    if facts.licence:
        return ["## Licence", "", f"`{facts.licence}`, as what was exported states."]
    return ["## Licence", "", "What was exported states no licence: ask those who made the base."]


def _frames(facts: CardFacts) -> list[str]:
    settings = facts.settings
    if settings is None:
        return []
    if settings.sampler == "fps":
        counts = [settings.min_frames, settings.max_frames]
        frames = f"{settings.frames_per_s:g} a second, {counts[0]} to {counts[1]}"
        tokens = " to ".join(str(count * settings.tokens_per_frame) for count in counts)
    else:
        frames, tokens = (
            str(settings.num_frames),
            str(settings.num_frames * settings.tokens_per_frame),
        )
    rows: list[tuple[Any, ...]] = [
        ("frames of a clip", frames),
        ("sampler", settings.sampler),
        ("side of a frame", f"{settings.frame_size} px"),
        ("made square by", settings.aspect),
        ("visual tokens of a frame", settings.tokens_per_frame),
        ("visual tokens of a clip", tokens),
    ]
    if settings.system_prompt is not None:
        rows.append(("system prompt", settings.system_prompt))
    return ["## How it sees", "", *_table(("", ""), rows)]


def _origin(facts: CardFacts) -> list[str]:
    origin = facts.provenance
    if origin is None:
        return ["## Where it comes from", "", f"`{facts.source}`. {_UNKNOWN_ORIGIN}"]
    trained = [(part, f"{count:,}") for part, count in origin.trained.items() if count]
    lines = ["## How it was trained", "", f"Base: `{origin.base}` (layout `{origin.base_layout}`)."]
    lines += ["", *_table(("part", "weights that trained"), trained)]
    if origin.lora is not None:
        told = ", ".join(f"{name} {value:g}" for name, value in origin.lora.items())
        lines += ["", f"With LoRA on the language model: {told}."]
    known = {name: value for name, value in origin.recipe.items() if value is not None}
    rows = [(name.replace("_", " "), _shown(value)) for name, value in known.items()]
    rows += [(f"version of {name}", version) for name, version in origin.versions.items()]
    return [*lines, "", *_table(("recipe", ""), rows)]


def _data(facts: CardFacts) -> list[str]:
    if facts.provenance is None or not facts.provenance.data:
        return []
    rows = [
        (
            entry.get("split"),
            entry.get("file"),
            entry.get("num_records"),
            f"`{entry.get('sha256')}`",
        )
        for entry in facts.provenance.data
    ]
    return ["## Data", "", *_table(("split", "file", "records", "SHA-256"), rows)]


def _scores(facts: CardFacts) -> list[str]:
    if facts.scores is None:
        return []
    scores, counts = facts.scores, facts.scores.get("num_questions", {})
    rows = [row for row in ROWS if row in scores]
    lines = [
        "## Scores",
        "",
        "Means over tasks, and the controls that tell what they rest on.",
        "",
    ]
    lines += _table(
        ("row", "score", "questions", MEANING),
        [(row, f"{scores[row][MEAN]:.3f}", sum(counts[row].values()), ROWS[row]) for row in rows],
    )
    tasks = list(dict.fromkeys(task for row in rows for task in counts[row]))
    lines += ["", *_table(("task", *rows), [_task_row(task, rows, scores) for task in tasks])]
    if scores.get("verdict"):
        lines += ["", str(scores["verdict"])]
    files = scores.get("provenance", {}).get("data_files", {})
    told = [f"- `{Path(name).name}`, SHA-256 `{sha256}`" for name, sha256 in files.items()]
    return [*lines, "", "Scored on:", "", *told] if told else lines


def _task_row(task: str, rows: list[str], scores: Mapping[str, Any]) -> tuple[str, ...]:
    values = [scores[row].get(task) for row in rows]
    return (task, *("" if value is None else f"{value:.3f}" for value in values))


def _uses(facts: CardFacts) -> list[str]:
    lines = ["## How to use it"]
    for limit in facts.limits:
        lines += ["", f"Not yet with Apple's code: {limit}"]
    side = facts.settings.frame_size if facts.settings else DEFAULT_FRAME_SIZE
    for use in uses_of(facts.home, name=facts.name, side=side):
        lines += ["", use.about, "", f"```{use.language}", use.code, "```"]
    return lines


def _table(headings: tuple[str, ...], rows: list[tuple[Any, ...]]) -> list[str]:
    cells = [" | ".join(_cell(value) for value in row) for row in [headings, *rows]]
    rule = " | ".join("---" for _ in headings)
    return [f"| {line} |" for line in [cells[0], rule, *cells[1:]]]


def _cell(value: Any) -> str:
    """Words that stay in their cell."""
    return " ".join(str(value).split()).replace("|", "\\|")


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(item)}" for name, item in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)


_SECTIONS = (_opening, _licence, _uses, _frames, _origin, _data, _scores)
