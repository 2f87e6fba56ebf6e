"""A pytest plugin beside nbval: what the kernels answered is kept, so that the site can show it.

nbval hands out no hook for this; a cell of its keeps the answers until the session ends.
"""

import os
import sys
from pathlib import Path

import pytest

# nbformat brings jsonschema, which compiles a grammar of web addresses when it can: half of what a
# small notebook's process would cost, and no notebook has such an address to check.
sys.modules["rfc3987_syntax"] = None

import nbformat  # noqa: E402


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write every notebook with its answers into the folder KEEP_OUTPUTS."""
    cells = [item for item in session.items if hasattr(item, "test_outputs")]
    for item in cells:
        item.cell.outputs = item.test_outputs or []
        item.cell.execution_count = item.cell_num + 1
    folder = Path(os.environ["KEEP_OUTPUTS"])
    folder.mkdir(parents=True, exist_ok=True)
    for notebook in dict.fromkeys(item.parent for item in cells):
        notebook.nb.cells = [cell for cell in notebook.nb.cells if cell.id != "from-the-wheel"]
        nbformat.write(notebook.nb, folder / notebook.path.name)
