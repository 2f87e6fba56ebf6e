#!/usr/bin/env bash
# What each machine of a SkyPilot job does; 1xh100.yaml, 8xh100.yaml and 2x8xh100.yaml call it.
# SkyPilot sets SKYPILOT_*, the files set PRESET and DATA, and ARGS goes to train_gpt2.py.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# shellcheck source=/dev/null
source .venv/bin/activate
bucket=$HOME/bucket run=runs/gpt2
words=(--preset "$PRESET" --out "$run")
if [ -n "${DATA:-}" ]; then
  # To this machine's own disk: a mounted bucket is too slow to read batches from.
  [ -e "$bucket/data/$DATA/shards.json" ] || { echo "no data/$DATA in the bucket: sky/prepare.yaml comes first" >&2; exit 65; }
  mkdir -p data
  [ -e "data/$DATA/shards.json" ] || { rm -rf "data/$DATA" && cp -R "$bucket/data/$DATA" "data/$DATA.part" && mv "data/$DATA.part" "data/$DATA"; }
  words+=(--data "data/$DATA")
fi
read -ra more <<<"${ARGS:-}"
train=(bash launch/run.sh "${words[@]}" "${more[@]}")
export NPROC=$SKYPILOT_NUM_GPUS_PER_NODE

if [ "${SKYPILOT_NUM_NODES:-1}" -eq 1 ]; then
  exec bash launch/keep.sh around "$run" "$bucket/runs/gpt2" "${train[@]}"
fi

# Several machines share no disk: all begin with the bucket's newest checkpoint, once, and
# SkyPilot starts all of them again if one fails.
mapfile -t addresses <<<"$SKYPILOT_NODE_IPS"
export NNODES=$SKYPILOT_NUM_NODES HEAD=${addresses[0]} TRIES=0 FRESH=1
export NODE_RANK=$SKYPILOT_NODE_RANK
if [ "$SKYPILOT_NODE_RANK" -eq 0 ]; then
  exec bash launch/keep.sh around "$run" "$bucket/runs/gpt2" "${train[@]}"
fi
bash launch/keep.sh pull "$run" "$bucket/runs/gpt2" || exit
code=0
"${train[@]}" || code=$?
# Whoever ends first ends all: the first machine still has to save, and knows why it ended.
[ "$code" -eq 0 ] || sleep "${LINGER:-600}"
exit "$code"
