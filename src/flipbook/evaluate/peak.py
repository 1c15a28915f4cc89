"""How much memory did this take at most?

device  ->  PeakMemory, noted along the way  ->  bytes, and in words what they are the peak of

On a CUDA GPU torch counts its own tensors. Elsewhere the whole process is measured: Linux keeps its
peak, which can be set back; other systems tell only what it holds now, so that is noted at times.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil
import torch

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # proc(5): sets the peak of the resident memory to what it is now

OF_GPU = "highest memory of tensors on the GPU while measuring, the weights among them"
OF_PROCESS = "highest resident memory of the process while measuring, weights and Python among it"
SINCE_START = "highest resident memory of the process since it started"
NOTED = "highest resident memory of the process after any measured step"


class PeakMemory:
    """What is the most that was held since this was made.

    Attributes:
        meaning: in words, what `num_bytes` is the peak of.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._most = 0
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self.meaning = OF_GPU
        else:
            self.meaning = _reset_process()
        self.note()

    def note(self) -> None:
        """Look at what is held now."""
        if self._device.type == "cuda":
            self._most = int(torch.cuda.max_memory_allocated(self._device))
        else:
            self._most = max(self._most, _of_process())

    @property
    def num_bytes(self) -> int:
        """The most, in bytes, up to the last note."""
        return self._most


def _reset_process() -> str:
    """Return what the peak of this process will mean, after setting it back where that is done."""
    if not _STATUS.is_file():
        return NOTED
    with contextlib.suppress(OSError):  # a system that is locked down does not let it be set back
        _RESET.write_text(_RESET_PEAK, encoding="ascii")
        return OF_PROCESS
    return SINCE_START


def _of_process() -> int:
    if _STATUS.is_file():
        lines = _STATUS.read_text(encoding="ascii", errors="replace").splitlines()
        for line in lines:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024  # proc(5) gives KiB
    return int(psutil.Process().memory_info().rss)
