"""The plan of a study: its runs, their cost on a device, and the jobs to ask a cluster for."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from logdepth.config.run import Run
from logdepth.config.study import Study
from logdepth.planning import cost
from logdepth.planning.calibrate import Calibration
from logdepth.planning.devices import Device, step_range
from logdepth.planning.jobs import GPU_START, LOCAL_START, Jobs, makespan, slurm_jobs

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
        slurm: the jobs that train the row.
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
    slurm: Jobs


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
    study: Study, device: Device | None, calibration: Calibration | None, cores: int
) -> tuple[list[Row], Totals]:
    """Return the rows of a study, by experiment and depth, and their totals.

    Args:
        study: what to plan; experiments whose models are imported cost no training.
        device: a GPU, or None for this machine's CPU.
        calibration: of this machine; needed without a GPU.
        cores: of this machine.

    Raises:
        ValueError: neither a GPU nor a calibration.
    """
    rows: list[Row] = []
    seen: set[str] = set()
    for name in study.experiments:
        for depth, same in groupby(study.runs(name), lambda run: run.model.depth):
            new = [run for run in same if run.identifier not in seen]
            seen.update(run.identifier for run in new)
            if new:
                rows.append(_row(study, name, depth, new, device, calibration))
    return rows, _totals(rows, 1 if device else cores, GPU_START if device else LOCAL_START)


def _row(
    study: Study,
    name: str,
    depth: int,
    runs: list[Run],
    device: Device | None,
    calibration: Calibration | None,
) -> Row:
    run = runs[0]
    shape = cost.shape_of(run)
    steps = run.training.trained_steps
    flops = cost.step_flops(shape)
    memory = cost.memory_bytes(shape)
    if device is not None:
        memory += cost.GPU_CONTEXT_BYTES
        step = step_range(
            device,
            shape.precision,
            flops=flops,
            traffic=cost.traffic_bytes(shape),
            kernels=cost.kernels(shape),
        )
    elif calibration is not None:
        memory += cost.PROCESS_BYTES
        step = (calibration.seconds_per_step(shape),) * 2
    else:
        raise ValueError("a plan for a CPU needs a calibration")
    training = (step[0] * steps, step[1] * steps)
    hops, evaluation = len(study.evaluated_hops), study.evaluation
    passes = hops * evaluation.sequences * len(evaluation.dropout) / shape.batch
    start = GPU_START if device else LOCAL_START
    return Row(
        experiment=name,
        depth=depth,
        runs=len(runs),
        steps=steps,
        parameters=cost.parameters(shape.spec),
        flops_step=flops,
        flops_run=flops * steps,
        seconds_step=step,
        seconds_run=training,
        # A forward pass is about a third of a step.
        evaluation_seconds=(start + passes * step[0] / 3, start + passes * step[1] / 3),
        memory_bytes=memory,
        disk_bytes=cost.disk_bytes(
            run, hops=hops, sequences=evaluation.sequences, settings=len(evaluation.dropout)
        ),
        checkpoint_bytes=2 * cost.checkpoint_bytes(run),
        slurm=slurm_jobs(len(runs), training[1], memory, gpu=device is not None),
    )


def _totals(rows: list[Row], workers: int, start: float) -> Totals:
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
        jobs=sum(row.slurm.jobs for row in rows),
        workers=workers,
        wall_hours=(wall(0), wall(1)),
    )
