"""The errors the authors published, beside ours."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from logdepth.config.run import Run, Task
from logdepth.evaluation.conditions import conditions_of
from logdepth.evaluation.counts import Counts
from logdepth.evaluation.intervals import sequence_interval, wilson_interval
from logdepth.evaluation.score import Seeds, design_effects, score, seed_variances, tolerance
from logdepth.tables import read_table

# The authors' task and evaluation (paper: section 4.2; their notebooks).
TASK = Task(context=99, alphabet=4, max_hops=16)
SEQUENCES = 100

_SETTING = ["depth", "heads", "width", "train_samples"]
_UNMEASURED: dict[str, Any] = {
    **dict.fromkeys(("experiment", "origin", "recipe", "conditions"), ""),
    **dict.fromkeys(("ours", "ours_low", "ours_high", "z"), math.nan),
    **dict.fromkeys(("seeds", "sequences"), 0),
}


def read_published(path: Path) -> pd.DataFrame:
    """Read the published errors: one model a setting, 100 sequences for each k, dropout on.

    Returns:
        A row a cell: depth, heads, width, train_samples ("inf" or a number, as text), hops, error.

    Raises:
        UserError: missing, not such a table, or a cell stands there twice.
    """
    return read_table("published_errors", path)


def compare(
    published: pd.DataFrame, counts: Sequence[Counts], runs: Mapping[str, Run]
) -> pd.DataFrame:
    """Return the published errors beside ours, each with its interval, and a verdict.

    A run is compared if its task is the authors' and its depth, heads, width and training samples
    are the published ones. The published sample is taken to have, for each sequence, as many
    independent answers as ours has, and z is that of ``score.score``. A verdict other than
    "agrees" needs a |z| that one of all cells compared under the same dropout setting would exceed
    with a chance of 5 %. The models the authors released are the published ones, and so have no
    variance over seeds; the variance of a model trained with a single seed is unknown, z leaves it
    out, and ``conditions`` says so.

    Args:
        published: from ``read_published``.
        counts: of all experiments.
        runs: the definition of each run in ``counts``, by identifier.

    Returns:
        A row for each published cell, dropout setting of any count, and experiment that measured
        it; one with the verdict "not measured" where none did. Intervals are 95 % over sequences;
        that of an error nobody measured again takes each sequence for one answer.
    """
    settings = dict(list(published.groupby(_SETTING, sort=False)))
    measured = [(part.dropout, _measured(part, runs, settings)) for part in counts]
    rows: list[dict[str, Any]] = []
    for setting, cells in settings.items():
        for dropout in dict.fromkeys(part.dropout for part in counts):
            ours = [m[setting] for of, m in measured if of == dropout and setting in m]
            for hops, error in zip(cells["hops"], cells["error"], strict=True):
                cell = dict(zip(_SETTING, setting, strict=True))
                cell |= {"hops": hops, "dropout": dropout, "published": error}
                found = [experiment[hops] for experiment in ours if hops in experiment]
                rows += [cell | columns for columns in found or [_nothing(error)]]
    table = pd.DataFrame(rows, columns=[*_COLUMNS])
    limit = table.groupby("dropout")["z"].transform(lambda z: tolerance(z.count()))
    z = table["z"]
    table["verdict"] = np.select(
        [z.isna(), z < -limit, z > limit], ["not measured", "lower", "higher"], "agrees"
    )
    return table


def summary(comparison: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each experiment and dropout setting with a cell that was compared.

    Returns:
        cells, and how many agree or are lower or higher; largest |z| and root mean square of z,
        which is about 1 where nothing but chance differs; tolerance is the |z| still agreeing.
    """
    measured = comparison[comparison["z"].notna()]
    limits = {str(name): tolerance(len(part)) for name, part in measured.groupby("dropout")}
    rows = [
        {
            "experiment": experiment,
            "dropout": dropout,
            "cells": len(part),
            **{word: int((part["verdict"] == word).sum()) for word in _VERDICTS},
            "largest_z": part["z"].abs().max(),
            "rms_z": math.sqrt(np.square(part["z"]).mean()),
            "tolerance": limits[str(dropout)],
        }
        for (experiment, dropout), part in measured.groupby(["experiment", "dropout"], sort=False)
    ]
    columns = ["experiment", "dropout", "cells", *_VERDICTS, "largest_z", "rms_z", "tolerance"]
    return pd.DataFrame(rows, columns=columns)


_VERDICTS = ("agrees", "lower", "higher")
_COLUMNS = (
    *_SETTING,
    *("hops", "dropout", "experiment", "origin", "recipe", "conditions"),
    *("published", "published_low", "published_high", "ours", "ours_low", "ours_high"),
    *("seeds", "sequences", "z"),
)


def _setting(run: Run) -> tuple[Any, ...] | None:
    if run.task != TASK:
        return None
    samples = "inf" if run.training.samples is None else str(run.training.samples)
    return run.model.depth, run.model.heads, run.model.width, samples


def _measured(
    part: Counts, runs: Mapping[str, Run], settings: Mapping[Any, pd.DataFrame]
) -> dict[Any, dict[int, dict[str, Any]]]:
    """Return, by published setting and k, the columns that an experiment adds to its cells."""
    answered = part.symbols.sum(1) > 0
    part = replace(
        part,
        hops=part.hops[answered],
        wrong=part.wrong[:, answered],
        symbols=part.symbols[answered],
    )
    places: dict[Any, list[int]] = {}
    for place, name in enumerate(part.runs):
        if (setting := _setting(runs[name])) in settings:
            places.setdefault(setting, []).append(place)
    several = [
        setting
        for setting, chosen in places.items()
        if len(chosen) > 1 and runs[part.runs[chosen[0]]].origin == "trained"
    ]
    seeds = seed_variances([(part.wrong[places[s]], part.symbols) for s in several])
    known = dict(zip(several, seeds, strict=True))
    return {
        setting: _cells(
            part, chosen, runs[part.runs[chosen[0]]], settings[setting], known.get(setting)
        )
        for setting, chosen in places.items()
    }


def _cells(
    part: Counts, chosen: list[int], run: Run, cells: pd.DataFrame, seeds: Seeds | None
) -> dict[int, dict[str, Any]]:
    wrong, symbols = part.wrong[chosen], part.symbols
    count, _, sequences = wrong.shape
    answers = symbols.sum(1)
    together, asked = wrong.sum(0), symbols * count
    errors = together.sum(1) / asked.sum(1)
    # Of one model as published, and of all of ours together.
    published_sizes = SEQUENCES / sequences * answers / design_effects(wrong, symbols)
    our_sizes = asked.sum(1) / design_effects(together[None], asked)
    published: dict[int, float] = dict(zip(cells["hops"], cells["error"], strict=True))
    result: dict[int, dict[str, Any]] = {}
    for k, hops in enumerate(part.hops.tolist()):
        if hops not in published:
            continue
        sizes = published_sizes[k], our_sizes[k]
        theirs = wilson_interval(published[hops], sizes[0])
        low, high = sequence_interval(together[k], asked[k])
        result[hops] = {
            "experiment": part.experiment,
            "origin": run.origin,
            "recipe": run.training.recipe,
            "conditions": conditions_of(run, part.dropout, alone=count == 1),
            "published_low": theirs[0],
            "published_high": theirs[1],
            "ours": errors[k],
            "ours_low": low,
            "ours_high": high,
            "seeds": count,
            "sequences": sequences,
            "z": score(published[hops], errors[k], sizes, seeds, k),
        }
    return result


def _nothing(error: float) -> dict[str, Any]:
    low, high = wilson_interval(error, SEQUENCES)
    return _UNMEASURED | {"published_low": low, "published_high": high}
