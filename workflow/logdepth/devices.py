"""Choosing and preparing the device of a job."""

import os

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
        raise UserError(
            f"--device {name}: no such device here (right would be auto or cpu)"
        ) from error
    return device
