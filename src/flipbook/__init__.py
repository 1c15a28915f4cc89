"""flipbook: fine-tune FastVLM on your own videos, and know that it worked.

    from flipbook import load_video_frames, LazySupervisedDataset, load_checkpoint

Names are imported when they are first used, so that `import flipbook` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Clip": "flipbook.video.clip",
    "is_video_file": "flipbook.video.decode",
    "load_video_frames": "flipbook.video.decode",
    "probe": "flipbook.video.decode",
    "read_clip": "flipbook.video.decode",
    "ClipSettings": "flipbook.video.settings",
    "Record": "flipbook.data.records",
    "read_records": "flipbook.data.records",
    "preprocess_multimodal": "flipbook.data.labels.conversation",
    "LazySupervisedDataset": "flipbook.data.dataset",
    "Sample": "flipbook.data.sample",
    "Batch": "flipbook.data.batch",
    "DataCollatorForSupervisedDataset": "flipbook.data.batch",
    "make_supervised_data_module": "flipbook.data.batch",
    "load_checkpoint": "flipbook.model.checkpoint",
    "save_checkpoint": "flipbook.model.saving",
    "supervised_loss": "flipbook.model.loss",
    "FlipbookProcessor": "flipbook.model.processor.auto",
    "FlipbookError": "flipbook.errors",
}

__all__ = ["__version__", *_HOMES]  # noqa: PLE0604 - names of the table above


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'flipbook' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
