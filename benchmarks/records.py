"""What records cost and how fast they are verified: part of ``make bench``."""

import copy
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from logdepth import jobs
from audit_trail.chain import Checks
from audit_trail.findings import State
from audit_trail.study import open_study
from audit_trail.verify import verify
from logdepth.canonical import canonical_json
from logdepth.config.run import Run
from logdepth.files import write_text
from logdepth.models.softmax import Softmax
from logdepth.provenance.record import recorded
from logdepth.recipes.muon import MuonRecipe
from logdepth.tasks.hop import Hop

LAPTOP = Path(__file__).parent.parent / "results/published/laptop"
JOBS, OUTPUTS, BYTES = 2500, 4, 20_000


@contextmanager
def timed(seconds: list[float]) -> Iterator[None]:
    """Append the seconds that the block takes."""
    start = time.perf_counter()
    yield
    seconds.append(time.perf_counter() - start)


def one_job(study: Path) -> dict[str, object]:
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
    worked = sum(
        (datetime.fromisoformat(r.finished) - datetime.fromisoformat(r.started)).total_seconds()
        for r in records
    )
    print("\nRecords: laptop study")
    print(f"  a record in a new process           {cost:10.4g} s, later ones {min(seconds):.3g} s")
    share = cost * len(records) / worked
    print(f"  {len(records)} records over {worked:.0f} s of jobs    {share:10.2%}")


def verify_speed() -> None:
    """Print how long it takes to verify ten thousand artefacts, and to hash them alone."""
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "study"
        template = one_job(study)
        lines: list[str] = []
        for job in range(JOBS):
            subject = []
            for i in range(OUTPUTS):
                content = f"{job} {i} ".ljust(BYTES, "x").encode()
                path = study / f"runs/{job}/{i}.csv"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
                digest = {"sha256": hashlib.sha256(content).hexdigest()}
                subject.append({"name": f"runs/{job}/{i}.csv", "digest": digest})
            statement = copy.deepcopy(template) | {"subject": subject}
            text = json.dumps(statement, indent=1, sort_keys=True) + "\n"
            (study / f"provenance/train/{job}.json").write_text(text)
            entry = {
                "time": "2026-01-01T00:00:00.000Z",
                "record": f"provenance/train/{job}.json",
                "sha256": hashlib.sha256(text.encode()).hexdigest(),
                "statement": statement,
                "previous": hashlib.sha256(lines[-1].encode()).hexdigest() if lines else None,
            }
            lines.append(canonical_json(entry))
        (study / "provenance/history.jsonl").write_text("\n".join(lines) + "\n")

        seconds: list[float] = []
        with timed(seconds):
            for path in study.glob("runs/*/*.csv"):
                hashlib.sha256(path.read_bytes()).hexdigest()
        with timed(seconds):
            findings = verify(open_study(study), Checks())
    bad = [n for n, problems in findings.problems.items() for p in problems if p.reason == "bytes"]
    if bad or findings.counts().get(State.MODIFIED):
        sys.exit(f"the benchmark's own study does not verify: {bad[:3]}")
    print(f"\nVerify: {JOBS * OUTPUTS} artefacts of {BYTES} bytes, {JOBS} records")
    print(f"  their sha256 alone                  {seconds[0]:10.4g} s")
    ratio = seconds[1] / seconds[0]
    print(f"  all of it                           {seconds[1]:10.4g} s, {ratio:6.2f} x")


if __name__ == "__main__":
    record_cost()
    verify_speed()
