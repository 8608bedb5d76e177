"""What ``tests/gpu/check.py`` measured of a GPU, where that is published."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from logdepth.config.run import Run
from logdepth.planning.gpus import Device
from logdepth.tasks.hop import Hop

# Below the clone, as are studies and what is published of them.
FILE = Path("results/published/gpu/check.json")
# What the script trains: the paper's size.
_TASK = Hop(context=99, alphabet=4, max_k=16)
_SIZES = {"heads": 4, "width": 128}
_BATCH = 32


@dataclass(frozen=True)
class Measured:
    """Steps a second on a GPU, by recipe, depth, precision and runs that train as one network."""

    gpu: str
    rates: dict[tuple[str, int, str, int], float]

    def seconds_per_step(self, run: Run) -> float | None:
        """Return the seconds of a step of a run alone; None if nothing like it was measured."""
        recipe, model = run.training, run.model
        sizes = {name: getattr(model, name, None) for name in _SIZES}
        if run.task != _TASK or sizes != _SIZES or recipe.batch != _BATCH:
            return None
        rate = self.rates.get((recipe.recipe, model.depth, recipe.precision, 1))
        return 1 / rate if rate else None

    def gain(self) -> tuple[int, float]:
        """Return how many runs are best trained together, and how many times as fast they are."""
        gains = [
            (runs * rate / alone, runs)
            for (recipe, depth, precision, runs), rate in self.rates.items()
            if (alone := self.rates.get((recipe, depth, precision, 1)))
        ]
        gain, runs = max(gains, default=(1.0, 1))
        return runs, gain


@cache
def measured(device: Device, file: Path = FILE) -> Measured | None:
    """Return what was measured of a GPU; None if nothing was."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        name = str(found["device"])
        if device.name.split("-")[0] not in name.replace("-", " ").split():
            return None
        rates = {
            (row["recipe"], row["depth"], row["precision"], row["runs"]): row["steps_per_second"]
            for row in found["rates"]
            if row["recorded"]
        }
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Measured(name, rates)
