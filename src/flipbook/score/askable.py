"""About which records can a model be asked, and are they enough?

    sources                ->  Records whose answers can be judged, and those left out
    Records, ClipSettings  ->  the media that are damaged, after a look at each that will be shown

All of it is known before the first answer, and is the same on any number of processes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from flipbook.data.manifests import read_manifests, refuse_bad_records
from flipbook.data.records import Record, Records
from flipbook.data.shown import read_shown
from flipbook.data.sources import Source
from flipbook.data.tables.opening import num_cores
from flipbook.data.turns import Media
from flipbook.errors import MediaError, RecordError
from flipbook.score.kinds.table import unjudged
from flipbook.score.processes import in_all
from flipbook.score.questions import choose_questions, questions_of
from flipbook.score.sparse import stretches_of
from flipbook.video.settings import ClipSettings

LOOKED_AT_ONCE = 32  # files that a process looks at before it tells how far it is


def read_askable(sources: Sequence[Source], *, max_bad_fraction: float) -> Records:
    """Return the records of data sets that tell what is right, where enough of them can be used.

    Raises:
        ManifestError: a file cannot be read at all.
        DataError: more than `max_bad_fraction` cannot be used, or all of them.
    """
    found = read_manifests(sources, image_folder=None)
    reasons = [unjudged(record) for record in found.records]
    pairs = zip(found.records, reasons, strict=True)
    askable = Records(
        tuple(record for record, reason in pairs if reason is None),
        (*found.rejected, *(reason for reason in reasons if reason is not None)),
    )
    refuse_too_few(askable, sources, max_bad_fraction=max_bad_fraction)
    return askable


def refuse_too_few(found: Records, sources: Sequence[Source], *, max_bad_fraction: float) -> None:
    """Refuse to ask about what is left where too many records cannot be used.

    Raises:
        DataError: they are more than `max_bad_fraction`, or all of them.
    """
    refuse_bad_records(
        found.rejected,
        num_records=len(found.records) + len(found.rejected),
        max_bad_fraction=max_bad_fraction,
        paths=[source.path for source in sources],
    )


def damaged_media(
    records: Sequence[Record],
    *,
    settings: ClipSettings,
    max_questions: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[Media, str]:
    """Return which videos and images of the questions to be asked cannot be read, and why.

    A record that shows one of them is not asked about, so another one may take its place among
    `max_questions`: that one is looked at, too.

    Args:
        settings: how clips will be read.
        max_questions: see `choose_questions`.
        on_progress: is told how many files of one look are done, and of how many.
    """
    damaged: dict[Media, str] = {}
    looked_at: set[Media] = set()
    while True:
        sound = [record for record in records if damaged.keys().isdisjoint(record.media)]
        chosen = choose_questions(questions_of(sound), max_questions)
        shown = dict.fromkeys(item for question in chosen for item in question.media)
        unknown = [item for item in shown if item not in looked_at]
        found = _faults(unknown, settings, on_progress)
        if not found:
            return damaged
        damaged |= found
        looked_at.update(unknown)


def without_damaged(found: Records, damaged: Mapping[Media, str]) -> Records:
    """Return the records that show nothing damaged, and the others among those left out."""
    sound = [record for record in found.records if damaged.keys().isdisjoint(record.media)]
    reasons = [
        RecordError(record.id, next(damaged[item] for item in record.media if item in damaged))
        for record in found.records
        if not damaged.keys().isdisjoint(record.media)
    ]
    return Records(tuple(sound), (*found.rejected, *reasons))


def _faults(
    media: Sequence[Media], settings: ClipSettings, on_progress: Callable[[int, int], None] | None
) -> dict[Media, str]:
    """Return why some videos and images cannot be read; processes share the work."""
    parts = [
        media[start : start + LOOKED_AT_ONCE] for start in range(0, len(media), LOOKED_AT_ONCE)
    ]

    def look(part: Sequence[Media]) -> list[str | None]:
        with ThreadPoolExecutor(min(num_cores(), len(part))) as pool:
            return list(pool.map(lambda item: _fault(item, settings), part))

    def tell(num_parts: int) -> None:
        if on_progress is not None:
            on_progress(min(num_parts * LOOKED_AT_ONCE, len(media)), len(media))

    reasons = [reason for part in in_all(parts, look, on_done=tell) for reason in part]
    pairs = zip(media, reasons, strict=True)
    return {item: reason for item, reason in pairs if reason is not None}


def _fault(item: Media, settings: ClipSettings) -> str | None:
    try:
        for one in stretches_of(settings):
            read_shown(item, one)
    except MediaError as error:
        return str(error)
    return None
