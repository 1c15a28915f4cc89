"""How far is the run, and how fast?

the trainer's log lines -> a bar on a terminal, plain lines elsewhere, log.jsonl always
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from transformers import TrainerCallback

from flipbook.train.lines import add_line, keep_until

NOT_SHOWN = {"epoch", "total_flos"}
# The library multiplies steps with a size of batches that packed ones do not have.
NOT_COUNTED = {"train_samples_per_second"}


@dataclass
class Throughput:
    """Counts what the trainer has seen, and since when.

    Attributes:
        num_samples: trained on by all processes.
        num_tokens: in them, visual ones included, padding not.
        num_repeated_frames: in them, because a clip had fewer frames than were asked for.
        busy_s: seconds of training, without evaluation and saving.
    """

    num_samples: int = 0
    num_tokens: int = 0
    num_repeated_frames: int = 0
    busy_s: float = 0.0
    _since: float | None = field(default=None, repr=False)

    def start(self) -> None:
        """Let the clock run."""
        self._since = time.perf_counter()

    def pause(self) -> None:
        """Stop the clock."""
        if self._since is not None:
            self.busy_s += time.perf_counter() - self._since
            self._since = None

    def add(self, *, num_samples: int, num_tokens: int, num_repeated_frames: int) -> None:
        """Count a batch."""
        self.num_samples += num_samples
        self.num_tokens += num_tokens
        self.num_repeated_frames += num_repeated_frames

    def rates(self) -> dict[str, float]:
        """Return samples and tokens per second of training so far; empty before any."""
        if self._since is not None:
            self.pause()
            self.start()
        if self.busy_s == 0 or self.num_samples == 0:
            return {}
        return {
            "samples_per_s": self.num_samples / self.busy_s,
            "tokens_per_s": self.num_tokens / self.busy_s,
        }


class ProgressCallback(TrainerCallback):
    """Shows a run on a console and writes every log line to `log.jsonl`.

    Args:
        throughput: what the trainer counts.
        log_file: JSON Lines; continued when the run is.
        console: where to show; nothing is shown without one.
        show_bar: draw a bar if the console is a terminal.
    """

    def __init__(
        self,
        throughput: Throughput,
        *,
        log_file: Path,
        console: Console | None,
        show_bar: bool = True,
    ) -> None:
        self.throughput = throughput
        self.log_file = log_file
        self.console = console
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._show_bar = show_bar and console is not None and console.is_terminal
        self._first_step = 0
        self._lacks_lines = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the clock and the bar."""
        self._first_step = state.global_step
        if state.is_world_process_zero:
            keep_until(self.log_file, state.global_step if state.global_step else -1)
        self.throughput.start()
        if self._show_bar:
            columns = (
                TextColumn("training"),
                BarColumn(bar_width=None),
                MofNCompleteColumn(),
                TextColumn("{task.fields[facts]}"),
            )
            self._bar = Progress(*columns, console=self.console, transient=True, expand=True)
            self._bar.start()
            self._task = self._bar.add_task("", total=state.max_steps, facts="")

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Move the bar."""
        if self._bar is not None and self._task is not None:
            facts = self._facts(state)
            self._bar.update(self._task, completed=state.global_step, facts=facts)
        if control.should_evaluate or control.should_save:
            self.throughput.pause()

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Let the clock run again."""
        self.throughput.start()

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Let the clock run again."""
        self.throughput.start()

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        """Write a line of the log, and show it."""
        if logs is None or not state.is_world_process_zero:
            return
        line = {
            "step": state.global_step,
            **{name: value for name, value in logs.items() if name not in NOT_COUNTED},
            **self.throughput.rates(),
            "repeated_frames": self.throughput.num_repeated_frames,
        }
        told = add_line(
            self.log_file, json.dumps({**line, "unix_time_s": round(time.time(), 3)}) + "\n"
        )
        if told is not None and self.console is not None and not self._lacks_lines:
            self.console.print(told, markup=False)
        self._lacks_lines |= told is not None
        if self.console is not None and "train_runtime" not in logs:
            shown = "  ".join(
                f"{name} {value:.4g}"
                for name, value in logs.items()
                if isinstance(value, (int, float)) and not _is_detail(name)
            )
            facts = "" if any(name.startswith("eval_") for name in logs) else self._facts(state)
            self.console.print(f"step {state.global_step}/{state.max_steps}  {shown}  {facts}")

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop the clock and the bar."""
        self.close()

    def close(self) -> None:
        """Give the terminal back; harmless when done twice."""
        self.throughput.pause()
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _facts(self, state: Any) -> str:
        rates = self.throughput.rates()
        if not rates:
            return ""
        done = max(state.global_step - self._first_step, 1)
        left_s = self.throughput.busy_s / done * (state.max_steps - state.global_step)
        return (
            f"{rates['samples_per_s']:.1f} samples/s  {rates['tokens_per_s']:.0f} tokens/s  "
            f"{format_duration(left_s)} left"
        )


def _is_detail(name: str) -> bool:
    return name in NOT_SHOWN or name.endswith(("_runtime", "_per_second"))


def format_duration(seconds: float) -> str:
    """Return seconds as `m:ss` or `h:mm:ss`.

    75 s is "1:15".
    """
    whole = math.ceil(seconds)
    hours, minutes = divmod(whole // 60, 60)
    if hours:
        return f"{hours}:{minutes:02}:{whole % 60:02}"
    return f"{minutes}:{whole % 60:02}"
