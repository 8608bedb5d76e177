"""How cost grows: seconds of a step with N, L and m, and planning with the number of runs.

Writes <output>/growth.csv (every measurement), growth_exponents.csv (cost ~ variable^exponent), and
growth.json (the machine). CPU time throughout, so that a busy machine changes little.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import linregress, t

from logdepth.config.run import Run
from logdepth.models.softmax import Softmax
from logdepth.planning.calibrate import seconds_per_step
from logdepth.recipes.muon import MuonRecipe
from logdepth.tasks.hop import Hop
from machine import ROOT, machine, output_folder, write, write_machine

# Seconds for each measured point.
SECONDS = 3.0
LENGTHS = (32, 64, 128, 256, 512)
DEPTHS = (1, 2, 4, 8, 16)
WIDTHS = (32, 64, 128, 256, 512)
RUNS = (10, 30, 100, 300, 1000)

STUDY = """\
study: growth
title: Many tiny runs
task: {{name: hop, context: 10, alphabet: 4, max_k: 2}}
seeds: {seeds}
experiments:
  fast:
    title: fast
    model: {{form: softmax, heads: 2, width: 16, mlp_ratio: 0}}
    training: {{recipe: muon, steps: 30, batch: 8, warmup: 2}}
    depths: [1, 2, 3, 4, 5]
"""

# Prints CPU seconds and peak MB of a command. A process of its own, and a small one: the peak of a
# child starts at its parent's.
WATCH = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
"""


def step_seconds(*, length: int = 64, depth: int = 3, width: int = 64) -> float:
    """Return the CPU seconds of a training step of the recipe muon, batch 16, one thread."""
    run = Run(
        task=Hop(context=length + 1, max_k=8),
        model=Softmax(depth=depth, width=width),
        training=MuonRecipe(batch=16),
        seed=0,
    )
    return seconds_per_step([run], SECONDS)


def planning(runs: int) -> tuple[float, float]:
    """Return CPU seconds and peak MB of Snakemake planning a study of so many runs."""
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "growth.yaml"
        study.write_text(STUDY.format(seeds=list(range(runs // 5))))
        command = [sys.executable, "-m", "snakemake", "--dry-run", "--quiet", "--nolock"]
        watched = subprocess.run(
            [sys.executable, "-c", WATCH, *command, "--configfile", str(study)],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT / "workflow")},
            capture_output=True,
            text=True,
            check=True,
        )
    seconds, megabytes = watched.stdout.split()[-2:]
    return float(seconds), float(megabytes)


def measurements() -> Iterator[tuple[str, str, int, float]]:
    """Yield quantity, variable, its value and the cost."""
    for length in LENGTHS:
        yield "step (L=3, m=64), s", "N", length, step_seconds(length=length)
    for depth in DEPTHS:
        yield "step (N=64, m=64), s", "L", depth, step_seconds(depth=depth)
    for width in WIDTHS:
        yield "step (N=64, L=3), s", "m", width, step_seconds(width=width)
    planning(RUNS[0])  # counts what a step costs, once for all
    for runs in RUNS:
        seconds, megabytes = planning(runs)
        yield "planning, s", "runs", runs, seconds
        yield "planning, MB", "runs", runs, megabytes
    shutil.rmtree(ROOT / "results" / "growth")


def exponents(measured: pd.DataFrame) -> pd.DataFrame:
    """Fit log cost = exponent log variable + constant, overall and between the two largest."""
    rows = []
    for (quantity, variable), part in measured.groupby(["quantity", "variable"], sort=False):
        x, y = np.log(part["value"].to_numpy(float)), np.log(part["cost"].to_numpy(float))
        fit = linregress(x, y)
        margin = t.ppf(0.975, len(x) - 2) * fit.stderr
        rows.append(
            {
                "quantity": quantity,
                "variable": variable,
                "from": part["value"].min(),
                "to": part["value"].max(),
                "exponent": fit.slope,
                "low": fit.slope - margin,
                "high": fit.slope + margin,
                "last_exponent": (y[-1] - y[-2]) / (x[-1] - x[-2]),
                "cost_at_largest": part["cost"].iloc[-1],
            }
        )
    return pd.DataFrame(rows)


def main() -> None:
    """Measure, fit and write."""
    folder = output_folder(__doc__)
    about = machine()
    print(about)
    measured = pd.DataFrame(measurements(), columns=["quantity", "variable", "value", "cost"])
    write(folder, {"growth": measured, "growth_exponents": exponents(measured)})
    write_machine(folder, "growth", about)


if __name__ == "__main__":
    main()
