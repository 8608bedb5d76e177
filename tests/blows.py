"""Signals at random moments, and a process that is struck at a change of its files."""

import builtins
import io
import json
import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

# What is drawn, with its weight.
SIGNALS = {"SIGKILL": 4, "SIGTERM": 2, "SIGINT": 2, "SIGHUP": 2, "SIGSTOP": 1}
VICTIMS = {"itself": 2, "snakemake": 1, "all": 2}
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

    def compare(self, found: dict[str, str], expected: dict[str, str]) -> None:
        """Keep the names of outputs by whose sha256 they are not what they were."""
        names = sorted(found.keys() | expected.keys())
        self.differing = [name for name in names if found.get(name) != expected.get(name)]

    def show(self, before: int) -> None:
        """Print that it was tried, after so many signals, and what is wrong, if anything is."""
        print(f"{self.kind}case {self.index}: signals {before} to {before + len(self.blows)}")
        if self.differing or self.faults:
            differing = [f"differs: {name}" for name in self.differing]
            print(*self.blows, *differing, *self.faults, sep="\n")
        sys.stdout.flush()
