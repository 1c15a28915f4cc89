"""Fixtures of the tests of runs."""

from __future__ import annotations

from fixtures_resume import go_on, rows

__all__ = ["go_on", "rows"]
