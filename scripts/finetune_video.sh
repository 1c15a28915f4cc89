#!/usr/bin/env bash
# Fine-tunes FastVLM on video.
#
#   bash scripts/finetune_video.sh
#       makes clips, tunes the embedded model on them, scores it (runs/quickstart)
#   bash scripts/finetune_video.sh [config.yaml] --model_name_or_path DIR --data_path data.json ...
#       is `flipbook train` with these arguments, on all GPUs of the machine; paths are relative to
#       the folder that you call it from
set -euo pipefail
called_from=$PWD
cd "$(dirname "$0")/.."
bin=$PWD/.venv/bin
source scripts/setup.sh
setup_environment ""

if [ "$#" -eq 0 ]; then
    exec "$bin/flipbook" quickstart
fi

cd "$called_from"
num_gpus=$(nvidia-smi -L 2>/dev/null | grep -c '^GPU' || true)
if [ "$num_gpus" -gt 1 ]; then
    exec "$bin/torchrun" --standalone --nproc_per_node "$num_gpus" -m flipbook train "$@"
fi
exec "$bin/flipbook" train "$@"
