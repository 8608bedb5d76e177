"""A plan as a table for people and as JSON for programs."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

from logdepth.config.run import Run
from logdepth.planning.cost import shape_of
from logdepth.planning.gpus import (
    KERNEL_SECONDS,
    LAUNCH_SECONDS,
    WORST_ARITHMETIC,
    WORST_BANDWIDTH,
    Device,
)
from logdepth.planning.groups import groups, most_together
from logdepth.planning.makespan import GPU_START
from logdepth.planning.measured import measured, measured_on
from logdepth.planning.packs import SlurmJob
from logdepth.planning.plan import Range, Row, Totals
from logdepth.planning.site import Site

if TYPE_CHECKING:
    # It would import torch, which takes two seconds.
    from logdepth.planning.calibrate import Calibration

UNMEASURED = "estimate, not measured: no run of this project has used this GPU"


def table(rows: list[Row]) -> Table:
    """Return the rows as a table of at most 80 columns."""
    result = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False)
    result.add_column("experiment", overflow="fold")
    for name in ("L", "runs×steps", "params", "FLOPs/run", "time/run", "memory"):
        result.add_column(name, justify="right", no_wrap=True)
    last = ""
    for row in rows:
        result.add_row(
            row.experiment if row.experiment != last else "",
            str(row.depth),
            f"{row.runs}×{row.steps}",
            f"{row.parameters / 1e3:.0f}k",
            f"{row.flops_run:.1e}",
            duration(row.seconds_run),
            f"{row.memory_bytes / 1e9:.1f} GB",
        )
        last = row.experiment
    return result


def jobs_table(packs: list[SlurmJob], device: Device | None) -> Table:
    """Return the Slurm jobs as a table of at most 80 columns; like ones that follow are a row."""
    result = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False)
    gpus = ["GPUs"] if device else []
    for name in ("Slurm jobs", "runs", "at once", *gpus, "CPUs", "memory", "takes", "limit"):
        result.add_column(name, justify="right", no_wrap=True)
    for _, same in groupby(packs, lambda p: (len(p.members), p.at_once, p.mem_mb, p.minutes)):
        first, *rest = same
        longest = max(pack.seconds for pack in (first, *rest))
        result.add_row(
            *map(str, (1 + len(rest), len(first.members), first.at_once)),
            *("1" for _ in gpus),
            str(first.at_once),
            f"{first.mem_mb / 1000:g} GB",
            duration((longest, longest)),
            f"{first.minutes} min",
        )
    return result


def summary(packs: list[SlurmJob], totals: Totals, site: Site, device: Device | None) -> list[str]:
    """Return lines that say what all rows cost together."""
    unit = "GPU" if device else "core"
    place = "one GPU" if device else _place(totals)
    shared = "GPU" if device else "job"
    held = sum(pack.seconds * (1 if device else pack.at_once) for pack in packs) / 3600
    return [
        f"{totals.runs} runs, {totals.flops:.2g} FLOPs, "
        f"{digits(totals.training_hours)} {unit}-hours of training, "
        f"about {duration(_seconds(totals.evaluation_hours))} of evaluation",
        f"{duration(_seconds(totals.wall_hours))} on {place}, from the first training to the last "
        f"evaluation; {totals.disk_bytes / 1e6:.0f} MB on disk",
        f"Slurm: {totals.jobs} jobs that hold {digits((held, held))} {unit}-hours at most; up to "
        f"{site.cpus_per_gpu} runs share a {shared}, short ones follow one another",
    ]


def line(study: str, runs: int, left: int, totals: Totals | None) -> str:
    """Return one line that says what ``make`` is about to do: train what is ``left`` of the runs.

    ``totals`` are of these on this machine's cores; None for a GPU, which is not timed.
    """
    where = f"figures in results/{study}/figures, logs in results/{study}/logs"
    if not left:
        return f"{study}: no run left to train; {where}"
    some = f"{left} of {runs}" if left < runs else str(runs)
    if totals is None:
        return f"{study}: {some} runs to train on the GPU; {where}"
    takes = duration(_seconds(totals.wall_hours))
    return f"{study}: {some} runs to train, about {takes} on {_place(totals)}; {where}"


def notes(
    rows: list[Row],
    packs: list[SlurmJob],
    device: Device | None,
    calibration: "Calibration | None",
    load: float,
) -> list[str]:
    """Return lines that say what the times rest on.

    ``load`` is how many processes others kept running here during the calibration.
    """
    lines = []
    if long := [pack for pack in packs if pack.seconds > 60 * pack.minutes]:
        lines.append(
            f"{len(long)} of the Slurm jobs may reach the limit of {long[0].minutes / 60:g} h; "
            "their runs then go on from checkpoints in another job"
        )
    if device is None:
        found = len(calibration.measured) if calibration else 0
        lines.append(
            f"measured here: real training steps of {found} model shapes, one "
            "thread, CPU time; several runs at once may be slower"
        )
        if load > 0.5:
            lines.append(f"this machine was busy (load {load:.1f}): an idle one is somewhat faster")
        return lines
    known = measured(device)
    if known:
        lines.append(f"measured on {known.gpu}, where there is one time in place of two")
    lines += [
        *([] if known else [UNMEASURED]),
        f"least: peak rates of the data sheet, {1e6 * LAUNCH_SECONDS[0]:.0f} µs a kernel; most: "
        f"{100 * WORST_ARITHMETIC:.0f} % of the arithmetic, {100 * WORST_BANDWIDTH:.0f} % of the "
        f"bandwidth, {1e6 * LAUNCH_SECONDS[1]:.0f} µs a kernel, in sum; "
        f"{GPU_START:.0f} s of start-up assumed",
        f"shared up to that time at {100 * math.sqrt(WORST_ARITHMETIC):.0f} % of the arithmetic, "
        f"{100 * math.sqrt(WORST_BANDWIDTH):.0f} % of the bandwidth, "
        f"{1e6 * KERNEL_SECONDS:.0f} µs a kernel",
    ]
    if large := [row for row in rows if row.memory_bytes > device.memory]:
        lines.append(
            f"{len(large)} rows need more than the {device.memory / 2**30:.0f} GiB of a "
            f"{device.name}, the first {large[0].experiment} at depth {large[0].depth}"
        )
    return lines


def together(runs: Sequence[Run], site: Site, calibration: "Calibration | None", cores: int) -> str:
    """Return a line that says whether runs that train as one network are faster, and by what.

    Args:
        runs: of a study.
        site: what they train on.
        calibration: of this machine, with runs as one network; None for a GPU.
        cores: of this machine.
    """
    if calibration:
        return _together_here(runs, calibration, cores)
    known = measured_on(site)
    if known is None:
        return (
            f"nothing was measured of a {site.gpu}: whether runs are faster as one network is not "
            "known, and together: fastest in site.yaml is 1"
        )
    fastest = site.model_copy(update={"together": "fastest"})
    most = most_together({run.identifier: run for run in runs}, fastest)
    ways: Counter[str] = Counter()
    for group in groups(runs, lambda run: most[run.identifier]):
        choice = known.choice_of_group(group[0], len(group), "fastest")
        if choice is None:
            way = "alone, for nothing like them was measured"
        elif choice.together > 1:
            way = f"as one network of {choice.together}"
        elif choice.at_once > 1:
            way = f"in {choice.at_once} processes at once"
        else:
            way = "alone"
        faster = f" ({choice.gain:.1f} times as fast as alone)" if choice else ""
        ways[way + faster * (way != "alone")] += len(group)
    found = ", ".join(f"{count} {way}" for way, count in ways.items())
    return f"together: fastest in site.yaml trains runs as was measured: {found}"


def _together_here(runs: Sequence[Run], calibration: "Calibration", cores: int) -> str:
    most = max(count for count, _ in [*calibration.together.values(), (1, 0)])
    if most == 1:
        return "no two of the runs can train as one network"
    alone = busy = held = 0.0
    for group in groups(runs, lambda _: most):
        shape, steps = shape_of(group[0]), group[0].training.full_steps(group[0].model.depth)
        if shape in calibration.together:
            work = len(group) * steps
            step = calibration.measured[shape]
            alone += work * step
            if len(group) > 1:
                step = calibration.together[shape][1]
            busy += work * step
            # While one trains all of a group, the others that were started wait.
            held += work * step * min(cores, len(group))
    if held < alone:
        return (
            f"runs that train as one network are {alone / held:.1f} times as fast here: "
            f"together: {most} in site.yaml"
        )
    why = f", and while they train others of them hold {min(cores, most)} cores"
    return (
        f"runs that train as one network take {busy / alone:.2f} of their CPU time alone"
        f"{why if busy < alone else ''}: together: 1 in site.yaml is fastest here"
    )


def as_json(
    study: str,
    rows: list[Row],
    packs: list[SlurmJob],
    totals: Totals,
    site: Site,
    device: Device | None,
    calibration: "Calibration | None",
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
                "depth": shape.model.depth,
                "width": shape.model.width,
                "batch": shape.batch,
                "precision": shape.recipe.precision,
                "recipe": shape.recipe.recipe,
                "seconds_step": seconds,
                "together": calibration.together.get(shape) if calibration else None,
            }
            for shape, seconds in measured.items()
        ],
        "rows": [asdict(row) for row in rows],
        # Names of accounts and addresses stay out.
        "site": site.model_dump(include={"cpus_per_gpu", "max_hours"}),
        "packs": [asdict(pack) for pack in packs],
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


def _place(totals: Totals) -> str:
    count = totals.workers
    return f"the {count} cores of this machine" if count > 1 else "the one core of this machine"


def _seconds(value: Range) -> Range:
    return 3600 * value[0], 3600 * value[1]
