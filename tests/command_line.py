"""The command line, as a process or in this one, and what it says of a mistake."""

import gc
import io
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import pytest

from logdepth.cli.main import main

_OWN = ("logdepth", "audit_trail", "snakemake_executor_plugin_slurm_packed")


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


def snakemake_here(
    words: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run Snakemake in a fork of this process, which spares it all imports but of our own source.

    Args:
        words: of the command line, without the program.
        folder: to run in.
        environment: with the folder of our source in PYTHONPATH.
    """
    # The second counts what runs cost, for a new study or after an edit.
    from snakemake.cli import main as snakemake
    from torch import _dynamo as _dynamo

    with TemporaryFile("w+") as output, TemporaryFile("w+") as errors:
        if not (child := os.fork()):
            code: object = 1
            # What it inherits is not searched for garbage.
            gc.freeze()
            try:
                for file, number in ((output, 1), (errors, 2)):
                    os.dup2(file.fileno(), number)
                sys.stdout, sys.stderr = output, errors
                os.environ.update(environment)
                os.chdir(folder)
                for name in [name for name in sys.modules if name.partition(".")[0] in _OWN]:
                    del sys.modules[name]
                sys.path.insert(0, environment["PYTHONPATH"])
                snakemake(words)
            except SystemExit as ended:
                code = ended.code
            except BaseException as error:
                code = repr(error)
            finally:
                if isinstance(code, str):
                    print(code, file=errors)
                output.flush()
                errors.flush()
                os._exit(code if isinstance(code, int) else bool(code))
        _, status = os.waitpid(child, 0)
        output.seek(0)
        errors.seek(0)
        code = os.waitstatus_to_exitcode(status)
        return subprocess.CompletedProcess(words, code, output.read(), errors.read())


def error(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one line of a failed command."""
    assert done.returncode not in (0, None), done.stdout
    lines = [line for line in done.stderr.splitlines() if "error:" in line]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return lines[0]
