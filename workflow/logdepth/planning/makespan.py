"""What a job takes besides its work, and how long several workers are busy with some jobs."""

import heapq
from collections.abc import Iterable

# What a job takes before it works (measured: 2 s here, 4 s through Slurm; a GPU is an assumption).
LOCAL_START, SLURM_START, GPU_START = 2.0, 4.0, 10.0
# CUDA's libraries lie in the host's memory; assumed.
GPU_HOST_MB = 4000


def schedule(seconds: Iterable[float], workers: int) -> tuple[float, float]:
    """Return when the last job starts and when the last one ends, the longest started first."""
    ends = [0.0] * workers
    start = 0.0
    for job in sorted(seconds, reverse=True):
        start = ends[0]
        heapq.heapreplace(ends, start + job)
    return start, max(ends)


def makespan(seconds: Iterable[float], workers: int) -> float:
    """Return the seconds until the last job ends, the longest started first."""
    return schedule(seconds, workers)[1]
