"""How does a command have commands of its own?

package, {name: what it does} -> a parser for each; the words of one -> its module's `run`
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Mapping


def add_commands(
    parser: argparse.ArgumentParser, package: str, commands: Mapping[str, str]
) -> None:
    """Declare the words of each command of a package, which has a module for each."""
    parsers = parser.add_subparsers(
        dest="subcommand", required=True, metavar="COMMAND", parser_class=type(parser)
    )
    for name, about in commands.items():
        module = importlib.import_module(f"{package}.{name}")
        own = parsers.add_parser(name, help=about, description=about, allow_abbrev=False)
        module.add_arguments(own)
        own.set_defaults(run_subcommand=module.run)


def run_command(args: argparse.Namespace) -> None:
    """Run the command that was named.

    Raises:
        FlipbookError: see the command.
    """
    args.run_subcommand(args)
