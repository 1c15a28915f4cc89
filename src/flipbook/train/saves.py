"""What is a checkpoint on the way, and when is it there?

a model in training  ->  RUN/checkpoint-N/
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import Trainer

from flipbook.model.adapters.trained_on import AdapterBase
from flipbook.video.settings import ClipSettings


class WholeSaves(Trainer):
    """A Trainer whose checkpoints hold all that is needed to go on, and to be loaded with care.

    Attributes:
        adapter_base: what the adapters depend on, where there are some.
        beside: each writes further files into the folder of a checkpoint; called by the process
            that writes.
    """

    adapter_base: AdapterBase | None = None
    beside: list[Callable[[Path], object]]
    _settings: ClipSettings

    def _save(
        self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None
    ) -> None:
        super()._save(output_dir, state_dict)
        if not self.args.should_save:
            return  # the library calls this in every process and writes in one
        folder = output_dir or str(self.args.output_dir)
        self._settings.save(folder)
        if self.adapter_base is not None:
            self.adapter_base.save(folder)  # so that an adapter on the way is loaded with care, too
        for write in self.beside:
            write(Path(folder))
