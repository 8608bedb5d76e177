"""The largest k that a curve of error against k solves."""

import math
import warnings
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

# By what share of the step from the last solved k to the next the interpolated value is off.
# Measured on the published curves of the studies laptop, speedrun and released: at 130 places with
# an error of 2 to 50 %, the k is left out and its own error interpolated, which misses by 0.16 of
# the step (root mean square). That step is of double length, and the error of an interpolation
# goes with the square of its length.
_OFF = 0.16 / 2
# An error below a tenth of the threshold says nothing of where the curve crosses. It counts as a
# tenth (taken as it is, the same places are missed by 0.17, and by 0.21 where it is below 1 %), and
# the value may lie anywhere in the step.
_LEAST = 0.1
_ANYWHERE = 1 / math.sqrt(12)


class Bound(Enum):
    """What a value of log2 k* says: exactly that, or that the truth lies above or below it."""

    EXACT = "exact"
    LOWER = "lower bound"
    UPPER = "upper bound"


@dataclass(frozen=True)
class Solved:
    """What a curve solves.

    Attributes:
        largest: the largest solved k, 0 for none.
        log_k: log2 k* at which the error crosses the threshold, or a bound on it.
        bound: what ``log_k`` says.
        resolution: standard deviation of ``log_k`` from interpolation, in octaves; 0 of a bound.
    """

    largest: int
    log_k: float
    bound: Bound
    resolution: float = 0.0


def largest_solved(ks: NDArray[np.int64], errors: NDArray[np.float64], threshold: float) -> Solved:
    """Return the largest solved k, and the interpolated log2 k* at which the error crosses.

    k counts as solved when it and every smaller k tried have an error below the threshold. Between
    the last solved k and the next one, the logit of the error is interpolated linearly in log2 k.
    A curve that solves every k tried says only that k* is at least the largest of them; one that
    solves none (k = 0 aside) says only that k* is at most the smallest.

    Args:
        ks: (K,) values of k, ascending, k = 0 left out.
        errors: (K,) error of each.
        threshold: error below which a k is solved.
    """
    unsolved = np.flatnonzero(errors >= threshold)
    if not len(unsolved):
        return Solved(int(ks[-1]), math.log2(ks[-1]), Bound.LOWER)
    first = int(unsolved[0])
    if not first:
        return Solved(0, math.log2(ks[0]), Bound.UPPER)
    low, high = np.log2(ks[first - 1 : first + 1])
    ends = errors[first - 1 : first + 1].clip(_LEAST * threshold, 1 - 1e-6)
    below, above = logit(ends)
    share = (logit(threshold) - below) / (above - below)
    value = float(low + share * (high - low))
    off = _ANYWHERE if errors[first - 1] < _LEAST * threshold else _OFF
    return Solved(int(ks[first - 1]), value, Bound.EXACT, float(off * (high - low)))


def logistic_fit(
    ks: NDArray[np.int64], errors: NDArray[np.float64], ceiling: NDArray[np.float64]
) -> tuple[float, float]:
    """Fit error = ceiling / (1 + exp(-(log2 k - midpoint) / width)) by least squares.

    Args:
        ks: (K,) values of k, k = 0 left out.
        errors: (K,) error of each.
        ceiling: (K,) error of the best guess.

    Returns:
        Midpoint and width in octaves of k; NaN when the curve does not fix them: no convergence,
        or a midpoint more than an octave outside the values tried.
    """
    # Here, since a figure that reads a bound needs none of it.
    from scipy.optimize import OptimizeWarning, curve_fit

    x = np.log2(ks)

    def curve(log_k: NDArray[np.float64], midpoint: float, log_width: float) -> NDArray[np.float64]:
        slope = np.clip((log_k - midpoint) / np.exp(log_width), -50, 50)
        return np.asarray(ceiling / (1 + np.exp(-slope)))

    half = float(ceiling[-1]) / 2
    start = (float(np.interp(half, np.maximum.accumulate(errors), x)), math.log(0.3))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", OptimizeWarning)
            (midpoint, log_width), _ = curve_fit(curve, x, errors, start)
    except (RuntimeError, TypeError, OptimizeWarning):
        return math.nan, math.nan
    if not x[0] - 1 <= midpoint <= x[-1] + 1:
        return math.nan, math.nan
    return float(midpoint), float(math.exp(log_width))
