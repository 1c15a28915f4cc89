"""What does a data set of LLaMA-Factory hold, as its dataset_info.json describes it?

    {"mine": {"file_name": "mine.json", "formatting": "sharegpt",
              "columns": {"messages": "talk", "videos": "videos"}, "tags": {"role_tag": "who", ..}}}

    mine.json beside it  ->  rows with `messages`

`formatting` alpaca, which LLaMA-Factory takes where nothing is said, has instruction, input and
output. Files are read in the folder of dataset_info.json and below it, and nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from flipbook.data.formats.asked import Row, Rows, is_blank
from flipbook.data.formats.origin import Head, Origin, read_object
from flipbook.data.formats.turns_of import (
    Message,
    Tags,
    kept_of,
    message,
    own_rows,
    read_pairs,
    read_tagged,
    with_system,
)
from flipbook.data.media_folders import found_in
from flipbook.data.parts import shown
from flipbook.data.turns import Role
from flipbook.errors import ManifestError, RecordError, did_you_mean

INFO_NAME = "dataset_info.json"
_ELSEWHERE = ("hf_hub_url", "ms_hub_url", "om_hub_url", "script_url", "cloud_file_name")
_COLUMNS = {
    "prompt": "instruction",
    "query": "input",
    "response": "output",
    "messages": "conversations",
}
_TAGS = {
    "role_tag": "from",
    "content_tag": "value",
    "user_tag": "human",
    "assistant_tag": "gpt",
    "observation_tag": "observation",
    "function_tag": "function_call",
    "system_tag": "system",
}
_SIDES: dict[str, Role | None] = {
    "user_tag": "user",
    "assistant_tag": "assistant",
    "system_tag": "system",
    "observation_tag": None,
    "function_tag": None,
}


class _DataSet(NamedTuple):
    """What dataset_info.json says of one data set."""

    columns: Mapping[str, str]
    tags: Mapping[str, str]

    def column(self, row: Row, name: str) -> Any:
        """Return what a row has in a column, whatever it is called; None where there is none."""
        key = self.columns.get(name)
        return row.get(key) if isinstance(key, str) else None


def is_dataset_info(head: Head) -> bool:
    """Return whether a file is a dataset_info.json, or one beside it names the file."""
    if head.path.name == INFO_NAME:
        return head.is_object and bool(_described(head.rows[0]))
    return bool(_names_of(head.path))


def read_dataset_info(origin: Origin) -> Rows:
    """Yield the rows of the data set that the origin names, or that its file is.

    Raises:
        ManifestError: several are described and none is named; the file is missing, lies
            elsewhere, or is not described as LLaMA-Factory does.
    """
    info_path = origin.path.with_name(INFO_NAME)
    info = _described(read_object(found_in(info_path, info_path.parent)))
    is_info = origin.path.name == INFO_NAME
    name = _chosen(list(info) if is_info else _names_of(origin.path), origin.part, info_path)
    described = info[name]
    data_set = _DataSet(
        _COLUMNS | _texts(described, "columns", info_path),
        _TAGS | _texts(described, "tags", info_path),
    )
    formatting = described.get("formatting", "alpaca")
    if formatting not in _READ:
        raise ManifestError(
            f"{info_path}: {name!r} has the formatting {shown(formatting)}; known are "
            f"{', '.join(_READ)}.{did_you_mean(str(formatting), _READ)}"
        )
    if described.get("ranking"):
        raise ManifestError(
            f"{info_path}: {name!r} holds preferences ('ranking'), from which nothing is learned "
            "here; name a data set of answers"
        )
    read = _READ[formatting]
    for path in _files(described, name, info_path):
        found_in(path, info_path.parent)
        source = replace(origin, path=path, image_folder=origin.image_folder or info_path.parent)
        yield from own_rows(source, lambda row, record_id: _rows(row, record_id, data_set, read))


def _rows(
    row: Row, record_id: str, data_set: _DataSet, read: Callable[..., list[Message]]
) -> Iterator[dict[str, Any]]:
    messages = read(row, record_id, data_set)
    if messages[0]["role"] != "system":  # the conversation's own comes before that of the column
        messages = with_system(data_set.column(row, "system"), messages)
    media = {
        key: value
        for key in ("images", "videos")
        if (value := data_set.column(row, key)) is not None
    }
    kept = {key: value for key, value in kept_of(row).items() if key not in _MEDIA}
    yield {**kept, **media, "messages": messages}


_MEDIA = ("image", "images", "video", "videos")


def _read_sharegpt(row: Row, record_id: str, data_set: _DataSet) -> list[Message]:
    tags = data_set.tags
    roles = {tags[tag]: role for tag, role in _SIDES.items()}
    key = data_set.columns["messages"]
    return read_tagged(
        row.get(key),
        Tags(tags["role_tag"], tags["content_tag"], roles),
        key=key,
        record_id=record_id,
    )


def _read_alpaca(row: Row, record_id: str, data_set: _DataSet) -> list[Message]:
    asked = []
    for name in ("prompt", "query"):
        value = data_set.column(row, name)
        if is_blank(value):
            continue
        if not isinstance(value, str):
            raise RecordError(
                record_id, f"{data_set.columns[name]!r} is {shown(value)}; it must be text"
            )
        asked.append(value)
    answer = data_set.column(row, "response")
    if not asked or answer is None:
        missing = "prompt" if not asked else "response"
        raise RecordError(
            record_id,
            f"has no {data_set.columns[missing]!r}; add it, or mend 'columns' in {INFO_NAME}",
        )
    history = data_set.column(row, "history") or None
    pairs = read_pairs(history, key=data_set.columns.get("history", "history"), record_id=record_id)
    return [*pairs, message("user", "\n".join(asked)), message("assistant", answer)]


_READ: dict[str, Callable[[Row, str, _DataSet], list[Message]]] = {
    "sharegpt": _read_sharegpt,
    "alpaca": _read_alpaca,
}


def _described(content: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the data sets that a dataset_info.json describes; none of another file's."""
    return {
        name: about
        for name, about in content.items()
        if isinstance(about, dict) and {"file_name", *_ELSEWHERE} & about.keys()
    }


def _names_of(path: Path) -> list[str]:
    """Return the names of the data sets that a dataset_info.json says a file beside it holds."""
    info_path = path.with_name(INFO_NAME)
    if path == info_path or path.is_dir() or not info_path.is_file():
        return []
    try:
        described = _described(read_object(found_in(info_path, info_path.parent)))
    except ManifestError:
        return []  # it is not of this file that it is broken
    return [name for name, about in described.items() if about.get("file_name") == path.name]


def _chosen(names: list[str], wanted: str | None, info_path: Path) -> str:
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted in names:
        return str(wanted)
    if wanted is None:
        raise ManifestError(
            f"{info_path}: describes several data sets: {', '.join(names)}; name one as "
            f"{info_path.name}#{names[0] if names else 'NAME'}"
        )
    raise ManifestError(
        f"{info_path}: describes no data set {wanted!r}.{did_you_mean(wanted, names)} There are: "
        f"{', '.join(names)}."
    )


def _texts(described: Mapping[str, Any], key: str, info_path: Path) -> dict[str, str]:
    found = described.get(key) or {}
    if isinstance(found, dict) and all(isinstance(value, str) for value in found.values()):
        return found
    raise ManifestError(f"{info_path}: {key!r} is {shown(found)}; it must be an object of names")


def _files(described: Mapping[str, Any], name: str, info_path: Path) -> list[Path]:
    """Return the files of a data set, all of them below the folder of dataset_info.json."""
    elsewhere = next((key for key in _ELSEWHERE if described.get(key)), None)
    file_name = described.get("file_name")
    if elsewhere is not None or not isinstance(file_name, str):
        raise ManifestError(
            f"{info_path}: {name!r} has its data under {elsewhere!r} and not in a file; download "
            "it and give 'file_name'"
        )
    path = info_path.parent / file_name
    if not path.resolve().is_relative_to(info_path.parent.resolve()):
        raise ManifestError(
            f"{info_path}: {file_name} leads outside of its folder; move the file there"
        )
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.iterdir() if file.is_file() and file.name[0] != ".")
