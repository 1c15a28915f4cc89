"""How do all processes of a run come to one end, where one of them alone decides or fails?

what the main process finds, or its error  ->  the same in every process
what went wrong in each process            ->  the first error, raised in every process
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object

from flipbook.errors import FlipbookError, StorageError

T = TypeVar("T")


def decided_by_main(decide: Callable[[], T]) -> T:
    """Return what the main process decides; an error of it is raised in all.

    Raises:
        FlipbookError: what `decide` raised.
    """
    state = PartialState()
    if state.num_processes == 1:
        return decide()
    outcome: list[T | FlipbookError | None] = [None]
    if state.is_main_process:
        try:
            outcome = [decide()]
        except FlipbookError as error:
            outcome = [error]
    (found,) = broadcast_object_list(outcome)
    if isinstance(found, FlipbookError):
        raise found
    decided: T = found
    return decided


def fail_together(error: StorageError | None) -> None:
    """Wait for all processes, and raise in all what went wrong in one.

    Raises:
        StorageError: something went wrong somewhere.
    """
    state = PartialState()
    if state.num_processes > 1:
        told = gather_object([None if error is None else str(error)])
        first = next((message for message in told if message is not None), None)
        error = error or (None if first is None else StorageError(first))
    if error is not None:
        raise error
