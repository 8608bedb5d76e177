#!/opt/logdepth/bin/python
"""The command ``logdepth`` of the container image: runs the code of the clone it is called in."""

import sys
from pathlib import Path

source = Path.cwd() / "workflow"
if not (source / "logdepth" / "__init__.py").is_file():
    sys.exit(
        f"logdepth: error: no workflow/logdepth in {Path.cwd()}; expected to call it in the "
        "root of a clone of the project"
    )
# In place of the folder of this file.
sys.path[0] = str(source)

from logdepth.cli.main import main  # noqa: E402

main()
