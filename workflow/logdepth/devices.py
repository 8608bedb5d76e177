"""Choosing and preparing the device of a job."""

import os
import time

import torch

from logdepth.errors import UserError


def prepare_device(name: str, threads: int) -> torch.device:
    """Return the device of that name, with threads and reproducible matrix products set.

    Args:
        name: "cpu", "cuda", "cuda:N", "mps", or "auto" for a GPU where there is one.
        threads: CPU threads within one operation.

    Raises:
        UserError: there is no such device here.
    """
    torch.set_num_threads(threads)
    # Read when CUDA starts; without it deterministic matrix products are refused.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"--device {name}: no such device here (expected auto or cpu)") from error
    return device


def bfloat16_factor(seconds: float = 0.2) -> float:
    """Return how many times as long a product takes in bfloat16 as in float32 on this CPU.

    It is below 1 on a CPU with bfloat16 units, and 5 to 35 on one that emulates them.

    Args:
        seconds: about how long to measure.
    """
    matrices = [torch.ones(512, 64, dtype=dtype) for dtype in (torch.float32, torch.bfloat16)]
    best = [float("inf")] * 2
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or best[1] == float("inf"):
        for i, matrix in enumerate(matrices):
            start = time.process_time()
            torch.nn.functional.linear(matrix, matrix)
            best[i] = min(best[i], time.process_time() - start)
    return best[1] / best[0]


def bfloat16_warning() -> str | None:
    """Return a line that says what bfloat16 costs on a CPU that emulates it; None on others."""
    factor = bfloat16_factor()
    if factor < 1.5:
        return None
    return (
        f"this CPU has no bfloat16 units: a product takes {factor:.0f} times as long as in "
        "float32; precision: float32 is faster here"
    )
