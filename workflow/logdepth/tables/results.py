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

SCHEMAS = {
    "errors": pa.DataFrameSchema(
        {
            "experiment": text(),
            "depth": count(1),
            "dropout": text("on", "off"),
            "hops": count(),
            "error": number(SHARE),
            "sequences_low": number(SHARE),
            "sequences_high": number(SHARE),
            "seeds_low": number(SHARE),
            "seeds_high": number(SHARE),
            "seeds": count(1),
            "sequences": count(1),
            "symbols": count(),
        }
    ),
    "errors_by_run": pa.DataFrameSchema(
        {
            "experiment": text(),
            "run": text(),
            "depth": count(1),
            "seed": count(),
            "dropout": text("on", "off"),
            "hops": count(),
            "error": number(SHARE),
            "sequences_low": number(SHARE),
            "sequences_high": number(SHARE),
            "sequences": count(1),
            "symbols": count(),
        }
    ),
    "training": pa.DataFrameSchema(
        {
            "experiment": text(),
            "depth": count(1),
            "step": count(1),
            "hops": count(),
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
            "hops": count(),
            "jumps": count(),
            "cosine": number(pa.Check.in_range(0, 1 + 1e-6)),
            "printed": number(pa.Check.ge(0)),
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
            "jumps": count(-1),
            "depth": count(1),
            "hops": count(),
        }
    ),
    "thresholds": pa.DataFrameSchema(
        {
            "experiment": text(),
            "depth": count(1),
            "dropout": text("on", "off"),
            "seed": text(),
            "threshold": number(SHARE),
            "largest_solved": count(),
            "log2_hops": number(),
            "log2_hops_low": number(),
            "log2_hops_high": number(),
            "value": text(*_VALUES),
            "logistic_midpoint": number(),
            "logistic_width": number(),
        }
    ),
    "solved_depths": pa.DataFrameSchema(
        {
            "title": text(),
            "kind": text("compiled", "trained"),
            "dropout": text("on", "off"),
            "depth": count(1),
            "largest_solved": count(),
            "value": text(*_VALUES),
            "threshold": number(SHARE),
        }
    ),
    "scaling": pa.DataFrameSchema(
        {
            "experiment": text(),
            "dropout": text("on", "off"),
            "growth": text("exponential", "linear", "power"),
            "slope": number(),
            "slope_low": number(),
            "slope_high": number(),
            "intercept": number(),
            "aic": number(),
            "loo_error": number(),
            "threshold": number(SHARE),
            "depths": count(1),
            "depths_below": count(),
            "depths_beyond": count(),
            "verdict": text(),
        }
    ),
    "published_errors": pa.DataFrameSchema(
        {
            **_PUBLISHED,
            "hops": count(),
            "error": pa.Column(float, SHARE, coerce=True),
        },
        unique=[*_PUBLISHED, "hops"],
    ),
    "comparison": pa.DataFrameSchema(
        {
            **_PUBLISHED,
            "hops": count(),
            "dropout": text("on", "off"),
            "experiment": pa.Column(str),
            "origin": text("trained", "released", ""),
            "recipe": text("fast", "paper", "compiled", ""),
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
            "verdict": text("agrees", "lower", "higher", "not measured"),
        }
    ),
    "comparison_summary": pa.DataFrameSchema(
        {
            "experiment": text(),
            "dropout": text("on", "off"),
            "cells": count(1),
            "agrees": count(),
            "lower": count(),
            "higher": count(),
            "largest_z": number(pa.Check.ge(0)),
            "rms_z": number(pa.Check.ge(0)),
            "tolerance": number(pa.Check.ge(0)),
        },
        coerce=True,  # without a row, nothing has a type
    ),
}
