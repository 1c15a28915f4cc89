"""Is this the model that the adapter was trained on?

    Checkpoint, before training  ->  AdapterBase  ->  base.json in the adapter's folder
    base.json, another Checkpoint  ->  a table of differences, empty when it is the same model

Adapters are differences: on another model than their own they give answers that look like answers.
The configuration tells most wrong bases at once; hashes of the weights tell the rest.

To add a fact: one line in `_facts_of`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flipbook.errors import CheckpointError
from flipbook.model.adapters.fingerprint import fingerprint_parts, fingerprint_words
from flipbook.model.folders import plain_name, read_json, write_json

if TYPE_CHECKING:
    from flipbook.model.checkpoint import Checkpoint  # which imports this module

BASE_FILE = "base.json"
FORMAT_VERSION = 1
_HASH_SHOWN = 12  # of its 32 digits


@dataclass(frozen=True)
class Difference:
    """A fact in which a model is not the one that an adapter was trained on."""

    fact: str
    trained_on: str
    found: str


@dataclass(frozen=True, kw_only=True)
class AdapterBase:
    """What is known about the model that an adapter was trained on.

    Attributes:
        name: hub id, "tiny", or the name of its folder.
        layout: `model_type` in its config.json. Both layouts hold the same weights, so another
            layout is no difference.
        facts: of its configuration and its words.
        fingerprints: hashes of its words and of the weights of each part.
    """

    name: str
    layout: str
    facts: dict[str, str | int | float | bool]
    fingerprints: dict[str, str]

    def save(self, folder: str | Path) -> Path:
        """Path of the `base.json` written into `folder`."""
        path = Path(folder) / BASE_FILE
        content = {"format": FORMAT_VERSION, **asdict(self)}
        write_json(path, content)
        return path

    @classmethod
    def load(cls, folder: str | Path) -> AdapterBase | None:
        """What was saved in `folder`, or None when it holds no `base.json`.

        Raises:
            CheckpointError: the file cannot be read, or a field is missing or of another kind.
        """
        path = Path(folder) / BASE_FILE
        if not path.is_file():
            return None
        content = read_json(path)
        kinds = {"name": str, "layout": str, "facts": dict, "fingerprints": dict}
        wrong = [name for name, kind in kinds.items() if not isinstance(content.get(name), kind)]
        if content.get("format") != FORMAT_VERSION or wrong:
            fault = f"no sound {', '.join(wrong)}" if wrong else "another format"
            raise CheckpointError(
                f"{path}: has {fault}, so nothing tells the base of this adapter. Copy the adapter "
                "again."
            )
        return cls(**{field.name: content[field.name] for field in fields(cls)})


def describe_base(checkpoint: Checkpoint) -> AdapterBase:
    """What tells a model from all others, before anything of it is trained.

    Args:
        checkpoint: its model neither wrapped nor quantised, in float32 or as its files store it.
    """
    num_words = max(checkpoint.tokenizer.get_vocab().values()) + 1
    return AdapterBase(
        name=plain_name(checkpoint.source),
        layout=checkpoint.layout,
        facts=_facts_of(checkpoint),
        fingerprints={
            "words": fingerprint_words(checkpoint.tokenizer),
            **fingerprint_parts(checkpoint.model, num_words=num_words),
        },
    )


def _facts_of(checkpoint: Checkpoint) -> dict[str, str | int | float | bool]:
    config: Any = checkpoint.model.config
    text = config.text_config
    return {
        "language model": text.model_type,
        "width": text.hidden_size,
        "feed-forward width": text.intermediate_size,
        "layers": text.num_hidden_layers,
        "attention heads": text.num_attention_heads,
        "key-value heads": text.num_key_value_heads,
        "rope_theta": float(text.rope_parameters["rope_theta"]),
        "tied head": bool(config.tie_word_embeddings),
        "vision tower": str(config.vision_config.architecture),
        "vision width": config.vision_config.hidden_size,
        "number of words": len(checkpoint.tokenizer),
        "id of <image>": config.image_token_id,
    }


def compare_bases(trained_on: AdapterBase, checkpoint: Checkpoint) -> list[Difference]:
    """In what a model differs from the one an adapter was trained on; empty when in nothing.

    Weights are compared only where configuration and words agree.
    """
    facts = _differences(trained_on.facts, dict(_facts_of(checkpoint)))
    if facts:
        return facts
    found = describe_base(checkpoint).fingerprints
    return [
        Difference(f"hash of {d.fact}", d.trained_on[:_HASH_SHOWN], d.found[:_HASH_SHOWN])
        for d in _differences(dict(trained_on.fingerprints), dict(found))
    ]


def _differences(expected: dict[str, Any], found: dict[str, Any]) -> list[Difference]:
    return [
        Difference(fact, str(expected.get(fact, "none")), str(found.get(fact, "none")))
        for fact in dict.fromkeys([*expected, *found])
        if expected.get(fact) != found.get(fact)
    ]


def difference_table(differences: list[Difference]) -> str:
    """Lines of a table: what differs, on what the adapter was trained, what is given."""
    rows = [("", "adapter trained on", "this base")]
    rows += [(d.fact, d.trained_on, d.found) for d in differences]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        "  " + "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
