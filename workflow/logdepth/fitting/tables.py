"""The tables of a study's fits: thresholds and growth laws."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from logdepth.evaluation.counts import Counts
from logdepth.fitting.bootstrap import percentile_interval, resamples
from logdepth.fitting.growth import (
    LAWS,
    GrowthFit,
    Observations,
    fit_growth,
    leave_one_depth_out,
    resolution,
)
from logdepth.fitting.thresholds import Bound, largest_solved, logistic_fit

# Two laws closer than this in AIC are told apart by no data worth the name (Burnham and Anderson,
# "Model selection and multimodel inference", 2002, section 2.6).
CLEAR_AIC = 2.0


@dataclass(frozen=True)
class Settings:
    """Thresholds, and number and seed of the resamples."""

    thresholds: tuple[float, ...]
    bootstrap: int
    seed: int


def thresholds_table(counts: list[Counts], settings: Settings) -> pd.DataFrame:
    """Return what each run, and each depth over its seeds, solves.

    A row with seed "all" stands for the error pooled over the seeds of a depth; its interval comes
    from resampling seeds and sequences.
    """
    rows = []
    for part in counts:
        ks, errors, places = _curves(part)
        draws = list(resamples(part, settings.bootstrap, settings.seed))
        for depth in np.unique(part.depths):
            chosen = np.flatnonzero(part.depths == depth)
            curves = {str(part.seeds[r]): errors[r] for r in chosen}
            curves["all"] = errors[chosen].mean(0)
            for seed, curve in curves.items():
                midpoint, width = logistic_fit(ks, curve, part.chance)
                for threshold in settings.thresholds:
                    solved, log_k, bound = largest_solved(ks, curve, threshold)
                    low = high = math.nan
                    if seed == "all":
                        drawn = [
                            largest_solved(ks, d.errors[chosen][:, places].mean(0), threshold)[1]
                            for d in draws
                        ]
                        low, high = percentile_interval(np.array(drawn))
                    rows.append(
                        {
                            "experiment": part.experiment,
                            "depth": depth,
                            "mode": part.mode,
                            "seed": seed,
                            "threshold": threshold,
                            "largest_solved": solved,
                            "log2_k": log_k,
                            "log2_k_low": low,
                            "log2_k_high": high,
                            "value": bound.value,
                            "logistic_midpoint": midpoint,
                            "logistic_width": width,
                        }
                    )
    return pd.DataFrame(rows)


def scaling_table(counts: list[Counts], settings: Settings) -> pd.DataFrame:
    """Return a row for each experiment and law of growth, from the first threshold."""
    threshold = settings.thresholds[0]
    rows = []
    for part in counts:
        ks, errors, places = _curves(part)
        data = _observations(part.depths, ks, errors, threshold)
        again = [
            _observations(part.depths, ks, draw.errors[:, places], threshold)
            for draw in resamples(part, settings.bootstrap, settings.seed)
        ]
        scatter = np.std([draw.log_k for draw in again], axis=0)
        error = np.hypot(scatter, data.error)
        data, *again = (replace(observed, error=error) for observed in (data, *again))
        fits = {law: fit_growth(law, data) for law in LAWS}
        verdicts = _verdicts(fits)
        for law, fit in fits.items():
            refits = [fit_growth(law, draw) for draw in again]
            low, high = percentile_interval(np.array([f.slope if f else math.nan for f in refits]))
            rows.append(
                {
                    "experiment": part.experiment,
                    "mode": part.mode,
                    "growth": law,
                    "slope": fit.slope if fit else math.nan,
                    "slope_low": low,
                    "slope_high": high,
                    "intercept": fit.intercept if fit else math.nan,
                    "aic": fit.aic if fit else math.nan,
                    "loo_error": leave_one_depth_out(law, data),
                    "threshold": threshold,
                    "depths": len(data.depth),
                    "depths_below": int(data.mask(Bound.UPPER).sum()),
                    "depths_beyond": int(data.mask(Bound.LOWER).sum()),
                    "verdict": verdicts[law],
                }
            )
    return pd.DataFrame(rows)


def _curves(
    counts: Counts,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Return k >= 1 and the errors there, and their places among all k; hop_0 is no search."""
    places = np.flatnonzero(counts.ks > 0)
    return counts.ks[places], counts.errors()[:, places], places


def _observations(
    depths: NDArray[np.int64],
    ks: NDArray[np.int64],
    errors: NDArray[np.float64],
    threshold: float,
) -> Observations:
    """Return the value of each depth from its pooled error; its own error is the resolution."""
    levels = np.unique(depths)
    solved = [largest_solved(ks, errors[depths == d].mean(0), threshold) for d in levels]
    return Observations(
        depth=levels.astype(float),
        log_k=np.array([log_k for _, log_k, _ in solved]),
        error=np.array([resolution(k) for k, _, _ in solved]),
        bound=[bound for _, _, bound in solved],
    )


def _verdicts(fits: dict[str, GrowthFit | None]) -> dict[str, str]:
    """Say in words which law is best and which the data cannot tell from it."""
    aics = {law: fit.aic for law, fit in fits.items() if fit}
    if not aics:
        return dict.fromkeys(fits, "not fitted: fewer than two depths have a value of k*")
    best = min(aics, key=lambda law: aics[law])
    rivals = [law for law, aic in aics.items() if law != best and aic - aics[best] < CLEAR_AIC]
    verdicts = {}
    for law, aic in aics.items():
        if law == best:
            verdicts[law] = f"best, but not told from {' or '.join(rivals)}" if rivals else "best"
        elif law in rivals:
            verdicts[law] = f"not told from {best}: AIC {aic - aics[best]:.1f} higher"
        else:
            verdicts[law] = f"worse than {best}: AIC {aic - aics[best]:.1f} higher"
    return verdicts
