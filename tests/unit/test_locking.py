"""One Snakemake at a time on a study, and none of its jobs without it."""

import os
import signal
import subprocess
import time
from queue import Queue
from threading import Lock

import pytest
from filelock import FileLock

from logdepth import locking
from logdepth.errors import UserError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    (tmp_path / ".snakemake").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(locking, "_held", [])
    monkeypatch.setenv("LOGDEPTH_LOCK", "none")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    return tmp_path


def test_a_held_study_is_refused_and_another_is_not(folder, capsys):
    with FileLock(folder / ".snakemake/one.lock"):
        with pytest.raises(UserError, match="results/one: another Snakemake is at work here"):
            locking.hold("one")
        locking.hold("two")
    locking.hold("one")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("error", [OSError("read-only"), NotImplementedError("no flock")])
def test_where_nothing_can_be_locked_work_goes_on_and_says_so(monkeypatch, capsys, error):
    def acquire(*_, **__):
        raise error

    monkeypatch.setattr(FileLock, "acquire", acquire)
    locking.hold("one")
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"results/one: cannot be locked ({error}); expected no second Snakemake here"


@pytest.fixture
def job():
    """Return a function that starts what looks like a job, and its environment besides."""
    started = []

    def start(**environment):
        words = ["logdepth", "100"]
        process = subprocess.Popen(words, executable="/bin/sleep", env=os.environ | environment)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def snakemake(folder):
    """A process that holds a study, passes signals on, and otherwise waits."""
    ready, say = os.pipe()
    if not (process := os.fork()):
        try:
            # Tests in the background are started to ignore these.
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            # As Snakemake does, which then starts no more jobs.
            signal.signal(signal.SIGTERM, lambda *_: os.write(say, b"t"))
            locking.hold("one")
            locking.pass_on_signals()
            os.write(say, b"r")
            while True:
                try:
                    time.sleep(100)
                except KeyboardInterrupt:
                    # Snakemake waits for its jobs now.
                    os.write(say, b"i")
        finally:
            os._exit(0)
    assert os.read(ready, 1) == b"r"
    yield process, ready
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


def test_jobs_that_a_killed_snakemake_left_are_ended(folder, job, capsys):
    mark = str(folder / ".snakemake/one.lock")
    left, stopped = job(LOGDEPTH_LOCK=mark), job(LOGDEPTH_LOCK=mark)
    stopped.send_signal(signal.SIGSTOP)
    others = (
        job(LOGDEPTH_LOCK=f"{mark}.other"),
        job(),
        # On a cluster Slurm ends its jobs, and a new Snakemake may follow them.
        job(LOGDEPTH_LOCK=mark, SLURM_JOB_ID="7"),
    )
    locking.hold("one")
    # How they ended is known to psutil alone, which waited for them.
    assert None not in (left.poll(), stopped.poll())
    assert [other.poll() for other in others] == [None] * 3
    assert capsys.readouterr().err == "results/one: ending 2 jobs that were left alone\n"
    # By this the next one knows those of this process.
    assert os.environ["LOGDEPTH_LOCK"] == mark


@pytest.mark.parametrize(
    ("signum", "then"),
    [
        (signal.SIGTERM, b"t"),
        (signal.SIGHUP, b"t"),
        (signal.SIGUSR1, b"t"),
        (signal.SIGINT, b"i"),
    ],
)
def test_a_signal_to_snakemake_alone_ends_its_jobs_as_well(folder, snakemake, job, signum, then):
    process, said = snakemake
    mark = str(folder / ".snakemake/one.lock")
    running = job(LOGDEPTH_LOCK=mark)
    os.kill(process, signum)
    assert running.wait() == -signal.SIGTERM
    assert os.read(said, 1) == then
    # It may have been just about to start one.
    assert job(LOGDEPTH_LOCK=mark).wait() == -signal.SIGTERM


def test_what_nohup_lets_be_ignored_stays_ignored(monkeypatch):
    handlers = {signal.SIGHUP: signal.SIG_IGN, signal.SIGTERM: print, signal.SIGUSR1: None}
    monkeypatch.setattr(signal, "getsignal", handlers.get)
    monkeypatch.setattr(signal, "signal", handlers.__setitem__)
    monkeypatch.setattr(signal, "set_wakeup_fd", lambda _: None)
    locking.pass_on_signals()
    assert handlers[signal.SIGHUP] == signal.SIG_IGN
    assert callable(handlers[signal.SIGUSR1])


def test_a_signal_is_heard_while_snakemake_holds_the_lock_that_its_handler_takes(monkeypatch):
    lock, took = Lock(), Queue()
    # As Snakemake does; it would wait for ever.
    handlers = {signal.SIGTERM: lambda *_: took.put(lock.acquire(timeout=60))}
    monkeypatch.setattr(signal, "getsignal", handlers.get)
    monkeypatch.setattr(signal, "signal", handlers.__setitem__)
    monkeypatch.setattr(signal, "set_wakeup_fd", lambda _: None)
    locking.pass_on_signals()
    for signum in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        with lock:
            handlers[signum](signum, None)
        assert took.get()
        lock.release()


def test_what_killed_jobs_were_writing_is_removed_where_none_can_be_at_work(folder):
    half = folder / "results/one/tables/.errors.csv.x7.part"
    half.parent.mkdir(parents=True)
    others = [folder / "results/two/.a.part", half.with_name("whole.part")]
    others[0].parent.mkdir()
    for path in (half, *others):
        path.touch()
    with FileLock(folder / ".snakemake/one.lock"), pytest.raises(UserError):
        locking.hold("one")
    assert half.exists()
    locking.hold("one", alone=False)
    assert half.exists()
    locking._held.pop().release()
    locking.hold("one")
    assert not half.exists()
    assert all(path.exists() for path in others)
