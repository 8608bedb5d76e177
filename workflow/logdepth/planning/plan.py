"""The plan of a study: its runs, their cost on a device, and the jobs to ask a cluster for."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

from logdepth.config.run import Run
from logdepth.config.study import Study
from logdepth.planning import cost
from logdepth.planning.gpus import Device, step_range
from logdepth.planning.makespan import GPU_START, LOCAL_START, makespan
from logdepth.planning.packs import JobRequest, SlurmJob, make_packs
from logdepth.planning.resources import training_requests
from logdepth.planning.site import Site

if TYPE_CHECKING:
    # It would import torch, which takes two seconds.
    from logdepth.planning.calibrate import Calibration

Range = tuple[float, float]


@dataclass(frozen=True)
class Row:
    """The runs of one experiment and depth; times are (least, most), the same where measured.

    Attributes:
        experiment: its name.
        depth: of the models.
        runs: number of runs; those an earlier row has are left out.
        steps: trained by each run.
        parameters: of a model.
        flops_step: of one step.
        flops_run: of one run.
        seconds_step: of one step.
        seconds_run: of one run.
        evaluation_seconds: of one run, roughly, start-up included.
        memory_bytes: of a training process, on a GPU of the GPU's memory.
        disk_bytes: that a finished run leaves.
        checkpoint_bytes: of the two checkpoints of a run that trains.
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
    """Sums over the rows.

    Attributes:
        runs: to train.
        flops: of all trainings.
        training_hours: core-hours, or GPU-hours on a GPU.
        evaluation_hours: the same for evaluation, roughly.
        disk_bytes: that the finished runs leave.
        jobs: Slurm jobs that train.
        workers: runs at once on this machine: its cores, or one GPU.
        wall_hours: from first training to last evaluation with that many workers.
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
    rows: list[Row] = []
    seen = set(finished)
    for name, experiment in study.variants.items():
        if experiment.is_compiled:
            continue
        for depth, same in groupby(study.runs(name), lambda run: run.model.depth):
            new = [run for run in same if run.identifier not in seen]
            seen.update(run.identifier for run in new)
            if new:
                rows.append(_row(study, name, depth, new, costs, device, calibration))
    packs = make_packs(
        _requests(study, costs, device, calibration, site, finished),
        most_at_once=site.cpus_per_gpu,
        max_minutes=site.max_minutes,
    )
    start = GPU_START if device else LOCAL_START
    return rows, packs, _totals(rows, packs, 1 if device else cores, start)


def _requests(
    study: Study,
    costs: Mapping[cost.Shape, cost.Cost],
    device: Device | None,
    calibration: "Calibration | None",
    site: Site,
    finished: Collection[str],
) -> list[JobRequest]:
    """Return what the cluster is asked for; without a GPU for the times measured here."""
    runs = {key: run for key, run in study.trained_runs().items() if key not in finished}
    there = site.model_copy(update={"gpu": device.name if device else "none"})
    requests = training_requests(runs, costs, there)
    if device is not None or calibration is None:
        return list(requests.values())
    return [
        replace(
            requests[key],
            seconds=LOCAL_START
            + run.training.trained_steps * calibration.seconds_per_step(cost.shape_of(run)),
        )
        for key, run in runs.items()
    ]


def _row(
    study: Study,
    name: str,
    depth: int,
    runs: list[Run],
    costs: Mapping[cost.Shape, cost.Cost],
    device: Device | None,
    calibration: "Calibration | None",
) -> Row:
    run = runs[0]
    shape = cost.shape_of(run)
    steps = run.training.trained_steps
    counted = costs[shape]
    flops, memory = counted.step_flops, counted.memory_bytes
    if device is not None:
        memory += cost.GPU_CONTEXT_BYTES
        step = step_range(
            device,
            run.training.precision,
            flops=flops,
            traffic=counted.traffic_bytes,
            kernels=counted.kernels,
        )
    elif calibration is not None:
        memory += cost.PROCESS_BYTES
        step = (calibration.seconds_per_step(shape),) * 2
    else:
        raise ValueError("a plan for a CPU needs a calibration")
    training = (step[0] * steps, step[1] * steps)
    ks, evaluation = len(study.ks(run.task)), study.evaluation
    passes = ks * evaluation.sequences * len(evaluation.modes) / shape.batch
    start = GPU_START if device else LOCAL_START
    return Row(
        experiment=name,
        depth=depth,
        runs=len(runs),
        steps=steps,
        parameters=counted.parameters,
        flops_step=flops,
        flops_run=flops * steps,
        seconds_step=step,
        seconds_run=training,
        # A forward pass is about a third of a step.
        evaluation_seconds=(start + passes * step[0] / 3, start + passes * step[1] / 3),
        memory_bytes=memory,
        disk_bytes=cost.disk_bytes(
            run, counted, ks=ks, sequences=evaluation.sequences, modes=len(evaluation.modes)
        ),
        checkpoint_bytes=2 * cost.checkpoint_bytes(run, counted),
    )


def _totals(rows: list[Row], packs: list[SlurmJob], workers: int, start: float) -> Totals:
    def hours(values: Iterable[tuple[int, Range]]) -> Range:
        pairs = list(values)
        low, high = (sum(n * span[end] for n, span in pairs) / 3600 for end in (0, 1))
        return low, high

    def wall(end: int) -> float:
        jobs = [
            seconds
            for row in rows
            for seconds in (row.seconds_run[end] + start, row.evaluation_seconds[end])
            for _ in range(row.runs)
        ]
        return makespan(jobs, workers) / 3600

    return Totals(
        runs=sum(row.runs for row in rows),
        flops=sum(row.runs * row.flops_run for row in rows),
        training_hours=hours((row.runs, row.seconds_run) for row in rows),
        evaluation_hours=hours((row.runs, row.evaluation_seconds) for row in rows),
        disk_bytes=sum(row.runs * row.disk_bytes for row in rows),
        jobs=len(packs),
        workers=workers,
        wall_hours=(wall(0), wall(1)),
    )
