"""What is found in each video and image of a ledger, read now or in an earlier pass?

    Ledger, Journal -> {number of the media: Examined}

What is read is written down at once. Where a file hung or killed its process, its other views are
not tried: they would cost the same time again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import NamedTuple

from rich.progress import Progress

from flipbook.data.doctor.examine import Examined
from flipbook.data.doctor.journal import Journal
from flipbook.data.doctor.ledger import Ledger
from flipbook.data.doctor.pool import Work, is_lasting, run_in_pool
from flipbook.data.turns import Media

DEADLY = ("hanging", "crashed", "memory")


class MediaFound(NamedTuple):
    """What was found in media, by their numbers, and how many of them were known before."""

    examined: dict[int, Examined]
    num_known: int


@dataclass
class _Pass:
    """What is still to be read, and what was found."""

    ledger: Ledger
    journal: Journal
    examined: dict[int, Examined] = field(default_factory=dict)
    keys: dict[Media, str | None] = field(default_factory=dict)  # of what is being read
    deadly: dict[str, Examined] = field(default_factory=dict)

    def recall(self) -> list[Media]:
        """Take what is known from the journal; return what is not."""
        unknown = []
        for item, number in self.ledger.media.items():
            if number in self.ledger.refused:
                continue
            known = self.journal.find(self.journal.key_of(item))
            if known is None:
                unknown.append(item)
            else:
                self.take(item, known)
        return [*self.still_to_read(unknown)] if self.deadly else unknown

    def still_to_read(self, items: list[Media]) -> Iterator[Media]:
        """Yield items shortly before they are read, but for other views of deadly files."""
        for item in items:
            if item.path in self.deadly:
                self.take(item, self.deadly[item.path])
            else:
                self.keys[item] = self.journal.key_of(item)
                yield item

    def take(self, item: Media, found: Examined) -> None:
        """Keep what was found."""
        self.examined[self.ledger.media[item]] = found
        if found.fault is not None and found.fault.code in DEADLY:
            self.deadly.setdefault(item.path, found)

    def write_down(self, item: Media, found: Examined) -> None:
        """Keep what was just read, also for the next pass, unless the file changed meanwhile."""
        key = self.keys.pop(item)
        if key is not None and is_lasting(found) and self.journal.key_of(item) == key:
            self.journal.add(key, found)
        self.take(item, found)


def read_media(
    ledger: Ledger,
    journal: Journal,
    work: Work,
    progress: Progress,
    *,
    num_workers: int,
    timeout_s: float,
) -> MediaFound:
    """Return what is found in all media that may be opened.

    Args:
        work: reads one video or image.

    Raises:
        StorageError: the journal cannot be written.
        WorkerError: no processes can be kept.
    """
    with journal:
        state = _Pass(ledger, journal)
        unknown = state.recall()
        num_known = len(state.examined)
        task = progress.add_task("reading media", total=len(state.examined) + len(unknown))
        progress.update(task, completed=num_known)
        if unknown:
            results = run_in_pool(
                work,
                state.still_to_read(unknown),
                num_workers=min(num_workers, len(unknown)),
                timeout_s=timeout_s,
            )
            with closing(results):
                for item, found in results:
                    state.write_down(item, found)
                    progress.update(task, completed=len(state.examined))
    return MediaFound(state.examined, num_known)
