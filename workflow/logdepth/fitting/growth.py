"""Three laws of growth of the largest solvable k with depth, fitted to partly censored values.

Every law predicts y = log2 k* with normal errors in y, so that their likelihoods are comparable:

    exponential   y = intercept + slope * L          slope: octaves a layer
    linear        y = log2(intercept + slope * L)    slope: hops a layer
    power         y = intercept + slope * log2 L     slope: exponent

A depth has one value, from the error pooled over its seeds: seeds of one depth say how well that
value is known, but they are no further evidence for the shape of a law. The error of a value is
not fitted either. It is put together from what is known: the scatter over resampled seeds and
sequences, and the resolution, since k* lies somewhere between an integer k that is solved and
k + 1, which is not. (With a fitted scatter, three values that lie on a curve by luck would make it
look certain.)

A depth that solves every k tried enters as a lower bound, one that solves none as an upper bound,
through the probability of lying beyond it (Tobin, "Estimation of relationships for limited
dependent variables", 1958).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import norm

from logdepth.fitting.thresholds import Bound

Array = NDArray[np.float64]

_SMALLEST_HOPS = 2.0**-6


def _exponential(depth: Array, intercept: float, slope: float) -> Array:
    return intercept + slope * depth


def _linear(depth: Array, intercept: float, slope: float) -> Array:
    return np.log2(np.maximum(intercept + slope * depth, _SMALLEST_HOPS))


def _power(depth: Array, intercept: float, slope: float) -> Array:
    return intercept + slope * np.log2(depth)


LAWS: dict[str, Callable[[Array, float, float], Array]] = {
    "exponential": _exponential,
    "linear": _linear,
    "power": _power,
}


def resolution(solved: int) -> float:
    """Return the standard deviation, in octaves, of a value spread evenly from k to k + 1.

    Args:
        solved: the largest solved k; 0 stands for k = 1 not solved and counts as 1.
    """
    k = max(solved, 1)
    return (math.log2(k + 1) - math.log2(k)) / math.sqrt(12)


@dataclass(frozen=True)
class Observations:
    """Values of log2 k*, one a depth.

    Attributes:
        depth: (n,) the depths.
        log_k: (n,) log2 k*, or a bound on it.
        error: (n,) standard deviation of each value, in octaves.
        bound: (n,) Bound of each value.
    """

    depth: Array
    log_k: Array
    error: Array
    bound: list[Bound]

    def without(self, place: int) -> "Observations":
        """Return the observations but for one."""
        keep = np.delete(np.arange(len(self.depth)), place)
        bound = [self.bound[i] for i in keep]
        return Observations(self.depth[keep], self.log_k[keep], self.error[keep], bound)

    def mask(self, bound: Bound) -> NDArray[np.bool_]:
        """Return where the values are of the given kind."""
        return np.array([b is bound for b in self.bound])

    @property
    def is_enough(self) -> bool:
        """Whether two depths at least have a value of their own, so that a law is fixed."""
        return int(self.mask(Bound.EXACT).sum()) >= 2


@dataclass(frozen=True)
class GrowthFit:
    """A fitted law.

    Attributes:
        law: its name.
        intercept, slope: its parameters.
        log_likelihood: of the observations.
    """

    law: str
    intercept: float
    slope: float
    log_likelihood: float

    @property
    def aic(self) -> float:
        """Akaike's criterion, with intercept and slope as parameters."""
        return 2 * 2 - 2 * self.log_likelihood

    def predict(self, depth: Array) -> Array:
        """Return the predicted log2 k* at each depth."""
        return LAWS[self.law](np.asarray(depth, float), self.intercept, self.slope)


def fit_growth(law: str, data: Observations) -> GrowthFit | None:
    """Fit a law by maximum likelihood; None when fewer than two depths have a value."""
    if not data.is_enough:
        return None
    predict = LAWS[law]
    exact, lower, upper = (data.mask(b) for b in (Bound.EXACT, Bound.LOWER, Bound.UPPER))
    constant = float(np.log(data.error[exact] * math.sqrt(2 * math.pi)).sum())

    def loss(parameters: Array) -> float:
        intercept, slope = parameters
        z = (data.log_k - predict(data.depth, intercept, slope)) / data.error
        return float(
            0.5 * np.square(z[exact]).sum()
            + constant
            - norm.logcdf(-z[lower]).sum()
            - norm.logcdf(z[upper]).sum()
        )

    # A least-squares line through the values starts the search.
    x, y = data.depth[exact], data.log_k[exact]
    if law == "power":
        x = np.log2(x)
    if law == "linear":
        y = 2.0**y
    slope, intercept = np.polyfit(x, y, 1)
    best = minimize(loss, (intercept, slope), method="Nelder-Mead", options={"xatol": 1e-5})
    intercept, slope = (float(v) for v in best.x)
    return GrowthFit(law, intercept, slope, -float(best.fun))


def leave_one_depth_out(law: str, data: Observations) -> float:
    """Return the root mean square error, in octaves, of predicting each depth from the others.

    A bound is missed by as much as the prediction violates it. NaN when the other depths do not
    fix the law.
    """
    misses = []
    for i, (depth, value, bound) in enumerate(zip(data.depth, data.log_k, data.bound, strict=True)):
        fit = fit_growth(law, data.without(i))
        if fit is None:
            return math.nan
        miss = float(fit.predict(np.array([depth]))[0]) - value
        if bound is Bound.LOWER:
            miss = min(miss, 0.0)
        elif bound is Bound.UPPER:
            miss = max(miss, 0.0)
        misses.append(miss)
    return float(np.sqrt(np.mean(np.square(misses))))
