"""What the jobs of a run need, estimated from numbers alone: nothing is timed, torch not imported.

The workflow asks whenever it is parsed, on the cluster once for each job.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Literal

from logdepth.config.run import Run
from logdepth.config.site import Site
from logdepth.config.study import Study
from logdepth.planning import cost
from logdepth.planning.devices import LAUNCH_SECONDS, Device, busy_share, step_range
from logdepth.planning.jobs import GPU_HOST_MB, GPU_START, LOCAL_START
from logdepth.planning.packs import Member

# FLOP/s of one core, assumed: trainings of this project reached 28e9 to 217e9 in bfloat16 on a core
# with matrix units. One without them converts bfloat16, which takes longer than float32.
CPU_RATE: Mapping[Literal["float32", "bfloat16"], float] = {"float32": 20e9, "bfloat16": 10e9}
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


def training_requests(runs: Mapping[str, Run], site: Site) -> dict[str, Member]:
    """Return what training each run needs, by the keys of ``runs``.

    On a GPU a step takes the longest time of ``step_range``, and a run the larger part of what it
    keeps busy and of the memory it takes; on CPUs a core, at a rate below every measured one.
    """
    known: dict[cost.Shape, Member] = {}
    requests = {}
    for key, run in runs.items():
        shape = cost.shape_of(run)
        if shape not in known:
            gpu = site.gpu_device
            known[shape] = _on_gpu(shape, gpu, site) if gpu else _on_cpu(shape, site)
        step = known[shape]
        start = GPU_START if site.gpu_device else LOCAL_START
        seconds = start + run.training.trained_steps * step.seconds
        requests[key] = replace(step, key=key, seconds=seconds)
    return requests


def evaluation_requests(runs: Mapping[str, Run], study: Study, site: Site) -> dict[str, Member]:
    """Return what ``logdepth evaluate`` of each run needs on one core, by the keys of ``runs``."""
    evaluation = study.evaluation
    hops, settings = len(study.evaluated_hops), len(evaluation.dropout)
    requests = {}
    for key, run in runs.items():
        shape = cost.shape_of(run)
        batch = min(_EVALUATED_AT_ONCE, evaluation.sequences)
        passes = hops * settings * math.ceil(evaluation.sequences / batch)
        one_block = replace(
            shape, spec=replace(shape.spec, depth=1), batch=batch, precision="float32"
        )
        frozen = 2 * 2 * hops * evaluation.sequences * shape.tokens
        memory = (
            2 * _FLOAT * cost.parameters(shape.spec) + cost.activation_bytes(one_block) + frozen
        )
        seconds = LOCAL_START + passes * _forward_seconds(shape, batch)
        requests[key] = _one_core(key, seconds, memory, site)
    return requests


def attention_requests(runs: Mapping[str, Run], study: Study, site: Site) -> dict[str, Member]:
    """Return what ``logdepth attention`` of each run needs on one core, by the keys of ``runs``.

    Aligning the heads takes longer than writing the attention of one string; both ask for it.
    """
    batch = study.alignment.sequences
    requests = {}
    for key, run in runs.items():
        shape = cost.shape_of(run)
        kinds = run.task.max_hops + 1
        # One layer against all find^j.
        entries = kinds * batch * shape.spec.heads * shape.tokens**2
        layers = kinds * shape.spec.depth
        seconds = kinds * _forward_seconds(shape, batch) + layers * entries * _ALIGNED_SECONDS
        held = replace(shape, batch=batch, precision="float32")
        memory = 2 * _FLOAT * cost.parameters(shape.spec) + cost.activation_bytes(held)
        memory += 4 * _FLOAT * entries
        requests[key] = _one_core(key, LOCAL_START + seconds, memory, site)
    return requests


def theory_requests(tables: Iterable[str], site: Site) -> dict[str, Member]:
    """Return what each table of the theory needs on one core, at the default sizes."""
    return {
        table: _one_core(table, _THEORY_SECONDS.get(table, 60), _THEORY_BYTES, site)
        for table in tables
    }


def _on_gpu(shape: cost.Shape, gpu: Device, site: Site) -> Member:
    flops, traffic = cost.step_flops(shape), cost.traffic_bytes(shape)
    kernels = cost.kernels(shape)
    of = {"flops": flops, "traffic": traffic, "kernels": kernels}
    memory = _MARGIN * cost.memory_bytes(shape) + cost.GPU_CONTEXT_BYTES
    share = max(busy_share(gpu, shape.precision, **of), memory / gpu.memory)
    return Member(
        key="",
        seconds=step_range(gpu, shape.precision, **of)[1],
        share=min(1.0, max(share, 1 / site.cpus_per_gpu)),
        mem_mb=GPU_HOST_MB,
    )


def _on_cpu(shape: cost.Shape, site: Site) -> Member:
    arithmetic = cost.step_flops(shape) / CPU_RATE[shape.precision]
    seconds = arithmetic + cost.kernels(shape) * LAUNCH_SECONDS[1]
    return _one_core("", seconds, cost.memory_bytes(shape), site)


def _one_core(key: str, seconds: float, memory: int, site: Site) -> Member:
    """Return a process on one core; ``memory`` is in bytes, without Python and torch."""
    needed = _MARGIN * (memory + cost.PROCESS_BYTES) / 1e6
    return Member(
        key=key,
        seconds=seconds,
        share=1 / site.cpus_per_gpu,
        mem_mb=100 * math.ceil(needed / 100) + _SNAKEMAKE_MB,
    )


def _forward_seconds(shape: cost.Shape, batch: int) -> float:
    """Return the seconds of a forward pass on one core, which is float32 outside of training."""
    arithmetic = cost.forward_flops(shape.spec, shape.tokens, batch) / CPU_RATE["float32"]
    return arithmetic + cost.kernels(shape) * LAUNCH_SECONDS[1]
