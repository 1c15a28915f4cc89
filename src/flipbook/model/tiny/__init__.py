"""Where does the embedded model lie?

    TINY_FOLDER -> a complete checkpoint in the Hugging Face layout, trained on still pictures

`scripts/make_tiny_model.py` made it, and makes it again.
"""

from __future__ import annotations

from pathlib import Path

TINY_FOLDER = Path(__file__).parent / "weights"
