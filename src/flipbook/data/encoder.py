"""How long is a conversation for this model, and by what does one know that the answer holds?

    tokenizer, ClipSettings, limit  ->  ConversationEncoder: encode(), fingerprint()

All that turns words and counts of frames into ids is in one value, which goes to worker processes.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import Tensor
from xxhash import xxh3_128

from flipbook.data.instants import times_of
from flipbook.data.labels.conversation import (
    IMAGE_TOKEN,
    EncodedConversation,
    encode_conversation,
    encode_prompt,
)
from flipbook.data.shown import tokens_per_frame
from flipbook.data.turns import Turn
from flipbook.video.settings import ClipSettings

_PACKAGES = ("flipbook-vlm", "transformers", "tokenizers", "av")
_DECIDING = ("data", "video")
_CHANGING_PARTS = ("truncation", "padding")  # of a tokenizer's state: what its last call wanted


@dataclass(frozen=True)
class ConversationEncoder:
    """What conversations are encoded with.

    Attributes:
        tokenizer: of the checkpoint, with its `<image>` token and chat template.
        settings: how clips are read.
        max_length: longest conversation in tokens; None is no limit.
    """

    tokenizer: Any
    settings: ClipSettings
    max_length: int | None = None

    @cached_property
    def image_token_id(self) -> int:
        """Which id stands for a part of a frame."""
        token_id: int = self.tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
        return token_id

    def encode(
        self, turns: tuple[Turn, ...], *, frames_per_media: tuple[int, ...], record_id: str
    ) -> EncodedConversation:
        """Return a conversation's ids and labels; see `encode_conversation`."""
        how = self._how(turns, frames_per_media, record_id)
        return encode_conversation(turns, max_length=self.max_length, **how)

    def encode_prompt(
        self, turns: tuple[Turn, ...], *, frames_per_media: tuple[int, ...], record_id: str
    ) -> Tensor:
        """Return a conversation's ids up to its last answer; see `encode_prompt`."""
        return encode_prompt(turns, **self._how(turns, frames_per_media, record_id))

    def _how(
        self, turns: tuple[Turn, ...], frames_per_media: tuple[int, ...], record_id: str
    ) -> dict[str, Any]:
        media = [item for turn in turns for item in turn.media]
        return {
            "tokenizer": self.tokenizer,
            "image_token_id": self.image_token_id,
            "frames_per_media": frames_per_media,
            "tokens_per_frame": tokens_per_frame(media, self.settings),
            "times_per_media": times_of(media, self.settings),
            "system_prompt": self.settings.system_prompt,
            "record_id": record_id,
        }

    def fingerprint(self) -> str:
        """Return a text that changes when any id, label or length of a conversation might."""
        parts = {
            "tokenizer": _tokenizer_state(self.tokenizer),
            "settings": asdict(self.settings),
            "max_length": self.max_length,
            "versions": {name: version(name) for name in _PACKAGES},
            "code": _code_state(),
        }
        return xxh3_128(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _tokenizer_state(tokenizer: Any) -> dict[str, Any]:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    words = tokenizer.get_vocab() if backend is None else json.loads(backend.to_str())
    return {
        "class": type(tokenizer).__name__,
        "words": {key: value for key, value in words.items() if key not in _CHANGING_PARTS},
        "added": {key: str(token) for key, token in tokenizer.added_tokens_decoder.items()},
        "special": {key: str(token) for key, token in tokenizer.special_tokens_map.items()},
        "chat_template": tokenizer.chat_template,
        "splits_special_tokens": getattr(tokenizer, "split_special_tokens", None),
    }


def _code_state() -> dict[str, str]:
    """Return hashes of the modules that decide, so that a changed rule is a new fingerprint."""
    package = Path(__file__).parents[1]
    files = sorted(path for folder in _DECIDING for path in (package / folder).rglob("*.py"))
    return {
        str(path.relative_to(package)): xxh3_128(path.read_bytes()).hexdigest() for path in files
    }
