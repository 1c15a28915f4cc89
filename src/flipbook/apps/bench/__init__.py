"""`flipbook bench`: data made on the spot whose answers and ceilings are known.

To add a command: a module here with `add_arguments(parser)` and `run(args)`, and a line in
`COMMANDS`.
"""

from __future__ import annotations

import argparse

from flipbook.apps.subcommands import add_commands, run_command

COMMANDS = {
    "temporal": "make clips that need their order or their instants, and score a model on them",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the words of `flipbook bench`."""
    add_commands(parser, __name__, COMMANDS)


run = run_command
