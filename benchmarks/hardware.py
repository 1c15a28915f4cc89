"""On what was a benchmark run?"""

from __future__ import annotations

from pathlib import Path


def processor() -> str:
    """Return the processor's name and its number of cores."""
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else "processor unknown"
