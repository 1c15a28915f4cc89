"""Which command did the user call?

    words -> one function of `apps/`; errors -> one line on stderr and an exit code

This is the border: here an error raised on purpose becomes a message. Exit codes: 0 done, 1 a
mistake of ours (with a traceback), 2 something the user can mend, 130 stopped from the keyboard.

To add a command: a module of `apps/` with `add_arguments(parser)` and `run(args)`, and one line in
`COMMANDS`.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
import warnings
from collections.abc import Collection, Sequence

from flipbook.errors import ArgumentError, FlipbookError, did_you_mean

COMMANDS = {
    "data": "convert, check, split, count and look at a data set",
    "explain": "show every token of a record, and prove that what is learned of it is right",
    "plan": "tell what a run will need before any weight is read",
    "train": "fine-tune a FastVLM on videos and images",
    "encode": "store what a frozen vision tower sees of each clip, ahead of training",
    "evaluate": "score a model on records, with controls",
    "report": "make the page and the text of an evaluation anew from its files",
    "compare": "tell which of two models is better, or that the questions cannot tell",
    "bench": "make data whose answers and ceilings are known, and score a model on them",
    "sweep": "find how many frames, and how large, are worth their time",
    "chat": "ask a model about a video",
    "export": "write a model in the form that another program reads",
    "info": "tell what a model folder holds, without loading it",
    "quickstart": "make clips, tune the embedded model on them, and score it",
}
OF_DATACLASSES = ("plan", "train", "encode")  # whose flags are the fields of the arguments


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        raise ArgumentError(f"{message}. See `{self.prog} --help`.")


def main(words: Sequence[str] | None = None) -> int:
    """Return the exit code of a command line, after running it."""
    words = list(sys.argv[1:] if words is None else words)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    _quieten()
    try:
        _dispatch(words)
    except FlipbookError as error:
        if debug:
            raise
        print(f"flipbook: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("flipbook: stopped", file=sys.stderr)
        return 130
    return 0


def _dispatch(words: list[str]) -> None:
    if not words or words[0] in ("-h", "--help"):
        print(_help())
        return
    if words[0] == "--version":
        from flipbook import __version__

        print(f"flipbook {__version__}")
        return
    name = words.pop(0)
    _refuse_unknown([name], COMMANDS)
    module = importlib.import_module(f"flipbook.apps.{name}")
    _hide_bars_of_libraries()
    if name in OF_DATACLASSES:
        module.run(words)
        return
    _refuse_unknown(words[:1], getattr(module, "COMMANDS", None), before=f"{name} ")
    parser = _Parser(prog=f"flipbook {name}", description=COMMANDS[name], allow_abbrev=False)
    module.add_arguments(parser)
    module.run(parser.parse_args(words))


def _refuse_unknown(
    words: Sequence[str], commands: Collection[str] | None, *, before: str = ""
) -> None:
    """Refuse a word that is none of some commands; a flag is left to the parser."""
    for word in words:
        if commands is not None and not word.startswith("-") and word not in commands:
            raise ArgumentError(
                f"Unknown command '{before}{word}'.{did_you_mean(word, commands)} Commands: "
                f"{', '.join(commands)}."
            )


def _help() -> str:
    lines = [f"  {name:<11} {about}" for name, about in COMMANDS.items()]
    return "\n".join(
        [
            "usage: flipbook COMMAND [--flag value ...] [--debug]",
            "",
            *lines,
            "",
            "`flipbook COMMAND --help` lists the flags; --debug shows where an error came from.",
        ]
    )


def _hide_bars_of_libraries() -> None:
    from transformers.utils import logging as library_logging

    library_logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def _quieten() -> None:
    """Let our own words stand out among those of the libraries."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    # peft still reads a name that transformers has replaced; nobody here can mend that.
    warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
