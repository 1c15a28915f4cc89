"""How does plain `AutoProcessor` find flipbook's processor?

    from flipbook import FlipbookProcessor  ->  AutoProcessor.from_pretrained(folder) gives one

A folder saved by flipbook names `LlavaProcessor`, so that it loads where flipbook is not installed:
`AutoProcessor` goes by that name alone. Once this module is imported, `LlavaProcessor` gives way to
its subclass in folders that say how clips are read, and only there.
"""

from __future__ import annotations

from functools import wraps
from typing import Any

from transformers import AutoProcessor, AutoVideoProcessor, FastVlmConfig, LlavaProcessor

from flipbook.model.processor.folder import says_how_clips_are_read
from flipbook.model.processor.media_processors import FlipbookVideoProcessor
from flipbook.model.processor.processor import FlipbookProcessor

__all__ = ["FlipbookProcessor", "FlipbookVideoProcessor"]

_found: Any = LlavaProcessor.from_pretrained
_read_stock = getattr(_found.__func__, "__wrapped__", _found.__func__)  # where this is reloaded


@wraps(_read_stock)
def _from_pretrained(
    cls: type, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any
) -> Any:
    if cls is LlavaProcessor and says_how_clips_are_read(pretrained_model_name_or_path, **kwargs):
        return FlipbookProcessor.from_pretrained(pretrained_model_name_or_path, *args, **kwargs)
    return _read_stock(cls, pretrained_model_name_or_path, *args, **kwargs)


setattr(LlavaProcessor, "from_pretrained", classmethod(_from_pretrained))  # noqa: B010
AutoProcessor.register(FastVlmConfig, FlipbookProcessor, exist_ok=True)  # type: ignore[no-untyped-call]
AutoVideoProcessor.register(FastVlmConfig, FlipbookVideoProcessor, exist_ok=True)
