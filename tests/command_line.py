"""The command line, as a process or in this one, and what it says of a mistake."""

import gc
import io
import json
import logging
import os
import select
import shlex
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any, NoReturn

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
    """Run Snakemake and its jobs in forks of this process.

    It spares them all imports but of our own source: three CPU seconds a job.

    Args:
        words: of the command line, without the program.
        folder: to run in.
        environment: with the folder of our source in PYTHONPATH.
    """
    # What they take; the compiler counts what runs cost, for a new study or after an edit.
    from matplotlib.backends import backend_agg as backend_agg
    from matplotlib.backends import backend_pdf as backend_pdf
    from snakemake.cli import main as snakemake
    from torch import _dynamo as _dynamo

    with TemporaryFile("w+") as output, TemporaryFile("w+") as errors, _jobs() as shell:
        files = (0, output.fileno(), errors.fileno())
        if not (child := os.fork()):
            _run(lambda: snakemake(words), files, folder, {**environment, **shell})
        _, status = os.waitpid(child, 0)
        output.seek(0)
        errors.seek(0)
        code = os.waitstatus_to_exitcode(status)
        return subprocess.CompletedProcess(words, code, output.read(), errors.read())


def _run(
    program: Callable[[], object],
    files: Sequence[int],
    folder: Path,
    environment: Mapping[str, str],
    tell: Callable[[int], object] = lambda code: None,
) -> NoReturn:
    """Be the process of a program, in a fork: with its files, folder, environment and source."""
    code: object = 1
    # What it inherits is not searched for garbage.
    gc.freeze()
    try:
        for number, file in enumerate(files):
            os.dup2(file, number)
        sys.stdout, sys.stderr = (open(number, "w", closefd=False) for number in (1, 2))  # noqa: SIM115
        # Those of pytest: what a program logs goes to its own.
        logging.getLogger().handlers.clear()
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        for name in [name for name in sys.modules if name.partition(".")[0] in _OWN]:
            del sys.modules[name]
        sys.path.insert(0, environment["PYTHONPATH"])
        code = program()
    except SystemExit as ended:
        code = ended.code
    except BaseException as error:
        code = repr(error)
    finally:
        if isinstance(code, str):
            print(code, file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        number = code if isinstance(code, int) else bool(code)
        tell(number)
        os._exit(number)


# ``logdepth`` in a job's shell: another process runs it, with the files of this one.
_CLIENT = """\
import json, os, socket, sys
server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
server.connect(sys.argv[1])
request = json.dumps([sys.argv[2:], os.getcwd(), dict(os.environ)])
socket.send_fds(server, [request.encode()], [0, 1, 2])
sys.exit(ord(server.recv(1) or b"\\1"))
"""


@contextmanager
def _jobs() -> Iterator[dict[str, str]]:
    """Run the command ``logdepth`` in forks of this process; yield the environment that does."""
    with TemporaryDirectory() as folder:
        address = Path(folder) / "jobs"
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(str(address))
        listener.listen(64)
        # Ended by what has the other end, or with it.
        watched, held = os.pipe()
        if not (server := os.fork()):
            os.close(held)
            while listener in select.select([listener, watched], [], [])[0]:
                client, _ = listener.accept()
                if not os.fork():
                    _serve(client)
                client.close()
            with suppress(ChildProcessError):
                while os.wait():
                    pass
            os._exit(0)
        os.close(watched)
        words = [sys.executable, "-ISc", _CLIENT, str(address)]
        try:
            yield {"BASH_FUNC_logdepth%%": f'() {{ {shlex.join(words)} "$@"\n}}'}
        finally:
            listener.close()
            os.close(held)
            os.waitpid(server, 0)


def _serve(client: socket.socket) -> NoReturn:
    request, files, _, _ = socket.recv_fds(client, 2**20, 3)
    arguments, folder, environment = json.loads(request)

    def job() -> None:
        from logdepth.cli.main import main as own

        sys.argv = ["logdepth", *arguments]
        own()

    _run(job, files, Path(folder), environment, lambda code: client.send(bytes([code])))


def error(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one line of a failed command."""
    assert done.returncode not in (0, None), done.stdout
    lines = [line for line in done.stderr.splitlines() if "error:" in line]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return lines[0]
