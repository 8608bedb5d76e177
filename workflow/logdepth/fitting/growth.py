"""Three laws of growth of the largest solvable k with depth, fitted to partly censored values.

Every law predicts y = log2 k* with normal errors in y, so that their likelihoods are comparable:

    exponential   y = intercept + slope * L          slope: octaves a layer
    linear        y = log2(intercept + slope * L)    slope: hops a layer
    power         y = intercept + slope * log2 L     slope: exponent

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

# k* is not measured finer than this, in octaves: seeds that agree by luck must not make the
# likelihood unbounded.
SMALLEST_SCATTER = 0.05
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


@dataclass(frozen=True)
class Observations:
    """Values of log2 k*, one a run.

    Attributes:
        depth: (n,) depth of the run.
        log_hops: (n,) log2 k*, or a bound on it.
        bound: (n,) Bound of each value.
    """

    depth: Array
    log_hops: Array
    bound: list[Bound]

    def take(self, index: NDArray[np.int64]) -> "Observations":
        """Return the observations at the given places, which may repeat."""
        bound = [self.bound[i] for i in index]
        return Observations(self.depth[index], self.log_hops[index], bound)

    def mask(self, bound: Bound) -> NDArray[np.bool_]:
        """Return where the values are of the given kind."""
        return np.array([b is bound for b in self.bound])

    @property
    def is_enough(self) -> bool:
        """Whether two depths at least have a value of their own, so that a line is fixed."""
        return len(np.unique(self.depth[self.mask(Bound.EXACT)])) >= 2


@dataclass(frozen=True)
class GrowthFit:
    """A fitted law.

    Attributes:
        law: its name.
        intercept, slope: its parameters.
        scatter: standard deviation of y around it, in octaves.
        log_likelihood: of the observations.
    """

    law: str
    intercept: float
    slope: float
    scatter: float
    log_likelihood: float

    @property
    def aic(self) -> float:
        """Akaike's criterion, with intercept, slope and scatter as parameters."""
        return 2 * 3 - 2 * self.log_likelihood

    def predict(self, depth: Array) -> Array:
        """Return the predicted log2 k* at each depth."""
        return LAWS[self.law](np.asarray(depth, float), self.intercept, self.slope)


def fit_growth(law: str, data: Observations) -> GrowthFit | None:
    """Fit a law by maximum likelihood; None when fewer than two depths have a value."""
    if not data.is_enough:
        return None
    predict = LAWS[law]
    exact, lower, upper = (data.mask(b) for b in (Bound.EXACT, Bound.LOWER, Bound.UPPER))
    y = data.log_hops

    def loss(parameters: Array) -> float:
        intercept, slope, log_scatter = parameters
        scatter = math.exp(log_scatter)
        z = (y - predict(data.depth, intercept, slope)) / scatter
        likelihood = (
            -0.5 * np.square(z[exact]).sum()
            - exact.sum() * (log_scatter + 0.5 * math.log(2 * math.pi))
            + norm.logcdf(-z[lower]).sum()
            + norm.logcdf(z[upper]).sum()
        )
        return -float(likelihood)

    # A least-squares line through all values, bounds included, starts the search.
    x, target = data.depth, y
    if law == "power":
        x = np.log2(x)
    if law == "linear":
        target = 2.0**target
    slope, intercept = np.polyfit(x, target, 1)
    best = minimize(
        loss,
        (intercept, slope, math.log(0.3)),
        method="L-BFGS-B",
        bounds=((None, None), (None, None), (math.log(SMALLEST_SCATTER), math.log(10))),
    )
    intercept, slope, log_scatter = (float(v) for v in best.x)
    return GrowthFit(law, intercept, slope, math.exp(log_scatter), -float(best.fun))


def leave_one_depth_out(law: str, data: Observations) -> float:
    """Return the root mean square error, in octaves, of predicting each depth from the others.

    Of a depth with values it is their mean that is predicted; a bound is missed by as much as the
    prediction violates it. NaN when the other depths do not fix the law.
    """
    misses = []
    for depth in np.unique(data.depth):
        here = data.depth == depth
        fit = fit_growth(law, data.take(np.flatnonzero(~here)))
        if fit is None:
            return math.nan
        predicted = float(fit.predict(np.array([depth]))[0])
        exact = here & data.mask(Bound.EXACT)
        if exact.any():
            misses.append(predicted - data.log_hops[exact].mean())
            continue
        lower, upper = here & data.mask(Bound.LOWER), here & data.mask(Bound.UPPER)
        below = max(0.0, data.log_hops[lower].max() - predicted) if lower.any() else 0.0
        above = max(0.0, predicted - data.log_hops[upper].min()) if upper.any() else 0.0
        misses.append(below + above)
    return float(np.sqrt(np.mean(np.square(misses))))
