"""What is this process reading now, and what if that goes wrong?

    records and files that are read  ->  told to who wants to know: `told_to`
    an error that nobody expects     ->  WorkerError with the record and the file

A decoder that crashes or hangs takes with it all that the process knows. So what is read is told
before it is read, to somebody outside: to the process that trains (`workers.py`), or to the other
processes that train with it. Where nobody wants to know, telling costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from flipbook.data.turns import Media
from flipbook.errors import FlipbookError, WorkerError, one_line

MOST_NAMES = 8  # of records, in a message


class Listener(Protocol):
    """Who wants to know what this process reads."""

    def hear(self, record: str, item: Media | None) -> None:
        """Take note of it; an empty record: nothing is read now. No item: no file is open."""


_listeners: list[Listener] = []
_now: list[str] = ["", ""]  # record and file, for the words of an error


def told_to(listener: Listener) -> None:
    """Tell somebody, from now on, what this process reads; in place of who was told before."""
    _listeners[:] = [listener]


@contextmanager
def also_told_to(listener: Listener) -> Iterator[None]:
    """Tell somebody else, too, for a while."""
    _listeners.append(listener)
    try:
        yield
    finally:
        if listener in _listeners:
            _listeners.remove(listener)


@contextmanager
def reading_record(record_ids: Sequence[str]) -> Iterator[None]:
    """Tell that a record is read, or several about one clip.

    Raises:
        WorkerError: an error that nobody expects, with the names of record and file.
    """
    _now[:] = [names(record_ids), ""]
    _tell(None)
    try:
        yield
    except FlipbookError:
        raise
    except Exception as error:
        raise WorkerError(_failed(error)) from error
    finally:
        _now[:] = ["", ""]
        _tell(None)


@contextmanager
def reading_file(item: Media) -> Iterator[None]:
    """Tell that a file of the record is read. An error leaves its name, for the words of it."""
    _now[1] = item.path
    _tell(item)
    yield
    _now[1] = ""
    _tell(None)


def names(record_ids: Sequence[str]) -> str:
    """Return the names of records as a message has them."""
    shown = ", ".join(one_line(name) for name in record_ids[:MOST_NAMES])
    more = len(record_ids) - MOST_NAMES
    return f"{shown} and {more} more" if more > 0 else shown


def described(record: str, file: str) -> str:
    """Return what was read, in words."""
    if not record and not file:
        return "between two records"
    what = f"record {record}" if record else "a record"
    return f"{what}, file {one_line(file)}" if file else what


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error is about memory; torch has no type for it on a CPU."""
    return isinstance(error, MemoryError) or "allocate memory" in str(error)


def _tell(item: Media | None) -> None:
    for listener in tuple(_listeners):
        listener.hear(_now[0], item)


def _failed(error: Exception) -> str:
    why = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if is_out_of_memory(error):
        why += "; more memory than a process that reads may take, or than there is"
    return (
        f"Reading {described(*_now)} failed ({one_line(why)}). Look at the file with `flipbook "
        "data check`, and leave the record out or encode the file again."
    )
