"""Which command did the user call?

    words -> one function of `apps/`; errors -> a message on stderr and an exit code

This is the border: here an error raised on purpose, a full disk, a lack of memory and a wish to
stop become a message. The exit codes are those of `errors.py`. Of several processes that torchrun
started, the first to meet an error tells it.

To add a command: a module of `apps/` with `add_arguments(parser)` and `run(args)`, and one line in
`COMMANDS`.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import logging
import os
import select
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

from flipbook.apps.stopping import STOPPING, obeying_signals
from flipbook.errors import (
    ArgumentError,
    AskedToStop,
    FlipbookError,
    StorageError,
    TrainingError,
    did_you_mean,
    speaker,
    storage_words,
)

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
CLOSED_OUTPUT = 141  # what shells show of a program that SIGPIPE has ended
ERROR_FILE = "TORCHELASTIC_ERROR_FILE"  # where torchrun looks for what went wrong in a process


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        raise ArgumentError(f"{message}. See `{self.prog} --help`.")


def main(words: Sequence[str] | None = None) -> int:
    """Return the exit code of a command line, after running it.

    Args:
        words: that of this process if none are given; what asks it to stop after its last word
            comes too late then, and does not change the exit code.
    """
    if words is None:
        try:
            return main(sys.argv[1:])
        finally:
            for name in ("SIGINT", *STOPPING):
                if hasattr(signal, name):
                    signal.signal(getattr(signal, name), signal.SIG_IGN)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    _quieten()
    try:
        with obeying_signals():
            _dispatch(words)
            sys.stdout.flush()
    except KeyboardInterrupt as stop:
        return _tell_stop(stop)
    except BrokenPipeError:
        if not _is_output_closed():
            raise
        return CLOSED_OUTPUT
    except SystemExit as leaving:  # as rich does where nobody reads the output
        if not isinstance(leaving.__context__, BrokenPipeError):
            raise
        return CLOSED_OUTPUT
    except Exception as error:
        known = _as_ours(error)
        _tell_launcher(known or error)
        if known is None:
            raise
        if debug:
            traceback.print_exception(error)
        _tell(known)
        return known.exit_code
    return 0


def _tell_stop(stop: KeyboardInterrupt) -> int:
    asked = stop if isinstance(stop, AskedToStop) else AskedToStop(signal.SIGINT)
    told = asked.told or f"stopped by {asked.signal_name}"
    print(f"flipbook: {told}", file=sys.stderr)
    return asked.exit_code


def _as_ours(error: Exception) -> FlipbookError | None:
    """Return an error as one of ours; None for a mistake of the program."""
    if isinstance(error, FlipbookError):
        return error
    words = storage_words(error)
    if words is not None:
        return _with_notes(StorageError(words), error)
    if _is_out_of_memory(error):
        reason = (str(error) or "MemoryError").splitlines()[0]
        return _with_notes(
            TrainingError(
                f"The memory does not suffice ({reason}). Lower "
                "--per_device_train_batch_size or --max_batch_tokens (--batch_size), "
                "--num_video_frames or --frame_size, or train with --activation_checkpointing true "
                "or --lora_r 16; `flipbook plan` tells what fits."
            ),
            error,
        )
    return None


def _with_notes(known: FlipbookError, error: Exception) -> FlipbookError:
    for note in getattr(error, "__notes__", ()):
        known.add_note(note)
    return known


def _is_out_of_memory(error: Exception) -> bool:
    """Whether memory, of the machine or of a GPU, did not suffice; torch has no type for all."""
    is_named = type(error).__name__ == "OutOfMemoryError"
    is_of_torch = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    return isinstance(error, MemoryError) or is_named or is_of_torch


def _tell(error: FlipbookError) -> None:
    """Print an error with its notes, unless another process of this machine has told the same."""
    lines = [str(error), *getattr(error, "__notes__", ())]
    if ERROR_FILE in os.environ:  # of torchrun
        said = hashlib.sha256(lines[0].encode(errors="replace")).hexdigest()[:16]
        with suppress(OSError):
            try:  # a folder of this run of torchrun, in which each process has one of its own
                (Path(os.environ[ERROR_FILE]).parents[1] / f"told-{said}").touch(exist_ok=False)
            except FileExistsError:
                return
    print(f"{speaker()}: " + "\n".join(lines), file=sys.stderr)


def _tell_launcher(error: Exception) -> None:
    """Leave an error where torchrun finds it for its report."""
    if ERROR_FILE not in os.environ:
        return
    is_ours = isinstance(error, FlipbookError)
    trace = "".join(traceback.format_exception(error))
    message = {
        "message": f"{type(error).__name__}: {error}",
        "extraInfo": {
            "py_callstack": str(error) if is_ours else trace,
            "timestamp": str(int(time.time())),
        },
    }
    with suppress(OSError):
        Path(os.environ[ERROR_FILE]).write_text(json.dumps({"message": message}), encoding="utf-8")


def _is_output_closed() -> bool:
    """Whether nobody reads the output any more; it is left alone then."""
    try:
        output = sys.stdout.fileno()
        ready = select.poll()
    except (OSError, AttributeError):  # it is no file, or there is no such call here
        return False
    ready.register(output, select.POLLOUT)
    if not any(event & select.POLLERR for _, event in ready.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), output)
    return True


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
