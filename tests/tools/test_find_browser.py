"""Where there is no browser, one is fetched, or a sentence says what to install."""

import subprocess
from pathlib import Path

import pytest

import browser


@pytest.fixture
def bare(monkeypatch):
    """A machine without a browser; what would be run is listed."""
    ran = []
    monkeypatch.delenv("CHROME", raising=False)
    monkeypatch.setattr(browser.shutil, "which", lambda name: None)
    monkeypatch.setattr(browser, "playwrights_own", lambda: None)
    monkeypatch.setattr(browser.subprocess, "run", lambda words, **_: ran.append(words))
    return ran


def test_the_one_that_is_named_goes_before_the_one_that_is_found(monkeypatch):
    monkeypatch.setenv("CHROME", "mine")
    monkeypatch.setattr(browser.shutil, "which", lambda name: f"/bin/{name}")
    assert browser.find_browser() == "/bin/mine"
    monkeypatch.delenv("CHROME")
    assert browser.find_browser() == "/bin/chromium-headless-shell"


def test_with_windows_if_there_is_no_shell(monkeypatch):
    monkeypatch.delenv("CHROME", raising=False)
    monkeypatch.setattr(browser.shutil, "which", {"chromium": "/bin/chromium"}.get)
    assert browser.find_browser() == "/bin/chromium"


@pytest.mark.parametrize("shell", ["chrome-linux/headless_shell", "x64/chrome-headless-shell.exe"])
def test_playwrights_own_shell_goes_before_its_browser(tmp_path, monkeypatch, shell):
    class Own:
        class chromium:
            executable_path = str(tmp_path / "chromium-1234" / "chrome-linux" / "chrome")

        __enter__ = __exit__ = lambda self, *_: self

    monkeypatch.setattr("playwright.sync_api.sync_playwright", Own)
    assert browser.playwrights_own() is None
    for file in (
        Path(Own.chromium.executable_path),
        tmp_path / "chromium_headless_shell-1234" / shell,
    ):
        file.parent.mkdir(parents=True)
        file.write_text("")
        assert browser.playwrights_own() is None  # no program yet
        file.chmod(0o755)
        assert browser.playwrights_own() == str(file)
        file.chmod(0o644)


def test_without_any_it_says_what_to_install(bare, capsys):
    assert browser.main() == 1
    assert bare and all("playwright" in words for words in bare)  # and no apt-get, nor sudo
    assert "apt-get install chromium" in capsys.readouterr().err


def test_a_download_that_hangs_or_is_refused_is_followed_by_apt_get(bare, monkeypatch, capsys):
    def hangs(words, **_):
        bare.append(words)
        raise subprocess.TimeoutExpired(words, 600)

    monkeypatch.setattr(browser.subprocess, "run", hangs)
    monkeypatch.setattr(browser.shutil, "which", {"apt-get": "/usr/bin/apt-get"}.get)
    monkeypatch.setattr(browser.os, "geteuid", lambda: 0)
    assert browser.main() == 1
    assert [words[-1] for words in bare] == [
        "chromium",
        "-qq",
        "chromium-headless-shell",
        "chromium",
    ]


def test_without_the_right_to_install_nobody_is_asked_for_a_password(monkeypatch):
    known = {"apt-get": "/usr/bin/apt-get", "sudo": "/usr/bin/sudo"}
    monkeypatch.setattr(browser.shutil, "which", known.get)
    monkeypatch.setattr(browser.os, "geteuid", lambda: 1000)
    assert all(words[:2] == ["sudo", "-n"] for words in browser.ways()[1:])


def test_what_was_fetched_is_found(bare, monkeypatch, capsys):
    monkeypatch.setattr(browser, "playwrights_own", lambda: "/own/chrome" if bare else None)
    assert browser.main() == 0
    assert "/own/chrome" in capsys.readouterr().out and len(bare) == 1


def test_a_name_that_is_no_program_ends_at_once(bare, monkeypatch, capsys):
    monkeypatch.setenv("CHROME", "nowhere")
    assert browser.main() == 1
    assert bare == [] and "'nowhere'" in capsys.readouterr().err
