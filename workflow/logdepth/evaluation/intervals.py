"""95 % intervals of an error: over sequences, and over seeds."""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

LEVEL = 0.95


def sequence_interval(wrong: ArrayLike, symbols: ArrayLike) -> tuple[float, float]:
    """Return the interval of a pooled error when other sequences might have been drawn.

    Answers within a sequence are not independent. The interval is Wilson's for the number of
    independent answers that would have the variance of the ratio estimator over sequences (as
    Korn and Graubard do for surveys), never fewer than there are sequences with an answer and
    never more than there are answers; with no wrong answer at all it is the number of sequences.

    Args:
        wrong: (sequences,) wrong answers.
        symbols: (sequences,) answers.

    Returns:
        Lower and upper end, NaN where nothing was answered.
    """
    x, n = np.asarray(wrong, float), np.asarray(symbols, float)
    x, n = x[n > 0], n[n > 0]
    count = len(n)
    if not count:
        return math.nan, math.nan
    error = x.sum() / n.sum()
    variance = 0.0
    if count > 1:
        variance = count / (count - 1) * np.square(x - error * n).sum() / n.sum() ** 2
    effective = error * (1 - error) / variance if variance > 0 else count
    effective = min(max(effective, count), n.sum())
    low, high = proportion_confint(error * effective, effective, 1 - LEVEL, method="wilson")
    return float(low), float(high)


def seed_interval(errors: ArrayLike) -> tuple[float, float]:
    """Return Student's interval of the mean error when other seeds might have been drawn.

    Args:
        errors: (seeds,) error of each seed's run.

    Returns:
        Lower and upper end within [0, 1], NaN with a single seed.
    """
    values = np.asarray(errors, float)
    if len(values) < 2:
        return math.nan, math.nan
    reach = stats.t.ppf((1 + LEVEL) / 2, len(values) - 1) * stats.sem(values)
    return max(0.0, float(values.mean() - reach)), min(1.0, float(values.mean() + reach))
