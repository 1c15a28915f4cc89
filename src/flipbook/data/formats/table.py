"""Which format is this, and how is it read?

    Origin -> Format -> rows of our own (see `own.py`), or a RecordError for each that is none

A format is told by the keys of the first 50 rows, or by how a folder looks; `--format` says it in
place of that. The first of the table that recognises a file reads it, so special ones come before
general ones. To add one: a function that recognises it, one that reads it, and a line in FORMATS.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from flipbook.data.formats.asked import Rows
from flipbook.data.formats.captions import is_captions, is_msrvtt, read_captions, read_msrvtt
from flipbook.data.formats.choice_benchmarks import (
    is_egoschema,
    is_nextqa,
    is_star,
    read_egoschema,
    read_nextqa,
    read_star,
)
from flipbook.data.formats.choices import is_choices, is_mvbench, read_choices, read_mvbench
from flipbook.data.formats.classes import is_class_folders, read_class_folders
from flipbook.data.formats.columns import is_columns, notes_of_columns, read_columns
from flipbook.data.formats.dense import (
    is_activitynet,
    is_charades_sta,
    read_activitynet,
    read_activitynet_segments,
    read_charades_sta,
)
from flipbook.data.formats.messages_family import (
    is_prompt_completion,
    is_query_response,
    is_swapped,
    read_prompt_completion,
    read_query_response,
    read_swapped,
)
from flipbook.data.formats.native import is_llava, is_messages, read_native
from flipbook.data.formats.open_qa import (
    is_activitynet_qa,
    is_msrvtt_qa,
    is_msvd_qa,
    read_activitynet_qa,
    read_msrvtt_qa,
    read_msvd_qa,
)
from flipbook.data.formats.origin import JSON_ENDINGS, Head, Origin
from flipbook.data.formats.qevd import is_qevd, read_qevd
from flipbook.data.formats.sharegpt import is_dataset_info, read_dataset_info
from flipbook.data.formats.video_instruct import is_video_instruct, read_video_instruct
from flipbook.data.readers import READERS
from flipbook.errors import ArgumentError, ManifestError, did_you_mean

COLUMNS = "columns"
NATIVE = ("llava", "messages")


class Format(NamedTuple):
    """How files of one origin are told and read.

    Attributes:
        about: whose format it is, in a few words.
        uses: what of an `Origin` it follows beside the path: prompt, answers, columns, part.
        notes: what the user should know of how this file is read.
    """

    about: str
    recognises: Callable[[Head], bool]
    read: Callable[[Origin], Rows]
    uses: tuple[str, ...] = ()
    notes: Callable[[Origin], tuple[str, ...]] = lambda _origin: ()


FORMATS: dict[str, Format] = {
    "dataset_info": Format(
        "LLaMA-Factory: sharegpt or alpaca files that a dataset_info.json describes",
        is_dataset_info,
        read_dataset_info,
        uses=("part",),
    ),
    "turns": Format(
        "conversations with role and content, or messages with from and value",
        is_swapped,
        read_swapped,
    ),
    "llava": Format(
        "LLaVA, LLaVA-Video-178K, Video-LLaVA, FastVLM: conversations", is_llava, read_native
    ),
    "messages": Format("OpenAI, Qwen, ms-swift, our own: messages", is_messages, read_native),
    "prompt_completion": Format(
        "TRL: prompt and completion", is_prompt_completion, read_prompt_completion
    ),
    "query_response": Format(
        "ms-swift: query, response and history", is_query_response, read_query_response
    ),
    "video_instruct": Format(
        "VideoInstruct-100K, VideoChat2-IT, VCGBench: q, a and the id of a video",
        is_video_instruct,
        read_video_instruct,
    ),
    "qevd": Format(
        "QEVD: what a fitness coach says to each clip", is_qevd, read_qevd, uses=("prompt",)
    ),
    "nextqa": Format("NExT-QA: questions with five options", is_nextqa, read_nextqa),
    "egoschema": Format(
        "EgoSchema: questions with five options", is_egoschema, read_egoschema, uses=("answers",)
    ),
    "star": Format("STAR: questions about stretches, with options", is_star, read_star),
    "mvbench": Format("MVBench: questions with options", is_mvbench, read_mvbench),
    "choices": Format("any other questions with options", is_choices, read_choices),
    "msrvtt_qa": Format("MSRVTT-QA: open questions", is_msrvtt_qa, read_msrvtt_qa),
    "msvd_qa": Format("MSVD-QA: open questions", is_msvd_qa, read_msvd_qa),
    "activitynet_qa": Format(
        "ActivityNet-QA: open questions, answers in a second file",
        is_activitynet_qa,
        read_activitynet_qa,
        uses=("answers",),
    ),
    "activitynet": Format(
        "ActivityNet Captions: when does each event happen", is_activitynet, read_activitynet
    ),
    "activitynet_segments": Format(
        "ActivityNet Captions the other way around: each event is described; only by --format",
        lambda _head: False,
        read_activitynet_segments,
        uses=("prompt",),
    ),
    "charades_sta": Format(
        "Charades-STA: when does each event happen", is_charades_sta, read_charades_sta
    ),
    "msrvtt": Format(
        "MSR-VTT: several captions of each clip", is_msrvtt, read_msrvtt, uses=("prompt",)
    ),
    "captions": Format(
        "a list of clips with captions, one or several",
        is_captions,
        read_captions,
        uses=("prompt",),
    ),
    COLUMNS: Format(
        "CSV, TSV, JSONL or Parquet with a column for each thing, as --map says",
        is_columns,
        read_columns,
        uses=("columns", "prompt"),
        notes=notes_of_columns,
    ),
    "class_folders": Format(
        "a folder for each class, with clips or folders of pictures in it",
        is_class_folders,
        read_class_folders,
        uses=("prompt",),
    ),
}


def format_named(name: str) -> Format:
    """Return a format by its name.

    Raises:
        ArgumentError: there is none of that name.
    """
    if name in FORMATS:
        return FORMATS[name]
    raise ArgumentError(
        f"--format {name} is unknown.{did_you_mean(name, FORMATS)} Known: {', '.join(FORMATS)}."
    )


def detect_format(origin: Origin) -> str:
    """Return the name of the format of a file or folder; named columns are those of a table.

    Raises:
        ManifestError: it cannot be read, or no format recognises it.
    """
    head = origin.head
    if origin.columns:
        return COLUMNS
    for name, form in FORMATS.items():
        if form.recognises(head):
            return name
    raise ManifestError(f"{origin.path}: {_unrecognised(head)}")


def _unrecognised(head: Head) -> str:
    if head.path.is_dir() and not head.rows:
        return (
            "no format recognises it; it is a folder without class folders of videos and without "
            "a data set. Name a file, or the format with --format."
        )
    if not head.rows:
        return "holds no row that is an object with keys; is it the right file?"
    keys = sorted(head.any_keys)
    guess = ""
    if head.path.suffix.lower() in JSON_ENDINGS:
        expected = [reader.key for reader in READERS.values()]
        guess = next(filter(None, (did_you_mean(key, expected) for key in keys)), "")
    return (
        f"no format recognises it; its rows have the keys {', '.join(keys[:12])}.{guess} Name the "
        "format with --format, or the columns of a table with --map "
        "video=COLUMN,question=COLUMN,answer=COLUMN."
    )
