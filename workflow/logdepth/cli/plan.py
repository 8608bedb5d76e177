"""``logdepth plan``: what a study will cost, before anything runs."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from logdepth.cli.options import command

if TYPE_CHECKING:
    from logdepth.config.run import Run
    from logdepth.config.study import Study
    from logdepth.planning.calibrate import Calibration
    from logdepth.planning.site import Site


# Runs of a group that are timed, where the site says no number.
TOGETHER = 8


@command
def plan(
    file: Annotated[Path, typer.Option("--config", help="A study, such as config/laptop.yaml.")],
    device: Annotated[
        str, typer.Option(help="cpu: this machine, measured; or a GPU such as A100-80GB.")
    ] = "cpu",
    seconds: Annotated[
        float, typer.Option(min=0, help="About how long to time training steps, for cpu.")
    ] = 20.0,
    site: Annotated[
        Path | None,
        typer.Option(help="What the Slurm cluster is like; site.yaml if there is one."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    line: Annotated[
        bool,
        typer.Option(
            "--line",
            help="Print one line: what is left to train, how long it takes here, and where.",
        ),
    ] = False,
) -> None:
    """Say what a study will cost: runs, time, memory, disk and Slurm jobs."""
    from logdepth.config.study import load_study
    from logdepth.errors import UserError
    from logdepth.planning.gpus import find_device
    from logdepth.planning.site import read_site

    study = load_study(file).assumed()
    gpu = find_device(device)
    named = {"LOGDEPTH_SITE": str(site)} if site else {}
    cluster = read_site(Path("site.yaml"), os.environ | named)

    if line:
        _print_line(study, seconds, cluster)
        return
    runs = list(study.trained_runs().values())
    if not runs:
        raise UserError(f"{file}: nothing to plan, all its models are imported or compiled")

    from rich.console import Console

    from logdepth.planning import report
    from logdepth.planning.plan import make_plan, on_device

    # Windows alone has no such average.
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    calibration = None
    if gpu is None:
        print(f"timing training steps for about {seconds:g} s", file=sys.stderr, flush=True)
        most = cluster.together if isinstance(cluster.together, int) else 1
        calibration = _calibrated(study, runs, seconds, most if most > 1 else TOGETHER)
    rows, packs, totals = make_plan(study, gpu, calibration, cores(), cluster)
    notes = report.notes(rows, packs, gpu, calibration, load)
    notes.append(report.together(runs, on_device(cluster, gpu), calibration, cores()))
    if as_json:
        plain = report.as_json(study.study, rows, packs, totals, cluster, gpu, calibration, notes)
        print(json.dumps(plain, indent=2))
        return
    # Titles are text, whatever is in brackets.
    console = Console(highlight=False, markup=False)
    console.print(f"{study.title} ({file}) on {gpu.name if gpu else 'this machine'}")
    console.print(report.table(rows))
    console.print(report.jobs_table(packs, gpu))
    for text in report.summary(packs, totals, cluster, gpu):
        console.print(text)
    for text in notes:
        console.print(f"({text})")


def _print_line(study: "Study", seconds: float, site: "Site") -> None:
    """Print what a study still has to train here, and how long it takes."""
    from logdepth.planning import report

    runs = study.trained_runs()
    folder = Path("results", study.study, "runs")
    finished = [key for key in runs if (folder / key / "model.safetensors").exists()]
    left = [run for key, run in runs.items() if key not in finished]
    totals = None
    if left:
        from logdepth.devices import prepare_device
        from logdepth.planning.plan import make_plan

        if prepare_device("auto", 1).type == "cpu":
            calibration = _calibrated(study, left, seconds)
            _, _, totals = make_plan(study, None, calibration, cores(), site, finished)
    print(report.line(study.study, len(runs), len(left), totals))


def _calibrated(
    study: "Study", runs: "list[Run]", seconds: float, together: int = 1
) -> "Calibration":
    """Time training steps on this CPU, which is told of if it has to emulate what is asked for."""
    from logdepth.devices import bfloat16_warning, prepare_device
    from logdepth.planning.calibrate import calibrate
    from logdepth.training.interrupts import InterruptedTraining

    prepare_device("cpu", 1)
    halves = any(run.training.precision == "bfloat16" for run in runs)
    if halves and (warning := bfloat16_warning()):
        print(f"{study.study}: {warning}", file=sys.stderr, flush=True)
    try:
        return calibrate(runs, seconds, together)
    except InterruptedTraining as interrupted:
        sys.exit(128 + interrupted.signum)


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
