"""The kill campaign: ``python tests/chaos.py --kills 1000 --seed 0``; ``--case 17`` repeats one.

A case starts from a finished study, of which some is removed. The command that makes it again is
given, and processes of it get signals at random moments: one anything, perhaps Snakemake or all of
them, others each to a job alone. The same command is given again, and so on, until it ends well by
itself. Then every output must have the bytes of the undisturbed study,
its records must match, and nothing else may lie about. A command that fails without having got a
signal would need a hand, and is a fault as well.

Snakemake and its jobs are forks of this process, which spares their imports; one command in thirty
is of real processes, and all of them with ``REAL=1``.
"""

import argparse
import importlib
import itertools
import json
import os
import pkgutil
import random
import resource
import select
import shutil
import signal
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

from blows import SIGNALS, STAGES, VICTIMS, Blow, Case, watch
from chaos_set_up import SetUp
from checkout import TINY, Checkout, make_checkout
from command_line import forked, jobs_here, logdepth_program, snakemake_program, take_source

# Trainings that last as long as other jobs.
STUDY = TINY.replace("steps: 400", "steps: 100")
# From so many signals on, a case gets no more.
MOST = 24
# Share of the commands that are of real processes.
REAL = float(os.environ.get("REAL", 1 / 30))
# A process that has to wait for processors is alive; one that rests for so long hangs.
HANGS = 300.0
ROOT = Path(__file__).resolve().parent.parent
SECOND = "another Snakemake is at work here"
# In the environment of a command: its number, and what blows it gets.
_VARIABLE = "CHAOS"
# The job that has no record.
PAGES = "traces/figures"


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
            if n and (signum == "SIGSTOP" or draw.random() < 0.2):
                continue
            blows.append(Blow(role, place, seconds, signum, "itself" if n else victim, real))
            if real:
                break
        return blows

    def try_case(self, seed: int, index: int, pristine: Path) -> Case:
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
        case.compare(self.study.hashes(), expected)
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


def campaign(
    kills: int, seed: int, lanes: int, only: int | None = None, study: Checkout | None = None
) -> bool:
    """Try cases until there were so many signals; print what came of it, and return whether well.

    Args:
        kills: how many signals; a quarter of them to set-up, but 40 at most.
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
        while struck() < min(kills // 4, 40):
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
