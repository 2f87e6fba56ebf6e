"""keep.sh init: rclone is told of a bucket without its menu, and the bucket is tried.

First with a stand-in for rclone, which writes down what it was asked; then rclone itself talks to
a server of its own that speaks as Cloudflare's does.
"""

import os
import pty
import shutil
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

if os.name == "nt":
    pytest.skip("bash of Unix", allow_module_level=True)

KEEP = Path(__file__).resolve().parents[2] / "launch" / "keep.sh"
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
SHELLS = [name for name in ("bash", "bash-3.2") if shutil.which(name)]
SECRET = "5ecret/With+Signs="
ACCOUNT = "0123abcd" * 4
R2 = {"R2_ACCOUNT_ID": ACCOUNT, "R2_ACCESS_KEY_ID": "key-1", "R2_SECRET_ACCESS_KEY": SECRET}
B2 = {"B2_APPLICATION_KEY_ID": "004key", "B2_APPLICATION_KEY": SECRET}
# Every program that the script starts goes through this one first.
LOOKED_AT = """#!/bin/bash
echo "${0##*/} $*" >>"$TOLD"
PATH=${PATH#*:}
exec "${0##*/}" "$@"
"""
RCLONE = """#!/bin/bash
echo "rclone $*" >>"$TOLD"
case $1 in
  config) echo "Configuration file is stored at:"; echo "$RCLONE_CONFIG"; exit ;;
  rcat) what=write; cat >"$STORE" ;;
  cat) what=read; cat "$STORE" ;;
  deletefile) what=delete; rm "$STORE" ;;
esac
[ "$what" != "${FAILS:-}" ] || { echo "2026/11/29 Failed: $WORDS" >&2; exit 1; }
"""
PROGRAMS = ["awk", "cat", "cmp", "date", "dirname", "grep", "mkdir", "mktemp", "mv", "rm", "tail"]


@pytest.fixture
def init(tmp_path):
    """Call it with the stand-in; what it said, and what the programs were asked."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in (*PROGRAMS, "rclone"):
        (programs / name).write_text(RCLONE if name == "rclone" else LOOKED_AT)
        (programs / name).chmod(0o755)
    config = tmp_path / "home" / "rclone.conf"

    def call(bucket, code=0, shell="bash", **env):
        told = tmp_path / "told"
        told.write_text("")
        env |= {"TOLD": str(told), "STORE": str(tmp_path / "store"), "RCLONE_CONFIG": str(config)}
        env = {"PATH": f"{programs}:{os.environ['PATH']}", **env}
        done = subprocess.run(
            [shutil.which(shell), KEEP, "init", bucket],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        assert done.returncode == code, done.stdout
        assert SECRET not in done.stdout + told.read_text()  # neither shown nor on a command line
        assert code == 78 or told.read_text().count("rclone ") >= 2
        return done.stdout

    call.config = config
    return call


@pytest.mark.parametrize("shell", SHELLS)
def test_r2_is_written_for_oneself_alone_and_tried(init, shell):
    said = init("r2:my-bucket/gpt2", shell=shell, **R2)
    assert init.config.read_text().split("\n") == [
        "",
        "[r2]",
        "type = s3",
        "provider = Cloudflare",
        "access_key_id = key-1",
        f"secret_access_key = {SECRET}",
        f"endpoint = https://{ACCOUNT}.r2.cloudflarestorage.com",
        "acl = private",
        "no_check_bucket = true",
        "",
    ]
    assert stat.S_IMODE(init.config.stat().st_mode) == 0o600
    assert all(f"✓ {what}" in said for what in ("write", "read", "delete"))
    assert said.endswith("keep.sh: r2:my-bucket/gpt2 is ready\n")


@pytest.mark.parametrize("place", ["", ".eu"])
@pytest.mark.parametrize("behind", ["", "/", "/my-bucket"])
def test_the_address_that_cloudflare_shows_does_for_the_account(init, place, behind):
    address = f"https://{ACCOUNT}{place}.r2.cloudflarestorage.com"
    init("r2:my-bucket", **R2 | {"R2_ACCOUNT_ID": address + behind})
    assert f"endpoint = {address}\n" in init.config.read_text()


@pytest.mark.parametrize("word", [SECRET, ACCOUNT[:-1], f"{ACCOUNT}0", "https://example.org"])
def test_what_is_no_account_is_refused_and_not_repeated(init, word):
    said = init("r2:my-bucket", code=78, **R2 | {"R2_ACCOUNT_ID": word})
    assert "R2_ACCOUNT_ID" in said and word not in said and not init.config.exists()


def test_b2_forgets_what_is_dropped_instead_of_hiding_it(init):
    init("b2:my-bucket", **B2)
    words = init.config.read_text()
    assert f"[b2]\ntype = b2\naccount = 004key\nkey = {SECRET}\nhard_delete = true\n" in words


def test_other_remotes_stay_and_ones_own_is_written_anew(init):
    init.config.parent.mkdir()
    old = "[mine]\ntype = sftp\nhost = x\n\n[r2]\ntype = s3\nendpoint = old\n\n[z]\ntype = local\n"
    init.config.write_text(old)
    init.config.chmod(0o644)
    for _ in range(2):
        init("r2:my-bucket", **R2)
        words = init.config.read_text()
        assert words.startswith("[mine]\ntype = sftp\nhost = x\n\n[z]\ntype = local\n\n[r2]\n")
        assert words.count("[r2]") == 1 and "old" not in words
        assert stat.S_IMODE(init.config.stat().st_mode) == 0o600
    init("b2:my-bucket", **B2)
    assert [line for line in init.config.read_text().split("\n") if line.startswith("[")] == [
        "[mine]",
        "[z]",
        "[r2]",
        "[b2]",
    ]


def test_an_encrypted_configuration_is_left_alone(init):
    init.config.parent.mkdir()
    init.config.write_text("# Encrypted\nRCLONE_ENCRYPT_V0:\nabc\n")
    assert "is encrypted" in init("r2:my-bucket", code=78, **R2)
    assert init.config.read_text().endswith("abc\n")


@pytest.mark.parametrize("name", [*R2, *B2])
def test_what_is_missing_or_was_copied_badly_is_named(init, name):
    bucket, good = ("r2:my-bucket", R2) if name in R2 else ("b2:my-bucket", B2)
    assert f"set {name}, " in init(bucket, code=78, **(good | {name: ""}))
    for bad in ("with blank", "line\nbreak", 'quote"', "semi;colon"):
        assert f"{name} holds a letter" in init(bucket, code=78, **(good | {name: bad}))
    assert not init.config.exists()


def test_another_provider_is_rclones_own_business(init):
    for bucket in ("gcs:my-bucket", "my-bucket", "s3:x"):
        assert "init knows r2:BUCKET (Cloudflare) and b2:BUCKET" in init(bucket, code=78, **R2)
    assert not init.config.exists()


MEANT = [
    ("write", "api error NoSuchBucket: gone", "there is no bucket r2:my-bucket for this key"),
    ("write", "you must use bucket(s) [other] with this key", "there is no bucket r2:my-bucket"),
    ("write", "api error SignatureDoesNotMatch: x", "the key is wrong"),
    ("write", "failed to authorize account: (401 bad_auth_token)", "the key is wrong"),
    ("write", "api error AccessDenied: no", "or it has no right to write there"),
    ("write", "dial tcp: lookup x: no such host", "the address does not answer"),
    ("read", "api error AccessDenied: no", "or it has no right to read there"),
    ("delete", "api error AccessDenied: no", "the key has no right to delete: old checkpoints"),
    ("delete", "(401 unauthorized)", "the key has no right to delete: old checkpoints"),
    (
        "read",
        f"something with {SECRET} in it",
        "rclone said: 2026/11/29 Failed: something with … in",
    ),
]


@pytest.mark.parametrize(("what", "words", "meaning"), MEANT)
def test_it_says_which_of_the_three_failed_and_what_that_means(init, what, words, meaning):
    said = init("r2:my-bucket", code=74, FAILS=what, WORDS=words, **R2)
    assert f"✗ {what}: " in said and meaning in said
    before = {"write": 0, "read": 1, "delete": 2}[what]
    assert said.count("✓") == before and "mend that, and say the same again" in said
    assert "is ready" not in said


def test_a_copy_that_came_back_otherwise_is_a_fault(init, tmp_path):
    rclone = tmp_path / "programs" / "rclone"
    rclone.write_text(RCLONE.replace('cat "$STORE"', "echo something else"))
    assert "✗ read: it did not work" in init("r2:my-bucket", code=74, **R2)


def test_in_a_terminal_it_asks_and_does_not_show_the_secret(init, tmp_path):
    ours, theirs = pty.openpty()
    env = {"PATH": f"{tmp_path}/programs:{os.environ['PATH']}", "TOLD": str(tmp_path / "told")}
    env |= {"STORE": str(tmp_path / "store"), "RCLONE_CONFIG": str(init.config)}
    words = ["bash", KEEP, "init", "b2:my-bucket"]
    process = subprocess.Popen(words, env=env, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    heard = b""
    for question, answer in ((b"keyID", "004key"), (b"applicationKey: ", SECRET), (b"ready", None)):
        end = time.monotonic() + 60
        while question not in heard and time.monotonic() < end:
            heard += os.read(ours, 1000)
        if answer:
            time.sleep(0.2)  # until the terminal shows nothing
            os.write(ours, answer.encode() + b"\n")
    assert process.wait(timeout=60) == 0
    os.close(ours)
    assert SECRET not in heard.decode() and f"key = {SECRET}\n" in init.config.read_text()


def test_without_rclone_it_says_where_it_comes_from(tmp_path):
    for name in ("bash", "sed"):
        (tmp_path / name).symlink_to(shutil.which(name))
    words = [tmp_path / "bash", KEEP, "init", "r2:my-bucket"]
    done = subprocess.run(words, env={"PATH": str(tmp_path)} | R2, capture_output=True, text=True)
    assert done.returncode == 78 and "rclone is missing: bash launch/setup.sh" in done.stderr


# --- rclone itself


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The address of a server for `my-bucket` and one key."""
    rclone = shutil.which("rclone", path=PATH)
    if rclone is None:
        pytest.skip("rclone is not installed; requirements.txt pins it")
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    folder = tmp_path_factory.mktemp("buckets")
    (folder / "my-bucket").mkdir()
    words = ["serve", "s3", "--auth-key", f"key-1,{SECRET}", "--addr", f"127.0.0.1:{port}", folder]
    process = subprocess.Popen([rclone, *words], stderr=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < end:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}", folder / "my-bucket"
    process.terminate()
    process.wait()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bucket", "more", "meaning"),
    [
        ("my-bucket/gpt2", {}, None),
        ("my-bucket", {"R2_SECRET_ACCESS_KEY": "another"}, "✗ write: the key is wrong"),
        ("my-bucket", {"R2_ACCESS_KEY_ID": "another"}, "✗ write: the key is wrong"),
        ("no-bucket", {}, "✗ write: there is no bucket r2:no-bucket for this key"),
        ("my-bucket", {"R2_ENDPOINT": "http://127.0.0.1:9"}, "✗ write: the address does not"),
    ],
)
def test_rclone_itself_is_told_and_understood(tmp_path, server, bucket, more, meaning):
    address, folder = server
    env = {"PATH": PATH, "HOME": str(tmp_path), "R2_ENDPOINT": address} | R2 | more
    words = ["bash", KEEP, "init", f"r2:{bucket}"]
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=100)
    assert done.returncode == (74 if meaning else 0), done.stderr
    assert (meaning or "r2:my-bucket/gpt2 is ready") in done.stderr and SECRET not in done.stderr
    assert (tmp_path / ".config/rclone/rclone.conf").exists()
    assert not [path for path in folder.rglob("*") if path.is_file()]  # nothing is left there
    if not meaning:  # and the other verbs find what init wrote
        run = tmp_path / "run"
        run.mkdir()
        (run / "metrics.jsonl").write_text('{"step": 1}\n')
        subprocess.run(["bash", KEEP, "push", run, f"r2:{bucket}"], env=env, check=True)
        assert (folder / "gpt2/metrics.jsonl").read_text() == '{"step": 1}\n'
        (folder / "gpt2/metrics.jsonl").unlink()
