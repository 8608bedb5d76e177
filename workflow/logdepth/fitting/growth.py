"""Laws of growth of the largest solvable k with depth, fitted to partly censored values.

Every law predicts y = log2 k* with normal errors in y, so that their likelihoods are comparable:

    exponential    y = intercept + slope * L              slope: octaves a layer
    linear         y = log2(intercept + slope * L)        slope: values of k a layer
    power          y = intercept + slope * log2 L         slope: exponent
    offset power   y = intercept + slope * log2(L + c)    slope: exponent

The last one bends from the power law (c = 0) to the exponential (c large). It says how far the
data fix the shape at all, and enters no verdict.

A depth has one value, from the error pooled over its seeds. How far it is known is measured and
not fitted: seeds and interpolation (``Observations.error``). Two questions are kept apart.

Does a law fit? Chi-square with these errors alone. As the part from seeds is estimated, chi-square
over its degrees of freedom is held against F, with those of the seeds in the denominator.

Which law is closest, and how well is its slope known? Depths scatter about any law by more than
seeds explain, so that the likelihood has this scatter as a further parameter. The slope's interval
is Student's with n - 2 degrees of freedom for n depths with a value, its variance scaled by the
residuals (Knapp and Hartung, "Improved tests for a random effects meta-regression with a single
covariate", Statistics in Medicine, 2003); where all errors are equal this is ordinary least
squares.

A depth that solves every k tried enters as a lower bound, one that solves none as an upper bound,
through the probability of lying beyond it (Tobin, "Estimation of relationships for limited
dependent variables", 1958). Bounds add no degrees of freedom.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, fdtrc, log_ndtr, stdtrit

from logdepth.fitting.thresholds import Bound

Array = NDArray[np.float64]
Range = tuple[float | None, float | None]

_SMALLEST_K = 2.0**-6
# Beyond, the offset power law is an exponential one within the depths that can be trained.
_LARGEST_OFFSET = 64.0
# Standard deviations in octaves; no scatter, for a logarithm, and more than any.
_SCATTER = 1e-4, 8.0
LEVEL = 0.95
# A law with a smaller p does not fit.
REJECTED = 0.05


def _exponential(depth: Array, intercept: float, slope: float) -> Array:
    return intercept + slope * depth


def _linear(depth: Array, intercept: float, slope: float) -> Array:
    return np.log2(np.maximum(intercept + slope * depth, _SMALLEST_K))


def _power(depth: Array, intercept: float, slope: float) -> Array:
    return intercept + slope * np.log2(depth)


def _offset_power(depth: Array, intercept: float, slope: float, offset: float) -> Array:
    return intercept + slope * np.log2(depth + offset)


LAWS: dict[str, Callable[..., Array]] = {
    "exponential": _exponential,
    "linear": _linear,
    "power": _power,
}
"""The laws that a verdict may name, of intercept and slope."""
OFFSET_POWER = "offset power"
CURVES = LAWS | {OFFSET_POWER: _offset_power}
"""All laws; the last one has an offset besides."""


@dataclass(frozen=True)
class Observations:
    """Values of log2 k*, one a depth.

    Attributes:
        depth: (n,) the depths.
        log_k: (n,) log2 k*, or a bound on it.
        error: (n,) standard deviation of each value, in octaves.
        bound: (n,) Bound of each value.
        freedom: degrees of freedom behind ``error``; 0 where nothing is known of seeds.
    """

    depth: Array
    log_k: Array
    error: Array
    bound: list[Bound]
    freedom: float = math.inf

    def mask(self, bound: Bound) -> NDArray[np.bool_]:
        """Return where the values are of the given kind."""
        return np.array([b is bound for b in self.bound])

    @property
    def known(self) -> int:
        """How many depths have a value of their own."""
        return int(self.mask(Bound.EXACT).sum())


@dataclass(frozen=True)
class GrowthFit:
    """A fitted law.

    Attributes:
        law: its name.
        parameters: intercept, slope and, of the offset power law, the offset.
        low, high: ends of the slope's 95 % interval.
        scatter: standard deviation between depths, in octaves, besides the known errors.
        log_likelihood: of the observations, at these parameters and this scatter.
        chi2: least chi-square with the known errors alone.
        freedom: its degrees of freedom.
        p: probability of a chi-square as large; NaN where nothing is known of seeds.
    """

    law: str
    parameters: tuple[float, ...]
    low: float
    high: float
    scatter: float
    log_likelihood: float
    chi2: float
    freedom: int
    p: float

    @property
    def aic(self) -> float:
        """Akaike's criterion; the scatter is a parameter as well."""
        return 2 * (len(self.parameters) + 1) - 2 * self.log_likelihood


def fit_growth(law: str, data: Observations) -> GrowthFit | None:
    """Fit a law; None unless more depths have a value than the law has parameters."""
    exact = data.mask(Bound.EXACT)
    # A bound holds while this times its residual is positive.
    side = np.where(data.mask(Bound.LOWER), -1.0, 1.0)[~exact]
    curve = CURVES[law]
    start = _start(law, data.depth[exact], data.log_k[exact])
    freedom = data.known - len(start)
    if freedom < 1:
        return None
    offsets = 1e-3 - float(data.depth.min()), _LARGEST_OFFSET
    box: list[Range] = [(None, None), (None, None), offsets][: len(start)]

    def loss(values: Array) -> float:
        """Twice the negative log-likelihood, of parameters and the logarithm of the scatter."""
        variance = np.square(data.error) + math.exp(2 * values[-1])
        z = (data.log_k - curve(data.depth, *values[:-1])) / np.sqrt(variance)
        known = np.square(z[exact]) + np.log(2 * math.pi * variance[exact])
        return float(known.sum() - 2 * log_ndtr(side * z[~exact]).sum())

    def chi2(values: Array) -> float:
        """Of parameters; a bound adds what it is violated by."""
        z = (data.log_k - curve(data.depth, *values)) / data.error
        return float(np.square(z[exact]).sum() + np.square((side * z[~exact]).clip(None, 0)).sum())

    first = _least(chi2, start, box)
    smallest, largest = math.log(_SCATTER[0]), math.log(_SCATTER[1])
    misses = data.log_k[exact] - curve(data.depth[exact], *start)
    scatters = (smallest, math.log(max(float(np.std(misses)), 2 * _SCATTER[0])))
    tried = [
        _least(loss, np.array([*begin, scatter]), [*box, (smallest, largest)])
        for begin, scatter in zip((first[0], start), scatters, strict=True)
    ]
    values, least = min(tried, key=lambda found: found[1])
    parameters, scatter = values[:-1], math.exp(values[-1])
    error = np.hypot(data.error[exact], scatter)
    deviation = _slope_error(curve, parameters, data.depth[exact], data.log_k[exact], error)
    reach = deviation * stdtrit(freedom, (1 + LEVEL) / 2)
    return GrowthFit(
        law=law,
        parameters=tuple(float(value) for value in parameters),
        low=float(parameters[1] - reach),
        high=float(parameters[1] + reach),
        scatter=scatter if scatter > 2 * _SCATTER[0] else 0.0,
        log_likelihood=-least / 2,
        chi2=first[1],
        freedom=freedom,
        p=_tail(first[1], freedom, data.freedom),
    )


def _slope_error(
    curve: Callable[..., Array], parameters: Array, depth: Array, log_k: Array, error: Array
) -> float:
    """Return the slope's standard error, its variance scaled by the residuals.

    Args:
        curve: the law.
        parameters: its parameters.
        depth: (n,) of the depths with a value.
        log_k: (n,) their values.
        error: (n,) standard deviation of each about the law.
    """
    steps = 1e-5 * np.eye(len(parameters))
    columns = [(curve(depth, *(parameters + s)) - curve(depth, *(parameters - s))) for s in steps]
    jacobian = np.stack(columns, 1) / 2e-5 / error[:, None]
    z = (log_k - curve(depth, *parameters)) / error
    scale = np.square(z).sum() / (len(z) - len(parameters))
    # Pseudo-inverse: the data may not fix all parameters of a law.
    return math.sqrt(max(scale * np.linalg.pinv(jacobian.T @ jacobian)[1, 1], 0.0))


def _start(law: str, x: Array, y: Array) -> Array:
    """Return parameters where a search may begin: a least-squares line through the values."""
    offsets = [1.0] if law == OFFSET_POWER else []
    if law in ("power", OFFSET_POWER):
        x = np.log2(x + sum(offsets))
    if len(x) < 2:
        return np.array([0.0, 0.0, *offsets])
    slope, intercept = np.polyfit(x, 2.0**y if law == "linear" else y, 1)
    return np.array([intercept, slope, *offsets])


def _least(loss: Callable[[Array], float], start: Array, box: list[Range]) -> tuple[Array, float]:
    """Return where a loss is least, and how much it is there."""
    # Here, since a figure that draws the laws needs none of it.
    from scipy.optimize import minimize

    best = minimize(
        loss,
        start,
        method="Nelder-Mead",
        bounds=box,
        options={"xatol": 1e-5, "fatol": 1e-7, "maxiter": 4000, "maxfev": 4000},
    )
    return best.x, float(best.fun)


def _tail(chi2: float, freedom: int, seeds: float) -> float:
    """Return the probability of a chi-square as large, given degrees of freedom of its errors."""
    if not seeds:
        return math.nan
    if math.isinf(seeds):
        return float(chdtrc(freedom, chi2))
    return float(fdtrc(freedom, seeds, chi2 / freedom))
