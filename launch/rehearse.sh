#!/usr/bin/env bash
# Walk the whole road at home, for nothing: a machine vanishes, another one ends it, the model comes
# home, and the meter has stopped. The training and the scripts are the real ones; the provider and
# the bucket are stand-ins, folders of this computer.
#
#   bash launch/rehearse.sh           # a few minutes
#   bash launch/rehearse.sh --quick   # a smaller model and run, a minute or less
#
# Ends with 0, or at the first line of the list that does not hold, with 1.
set -uo pipefail
set -m # each machine in a group of its own

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
# shellcheck source=launch/family.sh disable=SC1091
. launch/family.sh
steps=300 every=50
case ${1:-} in
  '') words=(--eval-every 100 --warmup-steps 30) ;;
  --quick)
    steps=100 every=10 words=(--n-layer 2 --n-embd 64 --n-head 2 --batch-tokens 512)
    words+=(--eval-every 50 --eval-batches 2 --warmup-steps 10) ;;
  *) sed -n '2,10s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 64 ;;
esac
steps=${STEPS:-$steps}
command -v torchrun >/dev/null || { echo "rehearse.sh: no torchrun here: source .venv/bin/activate first" >&2; exit 78; }

top=$(mktemp -d) bucket=$top/bucket list=$top/provider
machine='' log=$top/log number=0
vanish() { # all that the machine runs dies at once
  [ -z "$machine" ] || kill_family "$machine"
  [ -z "$machine" ] || wait "$machine" 2>/dev/null
  machine=''
}
trap 'vanish; rm -rf "$top"; exit 130' INT TERM HUP
fail() {
  vanish
  echo "✗ $((number + 1)) $1"
  [ ! -e "$log" ] || { echo "The last lines that it printed:"; tail -n 15 "$log"; }
  echo "All of it is in $top"
  exit 1
}
holds() { # WORDS COMMAND…: one line of the list
  local line=$1
  shift
  "$@" || fail "$line"
  number=$((number + 1))
  echo "✓ $number $line"
}
within() { # SECONDS COMMAND…: until it holds, or the machine has nothing more to do
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    if [ "$SECONDS" -ge "$end" ] || ! kill -0 "$machine" 2>/dev/null; then "$@"; return; fi
    sleep 0.2 & wait $!
  done
}

# --- the stand-ins: a provider is a list of machines, and a script that ends one

mkdir -p "$bucket" "$list"
cat >"$top/end" <<'END'
#!/usr/bin/env bash
# end MACHINE: off the list, with a note of what the bucket held at that moment
cd "$(dirname "${BASH_SOURCE[0]}")" || exit
ls bucket/gpt2 >held
rm "provider/$1"
END

rent() { # NAME: the same command on every machine
  touch "$list/$1"
  mkdir -p "$top/$1/tmp"
  run=$top/$1/runs/gpt2 log=$top/$1/log
  touch "$log"
  EVERY=0.5 STILL=0 TMPDIR=$top/$1/tmp NPROC=1 bash launch/guard.sh --provider other \
    --when-done "bash '$top/end' $1" --max-hours 1 --grace 2 "$run" "$bucket/gpt2" \
    bash launch/run.sh --preset cpu --out "$run" --max-steps "$steps" --save-every "$every" "${words[@]}" \
    >"$log" 2>&1 </dev/null &
  machine=$!
}
told() { grep -q "$1" "$log"; }
copied() { # two checkpoints have come to their manifest: the older one is whole
  local all=("$bucket"/gpt2/checkpoints/step_*/manifest.json)
  [ "${#all[@]}" -ge 2 ]
}
goes_on() { # its first step is the one after the checkpoint
  within 300 told 'step .*loss' &&
    [ "$(sed -n 's/^step  *\([0-9]*\) .*loss.*/\1/p' "$log" | head -n 1)" = $((left + 1)) ]
}
ended() { ! kill -0 "$machine" 2>/dev/null; }
each_once() { # FOLDER: every step is in its log, and none of them twice
  local found
  found=$(sed -n 's/.*"step": \([0-9]*\), "loss".*/\1/p' "$1/metrics.jsonl" | sort -n | tr '\n' ' ')
  [ "$found" = "$(seq "$steps" | tr '\n' ' ')" ]
}

# --- the road

echo "rehearse.sh: $steps steps of the preset cpu; the machines, the provider and the bucket are in $top"
rent machine-1
holds "the first machine is rented, and its guard says when it ends it" within 60 told 'guard.sh: limit: '
holds "the run learns: the loss is printed" within 300 told 'step .*loss'
holds "its checkpoints are in the bucket" within 300 copied
vanish
if [ -e "$bucket/gpt2/DONE" ]; then
  echo "It was done before it could vanish. Again, with a longer run:"
  rm -rf "$top"
  STEPS=$((5 * steps)) exec bash launch/rehearse.sh "$@"
fi
rm -rf "$top/machine-1" "$list/machine-1"
# The end may have come in the middle of a copy: keep.sh says which is the newest that is whole.
left=$(bash launch/keep.sh pull "$top/look" "$bucket/gpt2" 2>&1 |
  sed -n 's/.*step_0*\([0-9]*\) came back from.*/\1/p')
rm -rf "$top/look"
holds "the first machine is gone, with its disk; step $left is in the bucket" test -n "$left"
rent machine-2
holds "the second machine fetches it, by the same command" within 120 told "step_0*$left came back from"
holds "it goes on after it, and not from the beginning" goes_on
holds "the run is done" within 900 told 'run.sh: .* is done'
holds "the guard ends the machine by itself" within 120 ended
code=0
wait "$machine" || code=$?
machine=''
holds "… after DONE and the model were in the bucket" grep -q '^DONE$' "$top/held"
holds "… and with the code of the run, 0" test "$code" = 0
holds "the provider's list is empty: the meter stands still" test -z "$(ls "$list")"
rm -rf "$top/machine-2"
log=$top/log
home() { bash launch/keep.sh pull "$top/home" "$bucket/gpt2" 2>"$log"; }
speaks() { gpt2 sample --model "$top/home/model" --prompt ROMEO: --tokens 40 --device cpu >"$log" 2>&1; }
holds "the whole run comes home from the bucket" home
holds "no step is missing in its log, and none stands there twice" each_once "$top/home"
holds "the model is in it" test -s "$top/home/model/model.safetensors"
if [ "${1:-}" != --quick ]; then
  holds "… and speaks" speaks
  sed 's/^/    /' "$log"
  gpt2 doctor "$top/home"
fi
rm -rf "$top"
echo "rehearse.sh: all of it holds, after $SECONDS seconds. What is left is to do it with a real machine."
