"""A short calibration: the project's own training, timed on this machine."""

import contextlib
import io
import math
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from logdepth.config.run import Run
from logdepth.errors import UserError
from logdepth.planning.cost import Shape, shape_of
from logdepth.planning.groups import groups
from logdepth.training.checkpoint import CheckpointStore
from logdepth.training.loop import train_together

# With more shapes than this, depths between the smallest and the largest are interpolated.
MEASURED_SHAPES = 6
_MOST_STEPS = 2000


@dataclass(frozen=True)
class Calibration:
    """Seconds of CPU time of a training step of one run on this machine, one thread, by shape.

    Attributes:
        measured: of a run alone.
        together: of so many runs as one network, and how many; of shapes that have several runs.
    """

    measured: dict[Shape, float]
    together: dict[Shape, tuple[int, float]] = field(default_factory=dict)

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


def calibrate(runs: Iterable[Run], seconds: float, most: int = 1) -> Calibration:
    """Train models of the shapes of ``runs`` for about ``seconds`` in all.

    With ``most`` above 1 also so many of them as one network, or as many as a group has.

    CPU time is what counts: with one thread (``prepare_device``) it is the time a step takes on an
    idle core, whatever else runs. At most six shapes are measured one by one; of more, the smallest
    and the largest depth of each group of shapes that differ in depth alone. A few steps are
    trained whatever ``seconds`` is.

    Raises:
        InterruptedTraining: SIGTERM or SIGINT arrived.
        UserError: a loss is not finite.
    """
    largest: dict[Shape, list[Run]] = {}
    for group in sorted(groups(runs, lambda _: most), key=len):
        largest[shape_of(group[0])] = group
    chosen = to_measure({shape: group[0] for shape, group in largest.items()})
    several = {shape: largest[shape] for shape in chosen if len(largest[shape]) > 1}
    share = seconds / max(len(chosen) + len(several), 1)
    alone = {shape: seconds_per_step([run], share) for shape, run in chosen.items()}
    together = {}
    for shape, group in several.items():
        # A form that has no fused one is trained alone.
        with contextlib.suppress(ValueError):
            step = seconds_per_step(group, share)
            together[shape] = len(group), step / len(group)
    return Calibration(alone, together)


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


def seconds_per_step(runs: Sequence[Run], seconds: float) -> float:
    """Return the CPU seconds of a step of runs as one network, trained for about ``seconds``.

    Raises:
        ValueError: they cannot be trained as one.
    """
    # The first call pays for what torch sets up once; a call of one step is the cost of set-up.
    _timed(runs, 1)
    single, _ = _timed(runs, 1)
    more = 2
    while True:
        taken, waited = _timed(runs, 1 + more)
        estimate = (taken - single) / more
        if waited >= seconds / 2 or more >= _MOST_STEPS:
            # Noise may make set-up look longer than everything; the mean is a bound that is not.
            return estimate if estimate > 0 else taken / (1 + more)
        wanted = int(seconds * more / waited)
        more = min(max(wanted, 2 * more), 50 * more, _MOST_STEPS)


def _timed(runs: Sequence[Run], steps: int) -> tuple[float, float]:
    """Return CPU and wall seconds that the project's own training loop takes for some steps."""
    short = [run.model_copy(update={"training": run.training.cut(steps)}) for run in runs]
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.redirect_stderr(io.StringIO()),
    ):
        stores = [CheckpointStore(Path(folder, str(i)), "calibration") for i in range(len(runs))]
        wall, cpu = time.perf_counter(), time.process_time()
        trained = train_together(
            short, device=torch.device("cpu"), checkpoints=stores, checkpoint_seconds=math.inf
        )
        taken = time.process_time() - cpu, time.perf_counter() - wall
    for result in trained:
        if isinstance(result, UserError):
            raise result
    return taken
