"""One Snakemake at a time works on a study, and what it started ends with it."""

import fcntl
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

import psutil
from filelock import FileLock, Timeout

from logdepth.errors import UserError
from logdepth.files import remove_leftovers

# In the environment of every job: the lock of its Snakemake.
_MARK = "LOGDEPTH_LOCK"
_SLURM = "SLURM_JOB_ID"
# Seconds for what ends to save its state, and between looks at what runs.
_PATIENCE = 120.0
_PAUSE = 0.5
_ENDING = {signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGINT}
_HELD = "results/{}: another Snakemake is at work here; wait for it, or stop it"
_held: list[FileLock] = []


def hold(study: str, *, alone: bool = True) -> None:
    """Hold a study until this process ends, however it does.

    The kernel releases the lock, where a killed Snakemake leaves its own behind. Jobs that one left
    are ended: they would write what is started again here. What killed jobs were writing is gone
    then, for an audit asks where each file is from.

    Args:
        study: its name.
        alone: whether no other job can be at work there; on a cluster one may still be.

    Raises:
        UserError: another process holds it.
    """
    lock = FileLock(_path(study))
    mark = os.path.realpath(lock.lock_file)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise UserError(_HELD.format(study)) from error
    except (OSError, NotImplementedError) as error:
        # A file system may have no locks; work goes on, and its owner has to take care.
        print(
            f"results/{study}: cannot be locked ({error}); expected no second Snakemake here",
            file=sys.stderr,
        )
    else:
        _held.append(lock)
        if left := list(_jobs(mark)):
            print(f"results/{study}: ending {len(left)} jobs that were left alone", file=sys.stderr)
            for job in left:
                _end(job)
            _, alive = psutil.wait_procs(left, _PATIENCE)
            for job in alive:
                job.kill()
            psutil.wait_procs(alive)
        if alone:
            for folder, _, _ in os.walk(Path("results", study)):
                remove_leftovers(Path(folder))
    os.environ[_MARK] = mark


def at_work(study: str) -> list[list[str]]:
    """Return the words of the jobs of a study that run on this machine, under a Snakemake here."""
    found = []
    for job in _jobs(os.path.realpath(_path(study))):
        with suppress(psutil.Error):
            found.append(job.cmdline())
    return found


@contextmanager
def undisturbed(study: str) -> Iterator[None]:
    """Hold a study for the time of a block, without ending anything that works on it.

    Raises:
        UserError: a Snakemake, or a job that one left behind, is at work there.
    """
    lock = FileLock(_path(study))
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise UserError(_HELD.format(study)) from error
    except (OSError, NotImplementedError):
        pass  # where nothing can be locked
    try:
        if at_work(study):
            raise UserError(f"results/{study}: jobs are at work here; wait for them, or stop them")
        yield
    finally:
        lock.release()


def _path(study: str) -> Path:
    return Path(".snakemake", f"{study}.lock")


def hold_folder(folder: Path) -> None:
    """Hold a folder that this process writes, which is made if it is not there.

    A job of Slurm waits for another process, which can only be what an attempt before it left: a
    killed job's training may outlive it where Slurm does not follow processes by their cgroup.

    Raises:
        UserError: another process holds it, or it is a file.
        OSError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UserError(f"{folder}: expected a folder, but there is a file") from error
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        line = f"{folder}: another process is writing it; "
        if _SLURM not in os.environ:
            raise UserError(line + "wait for it, or stop it") from error
        print(line + "waiting for it", file=sys.stderr, flush=True)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError:
        # Where nothing can be locked; files are whole or absent all the same.
        return


def pass_on_signals() -> None:
    """Let this process, told to end, tell its jobs as well, and start no more of them.

    Snakemake itself waits for them, however long they take, and a closed terminal kills it.
    """
    graceful = signal.getsignal(signal.SIGTERM)
    assert callable(graceful), "Snakemake has a handler of its own"

    def end(*heard: object) -> None:
        # It takes a lock, which the main thread may just have: that would wait for itself.
        Thread(target=graceful, args=heard, daemon=True).start()

    for signum in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        # One that is ignored, as by nohup, stays so.
        if signal.getsignal(signum) != signal.SIG_IGN:
            signal.signal(signum, end)
    # A handler would have to wait for the main thread, which may not wake before a job ends.
    heard, told = os.pipe()
    os.set_blocking(told, False)
    signal.set_wakeup_fd(told)
    Thread(target=_end_jobs, args=(heard, os.environ[_MARK]), daemon=True).start()


def _end_jobs(heard: int, mark: str) -> None:
    """Wait for a signal to end; then end jobs, and whatever is being started just then."""
    while not set(os.read(heard, 1)) & _ENDING:
        pass
    told = set()
    while True:
        for job in _jobs(mark):
            if job.pid not in told:
                told.add(job.pid)
                _end(job)
        time.sleep(_PAUSE)


def _jobs(mark: str) -> Iterator[psutil.Process]:
    """Return the processes of our command that were started under a lock, but for Slurm's jobs."""
    own = {_MARK: mark, _SLURM: os.environ.get(_SLURM)}
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = [Path(word).name for word in process.cmdline()[:2]]
            if "logdepth" in words:
                there = process.environ()
                if {name: there.get(name) for name in own} == own:
                    yield process


def _end(job: psutil.Process) -> None:
    with suppress(ProcessLookupError):
        os.kill(job.pid, signal.SIGTERM)
        # One that was stopped does not hear of it.
        os.kill(job.pid, signal.SIGCONT)
