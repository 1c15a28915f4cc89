"""Does the model learn what it will be asked, and nothing else?

    turns, ConversationEncoder, frames  ->  Proof("...", holds, detail), ...
    LazySupervisedDataset               ->  how many conversations were proven, or a LabelError

What is learned is held against what did not make it: the chat template as transformers renders it,
the bytes that ids stand for in the vocabulary, the prompts of inference, the token at which
generation stops, and frames that were really read. Each check is in `label_checks`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from flipbook.data.budget import tokens_of_places
from flipbook.data.encoder import ConversationEncoder
from flipbook.data.labels.conversation import EncodedConversation
from flipbook.data.proofs.expected_text import expected_text
from flipbook.data.proofs.label_checks import CHECKS, Case
from flipbook.data.proofs.token_roles import (
    roles_of_tokens,
    times_per_media_of,
    tokens_per_frame_of,
)
from flipbook.data.sample import Sample, Visual, places_per_media
from flipbook.data.turns import Turn
from flipbook.errors import LabelError, MediaError
from flipbook.video.frames import PX_PER_TOKEN
from flipbook.video.layouts import num_pooled

if TYPE_CHECKING:
    from flipbook.data.dataset import LazySupervisedDataset


@dataclass(frozen=True)
class Proof:
    """One thing that must be true of a conversation before it is learned.

    Attributes:
        name: what must be true.
        holds: whether it is.
        detail: what was counted, or which turn and token differ, and how.
    """

    name: str
    holds: bool
    detail: str


def prove(
    turns: tuple[Turn, ...],
    encoder: ConversationEncoder,
    *,
    frames_per_media: tuple[int, ...],
    record_id: str,
    encoded: EncodedConversation | Sample | None = None,
    num_features: int | None = None,
) -> tuple[Proof, ...]:
    """Return the proofs of a conversation, those that hold and those that fail.

    Args:
        turns: of one conversation, as its record has them.
        encoder: what the conversation is encoded with.
        frames_per_media: of every picture and clip, in order.
        record_id: names the record in errors.
        encoded: what will be learned; what `encoder` makes of the turns if not given.
        num_features: how many the media really give, see `count_features`; what the settings
            promise if not given.

    Raises:
        RecordError: the conversation cannot be encoded at all.
    """
    if encoded is None:
        encoded = encoder.encode(turns, frames_per_media=frames_per_media, record_id=record_id)
    ids = encoded.input_ids.tolist()
    widths = tokens_per_frame_of(turns, encoder)
    if num_features is None:
        num_features = sum(map(sum, map(tokens_of_places, frames_per_media, widths)))
    case = Case(
        ids=ids,
        labels=encoded.labels.tolist(),
        tokenizer=encoder.tokenizer,
        image_token_id=encoder.image_token_id,
        prompts=tuple(_prompts(turns, encoder, frames_per_media, record_id=record_id)),
        expected=expected_text(
            turns,
            tokenizer=encoder.tokenizer,
            frames_per_media=frames_per_media,
            tokens_per_frame=widths,
            system_prompt=encoder.settings.system_prompt,
            times_per_media=times_per_media_of(turns, encoder),
        ),
        roles=roles_of_tokens(
            ids, turns, encoder, frames_per_media=frames_per_media, record_id=record_id
        ),
        num_frames=sum(frames_per_media),
        num_features=num_features,
    )
    found = [(name, check(case)) for name, check in CHECKS.items()]
    return tuple(Proof(name, not fault, fault or counted) for name, (fault, counted) in found)


def _prompts(
    turns: tuple[Turn, ...],
    encoder: ConversationEncoder,
    frames_per_media: tuple[int, ...],
    *,
    record_id: str,
) -> Iterator[list[int]]:
    """Yield what inference reads before each answer."""
    for number, turn in enumerate(turns):
        if turn.role == "assistant":
            before = turns[:number]
            frames = frames_per_media[: sum(len(one.media) for one in before)]
            prompt = encoder.encode_prompt(before, frames_per_media=frames, record_id=record_id)
            yield prompt.tolist()


def refuse_failed(proofs: Sequence[Proof], *, record_id: str) -> None:
    """Check that all proofs of a conversation hold.

    Raises:
        LabelError: one fails; the message says which turn and token differ, and how.
    """
    for proof in proofs:
        if not proof.holds:
            raise LabelError(
                record_id,
                f"there is no proof that {proof.name}: {proof.detail}. `flipbook explain --record "
                f"{record_id}` shows every token. Use the tokenizer files and the chat template of "
                "the original checkpoint, or remove the record.",
            )


def prove_sample_of(dataset: LazySupervisedDataset, *, num_records: int = 32, seed: int = 0) -> int:
    """Return how many conversations of a data set were proven, with their media really read.

    The longest and the first of every data set are always among them; the others are drawn evenly
    over all.

    Raises:
        LabelError: a proof fails.
        MediaError: a video or image cannot be read; the message names the record too.
        RecordError: a conversation cannot be encoded.
    """
    table = dataset.table
    chosen = choose_conversations(
        table.num_tokens, source_of=table.source_of, num_records=num_records, seed=seed
    )
    for index in chosen:
        conversation = table[index]
        record_id = conversation.record_id
        try:
            sample = dataset[index]
        except MediaError as error:
            reason = f"{error.message} Record {record_id} shows it."
            raise MediaError(error.path, reason) from error
        proofs = prove(
            conversation.turns,
            dataset.encoder,
            frames_per_media=places_per_media(sample.visuals),
            record_id=record_id,
            encoded=sample,
            num_features=count_features(sample.visuals),
        )
        refuse_failed(proofs, record_id=record_id)
    return len(chosen)


def choose_conversations(
    num_tokens: NDArray[np.int32], *, source_of: NDArray[np.int32], num_records: int, seed: int
) -> list[int]:
    """Return the places of the longest, the first of every data set, and one of each of some parts.

    Args:
        num_tokens: of every conversation, (N,).
        source_of: from which data set it comes, (N,).
        num_records: how many are chosen, or more where there are more data sets.
        seed: decides which one of each part.
    """
    if len(num_tokens) <= num_records:
        return list(range(len(num_tokens)))
    _, firsts = np.unique(source_of, return_index=True)
    chosen = {int(num_tokens.argmax()), *firsts.tolist()}
    rng = np.random.default_rng(seed)
    bounds = np.linspace(0, len(num_tokens), max(0, num_records - len(chosen)) + 1).astype(int)
    return sorted(chosen | {int(rng.integers(*bound)) for bound in pairwise(bounds)})


def count_features(visuals: Sequence[Visual]) -> int:
    """Return how many features are read of frames that the tower sees, or has seen, once pooled."""
    num_features = 0
    for visual in visuals:
        if visual.features is not None:
            num_tokens = visual.features.shape[1]
        elif visual.frames is not None:
            height, width = visual.frames.shape[-2:]
            num_tokens = (height // PX_PER_TOKEN) * (width // PX_PER_TOKEN)
        num_features += num_pooled(visual.num_frames, num_tokens, visual.pooling)
    return num_features
