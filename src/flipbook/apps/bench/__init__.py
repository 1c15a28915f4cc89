"""`flipbook bench`: data made on the spot whose answers and ceilings are known.

To add a command: a module here with `add_arguments(parser)` and `run(args)`, and a line in
`COMMANDS`.
"""

from __future__ import annotations

import argparse
import importlib

COMMANDS = {
    "temporal": "make clips that need their order or their instants, and score a model on them",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the words of `flipbook bench`."""
    commands = parser.add_subparsers(
        dest="bench_command", required=True, metavar="COMMAND", parser_class=type(parser)
    )
    for name, about in COMMANDS.items():
        module = importlib.import_module(f"flipbook.apps.bench.{name}")
        module.add_arguments(
            commands.add_parser(name, help=about, description=about, allow_abbrev=False)
        )


def run(args: argparse.Namespace) -> None:
    """Run the command that was named.

    Raises:
        FlipbookError: see the command.
    """
    importlib.import_module(f"flipbook.apps.bench.{args.bench_command}").run(args)
