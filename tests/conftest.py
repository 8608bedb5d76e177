"""What all tests share."""

import functools
import importlib
import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from filelock import FileLock
from hypothesis import settings

from audit_trail.project import use
from logdepth.audited import PROJECT
from logdepth.planning import count

ROOT = Path(__file__).parent.parent

# One thread a process: the tests run two at once, and bits depend on the number of threads.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"
# Else each process of the tests, and each checkout, would compile all of the source anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# As the command line does: what is audited are results of ours.
use(PROJECT)
# The same examples in every run, so that a failure is never a matter of luck.
settings.register_profile("logdepth", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("logdepth")


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def simulations() -> ModuleType:
    """benchmarks/simulations.py, which is a script of no package."""
    path = ROOT / "benchmarks" / "simulations.py"
    spec = importlib.util.spec_from_file_location("simulations", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def transformers() -> ModuleType:
    """The library of the reference GPT-2. To import it takes seconds, and few tests need it."""
    return importlib.import_module("transformers")


_counted_once = functools.cache(count.count)


@pytest.fixture(scope="module")
def counted_once() -> Iterator[None]:
    """What a step of a shape costs is counted once, for tests of what follows from the counts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(count, "count", _counted_once)
        yield


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], None]], Path]:
    """Return a function that makes a folder once for all processes of the tests.

    ``once(name, make)`` is the folder of that name: whoever asks first makes it, others wait.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent

    def folder(name: str, make: Callable[[Path], None]) -> Path:
        made = shared / name
        with FileLock(shared / f"{name}.lock"):
            if not made.exists():
                # Under its name when it is whole: nobody takes what a failure has left.
                shutil.rmtree(half := shared / f"{name}.half", ignore_errors=True)
                make(half)
                half.rename(made)
        return made

    return folder
