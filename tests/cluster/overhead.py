"""Where the time of the smoke study goes on a test cluster, job by job.

``python tests/cluster/overhead.py [targets and options of snakemake]``, as root, in the project's
environment, with the image built. Prints the seconds that each job of Snakemake waited in Slurm's
queue, took to start (Snakemake, image, Python) and worked, and those until Snakemake knew that it
had ended (unknown where its record was not asked for). Nothing here is a test.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import pandas as pd

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent))

from simulation import clock  # noqa: E402

from checkout import make_checkout  # noqa: E402 - found through the line above

STAGES = ("train", "evaluate", "attention", "alignment")


def slurm_times(number: str) -> dict[str, datetime]:
    """Return when a Slurm job was submitted, started and ended."""
    shown = subprocess.run(["scontrol", "show", "job", number], capture_output=True, text=True)
    found = re.findall(r"(SubmitTime|StartTime|EndTime)=(\S+)", shown.stdout)
    return {name: datetime.fromisoformat(text).astimezone() for name, text in found}


def rows(results: Path, printed: str) -> list[dict[str, object]]:
    """Return a row for each job, from its record, from Slurm, and from what Snakemake printed."""
    noticed = {}
    for line in re.findall(r"Finished jobid: (\d+) ", printed):
        (noticed[line],) = clock(printed, rf"Finished jobid: {line} ")
    # Snakemake's number of each job, by the record that it has to make.
    reasons = re.findall(r"^Job (\d+): .*\nReason: Missing output files: (.*)", printed, re.M)
    numbers = {
        name: number
        for number, files in reasons
        for name in re.findall(r"provenance/(\w+/[^/,;]+)\.json", files)
    }
    found = []
    for stage in STAGES:
        for path in sorted((results / "provenance" / stage).glob("*.json")):
            details = json.loads(path.read_text())["predicate"]["runDetails"]
            slurm = slurm_times(details["byproducts"][0]["annotations"]["slurm"]["SLURM_JOB_ID"])
            began, ended = (
                datetime.fromisoformat(details["metadata"][key])
                for key in ("startedOn", "finishedOn")
            )
            number = numbers.get(f"{stage}/{path.stem}")
            known = noticed[number].astimezone() if number else None
            found.append(
                {
                    "job": f"{stage} {path.stem[:28]}",
                    "waited": (slurm["StartTime"] - slurm["SubmitTime"]).total_seconds(),
                    "start": (began - slurm["StartTime"]).total_seconds(),
                    "work": (ended - began).total_seconds(),
                    "noticed": (known - ended).total_seconds() if known else None,
                }
            )
    return found


def main() -> None:
    environment = os.environ | {"LOGDEPTH_DEVICE": "cpu", "LOGDEPTH_CPUS_PER_GPU": "4"}
    environment["LOGDEPTH_IMAGE"] = str(ROOT / "containers/logdepth.sif")
    for script in ("slurm-down.sh", "slurm-up.sh"):
        subprocess.run([HERE / script], check=True, env=environment)
    with tempfile.TemporaryDirectory(prefix="overhead-") as name:
        checkout = make_checkout(ROOT, Path(name) / "checkout")
        environment["PYTHONPATH"] = str(checkout.folder / "workflow")
        command = ["snakemake", *sys.argv[1:], "--profile", "slurm"]
        command += ["--configfile", "config/smoke.yaml"]
        start = time.monotonic()
        done = subprocess.run(
            command,
            cwd=checkout.folder,
            env=environment,
            capture_output=True,
            text=True,
        )
        seconds = time.monotonic() - start
        printed = done.stdout + done.stderr
        if done.returncode:
            sys.exit(printed[-5000:])
        table = pd.DataFrame(rows(checkout.folder / "results/smoke", printed))
    print(table.round(1).to_string(index=False))
    print(table.drop(columns="job").agg(["mean", "max"]).round(1).to_string())
    jobs = set(re.findall(r"SLURM jobid (\d+)", printed))
    print(f"{seconds:.0f} s in all, {len(jobs)} Slurm jobs")
    subprocess.run([HERE / "slurm-down.sh"], check=True)


if __name__ == "__main__":
    main()
