#!/usr/bin/env bash
# Start the training of GPT-2 and keep it going until it is done:
#
#   bash launch/run.sh --preset 8xh100 --data data/fineweb-edu --out runs/gpt2
#   NNODES=2 HEAD=10.0.0.4 bash launch/run.sh --preset 2x8xh100 …   # on each machine, same --out
#
# The same command goes on where a run was stopped. All arguments go to train_gpt2.py.
# NPROC: processes on this machine (default: one for each GPU, or one without).
# SCRIPT, TRIES: what to launch, and how often without progress (default: 3; 0: once, and no more).
# NODE_RANK: 0 on the first machine, 1 on the next, …: needed where they share no disk for --out.
# Ends with 0 done, 65 bad data, 70 non-finite, 74 disk, 75 stopped (run it again), 78 bad settings.
# Several machines speak without a password: never let HEAD's port face the internet.
set -uo pipefail
set -m # torchrun gets a group of its own: Ctrl-C reaches it once, by `stop`, and not twice

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tries=${TRIES:-3}
for name in TRIES NODE_RANK NPROC NNODES PORT; do
  case $name in TRIES | NODE_RANK) least=0 ;; *) least=1 ;; esac
  value=${!name:-$least}
  if ! [[ $value =~ ^[0-9]{1,9}$ ]] || [ "$value" -lt "$least" ]; then
    echo "run.sh: $name must be a whole number from $least up, not '$value'" >&2
    exit 78
  fi
done

asked='' child=''
stop() { asked=1; [ -n "$child" ] && kill -TERM "$child" 2>/dev/null; }
trap stop TERM INT HUP

gpus=$(nvidia-smi --list-gpus 2>/dev/null | wc -l)
nproc=${NPROC:-$((gpus > 0 ? gpus : 1))}

unknown=
if [ -n "${SCRIPT:-}" ]; then # somebody else's: what its words mean is not known here
  script=$SCRIPT out=runs/gpt2 previous=
  for argument in "$@"; do
    [ "$previous" = --out ] && out=$argument
    case $argument in --out=*) out=${argument#--out=} ;; esac
    previous=$argument
  done
else
  script=$here/train_gpt2.py
  # Wrong settings are refused here, and DONE is believed only for the run that is asked for.
  python=$(command -v python || command -v python3)
  processes=$((10#$nproc * 10#${NNODES:-1})) # 08 is eight
  out=$(WORLD_SIZE=$processes "$python" -m gpt2_tutorial.launch.look "$@"; code=$?; printf x; exit $code)
  looked=$? out=${out%x}
  [ -n "$asked" ] && exit 75
  if [ "$looked" -ne 3 ]; then
    printf %s "$out"
    exit "$looked"
  fi
  [ -e "$out/DONE" ] && unknown=1 # it does not say of which run
fi
case $out in -*) out=./$out ;; esac # for the commands below it would be an option

export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}       # the last bits depend on it: keep it fixed
export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1        # else a restart reads dead addresses (pytorch#135712)
export TORCH_ELASTIC_SHUTDOWN_TIMEOUT=100          # seconds to save in, before torchrun kills
if [ "${NNODES:-1}" -gt 1 ]; then
  : "${HEAD:?set HEAD to the private address of the first machine}"
fi
if [ "${NNODES:-1}" -gt 1 ] && [ -n "${NODE_RANK:-}" ]; then # process 0, which saves, is on machine 0
  where=(--nnodes "$NNODES" --node-rank "$NODE_RANK" --master-addr "$HEAD" --master-port "${PORT:-29500}")
elif [ "${NNODES:-1}" -gt 1 ]; then # whoever comes first may be process 0
  where=(--nnodes "$NNODES" --rdzv-backend c10d --rdzv-endpoint "$HEAD:${PORT:-29500}")
else
  where=(--standalone)
fi

newest() { find "$out/checkpoints" -maxdepth 1 -name 'step_*' 2>/dev/null | sort | tail -n 1; }
word() { cat "$out/status.json" 2>/dev/null; }
code() { sed -n 's/.*"code": \([0-9]*\).*/\1/p' "$out/status.json" 2>/dev/null; }

failures=0
until [ -e "$out/DONE" ] && [ -z "$unknown" ]; do
  before=$(newest)
  heard=$(word) # it names its process, so this try's own word will be another one
  torchrun "${where[@]}" --nproc-per-node "$nproc" --max-restarts 0 "$script" "$@" &
  child=$!
  ended=0
  wait "$child" || ended=$?
  while kill -0 "$child" 2>/dev/null; do # a signal ends `wait` early
    ended=0
    wait "$child" || ended=$?
  done
  said=
  [ "$(word)" != "$heard" ] && said=$(code)
  [ "$said" = 0 ] && [ -e "$out/DONE" ] && break
  # Not the first machine, and no shared disk: nothing was said here, but all processes ended well.
  [ "$ended" = 0 ] && [ "${NNODES:-1}" -gt 1 ] && break
  if [ -n "$asked" ] || [ "$said" = 75 ]; then
    echo "run.sh: stopped; the same command goes on" >&2
    exit 75
  fi
  case $said in
    65 | 70 | 74 | 78)
      echo "run.sh: not tried again, since that would end the same way (see $out/status.json)" >&2
      exit "$said" ;;
  esac
  if [ "$(newest)" = "$before" ]; then failures=$((failures + 1)); else failures=0; fi
  if [ "$failures" -ge "$tries" ]; then
    echo "run.sh: $tries tries in a row without a newer checkpoint in $out: given up" >&2
    exit 1
  fi
  echo "run.sh: ended without a word; trying again" >&2
  sleep "${PAUSE:-5}" &
  wait $! || true
  [ -n "$asked" ] && exit 75
done
echo "run.sh: $out is done" >&2
