"""The largest solved k of several experiments side by side, from their finished tables."""

from collections.abc import Iterable

import pandas as pd

from logdepth.config.study import OtherStudy
from logdepth.errors import UserError
from logdepth.fitting.thresholds import largest_solved

# Models of the size that the paper shows most of, trained on fresh data.
_PUBLISHED = {"heads": 4, "width": 128, "train_samples": "inf"}


def own_depths(
    thresholds: pd.DataFrame, titles: dict[str, str], compiled: Iterable[str]
) -> pd.DataFrame:
    """Return what each depth of this study solves, pooled over seeds.

    Args:
        thresholds: the table.
        titles: of the experiments to show.
        compiled: names of those whose models are written down, the others being trained.

    Returns:
        Columns title, kind ("compiled" or "trained"), mode, depth, largest_solved, value
        ("exact" or which bound) and threshold.
    """
    kinds = {name: "compiled" if name in set(compiled) else "trained" for name in titles}
    parts = [
        _pooled(thresholds, name).assign(title=titles[name], kind=kind)
        for name, kind in kinds.items()
    ]
    return pd.concat(parts, ignore_index=True)[_COLUMNS]


def depths_beside(thresholds: pd.DataFrame, beside: OtherStudy) -> pd.DataFrame:
    """Return what each depth of an experiment of another study solves, as ``own_depths``.

    Raises:
        UserError: the other study has no such experiment or mode.
    """
    found = _pooled(thresholds, beside.experiment)
    found = found[found["mode"] == beside.mode]
    if found.empty:
        raise UserError(
            f"{beside.results}/tables/thresholds.csv: no experiment '{beside.experiment}' with "
            f"mode {beside.mode}; expected one of "
            f"{', '.join(dict.fromkeys(thresholds['experiment']))}"
        )
    return found.assign(title=beside.title, kind="trained")[_COLUMNS]


def published_depths(published: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """Return what the authors' models of 4 heads and width 128 solve, as ``own_depths``.

    Args:
        published: the published errors, which were measured with dropout on.
        threshold: error below which a k is solved.
    """
    chosen = published[(published[list(_PUBLISHED)] == pd.Series(_PUBLISHED)).all(axis=1)]
    rows = []
    for depth, curve in chosen[chosen["k"] > 0].groupby("depth"):
        ordered = curve.sort_values("k")
        solved = largest_solved(ordered["k"].to_numpy(), ordered["error"].to_numpy(), threshold)
        found = solved.largest, solved.bound.value
        rows.append(("as published", "trained", "train", depth, *found, threshold))
    return pd.DataFrame(rows, columns=_COLUMNS)


_COLUMNS = ["title", "kind", "mode", "depth", "largest_solved", "value", "threshold"]


def _pooled(thresholds: pd.DataFrame, experiment: str) -> pd.DataFrame:
    """Return the rows over all seeds of an experiment, at the first threshold."""
    first = thresholds["threshold"].iloc[0]
    chosen = (
        (thresholds["experiment"] == experiment)
        & (thresholds["seed"] == "all")
        & (thresholds["threshold"] == first)
    )
    pooled: pd.DataFrame = thresholds[chosen]
    return pooled
