"""Has the vision tower seen these frames before?

    media, clip settings, encoder -> key -> features (T, P, C), or None
    batch, features               -> files, written behind the back of the training loop

What a tower at rest makes of a clip is a pure function of the file, of how frames are taken from
it, and of the tower. All of these are in the key, so a change of any of them finds nothing and
nothing ever has to be declared out of date. A file appears under its name when it is whole;
any number of processes may write the same one.

    FOLDER/<tower>/3f/3f9c...e1.safetensors    features, one folder for each vision tower
    FOLDER/contents/                           what was in which media file
    FOLDER/unfinished/                         what is being written
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import av
import PIL
import torch
import xxhash
from torch import Tensor

from flipbook.data.contents import ContentHashes, replace_file
from flipbook.data.features.files import StoredFeatures, pack_features, read_features
from flipbook.data.features.room import Room
from flipbook.data.shown import pictures_of
from flipbook.data.turns import Media
from flipbook.video.layouts import LAYOUTS, SLOW_FAST
from flipbook.video.pixels import scales_fast
from flipbook.video.settings import ClipSettings
from flipbook.video.view import OVERRIDES

FRAME_RULE = 1  # raise it when the same file and settings give other frames than before
MAX_PENDING = 16  # clips that wait to be written; then training waits for the disk
ABANDONED_S = 3600  # an unfinished file that nobody has touched for so long has lost its writer

_logger = logging.getLogger("flipbook")


class Slot(Protocol):
    """What `write_visuals` reads of a visual of a batch."""

    @property
    def is_stored(self) -> bool: ...
    @property
    def key(self) -> str | None: ...
    @property
    def num_repeated(self) -> int: ...


class FeatureStore:
    """Features on disk. It may be sent to worker processes, which read.

    Args:
        folder: is made when something is written.
        encoder: tells one vision tower, its precision and its machine from all others; see
            `flipbook.model.encoder`.
        max_bytes: the most that the folder may hold; None is nine tenths of what is free now.

    Attributes:
        num_written: how many clips this process has written.
        bytes_written: of these.
        stopped: why nothing more is written; None while the store is open for writing.
    """

    def __init__(
        self, folder: str | os.PathLike[str], *, encoder: str, max_bytes: int | None = None
    ) -> None:
        self.folder = Path(folder).absolute()
        self.encoder = encoder
        self.num_written = self.bytes_written = 0
        self.stopped: str | None = None
        self._own = self.folder / xxhash.xxh3_64_hexdigest(encoder.encode())
        self._hashes = ContentHashes(self.folder / "contents")
        self._room = Room(self.folder, max_bytes)
        self._frames_by = _frame_makers()
        self._pending: deque[Future[bool]] = deque()
        self._executor: ThreadPoolExecutor | None = None
        self._swept = False

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the thread that writes."""
        return self.__dict__ | {"_pending": deque(), "_executor": None}

    def key(
        self, media: Media, settings: ClipSettings, *, draw: str | None = None, part: int = 0
    ) -> str:
        """Return the name of what the tower sees in a video or an image.

        Args:
            draw: which random instants of a video; None for those that are always the same.
            part: which of the parts that a layout shows the tower one by one.

        Raises:
            MediaError: the file cannot be read.
        """
        pictures = pictures_of(media)
        content = [self._hashes.hash_of(path) for path in pictures or (media.path,)]
        material: dict[str, Any] = {
            "content": content if pictures else content[0],
            "kind": media.kind,
            "settings": _settings_that_matter(media, settings),
            "draw": draw,
            "frames": self._frames_by,
            "encoder": self.encoder,
        }
        if part:
            material["part"] = part
        return xxhash.xxh3_128_hexdigest(json.dumps(material, sort_keys=True).encode())

    def read(self, key: str) -> StoredFeatures | None:
        """Return what is stored under a key, mapped into memory; None for nothing sound."""
        return read_features(self._path(key), key=key)

    def write(self, key: str, features: Tensor, *, num_repeated: int = 0) -> bool:
        """Return whether features (T, P, C) are on disk now.

        A full disk, a folder that may not be written to and the bound end the writing, with one
        line; what is stored stays readable.
        """
        if self.stopped is not None:
            return False
        path = self._path(key)
        if read_features(path, key=key) is not None:
            return True
        content = pack_features(features, key=key, num_repeated=num_repeated)
        staging = self.folder / "unfinished"
        try:
            self._sweep(staging)
            if not self._room.has(len(content)):
                self._stop(self._room.reason())
                return False
            replace_file(path, content, staging=staging)
        except OSError as error:
            self._stop(f"it cannot be written to ({error.strerror or error})")
            return False
        self._room.add(len(content))
        self.num_written += 1
        self.bytes_written += len(content)
        return True

    def write_visuals(self, slots: Sequence[Slot], features: Sequence[Tensor]) -> None:
        """Write what the tower has just made of a batch, on a thread of its own.

        Args:
            slots: of the batch, see `VisualSlot`.
            features: (T, P, C), one for each slot; those that were read from the store are passed
                over.
        """
        for slot, seen in zip(slots, features, strict=True):
            if slot.is_stored or slot.key is None or self.stopped is not None:
                continue
            while len(self._pending) >= MAX_PENDING:
                self._pending.popleft().result()
            if self._executor is None:
                self._executor = ThreadPoolExecutor(1, thread_name_prefix="feature-store")
            on_cpu = seen.detach().to("cpu")
            self._pending.append(
                self._executor.submit(self.write, slot.key, on_cpu, num_repeated=slot.num_repeated)
            )

    def flush(self) -> None:
        """Wait until everything is written, and end the thread; the next write starts another."""
        while self._pending:
            self._pending.popleft().result()
        if self._executor is not None:
            self._executor.shutdown()
            self._executor = None

    close = flush

    def _path(self, key: str) -> Path:
        return self._own / key[:2] / f"{key}.safetensors"

    def _stop(self, reason: str) -> None:
        self.stopped = reason
        _logger.warning(
            "%s: no more features are stored, because %s. Nothing is lost: what is not stored is "
            "decoded and encoded at every step. Make room there, raise --feature_store_max_gb, "
            "name another --feature_store, or delete the folders of other vision towers beside "
            "%s, which is this one's.",
            self.folder,
            reason,
            self._own.name,
        )

    def _sweep(self, staging: Path) -> None:
        """Remove, once, what writers that were killed have left."""
        if self._swept:
            return
        self._swept = True
        for folder in (staging, self._hashes.folder):
            for path in folder.glob("*.unfinished"):
                try:
                    if time.time() - path.stat().st_mtime > ABANDONED_S:
                        path.unlink()
                except OSError:  # another process was quicker, or it is another user's
                    continue


def _settings_that_matter(media: Media, settings: ClipSettings) -> dict[str, Any]:
    """Return the settings that change the frames; a new setting is among them by itself."""
    settings = media.view.over(settings)
    values = asdict(settings)
    del values["system_prompt"]
    if media.kind == "image":
        return {"frame_size": values["frame_size"], "aspect": values["aspect"]}
    unread = {"num_frames"} if settings.sampler == "fps" else {*_ONLY_FPS}
    unread |= _OF_PROMPTS_AND_ANSWERS
    if settings.sampler != "sparse":
        unread |= {"clip_share", "clip_place"}
    if settings.min_frame_change == 0:  # as it was before there was this setting
        unread |= {"min_frame_change"}
    if not LAYOUTS[settings.layout].moves_pixels:  # the tower sees every frame alone
        unread |= {"layout"}
    if settings.layout != SLOW_FAST:
        unread |= {"slow_frames"}
    values = {name: value for name, value in values.items() if name not in unread}
    shown = {name: value for name, value in media.view.as_dict().items() if name not in OVERRIDES}
    return values | shown


_ONLY_FPS = ("frames_per_s", "min_frames", "max_frames")
_OF_PROMPTS_AND_ANSWERS = {"timestamps", "num_clips"}


def _frame_makers() -> dict[str, Any]:
    """Return what else than file and settings decides about the last bit of a frame."""
    return {
        "rule": FRAME_RULE,
        "av": av.__version__,
        "pillow": PIL.__version__,
        "torch": torch.__version__,
        "scales_fast": scales_fast(),
    }
