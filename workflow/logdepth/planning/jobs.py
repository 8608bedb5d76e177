"""Jobs: what to ask Slurm for, and how long a machine is busy."""

import heapq
import math
from dataclasses import dataclass

# What a job takes before it works (measured: 2 s here, 4 s through Slurm; a GPU is an assumption).
LOCAL_START, SLURM_START, GPU_START = 2.0, 4.0, 10.0
# Start-up of a Slurm job is below 1 % of a job of this length.
PACKED_SECONDS = 600.0
# CUDA's libraries lie in the host's memory; assumed.
GPU_HOST_MB = 4000


@dataclass(frozen=True)
class Jobs:
    """What to ask Slurm for.

    Attributes:
        jobs: number of jobs.
        runs_per_job: trained one after another by each.
        cpus: of a job.
        gpus: of a job.
        mem_mb: memory of a job, in MB.
        runtime_minutes: time limit of a job, twice what it should take.
    """

    jobs: int
    runs_per_job: int
    cpus: int
    gpus: int
    mem_mb: int
    runtime_minutes: int


def slurm_jobs(runs: int, seconds: float, memory: int, *, gpu: bool) -> Jobs:
    """Return the jobs that train some equal runs; short ones are packed into one job.

    Args:
        runs: number of runs.
        seconds: that one of them takes at most.
        memory: bytes of one process; on a GPU, of the GPU's memory.
        gpu: whether a run needs a GPU.
    """
    packed = min(runs, max(1, math.ceil(PACKED_SECONDS / seconds)))
    jobs = math.ceil(runs / packed)
    packed = math.ceil(runs / jobs)
    start = SLURM_START + (GPU_START if gpu else LOCAL_START)
    return Jobs(
        jobs=jobs,
        runs_per_job=packed,
        cpus=1,
        gpus=int(gpu),
        mem_mb=GPU_HOST_MB if gpu else 500 * math.ceil(1.25 * memory / 500e6),
        runtime_minutes=10 * math.ceil(2 * packed * (seconds + start) / 600),
    )


def makespan(seconds: list[float], workers: int) -> float:
    """Return the seconds until the last job ends, the longest started first."""
    ends = [0.0] * workers
    for job in sorted(seconds, reverse=True):
        heapq.heapreplace(ends, ends[0] + job)
    return max(ends)
