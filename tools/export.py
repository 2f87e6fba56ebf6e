"""Write src/gpt2_tutorial/launch/train_gpt2.py from chapter 17's cells tagged `export`.

Needs nothing but Python 3.11.
"""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "notebooks" / "17_script.ipynb"
SCRIPT = ROOT / "src" / "gpt2_tutorial" / "launch" / "train_gpt2.py"


def exported(notebook: Path = NOTEBOOK) -> str:
    """Join the exported cells, with as many empty lines in between as a formatter wants."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    tagged = [cell for cell in cells if "export" in cell["metadata"].get("tags", [])]
    parts = ["".join(cell["source"]).strip("\n") for cell in tagged]
    if not parts:
        raise SystemExit(f"{notebook} has no cell tagged `export`")
    if magics := [
        line for part in parts for line in part.splitlines() if line[:1] in "%!" and line
    ]:
        raise SystemExit(f"{notebook}: {magics[0]!r} runs in notebooks only: take it out")
    text = parts[0]
    for part in parts[1:]:
        beside_a_function = text.rsplit("\n", 1)[-1][:1] == " " or part.startswith(
            ("def ", "class ")
        )
        text += ("\n\n\n" if beside_a_function else "\n\n") + part
    return text + "\n"


def main() -> int:
    SCRIPT.write_text(exported(), encoding="utf-8")
    print(f"wrote {SCRIPT.relative_to(ROOT)} from {NOTEBOOK.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
