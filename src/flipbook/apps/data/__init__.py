"""`flipbook data`: from the files that a person has to a data set that can be trusted.

To add a command: a module here with `add_arguments(parser)` and `run(args)`, and a line in
`COMMANDS`.
"""

from __future__ import annotations

import argparse
import importlib

COMMANDS = {
    "convert": "turn files of any known format into records",
    "check": "decode every clip, judge every record, and set aside what would fail",
    "split": "divide records into train, validation and test, by source video or person",
    "stats": "tell what is in a data set",
    "preview": "write a page that shows records as the model will see them",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the words of `flipbook data`."""
    commands = parser.add_subparsers(
        dest="data_command", required=True, metavar="COMMAND", parser_class=type(parser)
    )
    for name, about in COMMANDS.items():
        module = importlib.import_module(f"flipbook.apps.data.{name}")
        module.add_arguments(
            commands.add_parser(name, help=about, description=about, allow_abbrev=False)
        )


def run(args: argparse.Namespace) -> None:
    """Run the command that was named.

    Raises:
        FlipbookError: see the command.
    """
    importlib.import_module(f"flipbook.apps.data.{args.data_command}").run(args)
