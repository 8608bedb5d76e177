"""Columns of the tables from evaluation and fitting."""

import pandera.pandas as pa

from logdepth.tables.columns import SHARE, count, number, text

_VALUES = ["exact", "lower bound", "upper bound"]

# Which model a published error belongs to; training samples are a number or "inf".
_PUBLISHED = {
    "depth": count(1),
    "heads": count(1),
    "width": count(1),
    "train_samples": pa.Column(str, pa.Check.str_matches(r"^(inf|[1-9][0-9]*)$")),
}

# Errors at positions that answer for every k, and without solving the task.
_LATE_AND_GUESS = {"late_error": number(SHARE), "late_symbols": count(), "guess": number(SHARE)}

_ERRORS = {
    "experiment": text(),
    "depth": count(1),
    "mode": text("train", "eval"),
    "k": count(),
    "error": number(SHARE),
    "sequences_low": number(SHARE),
    "sequences_high": number(SHARE),
    "seeds_low": number(SHARE),
    "seeds_high": number(SHARE),
    "seeds": count(1),
    "sequences": count(1),
    "symbols": count(),
    **_LATE_AND_GUESS,
}

SCHEMAS = {
    "errors": pa.DataFrameSchema(_ERRORS),
    "lengths": pa.DataFrameSchema(_ERRORS | {"context": count(1)}),
    "selection": pa.DataFrameSchema(
        {
            "trial": text(),
            "run": text(),
            "depth": count(1),
            "seed": count(),
            "error": number(SHARE),
        }
    ),
    "errors_by_run": pa.DataFrameSchema(
        {
            "experiment": text(),
            "run": text(),
            "depth": count(1),
            "seed": count(),
            "mode": text("train", "eval"),
            "k": count(),
            "error": number(SHARE),
            "sequences_low": number(SHARE),
            "sequences_high": number(SHARE),
            "sequences": count(1),
            "symbols": count(),
            **_LATE_AND_GUESS,
        }
    ),
    "training": pa.DataFrameSchema(
        {
            "experiment": text(),
            "depth": count(1),
            "step": count(1),
            "k": count(),
            "loss": number(),
            "error": number(SHARE),
            "lowest": number(SHARE),
            "highest": number(SHARE),
        }
    ),
    "alignment": pa.DataFrameSchema(
        {
            "layer": count(1),
            "head": count(1),
            "k": count(),
            "j": count(),
            "cosine": number(pa.Check.in_range(0, 1 + 1e-6)),
            "printed": number(pa.Check.ge(0)),
            "depth": count(1),
        }
    ),
    "ablation": pa.DataFrameSchema(
        {
            "ablation": text("none", "head", "positions"),
            "layer": count(),
            "head": count(),
            "k": count(),
            "error": number(SHARE),
            "depth": count(1),
        }
    ),
    "attention": pa.DataFrameSchema(
        {
            "layer": count(1),
            "head": count(1),
            "query": count(),
            "key": count(),
            "weight": number(pa.Check.ge(0)),
            "j": count(-1),
            "depth": count(1),
            "k": count(),
        }
    ),
    "thresholds": pa.DataFrameSchema(
        {
            "experiment": text(),
            "depth": count(1),
            "mode": text("train", "eval"),
            "seed": text(),
            "threshold": number(SHARE),
            "largest_solved": count(),
            "log2_k": number(),
            "log2_k_low": number(),
            "log2_k_high": number(),
            "value": text(*_VALUES),
            "logistic_midpoint": number(),
            "logistic_width": number(),
        }
    ),
    "solved_depths": pa.DataFrameSchema(
        {
            "title": text(),
            "kind": text("compiled", "trained"),
            "mode": text("train", "eval"),
            "depth": count(1),
            "largest_solved": count(),
            "value": text(*_VALUES),
            "threshold": number(SHARE),
        }
    ),
    "scaling": pa.DataFrameSchema(
        {
            "experiment": text(),
            "mode": text("train", "eval"),
            "threshold": number(SHARE),
            "growth": text("exponential", "linear", "power", "offset power"),
            "slope": number(),
            "slope_low": number(),
            "slope_high": number(),
            "intercept": number(),
            "offset": number(),
            "scatter": number(pa.Check.ge(0)),
            "log_likelihood": number(),
            "aic": number(),
            "chi2": number(pa.Check.ge(0)),
            "freedom": number(pa.Check.ge(1)),
            "p": number(SHARE),
            "depths": count(1),
            "depths_below": count(),
            "depths_beyond": count(),
            "verdict": text("exponential", "linear", "power", "none fits", "cannot tell"),
            "reason": text(),
        }
    ),
    "published_errors": pa.DataFrameSchema(
        {
            **_PUBLISHED,
            "k": count(),
            "error": pa.Column(float, SHARE, coerce=True),
        },
        unique=[*_PUBLISHED, "k"],
    ),
    "comparison": pa.DataFrameSchema(
        {
            **_PUBLISHED,
            "k": count(),
            "mode": text("train", "eval"),
            "experiment": pa.Column(str),
            "origin": text("trained", "released", ""),
            "recipe": pa.Column(str),
            "conditions": pa.Column(str),
            "published": number(SHARE),
            "published_low": number(SHARE),
            "published_high": number(SHARE),
            "ours": number(SHARE),
            "ours_low": number(SHARE),
            "ours_high": number(SHARE),
            "seeds": count(),
            "sequences": count(),
            "z": number(),
            "verdict": text("agrees", "lower", "higher", "not testable", "not measured"),
        }
    ),
    "comparison_summary": pa.DataFrameSchema(
        {
            "experiment": text(),
            "mode": text("train", "eval"),
            "cells": count(1),
            "agrees": count(),
            "lower": count(),
            "higher": count(),
            # Published tables are from before.
            "not_testable": pa.Column(int, pa.Check.ge(0), required=False),
            "largest_z": number(pa.Check.ge(0)),
            "rms_z": number(pa.Check.ge(0)),
            "tolerance": number(pa.Check.ge(0)),
        },
        coerce=True,  # without a row, nothing has a type
    ),
}
