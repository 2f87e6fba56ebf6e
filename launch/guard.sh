#!/usr/bin/env bash
# Let the meter stop by itself: run a command as keep.sh does, then end the machine.
#
#   bash launch/guard.sh --when-done "sudo shutdown -h now" --max-hours 12 RUN BUCKET COMMAND…
#
# RUN, BUCKET and COMMAND are those of `keep.sh around RUN BUCKET COMMAND…`. When COMMAND is done or
# has failed, or when the limit is reached, the newest checkpoint goes to BUCKET; only then is the
# machine ended. If you stop it (Ctrl-C, TERM), or if it ends with 75, stopped, the machine stays.
# A closed window stops nothing.
# --when-done WORDS     what ends the machine, a line for bash
# --max-hours HOURS     a limit, counted from this start
# --max-dollars AMOUNT  another limit, with --price AMOUNT: what the machine costs an hour
# --grace SECONDS       to press Ctrl-C in, before the machine is ended (default: 300)
# --provider NAME       aws, azure, google, lambda, runpod, vast or other (default: looked for)
# EVERY: seconds between two tries (default: 60). PATIENCE: seconds to save in (default: 600).
# STILL: seconds after which the machine should be gone (default: 300; 0: never asked).
# ENDINGS: how often --when-done is tried (default: 60).
# Ends with COMMAND's code, with 71 if the machine could not be ended, with 78 for bad settings.
set -uo pipefail
set -m # each child in a group of its own: Ctrl-C reaches it once, by our trap

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=launch/family.sh disable=SC1091
. "$here/family.sh"
usage() { sed -n '2,21s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; }
say() { echo "guard.sh: $*" >&2; }
refuse() { say "$*"; say "nothing was started; this machine stays, and its meter goes on"; exit 78; }

# --- what was asked for

amount='^([0-9]{1,7}([.][0-9]{0,9})?|[.][0-9]{1,9})$'
positive() { # NAME VALUE
  [[ $2 =~ $amount && $2 =~ [1-9] ]] || refuse "$1 must be a number above 0, not '$2'"
}
whole() { # NAME VALUE
  [[ $2 =~ ^[0-9]{1,7}$ ]] || refuse "$1 must be a whole number from 0 up, not '$2'"
}

when_done='' max_hours='' max_dollars='' price='' provider=''
grace=300
while [ $# -gt 0 ]; do
  case $1 in
    --when-done | --max-hours | --max-dollars | --price | --grace | --provider)
      [ $# -ge 2 ] || refuse "$1 needs a value behind it" ;;
  esac
  case $1 in
    --when-done) when_done=$2 ;;
    --max-hours) positive "$1" "$2" && max_hours=$2 ;;
    --max-dollars) positive "$1" "$2" && max_dollars=$2 ;;
    --price) positive "$1" "$2" && price=$2 ;;
    --grace) whole "$1" "$2" && grace=$2 ;;
    --provider) provider=$2 ;;
    --help) usage; exit 0 ;;
    -*) usage; refuse "there is no option '$1'" ;;
    *) break ;;
  esac
  shift 2
done
[ $# -ge 3 ] || { usage; refuse "RUN, BUCKET and COMMAND are needed"; }
run=$1 bucket=$2
shift 2

every=${EVERY:-60} patience=${PATIENCE:-600} still=${STILL:-300} endings=${ENDINGS:-60} tick=${TICK:-1}
positive EVERY "$every"
whole PATIENCE "$patience"
whole STILL "$still"
whole ENDINGS "$endings"
positive TICK "$tick"
grace=$((10#$grace)) patience=$((10#$patience)) still=$((10#$still)) # 08 is eight
[ -n "${when_done//[[:space:]]/}" ] || refuse "--when-done is missing: what ends this machine?"
[ -n "$max_hours$max_dollars" ] || refuse "a limit is missing: --max-hours, or --max-dollars with --price"
[ -z "$max_dollars" ] || [ -n "$price" ] || refuse "--max-dollars needs --price, what the machine costs an hour"

previous='' out=''
for word in "$@"; do
  [ "$previous" = --out ] && out=$word
  case $word in --out=*) out=${word#--out=} ;; esac
  previous=$word
done
case " $* " in
  *run.sh\ *) [ -n "$out" ] || refuse "the command needs --out $run: only RUN is copied to the bucket" ;;
esac
[ -z "$out" ] || [ "${out%/}" = "${run%/}" ] ||
  refuse "the command writes to $out, but RUN is $run: its checkpoints would be lost"

# A program that is not there, or a sudo that asks for a password, is better found now.
plain='^[A-Za-z0-9_./][A-Za-z0-9_./-]*$'
read -r first second _ <<<"$when_done"
for word in "$first" "$second"; do
  if [[ $word =~ $plain ]] && ! type "$word" >/dev/null 2>&1; then
    refuse "--when-done begins with $word, and there is no such program here"
  fi
  [ "$word" = sudo ] || break
  sudo -n true 2>/dev/null || refuse "--when-done begins with sudo, which asks for a password here"
done

# --- does a shutdown from inside end the bill? What the pages named here said in November 2026

if [ -z "$provider" ]; then
  provider=unknown
  case $(cat "${VENDOR:-/sys/class/dmi/id/sys_vendor}" 2>/dev/null) in
    Amazon*) provider=aws ;;
    Google*) provider=google ;;
    Microsoft*) provider=azure ;;
  esac
  [ -z "${CONTAINER_API_KEY:-}" ] || provider=vast
  [ -z "${RUNPOD_POD_ID:-}" ] || provider=runpod
fi
ends='' instead='' page=''
case $provider in
  aws) ends=1 page=https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_ChangingInstanceInitiatedShutdownBehavior.html ;;
  google) ends=1 page=https://docs.cloud.google.com/compute/docs/instances/stop-start-instance ;;
  azure) instead='az vm deallocate' page=https://learn.microsoft.com/azure/virtual-machines/states-billing ;;
  lambda) instead='a call of /terminate in its API' page=https://old.docs.lambdalabs.com/cloud/on-demand-instance-invoicing/ ;;
  runpod) instead="runpodctl remove pod \$RUNPOD_POD_ID" page=https://docs.runpod.io/pods/manage-pods ;;
  vast) instead="vastai destroy instance \$CONTAINER_ID" page=https://docs.vast.ai/cli/reference/destroy-instance ;;
  other | unknown) ;;
  *) refuse "--provider must be aws, azure, google, lambda, runpod, vast or other, not '$provider'" ;;
esac
shuts_down='(^|[ /])(shutdown|poweroff|halt|init 0)( |$)'
bill="whether this ends the bill is not known here: try it once, and look at the provider's page"
if [ -n "$instead" ] && [ "$first" = "${instead%% *}" ]; then
  bill="at $provider this ends the bill of the machine; disks and volumes that stay go on costing ($page)"
fi
if [[ $when_done =~ $shuts_down ]]; then
  if [ -n "$instead" ]; then
    refuse "at $provider a shutdown from inside does not end the bill; this does: $instead ($page)." \
      "If this is another machine, say --provider other"
  elif [ -n "$ends" ]; then
    bill="at $provider a shutdown from inside ends the bill of the machine; its disks go on costing ($page)"
  else
    bill="at which provider this is cannot be seen from here. At aws and google a shutdown from inside"
    bill="$bill ends the machine's bill. At azure, lambda, runpod and vast it does not"
  fi
fi

# --- the limit

limit=$(LC_ALL=C awk -v hours="$max_hours" -v sum="$max_dollars" -v price="$price" 'BEGIN {
  least = hours == "" ? 1e9 : hours + 0
  if (sum != "" && sum / price < least) least = sum / price
  seconds = int(least * 3600)
  print seconds < 1 ? 1 : seconds
}')
clock() { # SECONDS from the start: the hour of the day, with the date program of a Mac or of Linux
  local then=$(($(date +%s) + $1 - SECONDS))
  date -r "$then" '+%a %H:%M %Z' 2>/dev/null || date -d "@$then" '+%a %H:%M %Z'
}
long() { LC_ALL=C awk -v seconds="$1" 'BEGIN { printf seconds < 3600 ? "%.1f minutes" : "%.1f hours", seconds / (seconds < 3600 ? 60 : 3600) }'; }

lock=${TMPDIR:-/tmp}/gpt2-guard-$UID
other=$(cat "$lock" 2>/dev/null)
if [ -n "$other" ] && kill -0 "$other" 2>/dev/null && ps -p "$other" -o args= 2>/dev/null | grep -q 'guard\.sh'; then
  refuse "another guard, process $other, watches this machine, and would end it under this run"
fi
echo $$ >"$lock"
trap 'rm -f "$lock"' EXIT

say "starts $*"
say "limit: $(clock "$limit"), $(long "$limit") from now. The time before this start is not counted."
[ -z "$max_dollars" ] || say "(at most $max_dollars dollars, at $price an hour)"
say "when it is done, has failed, or is stopped at the limit: its newest checkpoint goes to $bucket,"
say "and $grace s later this is run: $when_done"
say "$bill."
say "if you stop it (Ctrl-C), this machine stays, and its meter goes on"

# --- one thing at a time, with a limit of its own

child='' person=''
trap 'person=1; [ -z "$child" ] || kill -TERM "$child" 2>/dev/null' INT TERM
trap '' HUP # a window that closes

nap() { sleep "$tick" & wait $! 2>/dev/null; }
within() { # SECONDS COMMAND…: its code, or 124 when it took longer, or 130 when somebody stopped us
  local end=$((SECONDS + $1)) pid code=0
  shift
  "$@" </dev/null &
  pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    if [ -n "$person" ] || [ "$SECONDS" -gt "$end" ]; then
      kill_family "$pid"
      wait "$pid" 2>/dev/null
      [ -z "$person" ] || return 130
      return 124
    fi
    nap
  done
  wait "$pid" || code=$?
  return $code
}
until_then() { # SECONDS MOMENT: wait so long, but not beyond a moment, nor when somebody stops us
  local end
  end=$(LC_ALL=C awk -v now="$SECONDS" -v more="$1" 'BEGIN { printf "%d", now + more + 0.999 }')
  [ "$end" -le "$2" ] || end=$2
  while [ -z "$person" ] && [ "$SECONDS" -lt "$end" ]; do nap; done
}
stays() {
  say "$1: this machine stays, AND ITS METER GOES ON. To end it: $when_done"
  exit "$code"
}

# --- the run

bash "$here/keep.sh" around "$run" "$bucket" "$@" &
child=$!
[ -z "$person" ] || kill -TERM "$child" 2>/dev/null # a signal that came while it was started
code=0 over='' last=0
while kill -0 "$child" 2>/dev/null; do
  nap
  if [ -z "$over" ] && [ "$SECONDS" -ge "$limit" ]; then
    over=1 last=$((SECONDS + patience))
    say "the limit is reached; the run is told to save and to stop"
    kill -TERM "$child" 2>/dev/null
  elif [ -n "$over" ] && [ "$SECONDS" -gt "$last" ]; then
    say "it has not stopped in $patience seconds, and is killed"
    kill_family "$child"
  fi
done
wait "$child" || code=$?
child=''
[ -z "$person" ] || stays "you stopped it"
case $code in
  0) why="it is done" ;;
  75) [ -n "$over" ] || stays "it was stopped, and not by this guard"; why="the limit stopped it" ;;
  *) why="it ended with $code" ;;
esac
say "$why"

# --- its last checkpoint, before anything else

until within "$patience" bash "$here/keep.sh" push "$run" "$bucket"; do
  [ -z "$person" ] || stays "you stopped it, with a checkpoint that is not in $bucket"
  if [ "$SECONDS" -ge "$limit" ]; then
    copied=$(cat "$run/checkpoints/.copied" 2>/dev/null)
    newest=$(for one in "$run"/checkpoints/step_*/manifest.json; do echo "$one"; done | sort | tail -n 1)
    say "✗ $bucket does not answer, and the limit is reached: the machine is ended all the same"
    say "✗ LOST: all that came after ${copied:-the start} (the newest here is $(basename "$(dirname "$newest")"))"
    break
  fi
  say "✗ $bucket does not answer. THE MACHINE IS NOT ENDED YET, and its meter goes on."
  say "tried again in $every seconds, until it answers or until the limit, $(clock "$limit")"
  until_then "$every" "$limit"
done

# --- the end of the machine

never=$((SECONDS + 1000000000))
end=$((SECONDS + grace)) told=''
while [ -z "$person" ] && [ "$SECONDS" -lt "$end" ]; do
  left=$((end - SECONDS))
  if [ -z "$told" ] || { [ "$left" -ne "$told" ] && { [ $((left % 60)) -eq 0 ] || [ "$left" -le 5 ]; }; }; then
    say "this machine is ended in $left s. Ctrl-C keeps it"
    told=$left
  fi
  nap
done
[ -z "$person" ] || stays "you kept it"

for try in $(seq "$endings"); do
  say "runs $when_done"
  failed=0
  within "$patience" bash -c "$when_done" || failed=$?
  [ -z "$person" ] || stays "you kept it"
  words="it ended with $failed"
  if [ "$failed" -eq 0 ]; then
    [ "$still" -gt 0 ] || exit "$code"
    until_then "$still" "$never"
    [ -z "$person" ] || exit "$code" # the machine ends, and with it all that runs on it
    words="it said 0, and $still seconds later I am still here"
  fi
  say "✗✗✗ THE MACHINE IS STILL RUNNING, AND SO IS ITS METER (try $try): $when_done"
  say "✗✗✗ $words. End it by hand, on the provider's page"
  until_then "$every" "$never"
  [ -z "$person" ] || stays "you kept it"
done
exit 71
