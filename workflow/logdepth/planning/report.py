"""A plan as a table for people and as JSON for programs."""

from dataclasses import asdict
from typing import Any

from rich import box
from rich.table import Table

from logdepth.planning.calibrate import Calibration
from logdepth.planning.devices import (
    LAUNCH_SECONDS,
    WORST_ARITHMETIC,
    WORST_BANDWIDTH,
    Device,
)
from logdepth.planning.jobs import GPU_START
from logdepth.planning.plan import Range, Row, Totals

UNMEASURED = "estimate, not measured: no run of this project has used this GPU"


def table(rows: list[Row]) -> Table:
    """Return the rows as a table of at most 80 columns."""
    result = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False)
    result.add_column("experiment", overflow="fold")
    for name in ("L", "runs×steps", "params", "FLOPs/run", "time/run", "memory"):
        result.add_column(name, justify="right", no_wrap=True)
    result.add_column("jobs×limit", justify="right", no_wrap=True)
    last = ""
    for row in rows:
        jobs = row.slurm
        result.add_row(
            row.experiment if row.experiment != last else "",
            str(row.depth),
            f"{row.runs}×{row.steps}",
            f"{row.parameters / 1e3:.0f}k",
            f"{row.flops_run:.1e}",
            duration(row.seconds_run),
            f"{row.memory_bytes / 1e9:.1f} GB",
            f"{jobs.jobs}×{jobs.runtime_minutes} min",
        )
        last = row.experiment
    return result


def summary(rows: list[Row], totals: Totals, device: Device | None) -> list[str]:
    """Return lines that say what all rows cost together."""
    unit = "GPU" if device else "core"
    place = "one GPU" if device else f"the {totals.workers} cores of this machine"
    packed = any(row.slurm.runs_per_job > 1 for row in rows)
    shared = "; short runs of a row share a job" if packed else ""
    return [
        f"{totals.runs} runs, {totals.flops:.2g} FLOPs, "
        f"{digits(totals.training_hours)} {unit}-hours of training, "
        f"about {duration(_seconds(totals.evaluation_hours))} of evaluation",
        f"{duration(_seconds(totals.wall_hours))} on {place}, from the first training to the last "
        f"evaluation; {totals.disk_bytes / 1e6:.0f} MB on disk",
        f"Slurm: {totals.jobs} training jobs of {'1 GPU and ' if device else ''}1 CPU, "
        f"{max(row.slurm.mem_mb for row in rows) / 1000:g} GB{shared}",
    ]


def notes(
    rows: list[Row], device: Device | None, calibration: Calibration | None, load: float
) -> list[str]:
    """Return lines that say what the times rest on.

    Args:
        rows: of the plan.
        device: the GPU, or None.
        calibration: of this machine, without a GPU.
        load: processes that others kept running here during the calibration.
    """
    if device is None:
        found = len(calibration.measured) if calibration else 0
        lines = [
            f"measured here: real training steps of {found} model shapes, one "
            "thread, CPU time; several runs at once may be slower"
        ]
        if load > 0.5:
            lines.append(f"this machine was busy (load {load:.1f}): an idle one is somewhat faster")
        return lines
    lines = [
        UNMEASURED,
        f"least: peak rates of the data sheet, {1e6 * LAUNCH_SECONDS[0]:.0f} µs a kernel; most: "
        f"{100 * WORST_ARITHMETIC:.0f} % of the arithmetic, {100 * WORST_BANDWIDTH:.0f} % of the "
        f"bandwidth, {1e6 * LAUNCH_SECONDS[1]:.0f} µs a kernel, in sum; "
        f"{GPU_START:.0f} s of start-up assumed",
    ]
    if large := [row for row in rows if row.memory_bytes > device.memory]:
        lines.append(
            f"{len(large)} rows need more than the {device.memory / 2**30:.0f} GiB of a "
            f"{device.name}, the first {large[0].experiment} at depth {large[0].depth}"
        )
    return lines


def as_json(
    study: str,
    rows: list[Row],
    totals: Totals,
    device: Device | None,
    calibration: Calibration | None,
    lines: list[str],
) -> dict[str, Any]:
    """Return the plan as plain values; ranges are [least, most], units are in the keys."""
    measured = calibration.measured if calibration else {}
    return {
        "study": study,
        "device": asdict(device) if device else {"name": "cpu"},
        "measured": device is None,
        "calibration": [
            {
                "depth": shape.spec.depth,
                "width": shape.spec.width,
                "batch": shape.batch,
                "precision": shape.precision,
                "recipe": shape.recipe,
                "seconds_step": seconds,
            }
            for shape, seconds in measured.items()
        ],
        "rows": [asdict(row) for row in rows],
        "totals": asdict(totals),
        "notes": lines,
    }


def duration(seconds: Range) -> str:
    """Return a readable time, or a range of times in one unit."""
    size, unit = next(
        (size, unit)
        for size, unit in ((3600, "h"), (60, "min"), (1, "s"))
        if seconds[1] >= 1.5 * size or size == 1
    )
    return f"{digits((seconds[0] / size, seconds[1] / size))} {unit}"


def digits(value: Range) -> str:
    """Return a number, or a range of numbers, with two digits at least."""
    low, high = (f"{v:.0f}" if v >= 10 else f"{v:.2g}" for v in value)
    return low if low == high else f"{low}–{high}"


def _seconds(value: Range) -> Range:
    return 3600 * value[0], 3600 * value[1]
