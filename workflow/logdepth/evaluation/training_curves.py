"""Training curves of an experiment, over its seeds."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from logdepth.config.run import Run


def training_table(runs_folder: Path, experiments: Mapping[str, Sequence[Run]]) -> pd.DataFrame:
    """Return a row for each experiment, depth, step and k, over the seeds of a depth.

    Args:
        runs_folder: holds <run>/by_k.csv.
        experiments: the runs of each experiment.

    Returns:
        Columns experiment, depth, step, k, loss and error (means), lowest and highest error.
    """
    frames = []
    for experiment, runs in experiments.items():
        for run in runs:
            table = pd.read_csv(runs_folder / run.identifier / "by_k.csv")
            frames.append(table.assign(experiment=experiment, depth=run.model.depth))
    keys = ["experiment", "depth", "step", "k"]
    groups = pd.concat(frames, ignore_index=True).groupby(keys, sort=False)
    return groups.agg(
        loss=("loss", "mean"),
        error=("error", "mean"),
        lowest=("error", "min"),
        highest=("error", "max"),
    ).reset_index()
