"""Was a run asked to stop, and how does it end then?

    SIGTERM, SIGHUP, SIGUSR1, Ctrl-C  ->  the step is finished and saved, a StoppedError tells more

An evaluation or a save that is due at that step still is made, so that the run that goes on is the
one that was never stopped. Several processes stop at the same step, whichever of them was asked.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Self

import torch
from accelerate import Accelerator
from transformers import Trainer

from flipbook.errors import (
    AskedToStop,
    CheckpointError,
    FlipbookError,
    StoppedError,
    name_of,
)
from flipbook.train.checkpoints.kept import (
    can_go_on,
    command_to_go_on,
    note_what_is_kept,
    what_is_kept,
)

STOPPING = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")


class StopRequest:
    """Notes that a signal asks to stop, instead of stopping at once; a second Ctrl-C does that.

    Signals are noted from `listen` to `close`, in the main thread, and as before elsewhere. One
    that was ignored, as SIGHUP is under `nohup`, still is.

    Args:
        is_telling: say on stderr that the wish was heard.
    """

    def __init__(self, *, is_telling: bool = False) -> None:
        self.signal_number: int | None = None
        self._is_telling = is_telling
        self._num_keyboard = 0
        self._process = os.getpid()
        self._before: dict[int, Any] = {}

    def listen(self) -> None:
        """Note signals from here on."""
        if threading.current_thread() is threading.main_thread():
            for number in stop_signals():
                if signal.getsignal(number) not in (signal.SIG_IGN, self._note):
                    self._before[number] = signal.signal(number, self._note)

    def close(self) -> None:
        """Let signals do from here on what they did before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def __enter__(self) -> Self:
        self.listen()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Let a signal end at once what is done within, and note those that come later.

        Raises:
            AskedToStop: one was noted before.
        """
        self._is_telling = False  # there is no step any more that would be finished
        was_listening = bool(self._before)
        self.close()
        try:
            if self.signal_number is not None:
                raise AskedToStop(self.signal_number)
            yield
        finally:
            if was_listening:
                self.listen()

    @property
    def name(self) -> str | None:
        """What asked; None where nothing did."""
        return None if self.signal_number is None else name_of(self.signal_number)

    def is_agreed(self, accelerator: Accelerator) -> bool:
        """Return whether any process was asked; all of them must call this together."""
        own = self.signal_number is not None
        if accelerator.num_processes == 1:
            return own
        asked = accelerator.reduce(torch.tensor([int(own)], device=accelerator.device))
        return bool(asked.item())

    def _note(self, number: int, _: FrameType | None) -> None:
        if os.getpid() != self._process:  # a copy of this process, which does as it would alone
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        is_first = self.signal_number is None
        self.signal_number = number if is_first else self.signal_number
        if number == signal.SIGINT:
            self._num_keyboard += 1
            # torchrun hands on what the terminal has already sent to all.
            if self._num_keyboard > (2 if "TORCHELASTIC_RUN_ID" in os.environ else 1):
                raise AskedToStop(number)
        if is_first and self._is_telling:
            words = f"\nflipbook: {name_of(number)}: this step is finished and saved, then it stops"
            more = " (Ctrl-C again: at once, without saving)" if number == signal.SIGINT else ""
            os.write(2, f"{words}{more}\n".encode())  # `print` may be at work right now


class StopsBetweenSteps(Trainer):
    """A Trainer that ends after a whole step, and saves it, where it was asked to.

    Attributes:
        stop: notes the wish.
    """

    stop: StopRequest | None = None
    _saved_step = -1
    _ended_step = -1

    def _maybe_log_save_evaluate(self, *args: Any, **kwargs: Any) -> None:
        super()._maybe_log_save_evaluate(*args, **kwargs)
        step = self.state.global_step
        is_called_again, self._ended_step = self._ended_step == step, step
        if float(self.state.epoch or 0).is_integer() and not is_called_again:
            return  # what is due at the end of an epoch comes in the second call
        if self.stop is None or self.control.should_training_stop:
            return  # it ends by itself
        if not self.stop.is_agreed(self.accelerator):
            return
        self.control.should_log = True  # of the steps since the last line
        self.control.should_evaluate = False
        self.control.should_save = self._saved_step != step
        super()._maybe_log_save_evaluate(*args, **kwargs)
        self.accelerator.wait_for_everyone()  # torchrun ends all as soon as one has left
        raise _stopped(self, self.stop.signal_number or signal.SIGTERM)

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        super()._save_checkpoint(*args, **kwargs)
        self._saved_step = self.state.global_step


@contextmanager
def stoppable(trainer: StopsBetweenSteps, stop: StopRequest) -> Iterator[None]:
    """Let a run be stopped while it learns and saves; tell what is kept however it ends.

    Args:
        trainer: of the run.
        stop: listens from here on, and is not closed: what comes between the last step and what is
            done with the model must not get lost.

    Raises:
        StoppedError: at once, by a second Ctrl-C.
        AskedToStop: the same, and nothing was saved.
    """
    run_folder = Path(str(trainer.args.output_dir))
    try:
        trainer.stop = stop
        stop.listen()
        yield
    except KeyboardInterrupt as error:
        if isinstance(error, AskedToStop) and error.told:
            raise
        done = trainer.state.global_step
        told = f"Stopped at once by a second Ctrl-C, after step {done} of {trainer.state.max_steps}"
        raise ended_early(error, run_folder, told) from None
    except (StoppedError, CheckpointError):  # which say themselves from where a run goes on
        raise
    except (FlipbookError, OSError, RuntimeError, MemoryError) as error:
        note_what_is_kept(error, run_folder)
        raise


def ended_early(stop: KeyboardInterrupt, run_folder: Path, told: str) -> BaseException:
    """Return the error that tells of a run that ended at once, with what is left of it.

    Args:
        told: when it was, without a full stop.
    """
    number = stop.args[0] if isinstance(stop, AskedToStop) else int(signal.SIGINT)
    words = f"{told}. {what_is_kept(run_folder)}"
    return StoppedError(words) if can_go_on(run_folder) else AskedToStop(number, words)


def stop_signals() -> list[int]:
    """Return the numbers of the signals that ask to stop, as far as this system knows them."""
    return [getattr(signal, name) for name in STOPPING if hasattr(signal, name)]


def begin_worker(begin: Callable[[int], None] | None, worker_id: int) -> None:
    """Let a worker of a DataLoader end when its loader says so, and by no signal to all.

    A signal that reaches the whole group of processes would end the workers first, and the step
    could not be finished.

    Args:
        begin: what else is done as it begins.
    """
    for number in stop_signals():
        if number != signal.SIGTERM:
            signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        threading.Thread(target=_end_with_loader, daemon=True).start()
    if begin is not None:
        begin(worker_id)


def _end_with_loader() -> None:
    """End the process by SIGTERM of its loader, and by no other."""
    parent = multiprocessing.parent_process()
    while signal.sigwaitinfo([signal.SIGTERM]).si_pid != getattr(parent, "pid", None):
        continue
    os._exit(0)


def _stopped(trainer: Trainer, number: int) -> BaseException:
    """Return the error that tells of a run that was stopped after a step and saved."""
    state, run_folder = trainer.state, Path(str(trainer.args.output_dir))
    saved = run_folder / f"checkpoint-{state.global_step}"
    told = f"Stopped by {name_of(number)} after step {state.global_step} of {state.max_steps}"
    if trainer.args.save_only_model:
        return AskedToStop(number, f"{told}. {what_is_kept(run_folder)}")
    return StoppedError(
        f"{told}. All of it is saved in {saved}. To go on from there:\n"
        f"  {command_to_go_on(run_folder)}"
    )
