"""`flipbook data`: from the files that a person has to a data set that can be trusted.

To add a command: a module here with `add_arguments(parser)` and `run(args)`, and a line in
`COMMANDS`.
"""

from __future__ import annotations

import argparse

from flipbook.apps.subcommands import add_commands, run_command

COMMANDS = {
    "convert": "turn files of any known format into records",
    "check": "decode every clip, judge every record, and set aside what would fail",
    "split": "divide records into train, validation and test, by source video or person",
    "stats": "tell what is in a data set",
    "preview": "write a page that shows records as the model will see them",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the words of `flipbook data`."""
    add_commands(parser, __name__, COMMANDS)


run = run_command
