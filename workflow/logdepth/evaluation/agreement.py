"""Whether an error published for one model agrees with ours: sizes, variances and the test."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from logdepth.evaluation.intervals import effective_answers

FAMILY = 0.05
# Below this many answers of a kind, what the answers of a sequence have in common cannot be seen.
_FEW = 10


def design_effects(wrong: NDArray[np.float64], symbols: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return by how much the variance of an error exceeds that of independent answers.

    Where a k has too few wrong (or right) answers to tell, it is the largest that these runs have
    at another k; with none to learn from, a whole sequence counts as one answer.

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
    return effects


@dataclass(frozen=True)
class Seeds:
    """How far trainings that differ in nothing but the seed end apart.

    Attributes:
        own: (K,) variance of one training's error at each k of one setting.
        spread: variance of the logit of the error, common to all settings of an experiment.
        freedom: degrees of freedom of ``spread``.
        count: seeds behind our error.
    """

    own: NDArray[np.float64]
    spread: float
    freedom: float
    count: int

    def variance(self, k: int, error: float) -> float:
        """Return the variance of one training's error at the k in place ``k``."""
        # The derivative of the logit; a seed's own cell may differ more than the common spread.
        return max(float(self.own[k]), self.spread * (error * (1 - error)) ** 2)


def seed_variances(
    groups: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> list[Seeds]:
    """Return what the seeds of each setting of an experiment say about other trainings.

    All seeds answer the same sequences, so that the difficulty of the sequences moves all of them
    together and leaves the variance among them alone. What is left of sampling is each seed's own
    luck, the ratio estimator's variance of its wrong answers less their mean over seeds, and it is
    taken off. Two or three seeds know their variance badly, so all settings share what they know:
    the variance of the logit, weighed by p^2 (1 - p)^2, where errors are neither rare nor certain
    and so can be told apart. The values of k of one training go together; they add no freedom.

    Args:
        groups: for each setting wrong answers (R, K, S) with R >= 2 and answers (K, S) of a run.
    """
    owns = [_own_variance(*group) for group in groups]
    errors = [wrong.sum((0, 2)) / len(wrong) / symbols.sum(1) for wrong, symbols in groups]
    scale = sum(float(np.square(p * (1 - p)).sum()) for p in errors)
    spread = max(sum(float(own.sum()) for own in owns) / scale, 0.0) if scale else 0.0
    freedom = sum(len(wrong) - 1 for wrong, _ in groups)
    return [
        Seeds(np.maximum(own, 0), spread, freedom, len(wrong))
        for own, (wrong, _) in zip(owns, groups, strict=True)
    ]


def _own_variance(wrong: NDArray[np.float64], symbols: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (K,) variances over trainings; by chance below zero where trainings hardly differ."""
    runs, _, sequences = wrong.shape
    answers = symbols.sum(1)
    seen = (wrong.sum(2) / answers).var(0, ddof=1)
    # R - 1, since the mean over seeds holds a part of each seed's luck.
    apart = wrong - wrong.mean(0)
    residuals = apart - (apart.sum(2) / answers)[:, :, None] * symbols
    luck = np.square(residuals).sum((0, 2)) / (runs - 1) / answers**2
    variance: NDArray[np.float64] = seen - luck * sequences / max(sequences - 1, 1)
    return variance


def score(
    published: float,
    ours: float,
    sizes: tuple[float, float],
    seeds: Seeds | None = None,
    k: int = 0,
) -> float:
    """Return z of the hypothesis that both errors are the same, positive if ours is larger.

    The difference of two proportions has, if both are the error p that they have together, the
    sampling variance p (1 - p) (1/n + 1/m) for n and m independent answers. The published model is
    one training and ours the mean of several, each with the variance v over trainings, which adds
    v (1 + 1/seeds). Because v is estimated, the ratio is held against Student's t with the degrees
    of freedom of v, which errs on the side of agreement where sampling outweighs seeds (as with
    the smaller degrees of freedom in the problem of Behrens and Fisher); returned is the z that
    has the probability of that t.

    Args:
        published: error of one model.
        ours: mean error of our models.
        sizes: independent answers behind each of the two.
        seeds: None if both are the same model, or nothing is known about other trainings.
        k: place of the cell in ``seeds``.
    """
    n, m = sizes
    pooled = (n * published + m * ours) / (n + m)
    variance = pooled * (1 - pooled) * (1 / n + 1 / m)
    if seeds:
        variance += seeds.variance(k, pooled) * (1 + 1 / seeds.count)
    if variance <= 0:
        return 0.0  # no error at all in both, or nothing but errors
    ratio = (ours - published) / math.sqrt(variance)
    if not seeds:
        return ratio
    # The smallest probability whose z is finite.
    tail = max(float(stats.t.sf(abs(ratio), seeds.freedom)), 1e-300)
    return math.copysign(float(stats.norm.isf(tail)), ratio)


def tolerance(cells: int) -> float:
    """Return the |z| that any of so many cells exceeds with a chance of 5 % by chance (Šidák).

    Returns:
        NaN without a cell.
    """
    if not cells:
        return math.nan
    return float(stats.norm.isf((1 - (1 - FAMILY) ** (1 / cells)) / 2))
