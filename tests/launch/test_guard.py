"""launch/guard.sh: the machine is ended after the last checkpoint is in the bucket, and only then.

A stand-in takes the place of the training, and another one the place of what ends the machine: it
writes down what the bucket held at that moment. The scenes sleep most of the time, so several of
them are played at once.
"""

import fcntl
import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import termios
import time
from pathlib import Path

import pytest

if os.name == "nt":
    pytest.skip("bash and signals of Unix", allow_module_level=True)

GUARD = Path(__file__).resolve().parents[2] / "launch" / "guard.sh"
# A Mac's bash is of 2007; where such a one is at hand, every scene is played with it too.
SHELLS = [name for name in ("bash", "bash-3.2") if shutil.which(name)]
MANY = "--max-hours", "12"
SOON = "--max-hours", "0.0028"  # 10 seconds

# What the scenes' commands may use; each line of a scene begins with these.
TRAINING = """
save() {
  one=run/checkpoints/$(printf 'step_%08d' "$1")
  mkdir -p "$one.part" && echo "$1" >"$one.part/model" && echo '{}' >"$one.part/manifest.json"
  mv "$one.part" "$one"
}
for_ever() { while :; do sleep 0.1; done; }
"""
# The machine's end: what is the newest that a later machine would find?
END = """
newest=$(ls bucket/checkpoints/*/manifest.json 2>/dev/null | tail -n 1 | cut -d/ -f3)
echo "${newest:-nothing}" >>"the end"
"""
# keep.sh's three last copies are 1, 2 and 3 seconds apart, and EVERY is in seconds too.
SLEEP = """case $1 in *.*) exec /bin/sleep "$1" ;; *) exec /bin/sleep "0.$1" ;; esac"""
# A bucket that does not answer takes nothing.
CP = """[ ! -e away ] || exit 1; exec /bin/cp "$@" """


class Scene:
    """One guard in a folder of its own."""

    def __init__(self, folder, shell, command, *words, when_done="bash 'the last.sh'", **env):
        self.folder, programs = folder, folder / "programs"
        programs.mkdir(parents=True)
        (programs / "bash").symlink_to(shutil.which(shell))
        stand_ins = {"train.sh": TRAINING + command, "the last.sh": END, "programs/sleep": SLEEP}
        stand_ins["programs/cp"] = CP
        for name, text in stand_ins.items():
            (folder / name).write_text(f"#!/bin/bash\n{text}\n")
        for name in ("sleep", "cp"):
            (programs / name).chmod(0o755)
        path = f"{programs}:{os.environ['PATH']}"
        env = {"EVERY": "1", "TICK": "0.1", "PATIENCE": "60", "STILL": "0"} | env
        self.env = os.environ | {"PATH": path, "TMPDIR": str(folder), "VENDOR": "/none"} | env
        if not words:
            words = MANY
        if "--grace" not in words:
            words = (*words, "--grace", "1")
        self.words = ["bash", GUARD, "--when-done", when_done, *words]
        self.words += ["run", "bucket", "/bin/bash", "train.sh", "two words"]
        self.log = folder / "log"
        self.process = None

    def start(self):
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                self.words,
                cwd=self.folder,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def wait_for(self, find, seconds=60):
        end = time.monotonic() + seconds
        while not find():
            assert self.process.poll() is None and time.monotonic() < end, self.said()
            time.sleep(0.02)

    def press_ctrl_c(self, after):
        """What a terminal does: all of the group in front are interrupted."""
        self.wait_for(lambda: after in self.said())
        os.killpg(self.process.pid, signal.SIGINT)

    def end(self):
        try:
            return self.process.wait(timeout=60)
        finally:
            self.process.kill()

    def said(self):
        return self.log.read_text()

    def ends(self):
        """What each end of the machine found in the bucket."""
        last = self.folder / "the end"
        return last.read_text().split() if last.exists() else []

    def newest(self):
        """The newest whole checkpoint on the machine's own disk."""
        return max(path.parent.name for path in self.folder.glob("run/*/*/manifest.json"))


UNTIL_TOLD = "save 1; trap 'save 2; exit 75' TERM; touch started; for_ever"
FAILS_ONCE = "if [ -e once ]; then bash 'the last.sh'; else touch once; exit 4; fi"
SCENES = {  # in the order of the tests
    "done": ["save 1; save 2; touch run/DONE"],
    "words": ['save 1; [ "$1" = "two words" ] && exit 42'],
    "given up": ["save 1; exit 1"],
    "killed": ["save 1; save 2; kill -KILL $$"],
    "end fails": ["save 1; exit 0"],
    "refused": ["exit 78"],
    "Ctrl-C": [UNTIL_TOLD],
    "TERM": [UNTIL_TOLD],
    "Ctrl-C twice": ["trap 'echo told >>told; [ $(wc -l <told) -lt 2 ] || exit 75' TERM; for_ever"],
    "stopped from elsewhere": ["save 1; exit 75"],
    "kept": ["save 1; exit 0", *MANY, "--grace", "100"],
    "away for a while": ["save 1; touch away; exit 0"],
    "kept while away": ["save 1; touch away; exit 0"],
    "end never works": ["save 1; exit 0"],
    "still here": ["save 1; exit 0"],
    "end hangs": ["save 1; exit 0"],
    "hours": [UNTIL_TOLD, *SOON],
    # the nearer of two limits: 0.0084 dollars buy 10 seconds of a machine for 3 dollars an hour
    "dollars": [UNTIL_TOLD, *MANY, "--max-dollars", "0.0084", "--price", "3.00"],
    "hangs": ["save 1; trap 'save 2' TERM; sleep 1000.0 & echo $! >child; for_ever", *SOON],
    "away for ever": [f"save 1; /bin/sleep 2; touch away; {UNTIL_TOLD[7:]}", *SOON],
}
MORE = {
    "hangs": {"PATIENCE": "2", "EVERY": "60.0"},  # nobody but the guard copies what it saves last
    "end fails": {"when_done": FAILS_ONCE},
    "end never works": {"when_done": "exit 3", "ENDINGS": "2"},
    "still here": {"STILL": "1", "ENDINGS": "2"},
    "end hangs": {
        "when_done": "sleep 1000.0 & echo $! >child; wait",
        "PATIENCE": "1",
        "ENDINGS": "1",
    },
}


class Scenes:
    """By name. Whoever asks for one starts the next few, for two workers may share this file."""

    def __init__(self, top, shell):
        self.made = {}
        self.make = lambda name: Scene(top / name, shell, *SCENES[name], **MORE.get(name, {}))

    def __getitem__(self, name):
        names = list(SCENES)
        first = names.index(name)
        for near in names[first : first + 8]:
            if near not in self.made:
                self.made[near] = self.make(near).start()
        return self.made[name]


@pytest.fixture(scope="module", params=SHELLS)
def scenes(request, tmp_path_factory):
    scenes = Scenes(tmp_path_factory.mktemp("a guard"), request.param)
    yield scenes
    for scene in scenes.made.values():
        scene.process.kill()
        scene.process.wait()


# --- the machine is ended, once, and after the newest checkpoint is in the bucket

ENDED = {"done": 0, "words": 42, "given up": 1, "killed": 137}


@pytest.mark.parametrize("name", [*ENDED, "end fails"])
def test_the_newest_checkpoint_is_in_the_bucket_before_the_machine_is_ended(scenes, name):
    scene = scenes[name]
    assert scene.end() == ENDED.get(name, 0), scene.said()
    assert scene.ends() == [scene.newest()], scene.said()  # once
    assert "this machine is ended in 1 s. Ctrl-C keeps it" in scene.said()


def test_settings_that_the_run_refuses_end_the_machine_after_the_countdown_too(scenes):
    scene = scenes["refused"]
    assert scene.end() == 78 and scene.ends() == ["nothing"], scene.said()
    assert "this machine is ended in 1 s" in scene.said()


def alive(file):
    """Whether the process of this number is there; one that nobody has buried yet is not."""
    look = ["ps", "-p", file.read_text().strip(), "-o", "stat="]
    state = subprocess.run(look, capture_output=True, text=True).stdout.strip()
    return bool(state) and state[0] != "Z"


# --- it stays


@pytest.mark.parametrize("name", ["Ctrl-C", "TERM"])
def test_somebody_who_stops_the_run_keeps_the_machine_and_is_told_what_it_costs(scenes, name):
    scene = scenes[name]
    scene.wait_for((scene.folder / "started").exists)
    if name == "TERM":
        scene.process.terminate()
    else:
        scene.press_ctrl_c("")
    assert scene.end() == 75 and scene.ends() == [], scene.said()
    assert "you stopped it: this machine stays, AND ITS METER GOES ON" in scene.said()
    assert "To end it: bash 'the last.sh'" in scene.said()
    assert (scene.folder / "bucket/checkpoints/step_00000002/manifest.json").exists()


def test_a_second_ctrl_c_reaches_the_run_as_well(scenes):
    scene = scenes["Ctrl-C twice"]
    scene.wait_for((scene.folder / "run").is_dir)
    end = time.monotonic() + 60
    while scene.process.poll() is None and time.monotonic() < end:
        os.killpg(scene.process.pid, signal.SIGINT)
        time.sleep(0.3)
    assert scene.end() == 75 and scene.ends() == [], scene.said()


def test_a_run_that_was_stopped_from_elsewhere_leaves_the_machine(scenes):
    scene = scenes["stopped from elsewhere"]
    assert scene.end() == 75 and scene.ends() == [], scene.said()
    assert "not by this guard: this machine stays, AND ITS METER GOES ON" in scene.said()


def test_ctrl_c_in_the_countdown_keeps_the_machine(scenes):
    scene = scenes["kept"]
    scene.press_ctrl_c("this machine is ended in 100 s")
    assert scene.end() == 0 and scene.ends() == [], scene.said()
    assert "you kept it: this machine stays, AND ITS METER GOES ON" in scene.said()


# --- a bucket that does not answer

WAITS = "bucket does not answer. THE MACHINE IS NOT ENDED YET, and its meter goes on"


def test_while_the_bucket_is_away_the_machine_stays_and_it_is_tried_again(scenes):
    scene = scenes["away for a while"]
    scene.wait_for(lambda: scene.said().count(WAITS) >= 2)
    assert scene.ends() == []
    (scene.folder / "away").unlink()
    assert scene.end() == 74, scene.said()  # keep.sh's word: not all went well
    assert scene.ends() == ["step_00000001"] == [scene.newest()]


def test_ctrl_c_while_the_bucket_is_away_keeps_the_machine(scenes):
    scene = scenes["kept while away"]
    scene.press_ctrl_c(WAITS)
    assert scene.end() == 74 and scene.ends() == [], scene.said()
    assert "with a checkpoint that is not in bucket: this machine stays" in scene.said()


# --- what ends the machine does not


def test_an_end_that_fails_is_told_loudly_and_tried_again(scenes):
    scene = scenes["end fails"]
    assert scene.end() == 0
    assert "THE MACHINE IS STILL RUNNING, AND SO IS ITS METER (try 1)" in scene.said()
    assert "it ended with 4. End it by hand" in scene.said()


def test_an_end_that_never_works_has_a_code_of_its_own(scenes):
    scene = scenes["end never works"]
    assert scene.end() == 71 and scene.said().count("THE MACHINE IS STILL RUNNING") == 2


def test_an_end_that_says_0_and_ends_nothing_is_no_end(scenes):
    scene = scenes["still here"]
    assert scene.end() == 71 and len(scene.ends()) == 2, scene.said()
    assert "it said 0, and 1 seconds later I am still here" in scene.said()


def test_an_end_that_hangs_is_killed_and_told(scenes):
    scene = scenes["end hangs"]
    assert scene.end() == 71 and "it ended with 124" in scene.said()
    assert not alive(scene.folder / "child")


# --- at the limit


@pytest.mark.parametrize("name", ["hours", "dollars"])
def test_a_limit_is_told_before_and_lets_the_run_save(scenes, name):
    scene = scenes[name]
    assert scene.end() == 75 and scene.ends() == ["step_00000002"], scene.said()
    said = scene.said()
    assert re.search(r"limit: \w+ \d\d:\d\d \S+, 0\.2 minutes from now", said), said
    assert "the limit is reached; the run is told to save and to stop" in said
    assert ("(at most 0.0084 dollars, at 3.00 an hour)" in said) == (name == "dollars")


def test_a_run_that_does_not_stop_at_the_limit_is_killed_with_all_that_it_started(scenes):
    scene = scenes["hangs"]
    assert scene.end() == 137 and scene.ends() == ["step_00000002"], scene.said()
    assert "it has not stopped in 2 seconds, and is killed" in scene.said()
    assert not alive(scene.folder / "child")


def test_at_the_limit_the_machine_is_ended_all_the_same_and_what_is_lost_is_named(scenes):
    scene = scenes["away for ever"]
    assert scene.end() == 74 and scene.ends() == ["step_00000001"], scene.said()
    assert "the limit is reached: the machine is ended all the same" in scene.said()
    lost = "LOST: all that came after step_00000001 (the newest here is step_00000002)"
    assert lost in scene.said()


# --- a window that closes


def test_a_window_that_closes_stops_nothing(tmp_path):
    scene = Scene(tmp_path / "window", SHELLS[-1], "save 1; touch started; /bin/sleep 1; save 2")
    ours, theirs = pty.openpty()

    def in_the_window():
        os.setsid()
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    with scene.log.open("w"):
        scene.process = subprocess.Popen(
            scene.words,
            cwd=scene.folder,
            env=scene.env,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            preexec_fn=in_the_window,
        )
    os.close(theirs)
    scene.wait_for((scene.folder / "started").exists)
    os.close(ours)  # the terminal hangs up
    assert scene.end() == 0 and scene.ends() == ["step_00000002"]


# --- settings


def refused(tmp_path, *words, **env):
    env = os.environ | {"TMPDIR": str(tmp_path), "VENDOR": "/none"} | env
    done = subprocess.run(
        ["bash", GUARD, *words], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 78, done.stderr
    assert "nothing was started; this machine stays, and its meter goes on" in done.stderr
    assert not (tmp_path / "run").exists()
    return done.stderr


GOOD = {"--when-done": "true", "--max-hours": "1"}
REFUSED = [
    ({"--when-done": None}, "--when-done is missing"),
    ({"--when-done": "  "}, "--when-done is missing"),
    ({"--max-hours": None}, "a limit is missing"),
    ({"--max-hours": "0"}, "--max-hours must be a number above 0, not '0'"),
    ({"--max-hours": "-1"}, "not '-1'"),
    ({"--max-hours": "0.0"}, "not '0.0'"),
    ({"--max-hours": "twelve"}, "not 'twelve'"),
    ({"--max-hours": "12h"}, "not '12h'"),
    ({"--max-hours": "1e3"}, "not '1e3'"),
    ({"--max-hours": ""}, "not ''"),
    ({"--max-dollars": "40"}, "--max-dollars needs --price"),
    ({"--max-dollars": "0", "--price": "3"}, "--max-dollars must be"),
    ({"--max-dollars": "40", "--price": "-3"}, "--price must be"),
    ({"--max-dollars": "40", "--price": "free"}, "--price must be"),
    ({"--grace": "-1"}, "--grace must be a whole number from 0 up"),
    ({"--grace": "soon"}, "--grace must be"),
    ({"--hours": "1"}, "there is no option '--hours'"),
    ({"--provider": "cloud9"}, "--provider must be aws"),
    ({"--when-done": "no-such-program now"}, "there is no such program"),
    ({"--when-done": "sudo poweroff", "--provider": "lambda"}, "does not end the bill"),
]


@pytest.mark.parametrize(("more", "part"), REFUSED, ids=str)
def test_settings_that_make_no_sense_start_nothing(tmp_path, more, part):
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("sudo", "poweroff"):
        (programs / name).write_text("#!/bin/sh\nexit 0\n")
        (programs / name).chmod(0o755)
    options = [w for pair in (GOOD | more).items() if pair[1] is not None for w in pair]
    path = f"{programs}:{os.environ['PATH']}"
    assert part in refused(tmp_path, *options, "run", "bucket", "true", PATH=path)


def test_an_option_without_a_value_and_too_few_words_are_refused(tmp_path):
    good = [word for pair in GOOD.items() for word in pair]
    assert "--max-hours needs a value" in refused(tmp_path, "--when-done", "x", "--max-hours")
    assert "RUN, BUCKET and COMMAND are needed" in refused(tmp_path, *good, "run", "bucket")
    for name in ("EVERY", "PATIENCE", "STILL", "TICK"):
        words = refused(tmp_path, *good, "run", "bucket", "true", **{name: "soon"})
        assert f"{name} must be" in words


def test_a_run_that_would_not_be_copied_is_refused(tmp_path):
    good = [word for pair in GOOD.items() for word in pair]
    command = ["bash", "launch/run.sh", "--preset", "cpu"]
    words = refused(tmp_path, *good, "run", "bucket", *command, "--out", "other")
    assert "writes to other, but RUN is run: its checkpoints would be lost" in words
    words = refused(tmp_path, *good, "run", "bucket", *command, "--out=other")
    assert "writes to other" in words
    words = refused(tmp_path, *good, "run", "bucket", *command)
    assert "needs --out run" in words


def test_a_sudo_that_asks_for_a_password_is_found_by_day(tmp_path):
    (tmp_path / "sudo").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "sudo").chmod(0o755)
    words = ["--when-done", "sudo shutdown -h now", "--max-hours", "1", "run", "bucket", "true"]
    said = refused(tmp_path, *words, PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert "asks for a password" in said


def told(tmp_path, when_done, *words, **env):
    """What is said beforehand; the programs of providers are stand-ins."""
    for name in ("shutdown", "runpodctl", "vastai", "az"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 0\n")
        (tmp_path / name).chmod(0o755)
    env = {"TMPDIR": str(tmp_path), "VENDOR": "/none", "STILL": "0", "TICK": "0.1"} | env
    env |= {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    words = ["--when-done", when_done, "--max-hours", "12", "--grace", "0", *words]
    done = subprocess.run(
        ["bash", GUARD, *words, "run", "bucket", "true"],
        cwd=tmp_path,
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode in (0, 78)
    return done.stderr


def test_it_says_beforehand_what_it_will_do_and_when(tmp_path):
    said = told(tmp_path, "shutdown -h now", "--max-dollars", "40", "--price", "4")
    assert "starts true" in said and "and 0 s later this is run: shutdown -h now" in said
    (hour,) = re.findall(r"limit: (\w{3} \d\d:\d\d \S+), 10\.0 hours from now", said)
    now = time.time() + 36000
    near = [time.strftime("%a %H:%M %Z", time.localtime(now + 60 * i)) for i in (-1, 0, 1)]
    assert hour in near and "The time before this start is not counted" in said
    assert "(at most 40 dollars, at 4 an hour)" in said
    assert "if you stop it (Ctrl-C), this machine stays, and its meter goes on" in said
    assert "at which provider this is cannot be seen from here" in said


@pytest.mark.parametrize(
    ("vendor", "env", "name"),
    [
        ("Amazon EC2", {}, "aws"),
        ("Google", {}, "google"),
        ("Microsoft Corporation", {}, "azure"),
        ("QEMU", {"RUNPOD_POD_ID": "abc"}, "runpod"),
        ("Amazon EC2", {"CONTAINER_API_KEY": "a secret"}, "vast"),
    ],
)
def test_a_shutdown_is_refused_where_it_is_known_not_to_end_the_bill(tmp_path, vendor, env, name):
    (tmp_path / "vendor").write_text(vendor + "\n")
    said = told(tmp_path, "shutdown -h now", VENDOR=str(tmp_path / "vendor"), **env)
    assert "https://" in said and "a secret" not in said
    if name in ("aws", "google"):
        assert f"at {name} a shutdown from inside ends the bill of the machine; its disks" in said
        return
    assert f"at {name} a shutdown from inside does not end the bill; this does:" in said
    (instead,) = re.findall(r"this does: (.*) \(https", said)
    assert "say --provider other" in said and "nothing was started" in said
    if name == "azure":
        assert "nothing was started" not in told(tmp_path, "shutdown now", "--provider", "other")
    said = told(tmp_path, instead, "--provider", name)
    assert f"at {name} this ends the bill of the machine; disks and volumes that stay" in said


def test_two_guards_do_not_watch_the_same_machine(tmp_path):
    first = Scene(tmp_path / "one", "bash", "touch started; for_ever").start()
    try:
        first.wait_for((first.folder / "started").exists)
        words = ["--when-done", "true", "--max-hours", "1", "run", "bucket", "true"]
        said = refused(tmp_path, *words, TMPDIR=str(first.folder))
        assert f"another guard, process {first.process.pid}, watches this machine" in said
        first.process.terminate()
    finally:
        first.end()
    assert "nothing was started" not in told(tmp_path, "true", TMPDIR=str(first.folder))


def test_the_help_is_what_stands_at_the_top():
    done = subprocess.run(["bash", GUARD, "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "--max-dollars AMOUNT" in done.stderr
    assert done.stderr.endswith("with 78 for bad settings.\n")
    assert shlex.split(done.stderr.splitlines()[2])[:2] == ["bash", "launch/guard.sh"]
