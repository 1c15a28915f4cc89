"""Which records show the same clip under several names?

    records, what each shows -> (record, hash of content) for those that show the same

Only files of equal sizes are read, so that few are. A clip of pictures is all of its pictures.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator

from xxhash import xxh3_64

from flipbook.data.shown import pictures_of
from flipbook.data.turns import Media
from flipbook.errors import MediaError
from flipbook.video.paths import checked_file

_BLOCK_BYTES = 1 << 20

Files = tuple[str, ...]


class SameContent:
    """Finds clips and pictures of which there are several copies."""

    def __init__(self) -> None:
        self._seen: set[Files] = set()
        self._by_size: defaultdict[tuple[int, ...], list[tuple[int, Files]]] = defaultdict(list)

    def add(self, row: int, item: Media) -> None:
        """Note what a record shows; the first record of each clip is enough.

        Raises:
            MediaError: it is gone.
        """
        name = item.frames or (item.path,)
        if name in self._seen:
            return
        self._seen.add(name)
        files = pictures_of(item) or name
        try:
            sizes = tuple(os.stat(path).st_size for path in files)
        except OSError as error:
            raise _unreadable(item.path, error) from error
        self._by_size[sizes].append((row, files))

    def keys(self) -> Iterator[tuple[int, int]]:
        """Yield records that show what others show under another name, with a hash of it.

        Raises:
            MediaError: a file cannot be read.
        """
        for alike in self._by_size.values():
            if len(alike) > 1:
                hashes = [(row, _hash_of(files)) for row, files in alike]
                counts = Counter(content for _, content in hashes)
                yield from ((row, content) for row, content in hashes if counts[content] > 1)


def _hash_of(files: Files) -> int:
    digest = xxh3_64(b"content")
    for path in files:
        try:
            with open(checked_file(path), "rb") as file:
                while block := file.read(_BLOCK_BYTES):
                    digest.update(block)
        except OSError as error:
            raise _unreadable(path, error) from error
    return digest.intdigest()


def _unreadable(path: str, error: OSError) -> MediaError:
    return MediaError(path, f"cannot be read ({error.strerror}); copy or download it again")
