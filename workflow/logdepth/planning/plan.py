"""The plan of a study: its runs, their cost on a device, and the jobs to ask a cluster for."""

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

from logdepth.config.run import Run
from logdepth.config.study import Study
from logdepth.planning import cost
from logdepth.planning.gpus import Device, step_range
from logdepth.planning.makespan import GPU_START, LOCAL_START, makespan
from logdepth.planning.measured import measured_on
from logdepth.planning.packs import SlurmJob, make_packs
from logdepth.planning.resources import grouped_runs, training_requests
from logdepth.planning.site import Site

if TYPE_CHECKING:
    # It would import torch, which takes two seconds.
    from logdepth.planning.calibrate import Calibration

Range = tuple[float, float]


@dataclass(frozen=True)
class Row:
    """The runs of one experiment and depth that no earlier row has.

    Times are (least, most), the same where measured. Evaluation is of one run, roughly, start-up
    included; memory is that of a training process, on a GPU of the GPU's memory; disk is what a
    finished run leaves, and checkpoints are the two of a run that trains.
    """

    experiment: str
    depth: int
    runs: int
    steps: int
    parameters: int
    flops_step: int
    flops_run: int
    seconds_step: Range
    seconds_run: Range
    evaluation_seconds: Range
    memory_bytes: int
    disk_bytes: int
    checkpoint_bytes: int


@dataclass(frozen=True)
class Totals:
    """Sums over the rows, in core-hours, or GPU-hours on a GPU, and Slurm jobs that train.

    ``workers`` run at once: the cores of this machine, or one GPU; ``wall_hours`` go from the first
    training to the last evaluation with that many.
    """

    runs: int
    flops: int
    training_hours: Range
    evaluation_hours: Range
    disk_bytes: int
    jobs: int
    workers: int
    wall_hours: Range


def make_plan(
    study: Study,
    device: Device | None,
    calibration: "Calibration | None",
    cores: int,
    site: Site,
    finished: Collection[str] = (),
) -> tuple[list[Row], list[SlurmJob], Totals]:
    """Return the rows of a study by experiment and depth, its Slurm jobs, and the totals.

    Args:
        study: what to plan; experiments whose models are imported or compiled cost no training.
        device: a GPU, or None for this machine's CPU.
        calibration: of this machine; needed without a GPU.
        cores: of this machine.
        site: the cluster, but for its GPU, which is ``device``.
        finished: identifiers of runs that are there already, and left out.

    Raises:
        ValueError: neither a GPU nor a calibration.
    """
    costs = cost.costs_of(study.trained_runs().values())
    start = GPU_START if device else LOCAL_START
    there = on_device(site, device)
    known = measured_on(there)
    runs = {key: run for key, run in study.trained_runs().items() if key not in finished}
    grouped = grouped_runs(runs, costs, there)

    def step_of(run: Run) -> Range:
        shape = cost.shape_of(run)
        _, size = grouped.get(run.identifier, (0, 1))
        if known and (choice := known.choice_of_group(run, size, site.together)):
            return (choice.seconds,) * 2
        if device:
            return step_range(device, run.training.precision, **costs[shape].work)
        if calibration is None:
            raise ValueError("a plan for a CPU needs a calibration")
        return (calibration.seconds_per_step(shape),) * 2

    rows: list[Row] = []
    seen = set(finished)
    for name, experiment in study.variants.items():
        if experiment.is_compiled:
            continue
        for _, same in groupby(study.runs(name), lambda run: run.model.depth):
            new = {run.identifier: run for run in same if run.identifier not in seen}
            seen |= new.keys()
            if new:
                run = next(iter(new.values()))
                counted = costs[cost.shape_of(run)]
                rows.append(_row(study, name, len(new), run, counted, step_of(run), device))
    requests = list(training_requests(runs, costs, there).values())
    if device is None:  # for the times measured here
        requests = [
            replace(asked, seconds=start + _full_steps(run) * step_of(run)[1])
            for run, asked in zip(runs.values(), requests, strict=True)
        ]
    packs = make_packs(requests, most_at_once=site.cpus_per_gpu, max_minutes=site.max_minutes)
    return rows, packs, _totals(rows, packs, 1 if device else cores, start)


def on_device(site: Site, device: Device | None) -> Site:
    """Return a site with another GPU, or None for none, to train on."""
    return site.model_copy(update={"gpu": device.name if device else "none", "device": None})


def _full_steps(run: Run) -> float:
    return run.training.full_steps(run.model.depth)


def _row(
    study: Study,
    name: str,
    runs: int,
    run: Run,
    counted: cost.Cost,
    step: Range,
    device: Device | None,
) -> Row:
    steps = _full_steps(run)
    of = {
        "ks": len(study.ks(run.task)),
        "sequences": study.evaluation.sequences,
        "modes": len(study.evaluation.modes),
    }
    passes = math.prod(of.values()) / cost.shape_of(run).batch
    start = GPU_START if device else LOCAL_START
    return Row(
        experiment=name,
        depth=run.model.depth,
        runs=runs,
        steps=run.training.trained_steps,
        parameters=counted.parameters,
        flops_step=counted.step_flops,
        flops_run=round(counted.step_flops * steps),
        seconds_step=step,
        seconds_run=(step[0] * steps, step[1] * steps),
        # A forward pass is about a third of a step.
        evaluation_seconds=(start + passes * step[0] / 3, start + passes * step[1] / 3),
        memory_bytes=counted.memory_bytes
        + (cost.GPU_CONTEXT_BYTES if device else cost.PROCESS_BYTES),
        disk_bytes=cost.disk_bytes(run, counted, **of),
        checkpoint_bytes=2 * cost.checkpoint_bytes(run, counted),
    )


def _totals(rows: list[Row], packs: list[SlurmJob], workers: int, start: float) -> Totals:
    def hours(values: list[Range]) -> Range:
        low, high = (sum(span[end] for span in values) / 3600 for end in (0, 1))
        return low, high

    def wall(end: int) -> float:
        jobs = [seconds[end] + start for seconds in training]
        return makespan(jobs + [seconds[end] for seconds in evaluation], workers) / 3600

    training = [row.seconds_run for row in rows for _ in range(row.runs)]
    evaluation = [row.evaluation_seconds for row in rows for _ in range(row.runs)]
    return Totals(
        runs=sum(row.runs for row in rows),
        flops=sum(row.runs * row.flops_run for row in rows),
        training_hours=hours(training),
        evaluation_hours=hours(evaluation),
        disk_bytes=sum(row.runs * row.disk_bytes for row in rows),
        jobs=len(packs),
        workers=workers,
        wall_hours=(wall(0), wall(1)),
    )
