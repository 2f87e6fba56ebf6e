#!/usr/bin/env bash
# A process and all below it, which may be in groups of their own. For guard.sh and rehearse.sh.

family() { # PID: it and all below it
  ps -A -o pid= -o ppid= 2>/dev/null | awk -v top="$1" '{ above[$1] = $2 } END {
    for (pid in above) {
      up = pid
      while (up > 1 && up != top) up = above[up]
      if (up == top) print pid
    }
  }'
}

kill_family() { # PID: at once, and without asking
  local pids
  pids=$(family "$1")
  # shellcheck disable=SC2086 # several words
  kill -KILL ${pids:-$1} 2>/dev/null
}
