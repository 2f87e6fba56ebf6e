#!/usr/bin/env bash
# Keep a run where its machine cannot take it along: in a bucket, or in any other folder.
#
#   bash launch/keep.sh around RUN BUCKET COMMAND…   # bring back, run, copy all the while
#   bash launch/keep.sh push RUN BUCKET              # copy the newest checkpoint now
#   bash launch/keep.sh pull RUN BUCKET              # bring back the newest that is whole
#   bash launch/keep.sh init r2:BUCKET               # tell rclone of a bucket, and try it
#
# RUN is the folder given to run.sh as --out. BUCKET is a folder, such as a mounted bucket, or a
# remote that rclone knows, such as r2:my-bucket/gpt2. A checkpoint's manifest.json is copied last:
# a copy without it does not count, and neither does one whose bytes are not what it says.
# EVERY: seconds between two looks (default: 60). KEEP: checkpoints that stay there (default: 2).
# FRESH=1: forget RUN's own checkpoints first, for machines that must all begin with the same one.
# Ends with COMMAND's code, or with 74 when the bucket cannot be read or written to.
# init r2:BUCKET, Cloudflare, wants R2_ACCOUNT_ID, R2_ACCESS_KEY_ID and R2_SECRET_ACCESS_KEY;
# init b2:BUCKET, Backblaze, wants B2_APPLICATION_KEY_ID and B2_APPLICATION_KEY. What is not set is
# asked for. R2_ENDPOINT: another address than that of the account, as for a bucket in the EU.
set -uo pipefail

usage() { sed -n '2,18s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 64; }
say() { echo "keep.sh: $*" >&2; }

if [ "${1:-}" = init ]; then
  [ $# -eq 2 ] || usage
  what=init bucket=$2
else
  [ $# -ge 3 ] || usage
  what=$1 run=$2 bucket=$3
  shift 3
fi
every=${EVERY:-60} keep=${KEEP:-2}
sha256=sha256sum
command -v sha256sum >/dev/null || sha256="shasum -a 256" # a Mac
case $bucket in
  *://*) say "$bucket is an address; name a mounted folder, or a remote of \`rclone config\`"; exit 64 ;;
  *:*) remote=1 ;;
  *) remote= ;;
esac

# --- a bucket's six verbs, for a folder and for rclone

put() { # FILE NAME: never over an old copy, which some buckets refuse
  if [ "$remote" ]; then rclone copyto --ignore-times "$1" "$bucket/$2"; return; fi
  mkdir -p "$(dirname "$bucket/$2")" && rm -f "$bucket/$2" && cp "$1" "$bucket/$2"
}
get() { # NAME FOLDER: a folder with all that is in it
  if [ "$remote" ]; then rclone copy --ignore-times "$bucket/$1" "$2"; else mkdir -p "$2" && cp -R "$bucket/$1/." "$2"; fi
}
have() { # NAME: is there such a file?
  if [ "$remote" ]; then [ -n "$(rclone lsf "$bucket/$1" 2>/dev/null)" ]; else [ -e "$bucket/$1" ]; fi
}
same() { # FILE NAME: are its bytes there?
  if [ "$remote" ]; then rclone cat "$bucket/$2" 2>/dev/null; else cat "$bucket/$2" 2>/dev/null; fi | cmp -s - "$1"
}
kept() { # the checkpoints there, oldest first
  if [ "$remote" ]; then rclone lsf --dirs-only "$bucket/checkpoints" 2>/dev/null; else ls "$bucket/checkpoints" 2>/dev/null; fi |
    tr -d / | grep -E '^step_[0-9]{8,}$' | sort
}
drop() { # NAME: its manifest first, so that no half of it counts
  if [ "$remote" ]; then
    rclone deletefile -q "$bucket/$1/manifest.json" 2>/dev/null
    rclone purge -q "$bucket/$1"
  else
    rm -f "$bucket/$1/manifest.json"
    # Emptied first: the bin of Google Drive keeps what is deleted, and counts it.
    find "$bucket/$1" -type f -exec cp /dev/null {} \; 2>/dev/null
    rm -rf "${bucket:?}/$1"
  fi
}

# --- there and back

here() { # the checkpoints of RUN that have a manifest, oldest first
  local one
  for one in "$run"/checkpoints/step_*/manifest.json; do
    [ -e "$one" ] && basename "$(dirname "$one")"
  done | sort
}

put_all() { # FOLDER NAME LAST: all files of a folder, the one called LAST at the end
  local file
  if [ "$remote" ]; then
    rclone copy --ignore-times --exclude "/$3" "$1" "$bucket/$2" || return
    put "$1/$3" "$2/$3"
    return
  fi
  while IFS= read -r file; do
    put "$1/$file" "$2/$file" || return
  done < <(cd "$1" && find . -type f ! -path "./$3" | sed 's|^\./||' | sort)
  put "$1/$3" "$2/$3"
}

push() {
  local newest name
  newest=$(here | tail -n 1)
  if [ -n "$newest" ] && ! same "$run/checkpoints/$newest/manifest.json" "checkpoints/$newest/manifest.json"; then
    # What was logged so far goes along, so that both come back together.
    [ ! -e "$run/metrics.jsonl" ] || put "$run/metrics.jsonl" "checkpoints/$newest/metrics.jsonl" || return
    put_all "$run/checkpoints/$newest" "checkpoints/$newest" manifest.json || return
    echo "$newest" >"$run/checkpoints/.copied" # for guard.sh, when the bucket no longer answers
    say "$newest is in $bucket"
    prune
  fi
  for name in metrics.jsonl status.json; do
    [ ! -e "$run/$name" ] || put "$run/$name" "$name" || return
  done
  if [ -e "$run/DONE" ] && ! have DONE; then
    [ ! -e "$run/model" ] || put_all "$run/model" model config.json || return
    put "$run/DONE" DONE
  fi
}

prune() { # all that is older than the newest KEEP that have a manifest
  local name count=0
  for name in $(kept | sort -r); do
    if [ "$count" -ge "$keep" ]; then drop "checkpoints/$name"; fi
    if have "checkpoints/$name/manifest.json"; then count=$((count + 1)); fi
  done
}

sums() { # FOLDER: are the files what its manifest says?
  local list
  list=$(sed -n 's/^ *"\([^"]*\)": "\([0-9a-f]\{64\}\)",\{0,1\}$/\2  \1/p' "$1/manifest.json") &&
    [ -n "$list" ] && (cd "$1" && $sha256 --check --quiet <<<"$list") >&2
}

readable() { # 3: there is no such folder yet; anything else is a fault, and no empty bucket
  [ -z "$remote" ] || rclone lsf "$bucket" >/dev/null 2>&1 || [ $? -eq 3 ]
}

pull() {
  local name mine part
  readable && mkdir -p "$run/checkpoints" || return
  [ -z "${FRESH:-}" ] || rm -rf "$run/checkpoints" "$run/DONE"
  if have DONE; then
    get . "$run.part" && rm -rf "$run.part/checkpoints" && mkdir -p "$run" && cp -R "$run.part/." "$run" || return
    rm -rf "$run.part"
    say "$bucket holds a run that is done"
    return
  fi
  mine=$(here | tail -n 1)
  for name in $(kept | sort -r); do
    [[ $name > $mine ]] || return 0 # what is here is as new
    part=$run/checkpoints/.$name.pulled.part
    rm -rf "$part"
    if have "checkpoints/$name/manifest.json" && get "checkpoints/$name" "$part" && sums "$part"; then
      # A line that was cut off while it was copied is left out.
      [ ! -e "$part/metrics.jsonl" ] || grep '}$' "$part/metrics.jsonl" >"$run/metrics.jsonl"
      rm -rf "$part/metrics.jsonl" "$run/checkpoints/$name"
      mv "$part" "$run/checkpoints/$name" || return
      say "$name came back from $bucket"
      return 0
    fi
    rm -rf "$part"
    say "$name in $bucket is not whole, and is skipped"
  done
}

reachable() { # better to know before the meter runs
  local note
  note=$(mktemp) && date >"$note" && put "$note" last_start.txt
  local code=$?
  rm -f "$note"
  return $code
}

copies() { # push every EVERY seconds until TERM, which lets a copy that has begun end first
  local nap='' enough=''
  trap 'enough=1; [ -z "$nap" ] || kill "$nap" 2>/dev/null' TERM
  until [ -n "$enough" ] || ! kill -0 "$$" 2>/dev/null; do # $$ is keep.sh, which somebody may kill
    sleep "$every" &
    nap=$!
    [ -n "$enough" ] || wait "$nap" 2>/dev/null
    [ -n "$enough" ] || push
  done
  kill "$nap" 2>/dev/null
  return 0
}

around() {
  local child='' copying code=0 try
  trap '[ -z "$child" ] || kill -TERM "$child" 2>/dev/null' TERM INT HUP
  "$@" &
  child=$!
  copies & # beside us, so that neither a signal nor the command's end waits for it
  copying=$!
  wait "$child" || code=$?
  while kill -0 "$child" 2>/dev/null; do # a signal ends `wait` early
    code=0
    wait "$child" || code=$?
  done
  kill -TERM "$copying" 2>/dev/null
  while kill -0 "$copying"; do wait "$copying"; done 2>/dev/null # without bash's word that it ended
  for try in 1 2 3; do
    push && return "$code"
    say "the last copy to $bucket failed ($try of 3)"
    sleep "$try"
  done
  return 74
}

# --- init: a bucket without rclone's menu

value='' secret=''
given() { # NAME WORDS [SECRET]: the variable's value, or what is typed for it
  local key='^[A-Za-z0-9+/=_.:-]+$'
  value=${!1:-}
  if [ -z "$value" ] && [ -t 0 ]; then
    printf '%s: ' "$2" >&2
    # A secret is not shown while it is typed.
    if [ -n "${3:-}" ]; then read -rs value && echo >&2; else read -r value; fi
  fi
  [ -z "${3:-}" ] || secret=$value
  [ -n "$value" ] || { say "set $1, $2"; exit 78; }
  [[ $value =~ $key ]] || { say "$1 holds a letter that no such word has; was a blank copied along?"; exit 78; }
}

remotes() { # NAME FILE: all that stands there of other remotes
  [ ! -e "$2" ] || awk -v name="[$1]" '
    /^\[/ { mine = $1 == name; if (!mine && seen++) print "" }
    !mine && NF' "$2"
}

configure() {
  local name=${bucket%%:*} file lines
  command -v rclone >/dev/null || { say "rclone is missing: bash launch/setup.sh, then source .venv/bin/activate"; exit 78; }
  case $name in
    r2)
      given R2_ACCESS_KEY_ID "the access key ID of an R2 API token"
      lines="type = s3"$'\n'"provider = Cloudflare"$'\n'"access_key_id = $value"
      given R2_SECRET_ACCESS_KEY "its secret access key" secret
      lines=$lines$'\n'"secret_access_key = $value"
      if [ -z "${R2_ENDPOINT:-}" ]; then
        given R2_ACCOUNT_ID "the account ID, or the address in which it stands"
        case $value in
          https://*.r2.cloudflarestorage.com*) R2_ENDPOINT=${value%%.r2.*}.r2.cloudflarestorage.com ;;
          *)
            # Not repeated: a secret may have been pasted here.
            [[ $value =~ ^[0-9a-f]{32}$ ]] ||
              { say "R2_ACCOUNT_ID must be 32 of the signs 0-9 and a-f, or the address in which they stand"; exit 78; }
            R2_ENDPOINT=https://$value.r2.cloudflarestorage.com ;;
        esac
      fi
      given R2_ENDPOINT "the address of the S3 API"
      # A key for one bucket may not ask which buckets there are.
      lines=$lines$'\n'"endpoint = $value"$'\n'"acl = private"$'\n'"no_check_bucket = true" ;;
    b2)
      given B2_APPLICATION_KEY_ID "the keyID of an application key"
      lines="type = b2"$'\n'"account = $value"
      given B2_APPLICATION_KEY "its applicationKey" secret
      # Else each checkpoint that is dropped would be hidden, kept and paid for.
      lines=$lines$'\n'"key = $value"$'\n'"hard_delete = true" ;;
    *)
      say "init knows r2:BUCKET (Cloudflare) and b2:BUCKET (Backblaze), not '$bucket'; others: rclone config"
      exit 78 ;;
  esac
  file=$(rclone config file | tail -n 1)
  if grep -q '^RCLONE_ENCRYPT_V' "$file" 2>/dev/null; then
    say "$file is encrypted: add the remote with rclone config"
    exit 78
  fi
  (
    umask 077 # for nobody else to read
    mkdir -p "$(dirname "$file")" && rm -f "$file.new" &&
      { remotes "$name" "$file" && printf '\n[%s]\n%s\n' "$name" "$lines"; } >"$file.new" && mv "$file.new" "$file"
  ) || { say "$file could not be written"; exit 74; }
  say "$name is in $file, which only you can read; other remotes are as they were"
}

trial() { # write, read and delete one small file; nothing of rclone's words holds the secret
  local note what heard code=0
  local there=$bucket/trial-of-keep-$$.txt quick=(--retries 1 --low-level-retries 2 --contimeout 20s)
  note=$(mktemp) && date >"$note" || return
  for what in write read delete; do
    case $what in
      write) heard=$(rclone rcat "${quick[@]}" "$there" <"$note" 2>&1) || code=$? ;;
      read) heard=$( (rclone cat "${quick[@]}" "$there" | cmp - "$note") 2>&1) || code=$? ;;
      delete) heard=$(rclone deletefile "${quick[@]}" "$there" 2>&1) || code=$? ;;
    esac
    [ "$code" -eq 0 ] || break
    say "✓ $what"
  done
  rm -f "$note"
  [ "$code" -ne 0 ] || return 0
  say "✗ $what: $(meaning "$what" "$heard")"
  say "  rclone said: $(printf %s "${heard//"$secret"/…}" | grep . | tail -n 1)"
  return 74
}

meaning() { # WHAT WORDS: what rclone's words mean
  case $2 in
    *NoSuchBucket* | *"you must use bucket"* | *"bucket not found"*) echo "there is no bucket $bucket for this key: make one on the provider's page, or mend the name" ;;
    *InvalidAccessKeyId* | *SignatureDoesNotMatch* | *"failed to authorize"* | *Unauthorized* | *bad_auth_token* | *Credential*) echo "the key is wrong: its ID or its secret was copied badly, or it was deleted" ;;
    *AccessDenied* | *Forbidden* | *unauthorized*)
      case $1 in
        delete) echo "the key has no right to delete: old checkpoints would pile up, and cost. Make one that may read and write objects" ;;
        *) echo "the key is wrong, or it has no right to $1 there: make one that may read and write the objects of this bucket" ;;
      esac ;;
    *"no such host"* | *"dial tcp"* | *handshake* | *imeout*) echo "the address does not answer: is the account ID right, and is there a network?" ;;
    *) echo "it did not work" ;;
  esac
}

set -m # each child in a group of its own: Ctrl-C reaches it once, by our trap
case $what in
  init)
    configure
    trial || { say "mend that, and say the same again"; exit 74; }
    say "$bucket is ready" ;;
  push) push || exit 74 ;;
  pull) pull || exit 74 ;;
  around)
    [ $# -gt 0 ] || usage
    if ! reachable || ! pull; then
      say "$bucket cannot be used: nothing was started"
      exit 74
    fi
    around "$@"
    exit ;;
  *) usage ;;
esac
