"""Which class does the folder of a clip name?

    jumping_jack/a.mp4               ->  which class?  "jumping jack"
    train/jumping_jack/a.mp4         ->  the same, of the split train
    jumping_jack/clip_1/0001.jpg ..  ->  the same, of a clip that is a folder of pictures

Everything below a class folder belongs to it, however deep. A folder that holds pictures, and
neither videos nor folders, is a clip; pictures beside videos are none, and other files are left
alone. Clips form a group only where their names say who is seen: UCF-101's
v_Archery_g01_c02.avi is the second cut of v_Archery_g01.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from flipbook.data.extras import split_named
from flipbook.data.formats.asked import OwnRow, Rows, question_row
from flipbook.data.formats.origin import Head, Origin
from flipbook.data.formats.prompts import class_question
from flipbook.errors import ManifestError, RecordError
from flipbook.video.decode import is_video_file
from flipbook.video.frames import is_image_file

_CUT_OF_A_GROUP = re.compile(r"(.+_g\d+)_c\d+")
_MANIFESTS = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")


class _Clip(NamedTuple):
    """`place` are the folders from the root to the clip, and its name."""

    place: tuple[str, ...]
    is_folder: bool

    @property
    def name(self) -> str:
        return "/".join(self.place)


class _Sorted(NamedTuple):
    """A clip with what its folders say; without a class if it lies in no class folder."""

    clip: _Clip
    class_name: str | None
    split: str | None


def is_class_folders(head: Head) -> bool:
    """Return whether a folder holds folders with clips in them, and no manifest."""
    if not head.path.is_dir() or head.rows or _has_manifest(head.path):
        return False
    return any(item.class_name is not None for item in _sorted_clips(head.path, strict=False))


def read_class_folders(origin: Origin) -> Rows:
    """Yield a row for each clip: the question which class it shows.

    Raises:
        ManifestError: there are fewer than two classes, two folders have the same name in words,
            or folders of splits lie beside others.
    """
    clips = list(_sorted_clips(origin.path, strict=True))
    classes = _classes(clips, origin.path)
    question = origin.prompt or class_question(list(classes.values()))
    for item in clips:
        if not item.clip.name.isprintable():
            yield RecordError(
                ascii(item.clip.name), "its name cannot be printed on a line; rename it"
            )
        elif item.class_name is None:
            yield RecordError(item.clip.name, _unclassed(item.clip))
        else:
            yield _row(item, classes, question, origin)


def _row(item: _Sorted, classes: dict[str, str], question: str, origin: Origin) -> OwnRow:
    path = os.path.join(origin.path, *item.clip.place)
    clip: dict[str, object] = {"path": os.path.relpath(path, origin.media_folder)}
    if item.clip.is_folder and origin.frames_fps is not None:
        clip["frames_fps"] = origin.frames_fps
    cut = _CUT_OF_A_GROUP.fullmatch(Path(item.clip.place[-1]).stem)
    return question_row(
        item.clip.name,
        clip=clip,
        question=question,
        reply=classes[item.class_name or ""],
        kind="classification",
        options=list(classes.values()),
        group=cut[1] if cut else None,
        split=item.split,
    )


def _classes(clips: list[_Sorted], root: Path) -> dict[str, str]:
    """Return the classes in words by the names of their folders, in order."""
    folders = sorted({item.class_name for item in clips if item.class_name is not None})
    if len(folders) < 2:
        found = f"only {folders[0]!r}" if folders else "none"
        raise ManifestError(
            f"{root}: a classification needs two classes or more, and there is {found}; make a "
            "folder for each class and put its clips there"
        )
    by_words: dict[str, str] = {}
    for folder in folders:
        words = " ".join(folder.replace("_", " ").replace("-", " ").split()) or folder
        if words in by_words:
            raise ManifestError(
                f"{root}: the folders {by_words[words]!r} and {folder!r} are both the class "
                f"{words!r} in words; give them one name"
            )
        by_words[words] = folder
    return {folder: words for words, folder in by_words.items()}


def _sorted_clips(root: Path, *, strict: bool) -> Iterator[_Sorted]:
    """Yield the clips below a folder, each with its class and split."""
    clips = list(_clips_below(root))
    tops = sorted({clip.place[0] for clip in clips if len(clip.place) > 1})
    splits = [top for top in tops if split_named(top) is not None]
    others = [top for top in tops if top not in splits]
    if strict and len(splits) > 1 and others:
        raise ManifestError(
            f"{root}: {', '.join(splits)} are the names of splits, and {', '.join(others)} lie "
            "beside them; put all class folders into splits, or none"
        )
    has_splits = bool(splits) and not others
    for clip in clips:
        folders = clip.place[has_splits:-1]
        split = split_named(clip.place[0]) if has_splits and len(clip.place) > 1 else None
        yield _Sorted(clip, folders[0] if folders else None, split)


def _clips_below(root: Path) -> Iterator[_Clip]:
    """Yield videos and folders of pictures below a folder, in order, but not the folder itself."""
    for path, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        place = Path(path).relative_to(root).parts
        videos = [name for name in files if is_video_file(name) and not name.startswith(".")]
        pictures = any(is_image_file(name) and not name.startswith(".") for name in files)
        if pictures and place and not videos and not folders:
            yield _Clip(place, is_folder=True)
        for name in sorted(videos):
            yield _Clip((*place, name), is_folder=False)


def _unclassed(clip: _Clip) -> str:
    if clip.is_folder:
        return (
            "is a folder of pictures, so it is a clip, and lies in no class folder; put it into "
            "one: class/clip/0001.jpg"
        )
    return "lies in no class folder; move it into the folder of its class"


def _has_manifest(folder: Path) -> bool:
    """Return whether a file beside the clips says more of them than their folders do."""
    return any(
        path.suffix.lower() in _MANIFESTS and not path.name.startswith(".") and path.is_file()
        for path in folder.iterdir()
    )
