"""The kill campaign: ``python tests/chaos.py --kills 1000 --seed 0``; ``--case 17`` repeats one.

A case starts from a finished study, of which some is removed. The command that makes it again is
given, and processes of it get signals at random moments: one anything, perhaps Snakemake or all of
them, others each to a job alone. The same command is given again, and so on, until it ends well by
itself. Then every output must have the bytes of the undisturbed study,
its records must match, and nothing else may lie about. A command that fails without having got a
signal would need a hand, and is a fault as well.

Snakemake and its jobs are forks of this process, which spares their imports; one command in thirty
is of real processes.
"""

import argparse
import builtins
import importlib
import io
import itertools
import json
import os
import pkgutil
import random
import resource
import select
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from multiprocessing import get_context
from multiprocessing.util import Finalize
from pathlib import Path
from tempfile import TemporaryFile, mkdtemp
from typing import Any

import psutil

from checkout import TINY, Checkout, make_checkout
from command_line import forked, jobs_here, logdepth_program, snakemake_program, take_source
from logdepth.files import sha256_of

# Trainings that last as long as other jobs.
STUDY = TINY.replace("steps: 400", "steps: 100")
# What is drawn, with its weight.
SIGNALS = {"SIGKILL": 4, "SIGTERM": 2, "SIGINT": 2, "SIGHUP": 2, "SIGSTOP": 1}
VICTIMS = {"itself": 2, "snakemake": 1, "all": 2}
# From so many signals on, a case gets no more.
MOST = 16
REAL = 1 / 30
# A process that has to wait for processors is alive; one that rests for so long hangs.
HANGS = 300.0
ROOT = Path(__file__).resolve().parent.parent
# What each stage is reported as, and how far its process gets on this study: changes of files, and
# CPU seconds. Only what is drawn depends on it. Snakemake: with all to do, and with nothing.
STAGES = {
    "train": ("training", 180, 0.8),
    "data": ("evaluation", 40, 0.3),
    "evaluate": ("evaluation", 36, 0.3),
    "tabulate": ("tables", 46, 0.4),
    "curves": ("tables", 42, 0.4),
    "describe": ("tables", 120, 0.4),
    "fit": ("tables", 46, 0.5),
    "figure": ("figures", 62, 1.0),
    "traces": ("pages of figures", 20, 0.1),
    "snakemake": ("Snakemake", 1100, 1.0),
    "idle": ("Snakemake", 120, 0.2),
    "set-up": ("set-up", 95, 0.0),
}
SECOND = "another Snakemake is at work here"
# In the environment of a command: its number, and what blows it gets.
_VARIABLE = "CHAOS"
# The job that has no record.
PAGES = "traces/figures"


@dataclass(frozen=True)
class Blow:
    """A signal, and when whom it hits.

    Attributes:
        role: the process whose progress it follows: snakemake, or the record of a job.
        place: after so many changes of files by it, or
        seconds: after so many CPU seconds of it; 0 where a place is given.
        signum: name of the signal.
        victim: itself, snakemake, or all processes of the command.
        real: whether the command's processes are real ones.
    """

    role: str
    place: int
    seconds: float
    signum: str
    victim: str
    real: bool = False

    def strike(self, itself: int, group: int) -> None:
        with suppress(ProcessLookupError):
            if self.victim == "all":
                os.killpg(group, signal.Signals[self.signum])
            else:
                process = itself if self.victim == "itself" else group
                os.kill(process, signal.Signals[self.signum])


def watch(role: str, tell: int, plan: str) -> None:
    """Count what this process does to files, and strike at the planned places."""
    number, blows = json.loads(plan)
    planned = {blow["place"]: Blow(**blow) for blow in blows if blow["role"] == role}
    done = 0

    def say(place: str) -> None:
        said = {"command": number, "role": role, "pid": os.getpid(), "place": place, "done": done}
        os.write(tell, json.dumps(said).encode() + b"\n")

    def change(place: str) -> None:
        nonlocal done
        done += 1
        if blow := planned.get(done):
            say(place)
            blow.strike(os.getpid(), os.getpgrp())

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        place = _EVENTS.get(event)
        if place and (event != "open" or arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
            change(place)

    class Halved(io.FileIO):
        """A file in the middle of each write of which is a place."""

        def write(self, data: Any) -> int:
            content = memoryview(data).cast("B")
            half = len(content) // 2
            written = super().write(content[:half]) or 0
            change("in a write")
            return written + (super().write(content[half:]) or 0)

    plain, sync = builtins.open, os.fsync

    def opened(file, mode="r", buffering=-1, *text, closefd=True, opener=None, **named):
        if not set(mode) & set("wxa+") or not buffering:
            return plain(file, mode, buffering, *text, closefd=closefd, opener=opener, **named)
        raw = Halved(file, mode.replace("b", "").replace("t", ""), closefd, opener)
        binary = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        if "b" in mode:
            return binary
        return io.TextIOWrapper(binary, *text, line_buffering=buffering == 1, **named)

    def synced(descriptor: Any) -> None:
        sync(descriptor)
        change("after a sync")

    sys.addaudithook(hear)
    builtins.open = io.open = opened
    os.fsync = synced
    say("")


_EVENTS = {
    "open": "before a file is opened",
    "os.rename": "before a file is renamed",
    "os.remove": "before a file is removed",
    "os.mkdir": "before a folder is made",
    "os.rmdir": "before a folder is removed",
    "os.chmod": "before a mode is set",
    "fcntl.flock": "before a lock",
    "subprocess.Popen": "before a process is started",
    "os.posix_spawn": "before a process is started",
}


@dataclass
class Given:
    """A command that has ended: its code, what it said, and what struck it where."""

    code: int = 0
    said: str = ""
    struck: dict[Blow, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


class Lane:
    """A study in which one case after another is tried."""

    def __init__(self, study: Checkout) -> None:
        """Take a study whose folder is this lane's alone."""
        self.study = study
        (_, _, _, *words), self.environment = study.command()
        take_source(self.environment["PYTHONPATH"])
        for name in ("logdepth", "audit_trail"):
            package = importlib.import_module(name)
            for module in pkgutil.walk_packages(package.__path__, f"{name}."):
                if not module.name.endswith("__main__"):
                    importlib.import_module(module.name)
        self.snakemake = snakemake_program(words)
        self._find_out(study)
        self.heard, self.tell = os.pipe()
        os.set_blocking(self.heard, False)
        self.half = ""
        self.commands = 0
        self.jobs = jobs_here(self._prepare)
        self.environment |= self.jobs.__enter__()

    @staticmethod
    def _find_out(study: Checkout) -> None:
        """Find out here, once, what Snakemake and its jobs would in each fork."""
        from snakemake.cli import get_argument_parser

        from logdepth.config.study import load_study
        from logdepth.jobs import jobs_of
        from logdepth.resolved import resolve_in

        get_argument_parser()
        for job in jobs_of(resolve_in(load_study(study.config), study.results)).values():
            job.definition(None)

    def close(self) -> None:
        self.jobs.__exit__(None, None, None)

    def _prepare(self, words: list[str], environment: Mapping[str, str]) -> None:
        role = PAGES
        if "--record" in words:
            record = Path(words[words.index("--record") + 1])
            role = f"{record.parent.name}/{record.stem}"
        if words[0] == "train":
            words += ["--checkpoint-seconds", "0.2"]
        watch(role, self.tell, environment[_VARIABLE])

    def records(self) -> dict[str, list[Path]]:
        """Return the record of each job, and what it made, of a finished study."""
        found = {}
        for path in sorted(self.study.results.glob("provenance/*/*.json")):
            content = json.loads(path.read_text())
            if "subject" in content:
                made = [self.study.results / s["name"] for s in content["subject"]]
                found[f"{path.parent.name}/{path.stem}"] = [path, *made]
        return found

    def give(self, *blows: Blow) -> Given:
        """Give the command, with blows; wait until it has ended."""
        self.commands += 1
        plan = json.dumps([self.commands, list(map(asdict, blows))])
        environment = self.environment | {_VARIABLE: plan}
        real = any(blow.real for blow in blows)

        def program() -> None:
            os.setpgid(0, 0)
            if real:
                command, plain = self.study.command()
                os.execve(command[0], command, plain)
            watch("snakemake", self.tell, plan)
            self.snakemake()

        with TemporaryFile("w+") as output:
            files = (0, output.fileno(), output.fileno())
            process = forked(program, files, self.study.folder, environment)
            given = self._follow(process, self.commands, blows)
            output.seek(0)
            given.said = output.read()
        return given

    def _follow(self, process: int, number: int, blows: Sequence[Blow]) -> Given:
        """Wait for a command's end; strike it at moments, and let what is stopped go on."""
        given = Given()
        running = {"snakemake": process} if any(blow.real for blow in blows) else {}
        looked, used = time.monotonic(), 0.0
        ended, stopping = 0, True
        while not ended:
            ended, status = os.waitpid(process, os.WNOHANG)
            for said in self._hear(0 if ended else 0.01):
                if said["command"] == number:
                    running[said["role"]] = said["pid"]
                    for blow in blows:
                        if (blow.role, blow.place) == (said["role"], said["done"] or None):
                            given.struck[blow] = said["place"]
            if ended:
                given.code = os.waitstatus_to_exitcode(status)
                break
            for blow in blows:
                if blow.place or blow in given.struck:
                    continue
                if blow.real and blow.role not in running:
                    running |= _real_job(process, blow.role)
                if (itself := running.get(blow.role)) and _seconds(itself) >= blow.seconds:
                    given.struck[blow] = "at any moment"
                    blow.strike(itself, process)
            if stopping and any(blow.signum == "SIGSTOP" for blow in given.struck):
                stopping = False
                given.faults += self._second()
                os.killpg(process, signal.SIGCONT)
            if time.monotonic() - looked > HANGS:
                group = [pid for pid in psutil.pids() if _group(pid) == process]
                looked, before, used = time.monotonic(), used, _seconds(*group)
                if used == before:
                    given.faults.append("hangs")
                    os.killpg(process, signal.SIGKILL)
        return given

    def _second(self) -> list[str]:
        """Give the command a second time while the first is stopped: it is told so, or goes on."""
        second = self.give()
        told = second.said.count(SECOND) == 1 and "Traceback" not in second.said
        if told or second.code == 0:
            return []
        return [f"a second command ended with {second.code}: {second.said[-2000:]}"]

    def _hear(self, seconds: float) -> Iterator[dict[str, Any]]:
        if select.select([self.heard], [], [], seconds)[0]:
            self.half += os.read(self.heard, 1 << 16).decode()
            *lines, self.half = self.half.split("\n")
            yield from map(json.loads, lines)

    def restore(self, pristine: Path) -> None:
        """Make the study what it was when it was finished."""
        for name in ("results", ".snakemake"):
            shutil.rmtree(self.study.folder / name, ignore_errors=True)
            shutil.copytree(pristine / name, self.study.folder / name)

    def remove(self, draw: random.Random, records: dict[str, list[Path]]) -> None:
        """Remove something of a finished study; what runs cost was counted once."""
        what = draw.random()
        if what < 0.25:
            # The notes of Snakemake are lost.
            shutil.rmtree(self.study.folder / ".snakemake")
        if what < 0.15:
            costs = (self.study.results / "costs.json").read_bytes()
            shutil.rmtree(self.study.results)
            self.study.results.mkdir()
            (self.study.results / "costs.json").write_bytes(costs)
            return
        for record in draw.sample(sorted(records), draw.randint(2, 5)):
            for path in records[record]:
                if draw.random() < 0.8:
                    path.unlink()

    def draw(self, draw: random.Random, records: dict[str, list[Path]]) -> list[Blow]:
        """Draw blows at what is still to be done: one anything, others to a job alone."""
        left = [name for name, paths in records.items() if not all(p.is_file() for p in paths)]
        left = left or [PAGES]
        draw.shuffle(left)
        if draw.random() < 0.4:
            left.insert(0, "snakemake")
        blows = []
        for n, role in enumerate(left):
            _, *reach = STAGES[role.partition("/")[0]]
            if role == "snakemake":
                part = (len(left) - 1) / len(records)
                reach = [i + part * (r - i) for i, r in zip(STAGES["idle"][1:], reach, strict=True)]
            signum, victim = (draw.choices(list(w), w.values())[0] for w in (SIGNALS, VICTIMS))
            real = draw.random() < REAL and not n
            share, at_a_place = draw.random(), draw.random() < 0.6 and not real
            place = 1 + int(share * reach[0]) if at_a_place else 0
            # Real processes have to import what forks find.
            seconds = 0.0 if at_a_place else 0.01 + share * (reach[1] + 3 * real)
            if n and (signum == "SIGSTOP" or draw.random() < 0.4):
                continue
            blows.append(Blow(role, place, seconds, signum, "itself" if n else victim, real))
            if real:
                break
        return blows

    def try_case(self, seed: int, index: int, pristine: Path) -> "Case":
        """Disturb the study until a command ends well by itself, and look at what is there."""
        draw = random.Random(f"{seed}/{index}")
        self.restore(pristine)
        records = self.records()
        expected = self.study.hashes()
        self.remove(draw, records)
        case = Case(index)
        given = self.give(*self.draw(draw, records))
        case.blows += given.struck.items()
        while given.code and given.struck and not given.faults:
            given = self.give(*(self.draw(draw, records) if len(case.blows) < MOST else ()))
            case.blows += given.struck.items()
        case.faults += given.faults
        if given.code:
            case.faults.append(f"the command ended with {given.code}: {given.said[-3000:]}")
        found = self.study.hashes()
        names = sorted(found.keys() | expected.keys())
        case.differing = [name for name in names if found.get(name) != expected.get(name)]
        case.faults += self._litter() + self._verified()
        return case

    def _litter(self) -> list[str]:
        left = [*self.study.results.rglob("*.part"), *self.study.results.glob("checkpoints/*")]
        return [f"left behind: {path.relative_to(self.study.folder)}" for path in left]

    def _verified(self) -> list[str]:
        """Return what the audit says against the study."""
        words = ["audit", "verify", str(self.study.results.relative_to(self.study.folder))]
        with TemporaryFile("w+") as output:
            files = (0, output.fileno(), output.fileno())
            child = forked(logdepth_program(words), files, self.study.folder, self.environment)
            _, status = os.waitpid(child, 0)
            output.seek(0)
            return [output.read()] if status else []


@dataclass
class Case:
    """A case that was tried.

    Attributes:
        index: its number.
        kind: "set-up ", or empty.
        blows: each with the place where it struck.
        differing: outputs that have other bytes than undisturbed, or are missing.
        faults: whatever else would need a hand.
    """

    index: int
    kind: str = ""
    blows: list[tuple[Blow, str]] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def show(self, before: int) -> None:
        """Print that it was tried, after so many signals, and what is wrong, if anything is."""
        print(f"{self.kind}case {self.index}: signals {before} to {before + len(self.blows)}")
        if self.differing or self.faults:
            differing = [f"differs: {name}" for name in self.differing]
            print(*self.blows, *differing, *self.faults, sep="\n")
        sys.stdout.flush()


def _seconds(*processes: int) -> float:
    """CPU seconds of processes, without those that have ended."""
    found = 0.0
    for process in processes:
        with suppress(psutil.Error):
            found += sum(psutil.Process(process).cpu_times()[:2])
    return found


def _group(process: int) -> int:
    with suppress(ProcessLookupError):
        return os.getpgid(process)
    return 0


def _real_job(process: int, role: str) -> dict[str, int]:
    """Return the process of a job, if it runs: the command itself, not the shell above it."""
    with suppress(psutil.Error):
        for child in psutil.Process(process).children(recursive=True):
            words = child.cmdline()
            mark = f"/{role}.json" if role != PAGES else "--pages"
            ours = len(words) > 2 and words[1].endswith("/logdepth")
            if ours and any(word.endswith(mark) for word in words):
                return {role: child.pid}
    return {}


# Each command of each script of set-up is a place.
_COUNTED = """\
set -T
trap 'echo >>"$CHAOS_DONE"; mapfile -t CHAOS_LINES <"$CHAOS_DONE"
if [ ${#CHAOS_LINES[@]} = "$CHAOS_PLACE" ]; then
    echo >>"$CHAOS_DONE"; kill -"$CHAOS_SIGNAL" $([ "$CHAOS_VICTIM" = all ] && echo 0 || echo $$)
fi' DEBUG
"""
# A Python that installs copies of the locks, and may be stopped when that is half done.
_INSTALLER = """\
#!/bin/bash
case "$*" in
-c*print*) echo 3.11 ;;
"-m venv"*)
    mkdir -p .venv/bin .venv/lib/python3.11/site-packages
    touch .venv/half
    cp "$0" .venv/bin/python
    rm .venv/half
    ;;
"-m pip"*--editable*) pwd >.venv/lib/python3.11/site-packages/__editable__.logdepth-0.1.0.pth ;;
"-m pip"*)
    touch .venv/half
    for word; do case $word in *.txt) cp "$word" .venv/lib/ ;; esac; done
    rm .venv/half
    ;;
esac
"""


class SetUp:
    """A clone in which ``make setup`` is disturbed; nothing is really installed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.counted, self.done = folder, folder / "counted", folder / "done"
        folder.mkdir()
        for name in ("envs", "config"):
            shutil.copytree(ROOT / name, folder / name)
        for name in ("Makefile", "pyproject.toml"):
            shutil.copy(ROOT / name, folder)
        (python := folder / "python").write_text(_INSTALLER)
        python.chmod(0o755)
        self.counted.write_text(_COUNTED)
        assert not self.give("", 0, "").wait()
        self.expected = self.installed()

    def installed(self) -> dict[str, str]:
        """Return the sha256 of each file of the environment."""
        files = [path for path in (self.folder / ".venv").rglob("*") if path.is_file()]
        return {str(path.relative_to(self.folder)): sha256_of(path) for path in files}

    def struck(self) -> int:
        return self.done.read_text().count("\n")

    def give(self, signum: str, place: int, victim: str, *words: str) -> subprocess.Popen[bytes]:
        """Start ``make setup``."""
        self.done.write_text("")
        variables = {"PLACE": place, "SIGNAL": signum, "VICTIM": victim, "DONE": self.done}
        environment = os.environ | {f"CHAOS_{name}": str(v) for name, v in variables.items()}
        return subprocess.Popen(
            ["make", "setup", f"PYTHON={self.folder / 'python'}", "TORCH=cpu", *words],
            cwd=self.folder,
            env=environment | {"BASH_ENV": str(self.counted)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )

    def try_case(self, seed: int, index: int) -> "Case":
        """Disturb a new environment, or one that gets new locks, until it is whole."""
        draw = random.Random(f"{seed}/set-up/{index}")
        case = Case(index, "set-up ")
        if draw.random() < 0.5:
            shutil.rmtree(self.folder / ".venv")
        else:
            os.utime(self.folder / "envs/cpu.txt")
        for _ in range(draw.randint(1, 4)):
            (signum,) = draw.choices(list(SIGNALS), list(SIGNALS.values()))
            place, victim = draw.randint(1, STAGES["set-up"][1]), draw.choice(["itself", "all"])
            process = self.give(signum, place, victim)
            while process.poll() is None and not self._is_stopped(process):
                time.sleep(0.01)
            if process.returncode is None:
                case.faults += self._second(process)
            if self.struck() > place:
                blow = Blow("set-up", place, 0.0, signum, victim)
                case.blows.append((blow, "between two commands"))
        if code := self.give("", 0, "").wait():
            case.faults.append(f"make setup ended with {code}")
        found = self.installed()
        names = sorted(found.keys() | self.expected.keys())
        case.differing = [name for name in names if found.get(name) != self.expected.get(name)]
        if self.give("", 0, "", "--question").wait():
            case.faults.append("make setup is not done")
        return case

    def _second(self, first: subprocess.Popen[bytes]) -> list[str]:
        """Give the command a second time while the first is stopped: it waits, or is through."""
        done = self.done.read_text()
        second = self.give("", 0, "")
        self.done.write_text(done)
        while second.poll() is None and not any(
            child.name() == "flock" for child in psutil.Process(second.pid).children(recursive=True)
        ):
            time.sleep(0.01)
        os.killpg(first.pid, signal.SIGCONT)
        codes = [process.wait() for process in (first, second)]
        return [f"of two make setup one failed: {codes}"] if any(codes) else []

    @staticmethod
    def _is_stopped(process: subprocess.Popen[bytes]) -> bool:
        with suppress(psutil.Error):
            whole = psutil.Process(process.pid)
            return any(p.status() == "stopped" for p in [whole, *whole.children(recursive=True)])
        return False


def campaign(
    kills: int, seed: int, lanes: int, only: int | None = None, study: Checkout | None = None
) -> bool:
    """Try cases until there were so many signals; print what came of it, and return whether well.

    Args:
        kills: how many signals; a twenty-fifth of them to set-up.
        seed: that of all cases.
        lanes: how many cases run at once.
        only: the one case to try, and none of set-up.
        study: a finished one, which is disturbed; by default it is made first.
    """
    print(f"seed {seed}", flush=True)
    began = time.monotonic()
    folder = Path(mkdtemp(prefix="chaos-"))
    cases: list[Case] = []

    def struck() -> int:
        return sum(len(case.blows) for case in cases)

    def add(case: Case) -> None:
        case.show(struck())
        cases.append(case)

    if only is None:
        set_up = SetUp(folder / "set-up")
        while struck() < kills / 25:
            add(set_up.try_case(seed, len(cases)))
    print(f"{struck()} signals to set-up, {_used():.0f} CPU seconds", flush=True)
    if study is None:
        first = Lane(study := make_checkout(ROOT, folder / "0", STUDY))
        assert not first.give().code
        first.close()
        print(f"the study undisturbed, {_used():.0f} CPU seconds", flush=True)
    for name in ("results", ".snakemake"):
        shutil.copytree(study.folder / name, folder / "pristine" / name)
    studies = get_context("fork").SimpleQueue()
    for n in range(lanes):
        studies.put(study.copy(folder / f"lane{n}") if n else study)
    numbers = iter([only]) if only is not None else itertools.count()
    attempt = partial(_try, seed, folder / "pristine")
    with ProcessPoolExecutor(lanes, get_context("fork"), _begin, (studies,)) as pool:
        running = {pool.submit(attempt, n) for n in itertools.islice(numbers, lanes)}
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                add(future.result())
                if struck() < kills and (number := next(numbers, None)) is not None:
                    running.add(pool.submit(attempt, number))
    _report(cases)
    print(f"seed {seed}, {time.monotonic() - began:.0f} s, {_used():.0f} CPU seconds")
    well = not any(case.differing or case.faults for case in cases)
    if well:
        shutil.rmtree(folder)
    else:
        print(f"kept: {folder}")
    return well


def _used() -> float:
    """CPU seconds of this process and all that it waited for."""
    used = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


_lane: list[Lane] = []


def _begin(studies: Any) -> None:
    _lane.append(Lane(studies.get()))
    Finalize(None, _lane[0].close, exitpriority=1)


def _try(seed: int, pristine: Path, index: int) -> Case:
    return _lane[0].try_case(seed, index, pristine)


def _report(cases: list[Case]) -> None:
    """Print signals by whom they struck and where, by kind."""
    blows = [blow for case in cases for blow in case.blows]
    for title, key in (
        ("struck", lambda blow, place: STAGES[blow.role.partition("/")[0]][0]),
        ("place", lambda blow, place: place),
        ("victim", lambda blow, place: blow.victim + " (real processes)" * blow.real),
    ):
        counted = Counter((key(blow, place), blow.signum) for blow, place in blows)
        print(f"\n| {title} | {' | '.join(SIGNALS)} |\n|---|{'---|' * len(SIGNALS)}")
        for row in sorted({row for row, _ in counted}):
            print(f"| {row} | {' | '.join(str(counted[row, s]) for s in SIGNALS)} |")
    differing = sum(len(case.differing) for case in cases)
    repairs = sum(bool(case.faults) for case in cases)
    print(
        f"\n{len(blows)} signals in {len(cases)} cases, {differing} outputs with other bytes, "
        f"{repairs} repairs by hand"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Kill a study at random moments.")
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lanes", type=int, default=2, help="cases at once")
    parser.add_argument("--case", type=int, help="repeat this one alone")
    options = parser.parse_args()
    sys.exit(not campaign(options.kills, options.seed, options.lanes, options.case))
