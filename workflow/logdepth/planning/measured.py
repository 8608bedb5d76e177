"""What ``tests/gpu/check.py`` measured of a GPU, where that is published."""

import json
from dataclasses import dataclass
from pathlib import Path

from logdepth.canonical import digest
from logdepth.config.run import Run
from logdepth.planning.cost import shape_of
from logdepth.planning.gpus import Device
from logdepth.planning.site import Site, Together

# Below the clone, as are studies and what is published of them.
FILE = Path("results/published/gpu/check.json")


@dataclass(frozen=True)
class Choice:
    """How runs of one shape share a GPU.

    Attributes:
        together: runs that train as one network.
        at_once: processes that share the GPU; 1 if some train as one network.
        seconds: of the GPU for one step of one run.
        gain: how many times as fast that is as one run after the other.
    """

    together: int
    at_once: int
    seconds: float
    gain: float


@dataclass(frozen=True)
class Measured:
    """Steps a second of each run on a GPU, by shape, runs as one network, and processes."""

    gpu: str
    rates: dict[tuple[str, int, int], float]

    def choice(self, run: Run, together: Together = "fastest") -> Choice | None:
        """Return what is fastest for runs of the shape of one; None if that was not measured.

        ``together`` leaves only the choice of how many processes, if it is a number.
        """
        name = shape_name(run)
        alone = self.rates.get((name, 1, 1))
        # Of those that are as fast the first: the fewest runs, and processes.
        ways = sorted(
            (-runs * processes * rate, runs, processes)
            for (shape, runs, processes), rate in self.rates.items()
            if shape == name and together in ("fastest", runs)
        )
        if not alone or not ways:
            return None
        slowness, runs, processes = ways[0]
        if runs == processes == 1 and all(others == 1 for *_, others in ways):
            return None  # alone is faster than nothing that it was compared with
        return Choice(runs, processes, -1 / slowness, -slowness / alone)

    def choice_of_group(self, run: Run, size: int, together: Together) -> Choice | None:
        """Return the same for one of a group of runs, which is as large as that or smaller."""
        choice = self.choice(run, together if size > 1 else 1)
        if not choice or choice.together <= size:
            return choice
        # A smaller group takes no longer than the one that was measured.
        part = size / choice.together
        return Choice(size, 1, choice.seconds / part, choice.gain * part)


def shape_name(run: Run) -> str:
    """Return a hash of the settings that decide how long a step takes, the same for any code."""
    return digest(shape_of(run).settings)


def measured(device: Device, file: Path = FILE) -> Measured | None:
    """Return what was measured of a GPU; None if nothing was."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        gpu = str(found["device"])
        if not _is(device, gpu):
            return None
        rates = {
            (row["shape"], row["runs"], row["processes"]): row["steps_per_second"]
            for row in found["rates"]
            if row["recorded"]
        }
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Measured(gpu, rates)


def measured_on(site: Site) -> Measured | None:
    """Return what was measured of the GPU that a site trains on; None if nothing was."""
    if site.training_device == "cpu" or site.gpu_device is None:
        return None
    return measured(site.gpu_device)


def _is(device: Device, reported: str) -> bool:
    """Whether a GPU is the one of a data sheet, by the name that its driver reports."""
    words = set(reported.upper().replace("-", " ").split())
    # Those on a board of their own, "A100-SXM4-80GB" and "H100 80GB HBM3", are not all called so.
    words |= set() if "PCIE" in words else {"SXM"}
    return set(device.name.upper().split("-")) <= words
