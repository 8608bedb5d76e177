"""Whether an error published for one model agrees with ours: sizes, variances and the test."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from logdepth.evaluation.intervals import effective_answers

FAMILY = 0.05
# Below this many answers of a kind, what they have in common, or differ by, cannot be seen.
_FEW = 10
# Bands of error, and the variance of the logit over trainings that is assumed in each. The ends are
# those of a review of this project. 0.7 is the mean of 14 cells with three seeds each of
# the published studies laptop and speedrun. 0.2 lies between its neighbours: the same studies show
# 0.02 to 0.06 there, and 0.003 in the last band, so that agreement is erred towards.
_EDGES = (0.01, 0.1, 0.5)
_PRIOR = (1.27, 0.7, 0.2, 0.06)
_PRIOR_FREEDOM = 4.0


def design_effects(wrong: NDArray[np.float64], symbols: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return by how much the variance of an error exceeds that of independent answers.

    None is smaller than their mean. Where a k has too few wrong (or right) answers to tell, it is
    the largest that these runs have at another k; with none to learn from, a whole sequence counts
    as one answer.

    Args:
        wrong: (R, K, S) wrong answers of R runs on the same S sequences for each k.
        symbols: (K, S) answers of one run, some at every k.

    Returns:
        (K,), for one run; at least 1.
    """
    answers = symbols.sum(1)
    pairs = zip(wrong.transpose(1, 0, 2), symbols, strict=True)
    effects: NDArray[np.float64] = answers / np.array([effective_answers(*pair) for pair in pairs])
    made = wrong.sum((0, 2))
    known = np.minimum(made, len(wrong) * answers - made) >= _FEW
    if not known.any():
        effects = answers / (symbols > 0).sum(1)
    else:
        effects[~known] = effects[known].max()
        # Each is an estimate, and one that is small by chance makes a false alarm: without this, 8
        # of 100 simulated comparisons of 85 cells had one, with it 3.
        effects = np.maximum(effects, effects[known].mean())
    return effects


@dataclass(frozen=True)
class Spread:
    """How far trainings that differ in nothing but the seed end apart, by band of error.

    Attributes:
        variance: (B,) variance of the logit of the error over trainings.
        freedom: (B,) degrees of freedom behind each.
    """

    variance: NDArray[np.float64]
    freedom: NDArray[np.float64]


def spread_of(
    groups: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> Spread:
    """Return what the seeds of all settings of an experiment say, together with what is known.

    Two or three seeds know their variance badly, so that settings share what they know, and what
    was measured elsewhere counts as ``_PRIOR_FREEDOM`` degrees of freedom more. All seeds answer
    the same sequences, whose difficulty moves them together and leaves the variance among them
    alone; the luck of each is taken off. The values of k of one training go together, and add no
    freedom. Where hardly an answer is wrong, nothing is learned.

    Args:
        groups: for each setting wrong answers (R, K, S) with R >= 2 and answers (K, S) of a run.
    """
    sums, weights, freedom = np.zeros((3, len(_PRIOR)))
    for wrong, symbols in groups:
        sizes = symbols.sum(1) / design_effects(wrong, symbols)
        errors = wrong.sum(2) / symbols.sum(1)
        logits = _logit(errors, sizes)
        net = logits.var(0, ddof=1) - _luck(errors, sizes).mean(0)
        mean = errors.mean(0)
        seen = np.minimum(mean, 1 - mean) * sizes >= _FEW
        bands = np.digitize(mean, _EDGES)
        np.add.at(sums, bands[seen], (len(wrong) - 1) * net[seen])
        np.add.at(weights, bands[seen], len(wrong) - 1)
        freedom[np.unique(bands[seen])] += len(wrong) - 1
    # By chance below zero where trainings hardly differ.
    own = np.divide(sums, weights, out=np.zeros_like(sums), where=weights > 0).clip(0)
    total = freedom + _PRIOR_FREEDOM
    return Spread((_PRIOR_FREEDOM * np.array(_PRIOR) + freedom * own) / total, total)


def score(published: float, ours: float, sizes: tuple[float, float]) -> float:
    """Return z of the hypothesis that one model has both errors, positive if ours is larger.

    On the scale of the arcsine of the root, on which a proportion of n independent answers has the
    variance 1/(4n + 2) whatever it is, and hardly a skew (Anscombe, "The transformation of Poisson,
    binomial and negative-binomial data", Biometrika, 1948).

    Args:
        published: error.
        ours: error of the same model on other sequences.
        sizes: independent answers behind each of the two.
    """
    angles = [
        2 * math.asin(math.sqrt((error * size + 3 / 8) / (size + 3 / 4)))
        for error, size in zip((published, ours), sizes, strict=True)
    ]
    return (angles[1] - angles[0]) / math.sqrt(sum(1 / (size + 1 / 2) for size in sizes))


def score_of_trainings(
    published: float, ours: NDArray[np.float64], sizes: tuple[float, float], spread: Spread
) -> float:
    """Return z of the hypothesis that the published model is one more training like ours.

    On the scale of the logit, on which trainings differ by a factor: with the variance v over
    trainings, the published value and the mean of R of ours differ by v (1 + 1/R), and by the luck
    of both samples. Because v is estimated, the ratio is held against Student's t with its degrees
    of freedom, which errs on the side of agreement where luck outweighs seeds (as with the smaller
    degrees of freedom in the problem of Behrens and Fisher); returned is the z that has the
    probability of that t.

    Args:
        published: error of one model.
        ours: (R,) error of each of our trainings, R >= 2.
        sizes: independent answers behind the published error, and behind all of ours together.
        spread: of trainings like ours.
    """
    n, m = sizes
    theirs, mine = _logit(published, n), float(_logit(ours, m / len(ours)).mean())
    middle = (theirs + mine * len(ours)) / (1 + len(ours))
    band = int(np.digitize(special.expit(middle), _EDGES))
    variance = spread.variance[band] * (1 + 1 / len(ours))
    variance += _luck(published, n) + _luck(ours.mean(), m)
    ratio = (mine - theirs) / math.sqrt(variance)
    # The smallest probability whose z is finite.
    tail = max(float(special.stdtr(spread.freedom[band], -abs(ratio))), 1e-300)
    return math.copysign(float(-special.ndtri(tail)), ratio)


def _logit(error: Any, size: Any) -> Any:
    """Return the logit of an error of so many answers, finite without a wrong one (Haldane)."""
    return np.log((size * error + 0.5) / (size * (1 - error) + 0.5))


def _luck(error: Any, size: Any) -> Any:
    """Return the sampling variance of ``_logit``."""
    return 1 / (size * error + 0.5) + 1 / (size * (1 - error) + 0.5)


def tolerance(cells: int) -> float:
    """Return the |z| that any of so many cells exceeds with a chance of 5 % by chance (Šidák).

    Returns:
        NaN without a cell.
    """
    if not cells:
        return math.nan
    return float(-special.ndtri((1 - (1 - FAMILY) ** (1 / cells)) / 2))
