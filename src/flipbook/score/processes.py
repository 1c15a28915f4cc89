"""How do several processes share work, and get the same results as one?

    pieces of work, a function -> its result for each piece, in order, in every process

A piece is done whole by one process. What is in a piece does not depend on how many processes there
are, so neither does any bit of a result.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import distributed

from flipbook.errors import FlipbookError

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def this_process() -> int:
    """Return the number of this process, from 0."""
    return distributed.get_rank() if _are_several() else 0


def num_processes() -> int:
    """Return how many processes there are."""
    return distributed.get_world_size() if _are_several() else 1


@contextmanager
def joined_processes() -> Iterator[None]:
    """Join the processes that `torchrun` started with this one, unless that was done already."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or distributed.is_initialized():
        yield
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    # Results are Python objects in main memory, also where models are on GPUs.
    distributed.init_process_group("gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


def in_all(
    pieces: Sequence[Piece],
    work: Callable[[Piece], Result],
    *,
    divided: bool = True,
    on_done: Callable[[int], None] | None = None,
) -> list[Result]:
    """Return the result of every piece, in order, in every process.

    Args:
        divided: each process does its share; false lets each do all, for a model whose weights are
            spread over processes, which must all call it alike.
        on_done: is told after each piece how many are done, taking the others to be as quick.

    Raises:
        FlipbookError: that of the first piece, in their order, which raised one; in every process.
    """
    width = num_processes() if divided else 1
    own: dict[int, Result | FlipbookError] = {}
    for number in range(this_process() if divided else 0, len(pieces), width):
        try:
            own[number] = work(pieces[number])
        except FlipbookError as error:
            own[number] = error
            break
        if on_done is not None:
            on_done(min(len(own) * width, len(pieces)))
    results = _gathered(own) if divided else own
    for number in sorted(results):
        result = results[number]
        if isinstance(result, FlipbookError):
            raise result
    return [results[number] for number in range(len(pieces))]  # type: ignore[misc]


def from_first(work: Callable[[], Result]) -> Result:
    """Return in every process what `work` returned in the first, where alone it is done.

    Raises:
        FlipbookError: which it raised; in every process.
    """
    found: list[Any] = [None]
    if this_process() == 0:
        try:
            found = [work()]
        except FlipbookError as error:
            found = [error]
    if _are_several():
        distributed.broadcast_object_list(found, src=0)
    if isinstance(found[0], FlipbookError):
        raise found[0]
    result: Result = found[0]
    return result


def _gathered(own: dict[int, Any]) -> dict[int, Any]:
    """Return the results of all processes."""
    if not _are_several():
        return own
    parts: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(parts, own)
    return {number: result for part in parts for number, result in part.items()}


def _are_several() -> bool:
    return distributed.is_available() and distributed.is_initialized()
