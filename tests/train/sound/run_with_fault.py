"""Run `flipbook` with a fault in it, as one of several processes, and write what came of it.

FAULT (JSON), FOLDER, words of the command line  ->  FOLDER/RANK.json, the command's own exit code
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from fixtures_faults import Fault, plant
from flipbook.cli import main


def run(fault: Fault, folder: Path, words: list[str]) -> int:
    watched = plant(fault, setattr)
    told = io.StringIO()
    with contextlib.redirect_stderr(told):
        code = main(words)
    lines = [line for line in told.getvalue().splitlines() if line.startswith("flipbook")]
    facts = {
        "code": code,
        "told": "\n".join(lines),
        "records": watched.records,
        "weights_are_as_before": watched.state() == watched.before,
    }
    (folder / f"{os.environ['RANK']}.json").write_text(json.dumps(facts))
    return code


if __name__ == "__main__":
    facts = json.loads(sys.argv[1])
    sys.exit(run(Fault(**facts), Path(sys.argv[2]), sys.argv[3:]))
