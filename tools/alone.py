"""Run a notebook as Colab would: alone in an empty folder, with our package as a wheel.

Needs nothing but Python 3.11.
"""

import json
import os
import runpy
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GUARD = ROOT / "tools" / "colab"  # its sitecustomize.py blocks what Colab lacks
LAST_CELL = """\
import gpt2_tutorial

assert gpt2_tutorial.__file__.startswith({site!r}), gpt2_tutorial.__file__
"""


def copy_alone(notebook: Path, folder: Path, site: Path) -> Path:
    """Copy a notebook into a folder of its own, with a last cell that asks where we came from."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    source = LAST_CELL.format(site=f"{site}{os.sep}")
    cell = {"id": "from-the-wheel", "cell_type": "code", "metadata": {}, "source": source}
    content["cells"].append(cell | {"outputs": [], "execution_count": None})
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    copy = folder / notebook.name
    copy.write_text(json.dumps(content), encoding="utf-8")
    return copy


def environment(site: Path) -> dict[str, str]:
    """Give the variables that put the wheel first and everything that Colab lacks out of reach."""
    plan = runpy.run_path(str(ROOT / "tools" / "drift" / "plan.py"))
    return {
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONPATH": os.pathsep.join([str(GUARD), str(site)]),
        "COLAB_HAS": ",".join(plan["COLAB_HAS"]),
    }


def nbval(notebook: Path) -> list[str]:
    """Give the command, without its python, that runs every cell of a notebook as a test.

    With `environment`; what the cells answered is in the folder KEEP_OUTPUTS afterwards.
    """
    options = ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=120", "-q"]
    # The tests' own settings are for tests; nbval brings its own.
    clean = ["-o", "addopts=", "-o", "filterwarnings=default", "-p", "no:cacheprovider"]
    clean += ["-p", "keep_outputs", "-p", "nbval.plugin"]  # these two, and no other plugin
    return ["-m", "pytest", *options, *clean, str(notebook)]
