"""Resampling of seeds and sequences."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from logdepth.evaluation.counts import Counts


@dataclass(frozen=True)
class Resample:
    """One draw of seeds and sequences.

    Attributes:
        runs: (R,) index of the run that stands in each run's place, of the same depth.
        errors: (R, K) errors of the drawn runs on the drawn sequences.
    """

    runs: NDArray[np.int64]
    errors: NDArray[np.float64]


def resamples(counts: Counts, number: int, seed: int) -> Iterator[Resample]:
    """Yield draws with replacement of the seeds of each depth and of the sequences of each k.

    All runs answer the same sequences, so that a drawn sequence is drawn for all of them.

    Args:
        counts: of one experiment.
        number: of draws.
        seed: of the draws.
    """
    random = np.random.default_rng(seed)
    kinds, sequences = counts.symbols.shape
    for _ in range(number):
        weights = random.multinomial(sequences, [1 / sequences] * sequences, size=kinds)
        runs = np.arange(len(counts.runs))
        for depth in np.unique(counts.depths):
            same = np.flatnonzero(counts.depths == depth)
            runs[same] = random.choice(same, len(same))
        yield Resample(runs, counts.errors(weights.astype(float))[runs])


def percentile_interval(values: NDArray[np.float64], level: float = 0.95) -> tuple[float, float]:
    """Return the central interval of the finite values; NaN when they are fewer than half."""
    finite = values[np.isfinite(values)]
    if len(finite) < max(2, len(values) / 2):
        return float("nan"), float("nan")
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
