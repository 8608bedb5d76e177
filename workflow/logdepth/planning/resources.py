"""What the jobs of a run need, from its costs: nothing is timed.

The workflow asks whenever it is parsed, on the cluster once for each job.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

from logdepth.config.run import Run
from logdepth.config.study import Study
from logdepth.planning import cost
from logdepth.planning.gpus import LAUNCH_SECONDS, busy_share, step_range
from logdepth.planning.groups import groups, most_together
from logdepth.planning.makespan import GPU_HOST_MB, GPU_START, LOCAL_START
from logdepth.planning.measured import Choice, measured_on
from logdepth.planning.packs import JobRequest
from logdepth.planning.site import Site

# FLOP/s of one core, assumed: trainings of this project reached 28e9 to 217e9 in bfloat16 on a core
# with matrix units. One without them converts bfloat16, which takes longer than float32.
CPU_RATE: Mapping[str, float] = {"float32": 20e9, "tf32": 20e9, "bfloat16": 10e9}
# An entry of an attention matrix against one of find^j: two products; 0.9e-9 was measured.
_ALIGNED_SECONDS = 2e-9
# Sequences of one forward pass of `logdepth evaluate`.
_EVALUATED_AT_ONCE = 32
# What the allocator keeps besides, and what the counts leave out.
_MARGIN = 1.25
# Snakemake's own process runs beside each job.
_SNAKEMAKE_MB = 300
_FLOAT = 4
# What a table of the theory holds at most, without Python and torch.
_THEORY_BYTES = 10**9
# Those that take longer than the others.
_THEORY_SECONDS = {"routing": 180, "construction": 180, "temperatures": 120, "formats": 120}


def training_requests(
    runs: Mapping[str, Run], costs: Mapping[cost.Shape, cost.Cost], site: Site
) -> dict[str, JobRequest]:
    """Return what training each run needs, by the keys of ``runs``.

    On a GPU that was measured they share it as was fastest. On others a step takes the longest time
    of ``step_range``, and a run the larger part of what it keeps busy and of the memory it takes;
    on CPUs a core, at a rate below every measured one. Of runs that train as one network each asks
    for its part of the time, and for what all of them keep busy.
    """
    start = GPU_START if site.gpu_device else LOCAL_START
    found = measured_on(site)
    grouped = grouped_runs(runs, costs, site)
    known: dict[tuple[cost.Shape, int], JobRequest] = {}
    requests = {}
    for key, run in runs.items():
        shape = cost.shape_of(run)
        group, size = grouped.get(key, (0, 1))
        if (shape, size) not in known:
            choice = found and found.choice_of_group(run, size, site.together)
            known[shape, size] = (
                _measured_step(choice, site)
                if choice
                else _step(costs[shape], shape.recipe.precision, site, size)
            )
        step = known[shape, size]
        seconds = start + run.training.full_steps(run.model.depth) * step.seconds
        requests[key] = replace(step, key=key, seconds=seconds, group=group)
    return requests


def grouped_runs(
    runs: Mapping[str, Run], costs: Mapping[cost.Shape, cost.Cost], site: Site
) -> dict[str, tuple[int, int]]:
    """Return number and size of the group of each run that has one, by the keys of ``runs``."""
    most = most_together(runs, site)
    keys = {run.identifier: key for key, run in runs.items() if most[key] > 1}
    fused = [runs[key] for key in keys.values() if costs[cost.shape_of(runs[key])].fuses]
    found = groups(fused, lambda run: most[keys[run.identifier]])
    return {
        keys[run.identifier]: (number, len(group))
        for number, group in enumerate(found, 1)
        if len(group) > 1
        for run in group
    }


def evaluation_requests(
    runs: Mapping[str, Run], costs: Mapping[cost.Shape, cost.Cost], study: Study, site: Site
) -> dict[str, JobRequest]:
    """Return what ``logdepth evaluate`` of each run needs on one core, by the keys of ``runs``."""
    evaluation = study.evaluation
    requests = {}
    for key, run in runs.items():
        shape = cost.shape_of(run)
        batch = min(_EVALUATED_AT_ONCE, evaluation.sequences)
        counted = costs[shape].at_batch(shape.batch, batch)
        ks = len(study.ks(run.task))
        passes = ks * len(evaluation.modes) * math.ceil(evaluation.sequences / batch)
        frozen = (2 * 2 + 1) * ks * evaluation.sequences * run.task.context
        # Of the blocks one at a time is kept.
        memory = 2 * _FLOAT * counted.parameters + counted.activation_bytes + frozen
        seconds = LOCAL_START + passes * _cpu_seconds(counted.forward_flops, counted.kernels)
        requests[key] = _one_core(key, seconds, memory, site)
    return requests


def attention_requests(
    runs: Mapping[str, Run], costs: Mapping[cost.Shape, cost.Cost], study: Study, site: Site
) -> dict[str, JobRequest]:
    """Return what looking into each run needs on one core, by the keys of ``runs``.

    Aligning the heads, switching each off, and writing the attention of one string ask for the
    same: what the first two take together.
    """
    batch = study.alignment.sequences
    requests = {}
    for key, run in runs.items():
        shape = cost.shape_of(run)
        kinds = len(run.task.ks)
        counted = costs[shape].at_batch(shape.batch, batch)
        # One layer against all find^j.
        heads = getattr(run.model, "heads", 1)
        entries = kinds * batch * heads * run.task.context**2
        layers = kinds * run.model.depth
        passes = kinds * (2 + heads * run.model.depth + 1)
        seconds = (
            passes * _cpu_seconds(counted.forward_flops, counted.kernels)
            + layers * entries * _ALIGNED_SECONDS
        )
        memory = 2 * _FLOAT * counted.parameters + counted.activation_bytes
        memory += 4 * _FLOAT * entries
        requests[key] = _one_core(key, LOCAL_START + seconds, memory, site)
    return requests


def theory_requests(tables: Iterable[str], site: Site) -> dict[str, JobRequest]:
    """Return what each table of the theory needs on one core, at the default sizes."""
    return {
        table: _one_core(table, _THEORY_SECONDS.get(table, 60), _THEORY_BYTES, site)
        for table in tables
    }


def _measured_step(choice: Choice, site: Site) -> JobRequest:
    """Return what a run needs on a GPU that was measured; its seconds are of one step."""
    share = max(1 / choice.at_once, 1 / site.cpus_per_gpu)
    return JobRequest("", choice.at_once * choice.seconds, share, GPU_HOST_MB)


def _step(counted: cost.Cost, precision: str, site: Site, size: int) -> JobRequest:
    """Return what a run of a group of this size needs; its seconds are of one step."""
    gpu = site.gpu_device
    if gpu is None:
        seconds = _cpu_seconds(counted.step_flops, counted.kernels, precision)
        return _one_core("", seconds, size * counted.memory_bytes, site)
    memory = _MARGIN * size * counted.memory_bytes + cost.GPU_CONTEXT_BYTES
    share = max(size * busy_share(gpu, precision, **counted.work), memory / gpu.memory)
    return JobRequest(
        key="",
        seconds=step_range(gpu, precision, **counted.work)[1],
        share=min(1.0, max(share, 1 / site.cpus_per_gpu)),
        mem_mb=GPU_HOST_MB,
    )


def _one_core(key: str, seconds: float, memory: int, site: Site) -> JobRequest:
    """Return a process on one core; ``memory`` is in bytes, without Python and torch."""
    needed = _MARGIN * (memory + cost.PROCESS_BYTES) / 1e6
    return JobRequest(
        key=key,
        seconds=seconds,
        share=1 / site.cpus_per_gpu,
        mem_mb=100 * math.ceil(needed / 100) + _SNAKEMAKE_MB,
    )


def _cpu_seconds(flops: int, kernels: int, precision: str = "float32") -> float:
    """Return the seconds of a step or a pass on one core; float32 outside of training."""
    return flops / CPU_RATE[precision] + kernels * LAUNCH_SECONDS[1]
