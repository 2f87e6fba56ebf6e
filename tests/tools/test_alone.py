"""Notebooks run as on Colab: what it lacks is refused, and the package comes from the wheel."""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

import alone

OTHERS_TIME = 120


def run_bare(code: str, *folders, guarded: bool = True) -> subprocess.CompletedProcess:
    """Run code as a notebook's cell would be run, with these folders first on the path."""
    variables = alone.environment(alone.ROOT / "src")
    paths = [variables["PYTHONPATH"]] if guarded else []
    variables["PYTHONPATH"] = os.pathsep.join([*paths, *map(str, folders)])
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, env=os.environ | variables, capture_output=True, text=True, timeout=OTHERS_TIME
    )


FORBIDDEN = {
    "import": "import yaml",
    "from": "from yaml import safe_load",
    "submodule": "import yaml.nodes",
    "by name": "import importlib; importlib.import_module('yaml')",
    "loaded already": "import sys, types; sys.modules['yaml'] = types.ModuleType('yaml')\n"
    "import yaml",
    "inside a function": "def f():\n    import yaml\nf()",
}


@pytest.mark.parametrize("code", FORBIDDEN.values(), ids=FORBIDDEN)
def test_what_colab_lacks_cannot_be_imported(code):
    ran = run_bare(code)
    assert ran.returncode == 1
    assert "ModuleNotFoundError: Colab has no module named 'yaml'" in ran.stderr


@pytest.mark.parametrize("code", FORBIDDEN.values(), ids=FORBIDDEN)
def test_without_the_guard_the_same_code_runs(code):
    assert run_bare(code, guarded=False).returncode == 0


def test_what_colab_has_can_be_imported():
    ran = run_bare("import torch, numpy, matplotlib.pyplot, tqdm.auto, json, IPython")
    assert ran.returncode == 0, ran.stderr


def test_our_package_is_held_to_the_same_list(tmp_path):
    (tmp_path / "gpt2_tutorial").mkdir()
    (tmp_path / "gpt2_tutorial" / "__init__.py").write_text("from . import deep")
    (tmp_path / "gpt2_tutorial" / "deep.py").write_text("import yaml")
    # before our src, which the helper puts on the path
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import gpt2_tutorial"
    assert "Colab has no module named 'yaml'" in run_bare(code).stderr


def test_an_allowed_package_brings_what_it_needs(tmp_path):
    (tmp_path / "safetensors.py").write_text("import yaml; from importlib import import_module")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import safetensors"
    ran = run_bare(code)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(
    "code",
    [
        "import socket; socket.create_connection(('192.0.2.1', 80), 1)",
        "import socket; socket.create_connection(('2001:db8::1', 80), 1)",
        "import socket; socket.gethostbyname('example.org')",
        "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'', ('192.0.2.1', 9))",
        "import urllib.request as u; u.urlopen('https://example.org')",
    ],
)
def test_the_network_is_out_of_reach(code):
    assert "a notebook is tested without a network" in run_bare(code).stderr


def test_this_machine_may_talk_to_itself():
    code = (
        "import socket\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "socket.create_connection(('localhost', server.getsockname()[1])).close()"
    )
    ran = run_bare(code)
    assert ran.returncode == 0, ran.stderr


def verdicts(notebook, folder, site) -> list[bool]:
    """Run a notebook as `make test` does and say of every cell whether it went well."""
    report = folder / "report.xml"
    command = [sys.executable, *alone.nbval(notebook), f"--junitxml={report}"]
    variables = os.environ | alone.environment(site) | {"KEEP_OUTPUTS": str(folder / "kept")}
    subprocess.run(command, env=variables, cwd=folder, capture_output=True, timeout=OTHERS_TIME)
    cells = ET.parse(report).getroot().iter("testcase")
    return [cell.find("failure") is None and cell.find("error") is None for cell in cells]


@pytest.mark.slow
def test_a_real_kernel_is_guarded_and_knows_where_the_package_came_from(tmp_path):
    cells = [
        "import torch",
        "import yaml",
        "import zmq",
        "import os\nassert len(os.listdir()) == 1",
        "print('said', flush=True)\nprint('aside')\n6 * 7",
    ]
    made = [
        {"id": f"c{i}", "cell_type": "code", "metadata": {}, "source": source}
        | {"outputs": [], "execution_count": None}
        for i, source in enumerate(cells)
    ]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    book = {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": made}
    (tmp_path / "small.ipynb").write_text(json.dumps(book))
    # No wheel was put into this folder, so the last cell must find another package, and say so.
    site = tmp_path / "site"
    copy = alone.copy_alone(tmp_path / "small.ipynb", tmp_path / "alone", site)
    assert verdicts(copy, tmp_path, site) == [True, False, False, True, True, False]
    kept = json.loads((tmp_path / "kept" / "small.ipynb").read_text(encoding="utf-8"))
    assert [cell["id"] for cell in kept["cells"]] == [cell["id"] for cell in made]
    said, value = kept["cells"][-1]["outputs"]
    assert "".join(said["text"]) == "said\naside\n" and said["name"] == "stdout"
    assert value["data"]["text/plain"] == ["42"] and value["output_type"] == "execute_result"
    assert kept["cells"][1]["outputs"][0]["ename"] == "ModuleNotFoundError"
    assert kept["cells"][0]["outputs"] == []


def test_a_module_that_the_notebook_has_written_itself_is_welcome(tmp_path):
    (tmp_path / "homemade.py").write_text("answer = 42")  # tmp_path is a temporary folder
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import homemade as h; "
    assert run_bare(code + "print(h.answer)").stdout == "42\n"
