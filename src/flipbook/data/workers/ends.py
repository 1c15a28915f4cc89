"""What is said of a worker that ended?

an error, the slots of all workers  ->  how it ended, what it read, what to do; or nothing
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Sequence
from typing import Any

from flipbook.data.workers.slots import end_of, has_ended, is_late, reading_of

DYING_S = 2.0  # in which a process that leaves its connections is seen to have ended
_ENDED = re.compile(r"DataLoader worker \(pid(?:\(s\))? (?P<pids>[\d, ]+)\)(?P<how>[^\n]*)")
_TIMED_OUT = re.compile(r"DataLoader timed out after (\S+) seconds")
_SIGNAL = re.compile(r"is killed by signal: (?P<words>[^.]+)\.")
_EXIT_CODE = re.compile(r"exited unexpectedly with exit code (\d+)")
_CUT_OFF = (ConnectionError, EOFError, FileNotFoundError)  # in the midst of taking a batch


def told_of(error: BaseException, slots: Sequence[Any]) -> str | None:
    """Return what happened to a worker where an error, or what it came from, is about that.

    Of two errors about one worker the first knows how it ended, and the last only that it did.
    """
    told, is_cut_off = None, False
    one: BaseException | None = error
    while one is not None:
        is_cut_off = is_cut_off or isinstance(one, _CUT_OFF)
        told = (isinstance(one, RuntimeError) and _told_by(str(one), slots)) or told
        one = one.__cause__ or one.__context__
    if told is None and is_cut_off:
        slot = _just_ended(slots)
        return None if slot is None else _ended_in_words(slot, _how_it_ended(int(slot["pid"])))
    return told


def _told_by(text: str, slots: Sequence[Any]) -> str | None:
    """Return what the library tells, with what it does not know."""
    ended, timed_out = _ENDED.search(text), _TIMED_OUT.search(text)
    if ended:
        pids = [int(pid) for pid in re.findall(r"\d+", ended["pids"])]
        found = [slot for slot in slots if slot["pid"] in pids]
        slot = max(found, key=lambda slot: bool(slot["record"]), default=None)
        return _ended_in_words(slot, ended["how"])
    return _stuck_in_words(timed_out[1], slots) if timed_out else None


def _just_ended(slots: Sequence[Any]) -> Any:
    """Return the slot of a worker that ended while it read, if there is one soon."""
    end_s = time.monotonic() + DYING_S
    while time.monotonic() < end_s:
        for slot in slots:
            if slot["record"] and has_ended(slot):
                return slot
        time.sleep(0.02)
    return None


def _how_it_ended(pid: int) -> str:
    """Return how a process ended, in the library's words; empty where it is not ours to ask."""
    try:
        found = end_of(pid)
    except (AttributeError, OSError):
        return ""
    if found is None:
        return ""
    if found.si_code == os.CLD_EXITED:
        return f" exited unexpectedly with exit code {found.si_status}"
    return f" is killed by signal: {signal.strsignal(found.si_status)}."


def _ended_in_words(slot: Any, how: str) -> str:
    name = _signal_of(how)
    what = reading_of(slot)
    if slot is not None and (name == "SIGALRM" or is_late(slot)):
        return (
            f"Reading {what} did not end within {slot['limit_s']:.3g} s, and its worker was ended. "
            "Play the file, encode it again or leave the record out; or give it more time with "
            "--media_timeout_s."
        )
    code = _EXIT_CODE.search(how)
    told = name or (f"exit code {code[1]}" if code else "how is not known")
    why = {
        "SIGKILL": " The memory of the machine may have run out: take fewer workers "
        "(--dataloader_num_workers) or fewer or smaller frames.",
        "SIGBUS": " Shared memory may have run out: look at /dev/shm, and take fewer workers "
        "(--dataloader_num_workers).",
    }.get(name, "")
    return (
        f"A worker ended while reading {what} ({told}).{why} Look at the file with `flipbook data "
        "check`, and encode it again or leave the record out."
    )


def _stuck_in_words(waited_s: str, slots: Sequence[Any]) -> str:
    busy = [slot for slot in slots if slot["record"]]
    late = [slot for slot in busy if is_late(slot)] or busy
    what = " and ".join(reading_of(slot) for slot in late) or "nothing that is known"
    return (
        f"No worker gave a batch within {waited_s} s. Being read: {what}. The system could not end "
        "that: look at the disk, play the file, or give more time with --media_timeout_s."
    )


def _signal_of(how: str) -> str:
    """Return the name of the signal that ended a worker; empty where none did."""
    found = _SIGNAL.search(how)
    if found is None:
        return ""
    known = {signal.strsignal(one): one.name for one in signal.Signals}
    return known.get(found["words"], found["words"])
