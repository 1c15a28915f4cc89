#!/usr/bin/env bash
# Sets up .venv and runs the tests. `--slow` runs those that take minutes; other words go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/setup.sh
setup_environment "[dev]"

export OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1
marker="not slow"
if [ "${1:-}" = "--slow" ]; then
    marker="slow"
    shift
fi
exec .venv/bin/python -m pytest -n auto --dist loadfile -m "$marker" "$@"
