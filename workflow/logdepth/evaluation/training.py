"""Training curves of an experiment, over its seeds."""

import json
from pathlib import Path

import pandas as pd

from logdepth.config.run import Run


def training_table(runs_folder: Path, experiments: dict[str, list[str]]) -> pd.DataFrame:
    """Return a row for each experiment, depth, step and k, over the seeds of a depth.

    Args:
        runs_folder: holds <run>/run.json and <run>/hops.csv.
        experiments: identifiers of the runs of each experiment.

    Returns:
        Columns experiment, depth, step, hops, loss and error (means), lowest and highest error.
    """
    frames = []
    for experiment, identifiers in experiments.items():
        for name in identifiers:
            run = Run.model_validate(json.loads((runs_folder / name / "run.json").read_text()))
            table = pd.read_csv(runs_folder / name / "hops.csv")
            frames.append(table.assign(experiment=experiment, depth=run.model.depth))
    keys = ["experiment", "depth", "step", "hops"]
    groups = pd.concat(frames, ignore_index=True).groupby(keys, sort=False)
    return groups.agg(
        loss=("loss", "mean"),
        error=("error", "mean"),
        lowest=("error", "min"),
        highest=("error", "max"),
    ).reset_index()
