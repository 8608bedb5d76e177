"""Choosing among trials: the settings whose models err least on sequences of their own."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from logdepth.config.run import Run


def trial_table(runs_folder: Path, trials: Mapping[str, Sequence[Run]]) -> pd.DataFrame:
    """Return a row for each run of each trial.

    Args:
        runs_folder: holds <run>/trial.csv, from ``error_rates.evaluate``.
        trials: the runs of each.

    Returns:
        Columns trial, run, depth, seed and error, the mean over k >= 1 of the error at each k.
    """
    rows = []
    for trial, runs in trials.items():
        for run in runs:
            table = pd.read_csv(runs_folder / run.identifier / "trial.csv")
            sums = table[table["k"] > 0].groupby("k")[["wrong", "symbols"]].sum()
            answered = sums[sums["symbols"] > 0]
            rows.append(
                {
                    "trial": trial,
                    "run": run.identifier,
                    "depth": run.model.depth,
                    "seed": run.seed,
                    "error": (answered["wrong"] / answered["symbols"]).mean(),
                }
            )
    return pd.DataFrame(rows)


def best_trial(table: pd.DataFrame) -> str:
    """Return the trial of the least mean error over its runs; of equal ones the first."""
    means = table.groupby("trial", sort=False)["error"].mean()
    return str(means.idxmin())
