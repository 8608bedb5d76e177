"""What records cost, and how fast large studies are audited: part of ``make bench``.

The large study is 2000 jobs in a chain, each with ten outputs and an input from the job before, in
a clone with the commit that they name; its history has fifty versions of each record.
"""

import copy
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from audit_trail.files import canonical_json
from audit_trail.study import open_study
from logdepth import jobs
from logdepth.config.run import Run
from logdepth.files import write_text
from logdepth.models.softmax import Softmax
from logdepth.provenance.record import recorded
from logdepth.recipes.muon import MuonRecipe
from logdepth.tasks.hop import Hop

ROOT = Path(__file__).parent.parent
LAPTOP = ROOT / "results/published/laptop"
JOBS, OUTPUTS, BYTES, VERSIONS = 2000, 10, 20_000, 50
LEAST = {("verify", 1): 5, ("trace", 1): 3, ("history", VERSIONS): 10}


@contextmanager
def timed(seconds: list[float]) -> Iterator[None]:
    """Append the seconds that the block takes."""
    start = time.perf_counter()
    yield
    seconds.append(time.perf_counter() - start)


def one_job(study: Path) -> dict[str, Any]:
    """Run a job that does nothing; return its record."""
    output, record = study / "runs/0/0.csv", study / "provenance/train/0.json"
    job = jobs.train(Run(task=Hop(), model=Softmax(), training=MuonRecipe(), seed=0))
    with recorded(job, inputs=[], outputs=[output], record=record, definition=job.definition()):
        write_text(output, "x")
    return dict(json.loads(record.read_text()))


def record_cost() -> None:
    """Print the share of the laptop study's time that goes into records."""
    with tempfile.TemporaryDirectory() as folder:
        seconds: list[float] = []
        for _ in range(6):
            with timed(seconds):
                one_job(Path(folder) / "study")
    # The first one also reads the source; each job is a process of its own and does so.
    cost = seconds[0]
    records = open_study(LAPTOP).records.values()
    worked = sum(record.seconds or 0.0 for record in records)
    print("\nRecords: laptop study")
    print(f"  a record in a new process           {cost:10.4g} s, later ones {min(seconds):.3g} s")
    share = cost * len(records) / worked
    print(f"  {len(records)} records over {worked:.0f} s of jobs    {share:10.2%}")


def make_clone(folder: Path) -> str:
    """Make a clone of one commit of the code that is here; return the commit."""
    names = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z", "workflow"], check=True, capture_output=True
    )
    for name in names.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            write_text(folder / name, (ROOT / name).read_text(encoding="utf-8"))
    git = ["git", "-C", folder, "-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "start"]):
        subprocess.run([*git, *command], check=True, capture_output=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True)
    return head.stdout.decode().strip()


def make_study(study: Path, commit: str) -> list[dict[str, Any]]:
    """Make the large study but for its history; return the newest line of each record."""
    template = one_job(study)
    build = template["predicate"]["buildDefinition"]
    shared = [d for d in build["resolvedDependencies"] if d["name"] != "code"]
    code = {"name": "code", "digest": {"gitCommit": commit}, "annotations": {"role": "code"}}
    before: dict[str, Any] | None = None
    entries: list[dict[str, Any]] = []
    for job in range(JOBS):
        subject = []
        for i in range(OUTPUTS):
            content = f"{job} {i} ".ljust(BYTES, "x")
            path = study / f"runs/{job}/{i}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
            digest = {"sha256": hashlib.sha256(content.encode()).hexdigest()}
            subject.append({"name": f"runs/{job}/{i}.csv", "digest": digest})
        statement = copy.deepcopy(template) | {"subject": subject}
        inputs = [before | {"annotations": {"role": "input"}}] if before else []
        statement["predicate"]["buildDefinition"]["resolvedDependencies"] = [
            *inputs,
            *shared,
            code,
        ]
        before = subject[-1]
        text = json.dumps(statement, indent=1, sort_keys=True) + "\n"
        (study / f"provenance/train/{job}.json").write_text(text)
        entries.append(
            {
                "time": statement["predicate"]["runDetails"]["metadata"]["finishedOn"],
                "record": f"provenance/train/{job}.json",
                "sha256": hashlib.sha256(text.encode()).hexdigest(),
                "statement": statement,
            }
        )
    return entries


def write_history(study: Path, entries: list[dict[str, Any]], versions: int) -> None:
    """Write a history in which each record has so many versions; earlier ones had other bytes."""
    link = None
    with (study / "provenance/history.jsonl").open("w") as file:
        for version in range(versions):
            changed = {"sha256": "0" * 64} if version < versions - 1 else {}
            for entry in entries:
                line = canonical_json(entry | changed | {"previous": link})
                link = hashlib.sha256(line.encode()).hexdigest()
                file.write(f"{line}\n")


def audit(clone: Path, *words: str) -> tuple[float, float]:
    """Run a command of the audit; return its CPU seconds and the megabytes that it took."""
    code = (
        "import os, resource, runpy, sys\n"
        f"sys.argv = {['logdepth', 'audit', *words]!r}\n"
        "try:\n runpy.run_module('logdepth', run_name='__main__')\n"
        "except SystemExit as ended:\n code = ended.code\n"
        "used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "print(code or 0, sum(os.times()[:4]), used, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=clone, capture_output=True, text=True)
    said = done.stderr.split()
    if len(said) < 3 or said[-3] != "0":
        sys.exit(f"{' '.join(words)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return float(said[-2]), float(said[-1])


def large_study() -> None:
    """Print how long it takes to verify, to trace and to list the versions of a file."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        study = clone / "results/study"
        entries = make_study(study, make_clone(clone))
        seconds: list[float] = []
        with timed(seconds):
            for path in study.glob("runs/*/*.csv"):
                hashlib.sha256(path.read_bytes()).hexdigest()
        print(f"\nAudit: {JOBS * OUTPUTS} outputs of {JOBS} jobs, each made from the one before")
        print(f"  the sha256 of the outputs alone     {seconds[0]:10.4g} s")
        last = f"results/study/runs/{JOBS - 1}/0.csv"
        for versions, commands in ((1, ("verify", "trace")), (VERSIONS, ("history", "verify"))):
            write_history(study, entries, versions)
            print(f"  with a history of {versions * JOBS} lines")
            for command in commands:
                words = ["results/study"] if command == "verify" else [last]
                took, used = audit(clone, command, *words)
                least = LEAST.get((command, versions))
                expected = f" (expected: below {least} s)" if least else ""
                print(f"    {command:<33} {took:10.4g} s, {used:.0f} MB{expected}")


if __name__ == "__main__":
    record_cost()
    large_study()
