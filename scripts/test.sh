#!/usr/bin/env bash
# Sets up .venv and runs the tests; words go to pytest.
#
#   --slow   those that take minutes, and all that prove a guarantee; writes which are proven
#   --lmms   those that need lmms-eval, in .venv-lmms: it asks for another version of PyAV
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/setup.sh

export OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1
if [ "${1:-}" = "--lmms" ]; then
    shift
    setup_lmms
    exec .venv-lmms/bin/python -m pytest tests/export/test_lmms.py "$@"
fi
setup_environment "[dev,homes]"
selection=(-m "not slow")
if [ "${1:-}" = "--slow" ]; then
    selection=(-m "slow or guarantee" "--guarantee_table=benchmarks/results/guarantees.md")
    shift
fi
exec .venv/bin/python -m pytest -n auto --dist loadfile "${selection[@]}" "$@"
