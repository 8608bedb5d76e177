"""95 % intervals of an error: over sequences, and over seeds."""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri, stdtrit

LEVEL = 0.95


def effective_answers(wrong: ArrayLike, symbols: ArrayLike) -> float:
    """Return how many independent answers would know an error as well as these answers do.

    Answers within a sequence are not independent. The number is the one whose binomial variance
    is that of the ratio estimator over sequences (as Korn and Graubard do for surveys), never
    fewer than there are sequences with an answer and never more than there are answers; where
    no answer differs from another it is the number of sequences.

    Args:
        wrong: (sequences,) or (runs, sequences) wrong answers; of several runs, each of which
            answered all sequences, the variances are averaged and the number is that of one run.
        symbols: (sequences,) answers of a run.

    Returns:
        The number, 0 where nothing was answered.
    """
    x, n = np.atleast_2d(np.asarray(wrong, float)), np.asarray(symbols, float)
    x, n = x[:, n > 0], n[n > 0]
    count = len(n)
    if not count:
        return 0.0
    errors = x.sum(1) / n.sum()
    variance = 0.0
    if count > 1:
        squares = np.square(x - errors[:, None] * n).sum()
        variance = count / (count - 1) * squares / n.sum() ** 2
    effective = (errors * (1 - errors)).sum() / variance if variance > 0 else count
    return float(min(max(effective, count), n.sum()))


def wilson_interval(error: float, effective: float) -> tuple[float, float]:
    """Return Wilson's interval of an error known from this many independent answers.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", 1927.

    Returns:
        Lower and upper end, NaN without an answer.
    """
    if not effective:
        return math.nan, math.nan
    z = ndtri((1 + LEVEL) / 2)
    weight = 1 + z**2 / effective
    centre = (error + z**2 / (2 * effective)) / weight
    variance = error * (1 - error) / effective + (z / (2 * effective)) ** 2
    reach = z * math.sqrt(variance) / weight
    return max(0.0, float(centre - reach)), min(1.0, float(centre + reach))


def sequence_interval(wrong: ArrayLike, symbols: ArrayLike) -> tuple[float, float]:
    """Return the interval of a pooled error when other sequences might have been drawn.

    It is Wilson's for the number of ``effective_answers``.

    Args:
        wrong: (sequences,) wrong answers.
        symbols: (sequences,) answers.

    Returns:
        Lower and upper end, NaN where nothing was answered.
    """
    x, n = np.asarray(wrong, float), np.asarray(symbols, float)
    if not n.sum():
        return math.nan, math.nan
    return wilson_interval(x.sum() / n.sum(), effective_answers(x, n))


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
    deviation = values.std(ddof=1) / math.sqrt(len(values))
    reach = stdtrit(len(values) - 1, (1 + LEVEL) / 2) * deviation
    return max(0.0, float(values.mean() - reach)), min(1.0, float(values.mean() + reach))
