"""A study of many runs through the profile on a test cluster, with jobs of a second each.

``python tests/cluster/simulation.py [--runs 500] [--executor slurm-packed]``, as root, in the
project's environment. Nothing is trained: a stand-in for ``logdepth`` writes outputs of the right
names and sleeps for a second. All else is real: DAG, submission, Slurm, status queries. Prints what
it took; nothing here is a test.
"""

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from checkout import make_checkout  # noqa: E402 - found through the line above

STUDY = """\
study: tiny
title: A study of many runs
task: {{name: hop, context: 13, alphabet: 2, max_k: 2}}
seeds: {seeds}
evaluation: {{sequences: 8}}
experiments:
  depth:
    title: depth
    model: {{form: softmax, heads: 2, width: 16, mlp_ratio: 0}}
    training: {{recipe: muon, steps: 10, batch: 4, warmup: 1}}
    depths: [1, 2, 3, 4, 5]
"""
STAND_IN = """\
#!/bin/sh
stage=$1
while [ $# -gt 0 ]; do
    case $1 in
    --output) output=$2 ;;
    --record) record=$2 ;;
    esac
    shift
done
mkdir -p "$(dirname "$output")" "$(dirname "$record")"
if [ "$stage" = train ]; then
    mkdir -p "$output"
    for name in model.safetensors run.json steps.csv by_k.csv; do echo >"$output/$name"; done
else
    echo >"$output"
fi
echo '{}' >"$record"
sleep 1
"""


def stand_in(folder: Path) -> Path:
    """Return a Python of this environment beside which ``logdepth`` is the stand-in."""
    prefix = Path(sys.prefix)
    (folder / "bin").mkdir(parents=True)
    (folder / "lib").symlink_to(prefix / "lib")
    (folder / "pyvenv.cfg").write_text((prefix / "pyvenv.cfg").read_text())
    (folder / "bin/logdepth").write_text(STAND_IN)
    (folder / "bin/logdepth").chmod(0o755)
    (folder / "bin/python").symlink_to(Path(sys.executable).resolve())
    return folder / "bin/python"


def clock(text: str, pattern: str) -> list[datetime]:
    """Return the times that Snakemake printed before the lines that match."""
    now, found = None, []
    for line in text.splitlines():
        if stamp := re.match(r"\[\w{3} (\w{3} +\d+ [\d:]+ \d{4})\]", line):
            now = datetime.strptime(stamp[1], "%b %d %H:%M:%S %Y")
        elif now and re.search(pattern, line):
            found.append(now)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--executor", default="slurm-packed", choices=["slurm-packed", "slurm"])
    options = parser.parse_args()
    environment = os.environ | {"CPUS": "16", "MEM": "64000", "LOGDEPTH_DEVICE": "cpu"}
    for script in ("slurm-down.sh", "slurm-up.sh"):
        subprocess.run([HERE / script], check=True, env=environment)
    with tempfile.TemporaryDirectory(prefix="simulation-") as name:
        folder = Path(name)
        study = STUDY.format(seeds=list(range(options.runs // 5)))
        checkout = make_checkout(HERE.parents[1], folder / "checkout", study=study)
        python = stand_in(folder / "environment")
        command = [python, "-m", "snakemake", "--profile", "slurm"]
        # Any method that is not Apptainer: the stand-in is not in the image.
        command += ["runs", "--software-deployment-method", "env-modules"]
        command += ["--configfile", "config/tiny.yaml", "--executor", options.executor]
        if options.executor == "slurm":
            command += ["--slurm-requeue", "--slurm-status-command", "squeue"]
        environment["PYTHONPATH"] = str(checkout.folder / "workflow")
        began = datetime.now()
        start = time.monotonic()
        done = subprocess.run(
            command, cwd=checkout.folder, env=environment, capture_output=True, text=True
        )
        seconds = time.monotonic() - start
        printed = done.stdout + done.stderr
        if done.returncode:
            sys.exit(printed[-5000:])
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        submitted = re.findall(r"SLURM jobid (\d+)", printed)
        started = clock(printed, r"^rule train|Training ")
        ends = clock(printed, "Finished jobid")
        print(f"{options.runs} runs, {2 * options.runs} jobs of Snakemake, {options.executor}")
        print(f"Slurm jobs: {len(submitted)}")
        print(f"DAG, until the first job is ready: {(started[0] - began).total_seconds():.0f} s")
        print(
            f"until the last job is known to have ended: {(ends[-1] - began).total_seconds():.0f} s"
        )
        print(f"all: {seconds:.0f} s")
        print(f"CPU of Snakemake itself: {usage.ru_utime + usage.ru_stime:.0f} s")
        print(f"memory of Snakemake itself: {usage.ru_maxrss / 1000:.0f} MB")
    print(subprocess.run(["sdiag"], capture_output=True, text=True).stdout)
    subprocess.run([HERE / "slurm-down.sh"], check=True)


if __name__ == "__main__":
    main()
