"""What needs the network, tried against a small server of our own."""

import doctest
import hashlib
import json
import shlex
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import online
from drift.reading import notebooks
from gpt2_tutorial.assets import Asset

ROOT = Path(__file__).resolve().parents[2]
BODY = b"to be\n"


class Site(BaseHTTPRequestHandler):
    """Answers /N with status N; /late gives 503 once and then the page."""

    late = 0

    def do_GET(self):
        code = 200
        if self.path == "/late":
            type(self).late += 1
            code = 503 if self.late == 1 else 200
        elif self.path[1:].isdigit():
            code = int(self.path[1:])
        self.send_response(code)
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *args):
        pass


@pytest.fixture
def site(monkeypatch):
    Site.late = 0
    monkeypatch.setattr(online.time, "sleep", lambda seconds: None)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("page", "kind"),
    [("/", "good"), ("/late", "good"), ("/404", "gone"), ("/410", "gone"), ("/403", "unsure"),
     ("/500", "unsure")],
)  # fmt: skip
def test_what_an_answer_means(site, page, kind):
    said, body = online.fetch(site + page)
    assert said == kind
    assert body == (BODY if kind == "good" else page[1:].encode())


def test_nobody_there_is_no_clear_answer():
    assert online.fetch("http://127.0.0.1:9/", tries=1)[0] == "unsure"


def test_links_are_sorted_by_their_answer(site):
    urls = [f"{site}/", f"{site}/404", f"{site}/403"]
    assert online.check_links(urls) == {"checked": 3, "gone": urls[1:2], "unsure": urls[2:]}


def test_a_file_is_known_by_its_hash(site):
    urls = tuple(f"{site}{page}" for page in ("/", "/404"))
    right = Asset("a", hashlib.sha256(BODY).hexdigest(), "", "", urls)
    other = Asset("b", hashlib.sha256(b"x").hexdigest(), "", "", (f"{site}/late",))
    assert list(online.check_assets([right, other]).values()) == ["right", "gone", "other bytes"]


def test_links_of_every_place_are_found():
    found = online.addresses(online.texts(ROOT))
    assert "https://github.com/x-jesse/GPT-2" in found
    assert "https://arxiv.org/abs/1706.03762" in found  # the bibliography
    assert any("colab.research.google.com" in url for url in found)  # a notebook
    assert not any("localhost" in url or url.endswith((")", ".", ",")) for url in found)


def test_the_examples_in_the_docstrings():
    assert doctest.testmod(online).failed == 0 < doctest.testmod(online).attempted


def test_what_is_installed_is_what_the_first_cell_asks_for(monkeypatch):
    asked = []

    def note(command, **options):
        asked.append(command)
        return online.subprocess.CompletedProcess(command, 1, "", "trouble\nno network")

    monkeypatch.setattr(online.subprocess, "run", note)
    assert online.install_as_colab() == {"works": False, "said": "no network"}
    ((*_, package, corpus, vocabulary),) = asked
    (cell,) = (c for c in notebooks(ROOT)[0].code() if "setup" in c.tags)
    (line,) = (line for line in cell.source.splitlines() if "%pip" in line)
    assert package in shlex.split(line)
    assert f"{corpus} {vocabulary}" in cell.source
    assert "--no-deps" in asked[0]


def results(**changes) -> dict:
    links = {"checked": 2, "gone": [], "unsure": []}
    return {"assets": {"u": "right"}, "install": {"works": True}, "links": links} | changes


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (results(), []),
        (results(assets={"u": "other bytes"}), ["u gives other bytes"]),
        (results(links={"gone": ["v"], "unsure": ["w"]}), ["v is gone"]),
        (results(install={"works": False, "said": "x"}), ["the first cell cannot install: x"]),
    ],
)
def test_faults_are_sentences(found, words):
    assert online.faults(found) == words


@pytest.mark.parametrize(("found", "code"), [(results(), 0), (results(assets={"u": "gone"}), 1)])
def test_the_file_is_written_whole_also_when_something_is_broken(
    found, code, tmp_path, monkeypatch
):
    monkeypatch.setattr(online, "measure", lambda: found)
    assert online.main(tmp_path / "online.json") == code
    assert [path.name for path in tmp_path.iterdir()] == ["online.json"]
    assert json.loads((tmp_path / "online.json").read_text()) == found


def test_without_a_network_nothing_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(online, "fetch", lambda url: ("unsure", b"no route"))
    assert online.main(tmp_path / "online.json") == 1
    assert "Is there a network? Nothing was written" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
