"""What the statistics are worth: whole studies simulated under a known truth.

    python benchmarks/simulations.py [--studies 400] [--seed 0]

prints three tables: how often the slope's interval holds the true slope, which verdicts a truth
gets, and how often a comparison with published numbers raises a false alarm. Small versions are
tests (tests/unit/test_simulations.py).
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit

from logdepth.config.run import Run
from logdepth.evaluation.comparison import SEQUENCES, TASK, compare
from logdepth.evaluation.counts import Counts
from logdepth.fitting.growth import LAWS, fit_growth
from logdepth.fitting.tables import solved_by_depth, verdict
from logdepth.models.gpt2 import Gpt2
from logdepth.recipes.paper import PaperRecipe
from logdepth.tables import read_table

Array = NDArray[np.float64]

# Laws through about k = 2 at L = 2 and k = 24 at L = 6, as intercept and slope.
TRUTHS = {"exponential": (-0.8, 0.9), "linear": (-9.0, 5.5), "power": (-1.25, 2.25)}
# Values of k such as a study of large k asks for: each to 16, then three an octave.
GRID = np.array([*range(1, 17), 20, 26, 32, 40, 52, 64, 80, 104, 128, 160, 208, 256, 320, 416, 512])
CEILING, THRESHOLD = 0.75, 0.1
ANSWERS = 50
# Variance of the logit over trainings by error; where from: evaluation/agreement.py.
SPREAD = ((0.01, 1.27), (0.1, 0.7), (0.5, 0.2), (1.0, 0.06))


def study(
    law: str,
    depths: range,
    random: np.random.Generator,
    *,
    seeds: int = 3,
    runs_apart: float = 0.1,
    scatter: float = 0.0,
    width: float = 0.25,
    ks: NDArray[np.int64] = GRID,
    sequences: int = 64,
) -> Counts:
    """Return counts of an experiment whose depths follow a law.

    Args:
        law: the truth, with the parameters of ``TRUTHS``.
        depths: of the models.
        random: source of all draws.
        seeds: trainings of each depth.
        runs_apart: standard deviation of log2 k* over trainings of one depth, in octaves.
        scatter: standard deviation of a depth about the law, in octaves.
        width: octaves over which the error rises by one logit.
        ks: values of k that are asked for.
        sequences: of each k, with ``ANSWERS`` answers.
    """
    depth = np.repeat(np.array(depths), seeds)
    middle = LAWS[law](np.array(depths, float), *TRUTHS[law])
    middle = np.repeat(middle + scatter * random.standard_normal(len(depths)), seeds)
    middle = middle + runs_apart * random.standard_normal(len(depth))
    # The error is THRESHOLD at log2 k*.
    slope = (np.log2(ks) - middle[:, None]) / width + logit(THRESHOLD / CEILING)
    chance = np.repeat((CEILING * expit(slope))[:, :, None], sequences, 2)
    wrong = random.binomial(ANSWERS, chance).astype(float)
    return Counts(
        experiment=law,
        mode="eval",
        runs=[f"run{place}" for place in range(len(depth))],
        depths=depth,
        seeds=np.tile(np.arange(seeds), len(depths)),
        ks=ks,
        guess=np.full(len(ks), CEILING),
        wrong=wrong,
        symbols=np.full((len(ks), sequences), float(ANSWERS)),
        late_wrong=wrong.sum(2),
        late_symbols=np.full(len(ks), float(ANSWERS * sequences)),
    )


def fits(number: int, law: str, depths: range, seed: int, **settings: float) -> pd.DataFrame:
    """Return a row for each simulated study and law: its fit, and the verdict on the study."""
    random = np.random.default_rng(seed)
    rows = []
    for place in range(number):
        data = solved_by_depth(study(law, depths, random, **settings), THRESHOLD).observations
        found = {name: fit_growth(name, data) for name in LAWS}
        word, _ = verdict(found, data.known)
        rows += [
            {"study": place, "growth": name, "verdict": word}
            | {"slope": fit.parameters[1], "low": fit.low, "high": fit.high}
            | {"aic": fit.aic, "p": fit.p}
            for name, fit in found.items()
            if fit
        ]
    return pd.DataFrame(rows)


def coverage(rows: pd.DataFrame, law: str) -> float:
    """Return the share of studies whose interval of a law's slope holds the true one."""
    own = rows[rows["growth"] == law]
    slope = TRUTHS[law][1]
    return float(((own["low"] <= slope) & (slope <= own["high"])).mean())


def verdicts(rows: pd.DataFrame) -> dict[str, float]:
    """Return the share of studies that get each verdict."""
    shares: pd.Series[float] = rows.drop_duplicates("study")["verdict"].value_counts(normalize=True)
    return {str(word): float(share) for word, share in shares.items()}


def alarms(
    number: int,
    published: pd.DataFrame,
    seed: int,
    *,
    seeds: int,
    factor: float = 1.0,
    together: float = 0.01,
    sequences: int = 256,
) -> Iterator[pd.DataFrame]:
    """Yield comparisons in which nothing but chance differs.

    The truth is the published errors of the five models of 4 heads on fresh data; the published
    table is drawn again from it, as one more training, on its 100 sequences.

    Args:
        number: of comparisons.
        published: the published errors.
        seed: of all draws.
        seeds: trainings of each depth; 0 for the published models themselves.
        factor: by which trainings differ more than ``SPREAD``, as a variance.
        together: correlation of the answers of a sequence.
        sequences: of ours for each k.
    """
    random = np.random.default_rng(seed)
    table = published[(published["heads"] == 4) & (published["train_samples"] == "inf")].copy()
    errors = table.pivot_table(index="depth", columns="k", values="error")
    truth = errors.to_numpy().clip(2e-4, 0.8)
    answers = 97 - 3 * errors.columns.to_numpy()
    edges, variances = np.array(SPREAD).T
    spread = np.sqrt(factor * variances[np.searchsorted(edges, truth)])
    runs = [
        Run(
            task=TASK,
            model=Gpt2(depth=depth, heads=4, width=128),
            training=PaperRecipe(),
            seed=place,
            origin="trained" if seeds else "released",
        )
        for depth in errors.index
        for place in range(max(seeds, 1))
    ]
    shape = len(truth), max(seeds, 1)
    for _ in range(number):
        # Half of the variance is a training's own, the same at every k.
        common = random.standard_normal((*shape, 1)), random.standard_normal((*shape, len(answers)))
        apart = spread[:, None] * (common[0] + common[1]) / np.sqrt(2)
        theirs = (
            spread
            * (random.standard_normal((len(truth), 1)) + random.standard_normal(truth.shape))
            / np.sqrt(2)
        )
        ours = expit(logit(truth)[:, None] + (apart if seeds else theirs[:, None]))
        drawn = _answers(random, expit(logit(truth) + theirs), answers, SEQUENCES, together)
        table["error"] = (drawn.sum(2) / SEQUENCES / answers).ravel()
        wrong = _answers(random, ours.reshape(len(runs), -1), answers, sequences, together)
        part = Counts(
            experiment="null",
            mode="train",
            runs=[run.identifier for run in runs],
            depths=np.array([run.model.depth for run in runs]),
            seeds=np.array([run.seed for run in runs]),
            ks=errors.columns.to_numpy(),
            guess=np.full(len(answers), CEILING),
            wrong=wrong.astype(float),
            symbols=np.repeat(answers[:, None], sequences, 1).astype(float),
            late_wrong=wrong.sum(2).astype(float),
            late_symbols=answers.astype(float) * sequences,
        )
        yield compare(table, [part], {run.identifier: run for run in runs})


def _answers(
    random: np.random.Generator,
    errors: Array,
    answers: NDArray[np.int64],
    sequences: int,
    together: float,
) -> NDArray[np.int64]:
    """Return wrong answers (..., K, S) for errors (..., K); those of a sequence are correlated."""
    errors = errors[..., None].clip(1e-9, 1 - 1e-9)
    strength = 1 / together - 1
    size = *errors.shape[:-1], sequences
    chance = random.beta(errors * strength, (1 - errors) * strength, size)
    return random.binomial(answers[:, None], chance)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--studies", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    number, seed = options.studies, options.seed
    print(f"{number} studies a row, seed {seed}; runs of a depth 0.1 octaves apart\n")
    print("| truth | depths | seeds | scatter | slope held | p < 0.05 | p < 0.5 | verdicts |")
    print("|---|---|---|---|---|---|---|---|")
    for law in LAWS:
        for last, seeds, scatter in (
            (4, 3, 0.0),
            (6, 3, 0.0),
            (6, 3, 0.1),
            (6, 3, 0.2),
            (6, 5, 0.0),
            (8, 5, 0.0),
            (8, 5, 0.1),
        ):
            rows = fits(number, law, range(2, last + 1), seed, seeds=seeds, scatter=scatter)
            p = rows.loc[rows["growth"] == law, "p"]
            words = ", ".join(f"{word} {share:.1%}" for word, share in verdicts(rows).items())
            print(
                f"| {law} | 2..{last} | {seeds} | {scatter} | {coverage(rows, law):.1%} | "
                f"{(p < 0.05).mean():.1%} | {(p < 0.5).mean():.1%} | {words} |",
                flush=True,
            )
    published = read_table("published_errors", Path("config/published_errors.csv"))
    print("\n| trainings a depth | variance over the assumed | comparisons with a false alarm |")
    print("|---|---|---|")
    for seeds in (0, 1, 2, 3, 5):
        for factor in (1.0,) if seeds < 2 else (0.25, 1.0, 2.0):
            tables = alarms(number, published, seed, seeds=seeds, factor=factor)
            false = np.mean([t["verdict"].isin(["lower", "higher"]).any() for t in tables])
            print(f"| {seeds or 'the published models'} | {factor} | {false:.1%} |", flush=True)


if __name__ == "__main__":
    main()
