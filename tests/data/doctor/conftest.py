"""Fixtures of the doctor's tests."""

from __future__ import annotations

from fixtures_doctor import serial
from fixtures_video import make_clip

__all__ = ["make_clip", "serial"]
