"""The command line, as a process or in this one, and what it says of a mistake."""

import io
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import pytest

from logdepth.cli.main import main


def logdepth(*arguments: Any, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command as users do, in a process of its own."""
    command = [sys.executable, "-m", "logdepth", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, **options)


def logdepth_here(*arguments: Any) -> subprocess.CompletedProcess[str]:
    """Run a command in this process, which spares it its imports: for what it says and writes."""
    command = ["logdepth", *map(str, arguments)]
    output, errors = io.StringIO(), io.StringIO()
    code = 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(output), redirect_stderr(errors):
        patch.setattr(sys, "argv", command)
        try:
            main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return subprocess.CompletedProcess(command, code, output.getvalue(), errors.getvalue())


def error(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one line of a failed command."""
    assert done.returncode not in (0, None), done.stdout
    lines = [line for line in done.stderr.splitlines() if "error:" in line]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return lines[0]
