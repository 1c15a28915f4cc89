"""Which files need no conversion, for their rows can be trained on as they are?

    LLaVA-Instruct, LLaVA-Video-178K, Video-LLaVA, FastVLM  ->  rows with `conversations`
    OpenAI, Qwen, ms-swift, our own form                    ->  rows with `messages`

Rows are passed on; what they say is read by `readers`.
"""

from __future__ import annotations

from flipbook.data.formats.asked import Rows
from flipbook.data.formats.origin import Head, Origin
from flipbook.data.formats.turns_of import own_rows
from flipbook.data.readers import READERS


def is_llava(head: Head) -> bool:
    """Return whether rows have `conversations`, as those of LLaVA do."""
    return READERS["llava"].key in head.any_keys


def is_messages(head: Head) -> bool:
    """Return whether rows have `messages`, as those of OpenAI, Qwen and ms-swift do."""
    return READERS["messages"].key in head.any_keys


def read_native(origin: Origin) -> Rows:
    """Yield the rows as they are, each with an id.

    Raises:
        ManifestError: the file cannot be read.
    """
    return own_rows(origin, lambda row, record_id: [row | {"id": record_id}])
