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
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any, NoReturn

import pytest

from logdepth.cli.main import main

# Every package of workflow/.
_OWN = [path.parent.name for path in Path(__file__).parents[1].glob("workflow/*/__init__.py")]


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
    program = snakemake_program(words)
    with TemporaryFile("w+") as output, TemporaryFile("w+") as errors, jobs_here() as shell:
        files = (0, output.fileno(), errors.fileno())
        child = forked(program, files, folder, {**environment, **shell})
        _, status = os.waitpid(child, 0)
        output.seek(0)
        errors.seek(0)
        code = os.waitstatus_to_exitcode(status)
        return subprocess.CompletedProcess(words, code, output.read(), errors.read())


def snakemake_program(words: Sequence[str]) -> Callable[[], object]:
    """Return what runs Snakemake in a fork of this process, which imports what it takes."""
    # The compiler counts what runs cost, for a new study or after an edit.
    from matplotlib.backends import backend_agg as backend_agg
    from matplotlib.backends import backend_pdf as backend_pdf
    from snakemake.cli import main as snakemake
    from torch import _dynamo as _dynamo

    return partial(snakemake, words)


def logdepth_program(words: Sequence[str]) -> Callable[[], object]:
    """Return what runs our command in a fork of this process, with the source of that fork."""

    def program() -> None:
        from logdepth.cli.main import main as own

        sys.argv = ["logdepth", *words]
        own()

    return program


def forked(
    program: Callable[[], object],
    files: Sequence[int],
    folder: Path,
    environment: Mapping[str, str],
) -> int:
    """Start a program in a fork of this process, with its files, folder and environment."""
    if not (child := os.fork()):
        _run(program, files, folder, environment)
    return child


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
        take_source(environment["PYTHONPATH"])
        code = program()
    except SystemExit as ended:
        code = ended.code
    except BaseException as error:
        code = repr(error)
    finally:
        number = code if isinstance(code, int) else bool(code)
        try:
            if isinstance(code, str):
                print(code, file=sys.stderr)
            sys.stdout.flush()
            sys.stderr.flush()
            tell(number)
        finally:
            # Whatever is raised now: what it was forked in is not its own to clear up.
            os._exit(number)


def take_source(folder: str) -> None:
    """Import our own code from a folder from now on; what is imported from there stays."""
    for name in [name for name in sys.modules if name.partition(".")[0] in _OWN]:
        if not (sys.modules[name].__file__ or "").startswith(f"{folder}/"):
            del sys.modules[name]
    sys.path.insert(0, folder)


# ``logdepth`` in a job's shell: another process, of the same group, runs it with the files of this
# one, which passes on what ends jobs and ends with it.
_CLIENT = """\
import json, os, signal, socket, sys
ends = {signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1}
signal.pthread_sigmask(signal.SIG_BLOCK, ends)
server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
server.connect(sys.argv[1])
request = json.dumps([os.getpid(), sys.argv[2:], os.getcwd(), dict(os.environ)])
socket.send_fds(server, [request.encode()], [0, 1, 2])
job = int(server.recv(20) or sys.exit(1))
def pass_on(*_):
    try:
        os.kill(job, signal.SIGTERM)
        os.kill(job, signal.SIGCONT)
    except ProcessLookupError:
        pass
for signum in ends:
    signal.signal(signum, signal.SIG_IGN)
signal.signal(signal.SIGTERM, pass_on)
signal.pthread_sigmask(signal.SIG_UNBLOCK, ends)
sys.exit(ord(server.recv(1) or b"\\1"))
"""


@contextmanager
def jobs_here(
    prepare: Callable[[list[str], Mapping[str, str]], object] = lambda words, environment: None,
) -> Iterator[dict[str, str]]:
    """Run the command ``logdepth`` in forks of this process; yield the environment that does.

    ``prepare`` is called in each of them first, with the words and the environment of its command.
    """
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
                    _serve(client, prepare)
                client.close()
                with suppress(ChildProcessError):
                    while os.waitpid(-1, os.WNOHANG)[0]:
                        pass
            with suppress(ChildProcessError):
                while os.wait():
                    pass
            os._exit(0)
        os.close(watched)
        # Named as the command is, by which the workflow knows its jobs.
        name = shlex.quote(str(Path(sys.executable).with_name("logdepth")))
        words = shlex.join([sys.executable, "-ISc", _CLIENT, str(address)])
        try:
            yield {"BASH_FUNC_logdepth%%": f'() {{ (exec -a {name} {words} "$@")\n}}'}
        finally:
            listener.close()
            os.close(held)
            os.waitpid(server, 0)


def _serve(
    client: socket.socket, prepare: Callable[[list[str], Mapping[str, str]], object]
) -> NoReturn:
    request, files, _, _ = socket.recv_fds(client, 2**20, 3)
    process, arguments, folder, environment = json.loads(request)

    def job() -> None:
        # Ended together with it, as by a closed terminal.
        os.setpgid(0, os.getpgid(process))
        client.send(str(os.getpid()).encode())
        prepare(arguments, environment)
        logdepth_program(arguments)()

    _run(job, files, Path(folder), environment, lambda code: client.send(bytes([code])))


def error(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one line of a failed command."""
    assert done.returncode not in (0, None), done.stdout
    lines = [line for line in done.stderr.splitlines() if "error:" in line]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return lines[0]
