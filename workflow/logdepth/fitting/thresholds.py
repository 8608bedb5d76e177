"""The largest k that a curve of error against k solves."""

import math
import warnings
from enum import Enum

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeWarning, curve_fit


class Bound(Enum):
    """What a value of log2 k* says: exactly that, or that the truth lies above or below it."""

    EXACT = "exact"
    LOWER = "lower bound"
    UPPER = "upper bound"


def largest_solved(
    ks: NDArray[np.int64], errors: NDArray[np.float64], threshold: float
) -> tuple[int, float, Bound]:
    """Return the largest solved k, and the interpolated log2 k* at which the error crosses.

    k counts as solved when it and every smaller k tried have an error below the threshold. Between
    the last solved k and the next one, the error is interpolated linearly in log2 k. A curve that
    solves every k tried says only that k* is at least the largest of them; one that solves none
    (k = 0 aside) says only that k* is at most the smallest.

    Args:
        ks: (K,) values of k, ascending, k = 0 left out.
        errors: (K,) error of each.
        threshold: error below which a k is solved.

    Returns:
        Largest solved k (0 for none), log2 k*, and what that value says.
    """
    unsolved = np.flatnonzero(errors >= threshold)
    if not len(unsolved):
        return int(ks[-1]), math.log2(ks[-1]), Bound.LOWER
    first = int(unsolved[0])
    if not first:
        return 0, math.log2(ks[0]), Bound.UPPER
    low, high = np.log2(ks[first - 1 : first + 1])
    share = (threshold - errors[first - 1]) / (errors[first] - errors[first - 1])
    return int(ks[first - 1]), float(low + share * (high - low)), Bound.EXACT


def logistic_fit(
    ks: NDArray[np.int64], errors: NDArray[np.float64], chance: float
) -> tuple[float, float]:
    """Fit error = chance / (1 + exp(-(log2 k - midpoint) / width)) by least squares.

    Args:
        ks: (K,) values of k, k = 0 left out.
        errors: (K,) error of each.
        chance: error of a uniform guess.

    Returns:
        Midpoint and width in octaves of k; NaN when the curve does not fix them: no convergence,
        or a midpoint more than an octave outside the values tried.
    """
    x = np.log2(ks)

    def curve(log_k: NDArray[np.float64], midpoint: float, log_width: float) -> NDArray[np.float64]:
        slope = np.clip((log_k - midpoint) / np.exp(log_width), -50, 50)
        return np.asarray(chance / (1 + np.exp(-slope)))

    start = (float(np.interp(chance / 2, np.maximum.accumulate(errors), x)), math.log(0.3))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", OptimizeWarning)
            (midpoint, log_width), _ = curve_fit(curve, x, errors, start)
    except (RuntimeError, TypeError, OptimizeWarning):
        return math.nan, math.nan
    if not x[0] - 1 <= midpoint <= x[-1] + 1:
        return math.nan, math.nan
    return float(midpoint), float(math.exp(log_width))
