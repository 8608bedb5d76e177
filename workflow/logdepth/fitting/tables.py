"""The tables of a study's fits: thresholds and growth laws."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from logdepth.evaluation.counts import Counts
from logdepth.fitting.growth import (
    CURVES,
    LAWS,
    LEVEL,
    REJECTED,
    GrowthFit,
    Observations,
    fit_growth,
)
from logdepth.fitting.thresholds import Bound, Solved, largest_solved, logistic_fit

# Two laws closer than this in AIC are not told apart. By convention 2 is hardly a difference and 4
# to 7 a considerable one (Burnham and Anderson, "Model selection and multimodel inference", 2002,
# section 2.6); in simulations (benchmarks/simulations.py) 2 names a wrong law of up to 8 % of
# studies whose depths scatter by 0.2 octaves, 4 of at most 5 %.
CLEAR_AIC = 4.0
# No value is known to better than this, in octaves; models written down have no scatter at all.
_FINEST = 0.01
# Depths with a value, so that a law is refuted, and so that one is named: two parameters and the
# scatter must leave something to judge by.
REFUTED_BY, NAMED_BY = 4, 5


@dataclass(frozen=True)
class Depths:
    """What each depth of an experiment solves at one threshold.

    Attributes:
        levels: (n,) the depths.
        pooled: of the error pooled over the seeds of each.
        runs: of each run, in the order of ``Counts.runs``.
        error: (n,) standard deviation of each pooled value, in octaves: the scatter of runs, which
            all depths share what they know of, over their number, and the interpolation.
        freedom: degrees of freedom behind ``error``; 0 where no depth has two runs with a value.
    """

    levels: NDArray[np.int64]
    pooled: list[Solved]
    runs: list[Solved]
    error: NDArray[np.float64]
    freedom: float

    @property
    def observations(self) -> Observations:
        """The pooled values, as what laws are fitted to."""
        return Observations(
            depth=self.levels.astype(float),
            log_k=np.array([solved.log_k for solved in self.pooled]),
            error=self.error,
            bound=[solved.bound for solved in self.pooled],
            freedom=self.freedom,
        )


def solved_by_depth(counts: Counts, threshold: float) -> Depths:
    """Return what each depth and run of an experiment solves."""
    ks, errors, _ = _curves(counts)
    levels = np.unique(counts.depths)
    runs = [largest_solved(ks, curve, threshold) for curve in errors]
    pooled = [largest_solved(ks, errors[counts.depths == d].mean(0), threshold) for d in levels]
    squares, freedom = 0.0, 0
    for depth in levels:
        values = [
            run.log_k
            for run, of in zip(runs, counts.depths, strict=True)
            if of == depth and run.bound is Bound.EXACT
        ]
        if len(values) > 1:
            squares += float(np.var(values)) * len(values)
            freedom += len(values) - 1
    number = np.array([(counts.depths == depth).sum() for depth in levels])
    seeds = squares / max(freedom, 1) / number
    resolution = np.array([solved.resolution for solved in pooled])
    variance = np.maximum(seeds + np.square(resolution), _FINEST**2)
    # Satterthwaite: the part from interpolation is known, that from seeds is estimated.
    known = np.array([solved.bound is Bound.EXACT for solved in pooled])
    total, estimated = (float(part[known].sum()) for part in (variance, seeds))
    share = total / estimated if estimated else math.inf
    return Depths(levels, pooled, runs, np.sqrt(variance), freedom and freedom * share**2)


def thresholds_table(counts: Sequence[Counts], thresholds: Sequence[float]) -> pd.DataFrame:
    """Return what each run, and each depth over its seeds, solves.

    A row with seed "all" stands for the error pooled over the seeds of a depth; its interval is
    Student's, with the standard deviation of ``Depths.error``.
    """
    rows = []
    for part in counts:
        ks, errors, ceiling = _curves(part)
        found = {threshold: solved_by_depth(part, threshold) for threshold in thresholds}
        for place, depth in enumerate(np.unique(part.depths)):
            chosen = np.flatnonzero(part.depths == depth)
            curves = {str(part.seeds[r]): errors[r] for r in chosen}
            curves["all"] = errors[chosen].mean(0)
            for seed, curve, run in zip(curves, curves.values(), [*chosen, None], strict=True):
                midpoint, width = logistic_fit(ks, curve, ceiling)
                for threshold, depths in found.items():
                    solved = depths.pooled[place] if run is None else depths.runs[run]
                    reach = math.nan
                    if run is None and depths.freedom and solved.bound is Bound.EXACT:
                        reach = depths.error[place] * _student(depths.freedom)
                    rows.append(
                        {
                            "experiment": part.experiment,
                            "depth": depth,
                            "mode": part.mode,
                            "seed": seed,
                            "threshold": threshold,
                            "largest_solved": solved.largest,
                            "log2_k": solved.log_k,
                            "log2_k_low": solved.log_k - reach,
                            "log2_k_high": solved.log_k + reach,
                            "value": solved.bound.value,
                            "logistic_midpoint": midpoint,
                            "logistic_width": width,
                        }
                    )
    return pd.DataFrame(rows)


def scaling_table(counts: Sequence[Counts], thresholds: Sequence[float]) -> pd.DataFrame:
    """Return a row for each experiment, threshold and law of growth.

    The verdict is about an experiment at a threshold, the same in the rows of all laws.
    """
    rows = []
    for part in counts:
        for threshold in thresholds:
            data = solved_by_depth(part, threshold).observations
            fits = {law: fit_growth(law, data) for law in CURVES}
            decision = dict(zip(("verdict", "reason"), verdict(fits, data.known), strict=True))
            rows += [
                {
                    "experiment": part.experiment,
                    "mode": part.mode,
                    "threshold": threshold,
                    "growth": law,
                    **_columns(fit),
                    "depths": len(data.depth),
                    "depths_below": int(data.mask(Bound.UPPER).sum()),
                    "depths_beyond": int(data.mask(Bound.LOWER).sum()),
                    **decision,
                }
                for law, fit in fits.items()
            ]
    return pd.DataFrame(rows)


def verdict(fits: dict[str, GrowthFit | None], known: int) -> tuple[str, str]:
    """Return which law the data speak for, "none fits" or "cannot tell", and why.

    A law is named if it is not rejected and its AIC is lower than those of all others by
    ``CLEAR_AIC`` at least.

    Args:
        fits: of each law.
        known: depths with a value of their own.
    """
    laws = {law: fit for law, fit in fits.items() if fit and law in LAWS}
    if known < REFUTED_BY or not laws:
        return "cannot tell", f"{known} depths have a value, expected at least {NAMED_BY}"
    fitting = [law for law, fit in laws.items() if not fit.p < REJECTED]
    if not fitting:
        closest = min(laws.values(), key=lambda fit: fit.aic)
        return "none fits", (
            f"all laws have p < {REJECTED}; {closest.law}, the closest, is off by "
            f"{closest.scatter:.2f} octaves more than seeds explain"
        )
    if known < NAMED_BY:
        return "cannot tell", f"{known} depths have a value, expected at least {NAMED_BY}"
    best = min(fitting, key=lambda law: laws[law].aic)
    rivals = {law: fit.aic - laws[best].aic for law, fit in laws.items() if law != best}
    close = [f"{law} ({gap:+.1f})" for law, gap in rivals.items() if gap < CLEAR_AIC]
    if close:
        return "cannot tell", f"AIC of {' and '.join(close)} beside {best}"
    return best, f"AIC of {' and '.join(f'{law} ({gap:+.1f})' for law, gap in rivals.items())}"


_FITTED = (
    *("slope", "slope_low", "slope_high", "intercept", "offset", "scatter"),
    *("log_likelihood", "aic", "chi2", "freedom", "p"),
)


def _columns(fit: GrowthFit | None) -> dict[str, float]:
    if fit is None:
        return dict.fromkeys(_FITTED, math.nan)
    intercept, slope, *offset = fit.parameters
    values = (
        *(slope, fit.low, fit.high, intercept, *(offset or [math.nan]), fit.scatter),
        *(fit.log_likelihood, fit.aic, fit.chi2, float(fit.freedom), fit.p),
    )
    return dict(zip(_FITTED, values, strict=True))


def _student(freedom: float) -> float:
    return float(stdtrit(freedom, (1 + LEVEL) / 2))


def _curves(
    counts: Counts,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return each k >= 1 with an answer, errors (R, K) and guesses there; hop_0 is no search."""
    searched = (counts.ks > 0) & (counts.symbols.sum(1) > 0)
    return counts.ks[searched], counts.errors()[:, searched], counts.guess[searched]
