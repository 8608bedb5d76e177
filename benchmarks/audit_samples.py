"""The samples in docs/audit.md: written anew by ``make claims``, and compared by a test.

A sample is a block in which lines begin with ``$ ``. Its commands are run by a shell, one after
another, in a folder with a copy of the published studies at results/; what they print follows them.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/audit.md"
_BLOCK = re.compile(r"^```\n(?=\$ )(.*?)^```$", re.MULTILINE | re.DOTALL)


def renewed(text: str) -> str:
    """Return a page with what the commands in it print now."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "results/published", Path(folder, "results"))

        def run(block: re.Match[str]) -> str:
            commands = [line for line in block[1].splitlines() if line.startswith("$ ")]
            printed = "".join(f"{line}\n{_output(line[2:], folder)}" for line in commands)
            return f"```\n{printed}```"

        return _BLOCK.sub(run, text)


def _output(command: str, folder: str) -> str:
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": folder,
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(ROOT / "workflow"),
    }
    done = subprocess.run(
        command, shell=True, cwd=folder, env=environment, capture_output=True, text=True
    )
    return done.stdout + done.stderr


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
