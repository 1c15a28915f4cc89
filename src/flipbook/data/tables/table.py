"""Which conversations of some manifests can be learned from, and what is known of each?

    measured rows, Presence  ->  ConversationTable: table[i] -> Conversation, num_tokens (N,)

The words stay on disk and are read when they are asked for; in memory are some 20 bytes for each
conversation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import datasets
import numpy as np
from numpy.typing import NDArray

from flipbook import errors
from flipbook.data.sources import Source
from flipbook.data.tables.measuring import Conversation
from flipbook.data.tables.presence import IntArray, Presence, column, group, lines_at, pairs
from flipbook.data.tables.written_turns import turns_from_json
from flipbook.errors import RecordError

__all__ = ["Conversation", "ConversationTable", "DataCheck"]


@dataclass(frozen=True)
class DataCheck:
    """What was found before the first step, without decoding.

    Attributes:
        num_records: that were read, the rejected ones among them.
        num_conversations: that will be trained on.
        rejected: the records that will not, each with its reason, in their order.
        num_mismatched: conversations whose whole-text encoding differs by a few tokens.
        longest_tokens: length of the longest conversation.
        longest_id: and its record.
        total_tokens: of one epoch.
        total_supervised_tokens: those among them that are learned.
    """

    num_records: int
    num_conversations: int
    rejected: tuple[RecordError, ...]
    num_mismatched: int
    longest_tokens: int
    longest_id: str
    total_tokens: int
    total_supervised_tokens: int


class ConversationTable:
    """The conversations of some manifests; `table[i]` reads one.

    Attributes:
        num_tokens: int32 (N,), the length of each.
        head_tokens: int32 (N,), how many of them others about the same media may share, see
            `shared_head`.
        clips: int64 (N,), equal where conversations may share their head: the same media in the
            same order after the same words, in the same data set. Dense from 0 in the order of
            first appearance.
        sources: the data sets; `source_of`: int32 (N,), which of them each comes from.
        num_videos, num_images, num_frames: int32 (N,), what each shows; frames in all.
        frame_size: int32 (N,), side of its frames in px; 0 where nothing is shown.
        stays: int32 (N,), what augmentation must leave, by all that is said of the same media; see
            `flipbook.data.augment`.
        record_of: int32 (N,), rising, the number of each one's record among all that were read;
            `rejected_at`: int64, rising, those of the rejected.
        shown: int64, rising, a hash of each different set of media that is shown.
        check: what was found, see `DataCheck`.
    """

    def __init__(
        self, rows: datasets.Dataset, presence: Presence, sources: tuple[Source, ...]
    ) -> None:
        self.sources = sources
        is_good, rejected, self.rejected_at = _sort_out(rows, presence)
        places = np.flatnonzero(is_good)
        self._texts = rows.select_columns(["record_id", "task", "turns"])
        self._places = None if is_good.all() else places.astype(np.uint32)
        self.num_tokens: NDArray[np.int32] = column(rows, "num_tokens")[places]
        self.head_tokens: NDArray[np.int32] = column(rows, "head_tokens")[places]
        self.source_of: NDArray[np.int32] = column(rows, "manifest")[places]
        self.record_of: NDArray[np.int32] = column(rows, "record")[places].astype(np.int32)
        self.num_videos: NDArray[np.int32] = column(rows, "num_videos")[places]
        self.num_images: NDArray[np.int32] = column(rows, "num_images")[places]
        self.num_frames: NDArray[np.int32] = column(rows, "num_frames")[places]
        self.frame_size: NDArray[np.int32] = column(rows, "frame_size")[places]
        hashes = pairs(rows, "media")[places]
        self.shown: IntArray = np.unique(hashes[self.frame_size > 0, 0])
        heads = np.column_stack([self.source_of, pairs(rows, "head")[places]])
        self.clips = _clips(heads, has_head=self.head_tokens > 0)
        media = group(hashes)
        self._first_with_media: NDArray[np.uint32] = media.first.astype(np.uint32)[media.numbers]
        stays = np.zeros(len(media.first), dtype=np.int32)
        np.bitwise_or.at(stays, media.numbers, column(rows, "stays")[places])
        self.stays: NDArray[np.int32] = stays[media.numbers]
        longest = int(self.num_tokens.argmax()) if len(places) else None
        self.check = DataCheck(
            num_records=int(column(rows, "record").max()) + 1 if len(rows) else 0,
            num_conversations=len(places),
            rejected=rejected,
            num_mismatched=int((column(rows, "num_mismatched")[places] > 0).sum()),
            longest_tokens=0 if longest is None else int(self.num_tokens[longest]),
            longest_id="" if longest is None else self._line(longest)["record_id"],
            total_tokens=int(self.num_tokens.sum(dtype=np.int64)),
            total_supervised_tokens=int(column(rows, "num_supervised")[places].sum(dtype=np.int64)),
        )

    def __len__(self) -> int:
        return len(self.num_tokens)

    def __getitem__(self, index: int) -> Conversation:
        """Return one conversation.

        Raises:
            IndexError: there are not so many.
        """
        line = self._line(index)
        return Conversation(line["record_id"], turns_from_json(line["turns"]), line["task"])

    def record_id(self, index: int) -> str:
        """Return the id of the record of a conversation."""
        return str(self._line(index)["record_id"])

    def clip_name(self, index: int) -> str:
        """Return the id of the first record that shows the same media as a conversation.

        It names their random instants, which are then the same whichever conversations are joined.
        """
        return str(self._line(int(self._first_with_media[index]))["record_id"])

    def lines(self, indices: IntArray, names: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield `record_id`, `task` or `turns` of conversations at rising numbers, bit by bit."""
        places = indices if self._places is None else self._places[indices].astype(np.int64)
        return lines_at(self._texts, places, names)

    def _line(self, index: int) -> dict[str, Any]:
        place = range(len(self))[index]
        line: dict[str, Any] = self._texts[place if self._places is None else self._places[place]]
        return line


def _sort_out(
    rows: datasets.Dataset, presence: Presence
) -> tuple[NDArray[np.bool_], tuple[RecordError, ...], IntArray]:
    """Return which rows are conversations to learn from, and the records that are left out.

    A record is left out as a whole when one of its conversations cannot be used.
    """
    is_error: NDArray[np.bool_] = rows.data.column("error_kind").is_valid().to_numpy()
    records = column(rows, "record")
    is_gone = ~is_error & (presence.reason_of >= 0)
    _, first = np.unique(records[is_gone], return_index=True)
    told: IntArray = np.sort(np.append(np.flatnonzero(is_error), np.flatnonzero(is_gone)[first]))
    rejected = []
    for place, line in zip(
        told, lines_at(rows, told, ["record_id", "error_kind", "error"]), strict=True
    ):
        kind = getattr(errors, line["error_kind"] or RecordError.__name__)
        reason = line["error"] or presence.reasons[presence.reason_of[place]]
        rejected.append(kind(line["record_id"], reason))
    is_good = ~is_error & ~np.isin(records, records[is_gone])
    return is_good, tuple(rejected), records[told]


def _clips(heads: IntArray, *, has_head: NDArray[np.bool_]) -> IntArray:
    """Return numbers that are equal for equal heads; conversations without one stand alone."""
    alone = np.where(has_head, 0, 1 + np.arange(len(heads)))
    heads = np.where(has_head[:, None], heads, 0)
    return group(np.column_stack([alone, heads])).numbers
