"""Throw-away checkouts of the project, with a study of their own."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from command_line import snakemake_here
from logdepth.files import sha256_of

TINY = """\
study: tiny
title: A study for tests
task: {name: hop, context: 10, alphabet: 4, max_k: 2}
seeds: [0]
evaluation: {sequences: 16}
fit: {thresholds: [0.1, 0.05]}
experiments:
  fast:
    title: fast
    model: {form: softmax, heads: 2, width: 16, mlp_ratio: 0}
    training: {recipe: muon, steps: 400, batch: 8, warmup: 2}
    depths: [1, 2]
  gpt2:
    title: gpt2
    model: {form: gpt2, heads: 2, width: 32}
    training: {recipe: paper, steps: 4, batch: 8, warmup: 2}
    depths: [1]
figures:
  depth_law: {draws: depth_law}
  error_by_k: {draws: error_by_k}
  training_curves: {draws: training_curves}
"""
# Of the fits, of the errors, and of the training: each from tables of another job.
FIGURES = ["depth_law", "error_by_k", "training_curves"]


@dataclass
class Checkout:
    """A copy of the project with a study of its own.

    Attributes:
        folder: where it lies.
    """

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "config" / "tiny.yaml"

    @property
    def results(self) -> Path:
        return self.folder / "results" / "tiny"

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace text in a file, keeping its times."""
        file = self.folder / path
        text, stat = file.read_text(), file.stat()
        assert old in text, f"{old!r} is not in {path}"
        file.write_text(text.replace(old, new, 1))
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        # Python takes compiled code for that of a source of the same time and size.
        for compiled in file.parent.glob(f"__pycache__/{file.stem}.*.pyc"):
            compiled.unlink()

    def command(self, *arguments: str) -> tuple[list[str], dict[str, str]]:
        """Return command and environment of Snakemake on this checkout's own source."""
        command = [sys.executable, "-m", "snakemake", "--configfile", "config/tiny.yaml"]
        environment = os.environ | {"PYTHONPATH": str(self.folder / "workflow")}
        # As for anybody who has not asked for it; each process compiles the source anew without.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        return [*command, "--cores", "2", *arguments], environment

    def snakemake(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run Snakemake in a fork of this process; its jobs are processes of their own."""
        (_, _, _, *words), environment = self.command(*arguments)
        done = snakemake_here(words, self.folder, environment)
        if check:
            assert done.returncode == 0, done.stdout + done.stderr
        return done

    def refused(self, *arguments: str) -> str:
        """Return what Snakemake says when it refuses to start."""
        done = self.snakemake(*arguments, check=False)
        assert done.returncode != 0, done.stdout
        return done.stderr

    def jobs(self, *arguments: str) -> dict[str, int]:
        """Run Snakemake; return how many jobs of each rule there were."""
        done = self.snakemake(*arguments)
        text = done.stdout + done.stderr
        stats = text.partition("Job stats")[2].partition("\n\n")[0]
        found = re.findall(r"^(\w+) +(\d+)$", stats, re.M)
        assert bool(found) != ("Nothing to be done" in text), text
        return {rule: int(n) for rule, n in found if rule not in ("all", "total")}

    def ran(self, *arguments: str) -> dict[str, int]:
        """Run Snakemake; return how many jobs of each rule there were, all but ``traces``.

        The pages follow every record, so that they are written again with whatever runs.
        """
        jobs = self.jobs(*arguments)
        return {rule: n for rule, n in jobs.items() if rule != "traces"}

    def planned(self, *arguments: str) -> dict[str, int]:
        """Return what ``ran`` would, without running anything."""
        return self.ran("--dry-run", *arguments)

    def commands(self, *arguments: str) -> list[list[str]]:
        """Return the words that ``logdepth`` would be called with, jobs in their order."""
        text = self.snakemake("--dry-run", "--printshellcmds", *arguments).stdout
        found = re.findall(r"^ *Shell command: logdepth (.*) > \S+ 2>&1$", text, re.M)
        return [shlex.split(words) for words in found]

    def hashes(self) -> dict[str, str]:
        """Return the sha256 of every result; records, logs and times are none."""
        kinds = ("data", "runs", "tables", "figures")
        files = [p for kind in kinds for p in (self.results / kind).rglob("*") if p.is_file()]
        return {p.relative_to(self.results).as_posix(): sha256_of(p) for p in sorted(files)}

    def git(self, *arguments: str) -> str:
        command = ["git", "-c", "user.name=test", "-c", "user.email=test", *arguments]
        done = subprocess.run(command, cwd=self.folder, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def copy(self, folder: Path) -> "Checkout":
        """Return a copy with all times kept."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Checkout(folder)


def make_checkout(root: Path, folder: Path, study: str = TINY) -> Checkout:
    """Return a checkout of the working tree, as a git repository of one commit."""
    # With compiled code, which is valid for a source of the same time and size: each checkout would
    # spend seconds on it.
    ignore = shutil.ignore_patterns("*.egg-info")
    for part in ("workflow", "profiles", "config"):
        shutil.copytree(root / part, folder / part, ignore=ignore)
    for part in ("Snakefile", ".gitignore", "README.md"):
        shutil.copy2(root / part, folder / part)
    (folder / "slurm").symlink_to("profiles/slurm")
    checkout = Checkout(folder)
    checkout.config.write_text(study)
    checkout.git("init", "-q")
    checkout.git("add", ".")
    checkout.git("commit", "-qm", "start")
    return checkout
