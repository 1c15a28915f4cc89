# Makes .venv with flipbook in it; sourced by the other scripts from the root of the repository.
#
#   setup_environment EXTRAS      EXTRAS is "", "[dev]" or "[dev,homes]"
#   setup_lmms                    makes .venv-lmms with lmms-eval beside flipbook
#
# Uses uv where it is present, else venv and pip. Does nothing when nothing has changed.
# FLIPBOOK_PYTHON names the interpreter to build on; with uv, UV_TORCH_BACKEND=cpu saves a machine
# without a GPU the CUDA libraries.

find_python() {
    local candidate
    for candidate in "${FLIPBOOK_PYTHON:-}" python3 python3.13 python3.12 python3.11 python; do
        if [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return 0
        fi
    done
    return 1
}

setup_environment() {
    local extras="$1" stamp wanted python
    stamp=".venv/installed${extras//[^a-z]/-}"
    wanted=$(cat pyproject.toml constraints.txt | cksum)
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
        return 0
    fi
    echo "Setting up .venv (once; some minutes, mostly PyTorch)"
    if command -v uv >/dev/null 2>&1; then
        [ -x .venv/bin/python ] || uv venv --quiet --python '>=3.11' .venv
        uv pip install --quiet --python .venv/bin/python -c constraints.txt -e ".$extras"
    else
        # Also after a set-up that was interrupted, or one by uv, which leaves pip out.
        if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
            if ! python=$(find_python); then
                echo "flipbook needs Python 3.11 or newer; none was found. Install it, or name it" \
                    "in FLIPBOOK_PYTHON." >&2
                return 1
            fi
            "$python" -m venv .venv
        fi
        .venv/bin/python -m pip install --quiet --disable-pip-version-check \
            -c constraints.txt -e ".$extras"
    fi
    echo "$wanted" >"$stamp"
}

setup_lmms() {
    local stamp=".venv-lmms/installed" wanted python
    wanted=$(cat pyproject.toml constraints.txt | cksum)
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
        return 0
    fi
    if ! python=$(find_python); then
        echo "flipbook needs Python 3.11 or newer; none was found." >&2
        return 1
    fi
    echo "Setting up .venv-lmms (once; some minutes, mostly PyTorch)"
    "$python" -m venv .venv-lmms
    # One after the other: together their wishes for PyAV and protobuf cannot be met.
    .venv-lmms/bin/python -m pip install --quiet lmms_eval
    .venv-lmms/bin/python -m pip install --quiet -c constraints.txt -e ".[dev]"
    .venv-lmms/bin/python -m pip install --quiet "protobuf<7"
    echo "$wanted" >"$stamp"
}
