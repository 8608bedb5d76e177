"""Kills of ``make setup``, part of the campaign in chaos.py."""

import os
import random
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil

from blows import SIGNALS, STAGES, Blow, Case
from logdepth.files import sha256_of

ROOT = Path(__file__).resolve().parent.parent
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

    def try_case(self, seed: int, index: int) -> Case:
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
        case.compare(self.installed(), self.expected)
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
