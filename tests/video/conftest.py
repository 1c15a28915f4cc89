"""The clips that every test of decoding reads."""

from __future__ import annotations

from fixtures_video import make_clip

__all__ = ["make_clip"]
