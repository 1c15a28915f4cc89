"""Clips for the tests of exports."""

from fixtures_video import make_clip

__all__ = ["make_clip"]
