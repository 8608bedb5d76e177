"""A short calibration: the project's own training, timed on this machine."""

import contextlib
import io
import math
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from logdepth.config.run import Run
from logdepth.planning.cost import Shape, shape_of
from logdepth.training.checkpoint import CheckpointStore
from logdepth.training.loop import train

# With more shapes than this, depths between the smallest and the largest are interpolated.
MEASURED_SHAPES = 6
_MOST_STEPS = 2000


@dataclass(frozen=True)
class Calibration:
    """Seconds of CPU time of a training step on this machine, one thread, by shape."""

    measured: dict[Shape, float]

    def seconds_per_step(self, shape: Shape) -> float:
        """Return the seconds of a step, linear in depth between the measured depths.

        Raises:
            KeyError: no shape that differs from this one in depth alone was measured.
        """
        if shape in self.measured:
            return self.measured[shape]
        known = sorted(
            (other.model.depth, seconds)
            for other, seconds in self.measured.items()
            if other.group == shape.group
        )
        if not known:
            raise KeyError(f"no measurement of {shape.group}")
        (low, fast), (high, slow) = known[0], known[-1]
        if low == high:
            raise KeyError(f"only depth {low} was measured of {shape.group}")
        return fast + (slow - fast) * (shape.model.depth - low) / (high - low)


def calibrate(runs: Iterable[Run], seconds: float) -> Calibration:
    """Train models of the shapes of ``runs`` for about ``seconds`` in all.

    CPU time is what counts: with one thread (``prepare_device``) it is the time a step takes on an
    idle core, whatever else runs. At most six shapes are measured one by one; of more, the smallest
    and the largest depth of each group of shapes that differ in depth alone. A few steps are
    trained whatever ``seconds`` is.

    Raises:
        InterruptedTraining: SIGTERM or SIGINT arrived.
        UserError: a loss is not finite.
    """
    chosen = to_measure({shape_of(run): run for run in runs})
    share = seconds / max(len(chosen), 1)
    return Calibration({shape: seconds_per_step(run, share) for shape, run in chosen.items()})


def to_measure(runs: dict[Shape, Run]) -> dict[Shape, Run]:
    """Return those of the shapes, each with one of its runs, that are to be measured."""
    if len(runs) <= MEASURED_SHAPES:
        return runs
    groups: dict[Shape, list[Shape]] = {}
    for shape in runs:
        groups.setdefault(shape.group, []).append(shape)
    ends = {
        end(shapes, key=lambda shape: shape.model.depth)
        for shapes in groups.values()
        for end in (min, max)
    }
    return {shape: run for shape, run in runs.items() if shape in ends}


def seconds_per_step(run: Run, seconds: float) -> float:
    """Return the CPU seconds of a training step of a run, trained for about ``seconds``."""
    # The first call pays for what torch sets up once; a call of one step is the cost of set-up.
    _timed(run, 1)
    single, _ = _timed(run, 1)
    more = 2
    while True:
        taken, waited = _timed(run, 1 + more)
        estimate = (taken - single) / more
        if waited >= seconds / 2 or more >= _MOST_STEPS:
            # Noise may make set-up look longer than everything; the mean is a bound that is not.
            return estimate if estimate > 0 else taken / (1 + more)
        wanted = int(seconds * more / waited)
        more = min(max(wanted, 2 * more), 50 * more, _MOST_STEPS)


def _timed(run: Run, steps: int) -> tuple[float, float]:
    """Return CPU and wall seconds that the project's own training loop takes for some steps."""
    short = run.model_copy(update={"training": run.training.cut(steps)})
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.redirect_stderr(io.StringIO()),
    ):
        store = CheckpointStore(Path(folder), "calibration")
        wall, cpu = time.perf_counter(), time.process_time()
        train(short, device=torch.device("cpu"), checkpoints=store, checkpoint_seconds=math.inf)
        return time.process_time() - cpu, time.perf_counter() - wall
