"""Under which licence are these weights, and who is told?

folder of a checkpoint, its configuration  ->  whether Apple's research-only licence holds
"""

from __future__ import annotations

import functools
import logging
from pathlib import Path
from typing import Any

_logger = logging.getLogger("flipbook")


def is_research_only(folder: Path, config: dict[str, Any]) -> bool:
    """Whether configuration or README say that the weights come from Apple."""
    said = str(config.get("_name_or_path", ""))
    readme = folder / "README.md"
    if readme.is_file():
        said += readme.read_text(encoding="utf-8", errors="replace")
    return "apple" in said.lower()


@functools.cache
def tell_licence(name: str) -> None:
    """Warn, once for each name, that the weights are licensed for research only."""
    _logger.warning(
        "%s holds weights of Apple's FastVLM, whose licence allows research only; what you train "
        "from them inherits that.",
        name,
    )
