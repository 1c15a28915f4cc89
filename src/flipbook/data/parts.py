"""What does a typed part of a message show or say?

    {"type": "text", "text": "Why?"}                                  ->  "Why?"
    {"type": "video", "path": "a.mp4", "start_s": 3.0, "end_s": 9.5}  ->  Media, with its stretch
    {"type": "image_url", "image_url": {"url": "c.png"}}              ->  Media
    {"type": "video", "frames": ["1.jpg", "2.jpg"], "frames_fps": 2}  ->  Media, a list of pictures
    {"type": "video"}                                                 ->  Placeholder

The names of other programs for the same things are read too; a key that might change what is shown
and that nobody here understands is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flipbook.data.media_folders import MediaFolders
from flipbook.data.placeholders import Placeholder
from flipbook.data.turns import Media, MediaKind
from flipbook.errors import ArgumentError, RecordError, did_you_mean
from flipbook.video.view import View

Part = str | Placeholder | Media

TEXT_TYPES = ("text", "input_text", "output_text")
MEDIA_TYPES: dict[str, MediaKind] = {
    "image": "image",
    "image_url": "image",
    "input_image": "image",
    "video": "video",
    "video_url": "video",
    "input_video": "video",
}
_PLACES = ("image", "video", "image_url", "video_url", "frames", "path", "url", "file")
_VIEW_KEYS = {
    "start_s": "start_s",
    "video_start": "start_s",
    "end_s": "end_s",
    "video_end": "end_s",
    "times_s": "times_s",
    "frames_fps": "frames_fps",
    "sample_fps": "frames_fps",
}
# How other programs are told to take frames; here the flags of the run and `clip` say that.
_NOT_FOLLOWED = [
    "type",
    "detail",
    "fps",
    "nframes",
    "num_frames",
    "min_frames",
    "max_frames",
    "min_pixels",
    "max_pixels",
    "total_pixels",
    "resized_height",
    "resized_width",
    "mime_type",
    "width",
    "height",
    "format",
]


def read_part(part: object, folders: MediaFolders, record_id: str) -> Part:
    """Return what a typed part says or shows; one that names no file waits for one.

    Raises:
        RecordError: it is of no known type, or misses what its type needs; an instant is wrong; a
            file is missing or may not be read.
    """
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(part, dict) or not isinstance(kind, str) or not _is_known(kind):
        known = (*TEXT_TYPES, *MEDIA_TYPES)
        raise RecordError(
            record_id,
            f"a part is {shown(part)}; its 'type' must be one of {', '.join(known)}."
            f"{did_you_mean(str(kind), known)}",
        )
    if kind in TEXT_TYPES:
        return _text_of(part, record_id)
    return read_media_value(part, MEDIA_TYPES[kind], folders, record_id)


def read_media_value(
    value: object, kind: MediaKind, folders: MediaFolders, record_id: str
) -> Media | Placeholder:
    """Return the video or image that a path, a list of pictures, or an object with either names.

    Args:
        kind: as which it is announced; a path that ends like a video's is one all the same.

    Raises:
        RecordError: see `read_part`.
    """
    if not isinstance(value, dict):
        return _find(value, kind, folders, record_id)
    named = [key for key in _PLACES if value.get(key) is not None]
    if not named:
        return Placeholder(kind)
    if len(named) > 1:
        raise RecordError(record_id, f"a part names files under {' and '.join(named)}; keep one")
    place: Any = value[named[0]]
    if isinstance(place, dict):  # OpenAI's: {"url": ...}
        place = next((place[key] for key in _PLACES if place.get(key) is not None), None)
    return _seen_as(_find(place, kind, folders, record_id), view_of(value, record_id))


def view_of(values: Mapping[str, Any], record_id: str) -> View:
    """Return the stretch or the instants that an object with a file asks for.

    Raises:
        RecordError: an instant is wrong, or a key is not understood.
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        if key in _VIEW_KEYS and value is not None:
            found[_VIEW_KEYS[key]] = value
        elif key not in (*_VIEW_KEYS, *_PLACES, *_NOT_FOLLOWED) and not key.startswith("_"):
            raise RecordError(
                record_id,
                f"a part holds {key!r}, which might change what is shown and is not understood; "
                f"remove it.{did_you_mean(key, _VIEW_KEYS)}",
            )
    if not found:
        return View()
    return made_view(found, record_id)


def made_view(values: Mapping[str, Any], record_id: str) -> View:
    """Return a view of some values as JSON gives them.

    Raises:
        RecordError: they make none.
    """
    times_s = values.get("times_s", [])
    if not isinstance(times_s, list):
        raise RecordError(record_id, f"'times_s' is {shown(times_s)}; it must be a list of seconds")
    try:
        return View.from_dict(dict(values))
    except (ArgumentError, TypeError) as error:
        raise RecordError(record_id, str(error)) from error


def shown(value: object) -> str:
    """Return a value as it may stand in a message."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _is_known(kind: str) -> bool:
    return kind in TEXT_TYPES or kind in MEDIA_TYPES


def _text_of(part: Mapping[str, Any], record_id: str) -> str:
    if "text" not in part:
        raise RecordError(
            record_id, f"a part has the keys {', '.join(part)} and misses 'text'; add it"
        )
    if not isinstance(part["text"], str):
        raise RecordError(record_id, f"'text' must be text; it is {shown(part['text'])}")
    return part["text"]


def _find(place: Any, kind: MediaKind, folders: MediaFolders, record_id: str) -> Media:
    if isinstance(place, list):
        return folders.find_frames(place, record_id=record_id)
    return folders.find(place, record_id=record_id, kind=kind)


def _seen_as(media: Media, view: View) -> Media:
    return media if view == media.view else Media(media.kind, media.path, media.frames, view)
