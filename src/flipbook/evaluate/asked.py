"""What is a model to be scored on, of records of which some cannot be used?

    sources, a model's name  ->  Asked: records with clips, those of still images, those left out

What cannot be used is left out of every row alike, by name, and counts against one share.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from flipbook.data.records import Record
from flipbook.data.sources import Source
from flipbook.data.turns import Media
from flipbook.errors import RecordError
from flipbook.evaluate.progress import passing_bar
from flipbook.model.words_of import load_words_of
from flipbook.score.askable import (
    damaged_media,
    read_askable,
    refuse_too_few,
    without_damaged,
)


@dataclass(frozen=True)
class Asked:
    """Records to be scored on.

    Attributes:
        clips: with a clip or without any media.
        stills: about still images alone, where there are others.
        left_out: why other records cannot be used.
    """

    clips: tuple[Record, ...]
    stills: tuple[Record, ...]
    left_out: tuple[RecordError, ...]


def read_asked(
    sources: Sequence[Source],
    *,
    model: str | Path,
    base: str | Path | None = None,
    max_questions: int | None,
    max_bad_fraction: float,
    show_progress: bool,
) -> Asked:
    """Return the records on which a model is to be scored, after a look at what they show.

    Args:
        model: whose settings say how clips are read.
        base: the model under an adapter, where it is no longer in its place.
        max_questions: as in `EvaluationSettings`; media that no question shows are not looked at.

    Raises:
        CheckpointError: the model cannot be read.
        ManifestError: a file cannot be read at all.
        DataError: more than `max_bad_fraction` of the records cannot be used, or all of them.
    """
    settings = load_words_of(model, base=base).settings
    found = read_askable(sources, max_bad_fraction=max_bad_fraction)
    damaged: dict[Media, str] = {}
    with passing_bar("looking at clips", is_shown=show_progress) as on_progress:
        for records in split_still_images(found.records):
            damaged |= damaged_media(
                records, settings=settings, max_questions=max_questions, on_progress=on_progress
            )
    found = without_damaged(found, damaged)
    refuse_too_few(found, sources, max_bad_fraction=max_bad_fraction)
    clips, stills = split_still_images(found.records)
    return Asked(clips, stills, found.rejected)


def split_still_images(
    records: Iterable[Record],
) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
    """Return the records with a clip or without any media, and those about still images alone.

    Where no record has a clip, all are in the first: there is nothing to compare stills with.
    """
    records = tuple(records)
    if not any(media.kind == "video" for record in records for media in record.media):
        return records, ()
    stills = tuple(record for record in records if _shows_stills_alone(record))
    return tuple(record for record in records if not _shows_stills_alone(record)), stills


def _shows_stills_alone(record: Record) -> bool:
    return bool(record.media) and all(media.kind == "image" for media in record.media)
