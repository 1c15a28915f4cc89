"""`python -m flipbook` is the command `flipbook`; torchrun starts it so."""

from __future__ import annotations

import sys

from flipbook.cli import main

if __name__ == "__main__":
    sys.exit(main())
