"""With which ids is a question put to a model?

turns, how many frames each clip shows  ->  input_ids (L,), up to where the answer starts
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from flipbook.data.instants import times_of
from flipbook.data.labels.conversation import encode_prompt
from flipbook.data.media import media_of, tokens_per_frame
from flipbook.data.records import Turn
from flipbook.model.checkpoint import Checkpoint
from flipbook.video.settings import ClipSettings


def prompt_ids(
    checkpoint: Checkpoint,
    turns: tuple[Turn, ...],
    *,
    frames_per_media: Sequence[int],
    settings: ClipSettings,
    record_id: str,
) -> Tensor:
    """Return the ids, int64 (L,), after which the model gives the last assistant turn of `turns`.

    They are byte for byte the start of what the model is trained on; that turn's words are not
    among them.

    Raises:
        RecordError: the prompt cannot be made, or is longer than the language model may read.
        MediaError: timestamps are on, and a clip cannot tell its length.
    """
    config: Any = checkpoint.model.config
    return encode_prompt(
        turns,
        tokenizer=checkpoint.tokenizer,
        image_token_id=config.image_token_id,
        frames_per_media=frames_per_media,
        tokens_per_frame=tokens_per_frame(media_of(turns), settings),
        times_per_media=times_of(media_of(turns), settings),
        system_prompt=settings.system_prompt,
        max_length=config.text_config.max_position_embeddings,
        record_id=record_id,
    )
