"""The errors the authors published, beside ours."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from logdepth.config.run import Run
from logdepth.evaluation.agreement import (
    Spread,
    design_effects,
    score,
    score_of_trainings,
    spread_of,
    tolerance,
)
from logdepth.evaluation.counts import Counts
from logdepth.evaluation.intervals import sequence_interval, wilson_interval
from logdepth.evaluation.paper_differences import conditions_of
from logdepth.tasks.hop import Hop

# The authors' task and evaluation (paper: section 4.2; their notebooks).
TASK = Hop(context=99, alphabet=4, max_k=16)
SEQUENCES = 100

_SETTING = ["depth", "heads", "width", "train_samples"]
_UNMEASURED: dict[str, Any] = {
    **dict.fromkeys(("experiment", "origin", "recipe", "conditions"), ""),
    **dict.fromkeys(("ours", "ours_low", "ours_high", "z"), math.nan),
    **dict.fromkeys(("seeds", "sequences"), 0),
}


def compare(
    published: pd.DataFrame, counts: Sequence[Counts], runs: Mapping[str, Run]
) -> pd.DataFrame:
    """Return the published errors beside ours, each with its interval, and a verdict.

    A run is compared if its task is the authors' and its depth, heads, width and training samples
    are the published ones. The published sample is taken to have, for each sequence, as many
    independent answers as ours has. The models the authors released are the published ones, and z
    is that of ``agreement.score``; others are trainings of their own, and z is that of
    ``agreement.score_of_trainings``. "lower" or "higher" needs a |z| that one of all cells tested
    in the same mode would exceed with a chance of 5 %. How far one training is from another cannot
    be seen of a single one, which is "not testable".

    Args:
        published: a row a cell: depth, heads, width, train_samples ("inf" or a number), k and
            error; one model a setting, 100 sequences for each k, dropout on.
        counts: of all experiments.
        runs: the definition of each run in ``counts``, by identifier.

    Returns:
        A row for each published cell, mode of any count, and experiment that measured
        it; one with the verdict "not measured" where none did. Intervals are 95 % over sequences;
        that of an error nobody measured again takes each sequence for one answer.
    """
    settings = dict(list(published.groupby(_SETTING, sort=False)))
    measured = [(part.mode, _measured(part, runs, settings)) for part in counts]
    rows: list[dict[str, Any]] = []
    for setting, cells in settings.items():
        for mode in dict.fromkeys(part.mode for part in counts):
            ours = [m[setting] for of, m in measured if of == mode and setting in m]
            for k, error in zip(cells["k"], cells["error"], strict=True):
                cell = dict(zip(_SETTING, setting, strict=True))
                cell |= {"k": k, "mode": mode, "published": error}
                found = [experiment[k] for experiment in ours if k in experiment]
                rows += [cell | columns for columns in found or [_nothing(error)]]
    table = pd.DataFrame(rows, columns=[*_COLUMNS])
    limit = table.groupby("mode")["z"].transform(lambda z: tolerance(z.count()))
    z = table["z"]
    table["verdict"] = np.select(
        [table["experiment"] == "", z.isna(), z < -limit, z > limit],
        ["not measured", "not testable", "lower", "higher"],
        "agrees",
    )
    return table


def summary(comparison: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each experiment and mode with a cell that was measured.

    Returns:
        cells, and how many agree, are lower or higher, or are not testable; largest |z| and root
        mean square of z, which is about 1 where nothing but chance differs; tolerance is the |z|
        still agreeing.
    """
    measured = comparison[comparison["verdict"] != "not measured"]
    limits = {str(name): tolerance(part["z"].count()) for name, part in measured.groupby("mode")}
    rows = [
        {
            "experiment": experiment,
            "mode": mode,
            "cells": len(part),
            **{name: int((part["verdict"] == word).sum()) for name, word in _VERDICTS.items()},
            "largest_z": part["z"].abs().max(),
            "rms_z": math.sqrt(np.square(part["z"]).mean()),
            "tolerance": limits[str(mode)],
        }
        for (experiment, mode), part in measured.groupby(["experiment", "mode"], sort=False)
    ]
    columns = ["experiment", "mode", "cells", *_VERDICTS, "largest_z", "rms_z", "tolerance"]
    return pd.DataFrame(rows, columns=columns)


# Columns of the summary, and the verdicts that they count.
_VERDICTS = {
    "agrees": "agrees",
    "lower": "lower",
    "higher": "higher",
    "not_testable": "not testable",
}
_COLUMNS = (
    *_SETTING,
    *("k", "mode", "experiment", "origin", "recipe", "conditions"),
    *("published", "published_low", "published_high", "ours", "ours_low", "ours_high"),
    *("seeds", "sequences", "z"),
)


def _setting(run: Run) -> tuple[Any, ...] | None:
    if run.task != TASK:
        return None
    samples = str(run.training.train_samples or "inf")
    return run.model.depth, getattr(run.model, "heads", None), run.model.width, samples


def _measured(
    part: Counts, runs: Mapping[str, Run], settings: Mapping[Any, pd.DataFrame]
) -> dict[Any, dict[int, dict[str, Any]]]:
    """Return, by published setting and k, the columns that an experiment adds to its cells."""
    answered = part.symbols.sum(1) > 0
    part = replace(
        part,
        ks=part.ks[answered],
        wrong=part.wrong[:, answered],
        symbols=part.symbols[answered],
    )
    places: dict[Any, list[int]] = {}
    for place, name in enumerate(part.runs):
        if (setting := _setting(runs[name])) in settings:
            places.setdefault(setting, []).append(place)
    several = [
        chosen
        for chosen in places.values()
        if len(chosen) > 1 and runs[part.runs[chosen[0]]].origin == "trained"
    ]
    spread = spread_of([(part.wrong[chosen], part.symbols) for chosen in several])
    return {
        setting: _cells(part, chosen, runs[part.runs[chosen[0]]], settings[setting], spread)
        for setting, chosen in places.items()
    }


def _cells(
    part: Counts, chosen: list[int], run: Run, cells: pd.DataFrame, spread: Spread
) -> dict[int, dict[str, Any]]:
    wrong, symbols = part.wrong[chosen], part.symbols
    count, _, sequences = wrong.shape
    answers = symbols.sum(1)
    together, asked = wrong.sum(0), symbols * count
    errors = together.sum(1) / asked.sum(1)
    # Of one model as published, and of all of ours together.
    published_sizes = SEQUENCES / sequences * answers / design_effects(wrong, symbols)
    our_sizes = asked.sum(1) / design_effects(together[None], asked)
    published: dict[int, float] = dict(zip(cells["k"], cells["error"], strict=True))
    result: dict[int, dict[str, Any]] = {}
    for place, k in enumerate(part.ks.tolist()):
        if k not in published:
            continue
        sizes = published_sizes[place], our_sizes[place]
        z = math.nan
        if run.origin != "trained":
            z = score(published[k], errors[place], sizes)
        elif count > 1:
            own = wrong[:, place].sum(1) / answers[place]
            z = score_of_trainings(published[k], own, sizes, spread)
        theirs = wilson_interval(published[k], sizes[0])
        low, high = sequence_interval(together[place], asked[place])
        result[k] = {
            "experiment": part.experiment,
            "origin": run.origin,
            "recipe": run.training.recipe,
            "conditions": conditions_of(run, part.mode, alone=count == 1),
            "published_low": theirs[0],
            "published_high": theirs[1],
            "ours": errors[place],
            "ours_low": low,
            "ours_high": high,
            "seeds": count,
            "sequences": sequences,
            "z": z,
        }
    return result


def _nothing(error: float) -> dict[str, Any]:
    low, high = wilson_interval(error, SEQUENCES)
    return _UNMEASURED | {"published_low": low, "published_high": high}
