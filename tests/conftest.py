"""What all tests share."""

import os
from pathlib import Path

import pytest
import torch
from hypothesis import settings

ROOT = Path(__file__).parent.parent

# One thread a process: the tests run two at once, and bits depend on the number of threads.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"
# The same examples in every run, so that a failure is never a matter of luck.
settings.register_profile("logdepth", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("logdepth")


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT
