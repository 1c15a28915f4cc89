"""How far is work that a person waits for?

title, how many pieces  ->  a bar on stderr while they are done, gone afterwards
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def passing_bar(
    title: str, *, total: int | None = None, is_shown: bool = True
) -> Iterator[Callable[[int, int], None]]:
    """Show a bar, and give the function that is told how many pieces are done, of how many."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    is_shown = is_shown and console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=not is_shown) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done, total: bar.update(task, completed=done, total=total)
