"""Thresholds and growth laws, on curves whose answer is known."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logdepth.evaluation.counts import Counts
from logdepth.fitting.bootstrap import percentile_interval, resamples
from logdepth.fitting.growth import (
    LAWS,
    Observations,
    fit_growth,
    leave_one_depth_out,
    resolution,
)
from logdepth.fitting.tables import Settings, scaling_table, thresholds_table
from logdepth.fitting.thresholds import Bound, largest_solved, logistic_fit

KS = np.arange(1, 9)
CHANCE = 0.75


def logistic(midpoint, width, ks=KS):
    return CHANCE / (1 + np.exp(-(np.log2(ks) - midpoint) / width))


def test_the_crossing_is_interpolated_in_log2_k():
    errors = np.array([0.0, 0.05, 0.05, 0.15, 0.4, 0.5, 0.6, 0.7])
    solved, log_k, bound = largest_solved(KS, errors, 0.1)
    assert (solved, bound) == (3, Bound.EXACT)
    assert log_k == pytest.approx((math.log2(3) + math.log2(4)) / 2)
    assert largest_solved(KS, errors, 0.05)[0] == 1


def test_curves_that_never_cross_are_bounds():
    assert largest_solved(KS, np.full(8, 0.01), 0.1) == (8, 3.0, Bound.LOWER)
    assert largest_solved(KS, np.full(8, 0.5), 0.1) == (0, 0.0, Bound.UPPER)


def test_a_later_dip_does_not_count():
    errors = np.array([0.0, 0.2, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    assert largest_solved(KS, errors, 0.1)[0] == 1


@given(st.lists(st.floats(0, 1), min_size=8, max_size=8), st.floats(0.01, 0.5))
def test_the_crossing_lies_where_it_should(errors, threshold):
    solved, log_k, bound = largest_solved(KS, np.array(errors), threshold)
    if bound is Bound.EXACT:
        assert math.log2(solved) - 1e-9 <= log_k <= math.log2(solved + 1) + 1e-9
    assert all(error < threshold for error in errors[:solved])


@pytest.mark.parametrize(("midpoint", "width"), [(1.0, 0.2), (2.2, 0.4), (0.3, 0.6)])
def test_a_logistic_curve_is_found_again(midpoint, width):
    found = logistic_fit(KS, logistic(midpoint, width), CHANCE)
    assert found == pytest.approx((midpoint, width), rel=1e-3)


@pytest.mark.parametrize("errors", [np.zeros(8), np.full(8, CHANCE), np.full(8, 0.001)])
def test_a_flat_curve_has_no_midpoint(errors):
    assert all(math.isnan(value) for value in logistic_fit(KS, errors, CHANCE))


def observations(law, intercept, slope, depths=range(1, 7), error=0.05, top=math.inf, seed=2):
    """Values around a law, of the given error; those beyond what was tried are bounds."""
    random = np.random.default_rng(seed)
    depth = np.array(depths, float)
    y = LAWS[law](depth, intercept, slope) + error * random.standard_normal(len(depth))
    bound = [Bound.LOWER if v > top else Bound.UPPER if v < 0 else Bound.EXACT for v in y]
    return Observations(depth, np.clip(y, 0, top), np.full(len(depth), error), bound)


TRUTHS = {"exponential": (-1.0, 1.0), "linear": (-4.0, 3.0), "power": (0.2, 1.6)}


@pytest.mark.parametrize("law", LAWS)
def test_each_law_finds_its_parameters_again(law):
    intercept, slope = TRUTHS[law]
    fit = fit_growth(law, observations(law, intercept, slope))
    assert fit.slope == pytest.approx(slope, rel=0.06)
    assert fit.intercept == pytest.approx(intercept, abs=0.2)


@pytest.mark.parametrize("law", LAWS)
def test_the_true_law_wins_when_the_data_can_tell(law):
    data = observations(law, *TRUTHS[law], depths=range(2, 9), error=0.02)
    aics = {name: fit_growth(name, data).aic for name in LAWS}
    assert min(aics, key=aics.get) == law
    errors = {name: leave_one_depth_out(name, data) for name in LAWS}
    assert min(errors, key=errors.get) == law


def test_weights_are_least_squares():
    # Without bounds the fit is the weighted least-squares line, and AIC its chi-square.
    data = observations("exponential", 0.0, 1.0, depths=range(1, 6))
    errors = np.array([0.5, 0.1, 0.1, 0.1, 0.02])
    data = Observations(data.depth, data.log_k, errors, data.bound)
    fit = fit_growth("exponential", data)
    slope, intercept = np.polyfit(data.depth, data.log_k, 1, w=1 / errors)
    assert (fit.slope, fit.intercept) == pytest.approx((slope, intercept), abs=1e-3)
    z = (data.log_k - intercept - slope * data.depth) / errors
    expected = 4 + np.square(z).sum() + 2 * np.log(errors * math.sqrt(2 * math.pi)).sum()
    assert fit.aic == pytest.approx(expected, abs=1e-3)


def test_bounds_enter_as_bounds():
    # Depth L solves 2**(L-1), but nothing above 8 is tried: deeper ones show "at least 8".
    data = observations("exponential", -1.0, 1.0, depths=range(1, 8), top=3.05, error=0.1)
    assert data.mask(Bound.LOWER).sum() >= 3
    fit = fit_growth("exponential", data)
    assert fit.slope == pytest.approx(1.0, abs=0.1)
    naive = np.polyfit(data.depth, data.log_k, 1)[0]
    assert naive < 0.75, "taking the bounds for values would have hidden the law"


def test_two_depths_at_least_must_have_a_value():
    data = Observations(
        np.array([1.0, 2.0, 3.0]),
        np.array([0.0, 1.0, 3.0]),
        np.full(3, 0.1),
        [Bound.UPPER, Bound.EXACT, Bound.LOWER],
    )
    assert fit_growth("exponential", data) is None
    assert math.isnan(leave_one_depth_out("exponential", data))


def test_leave_one_out_charges_a_bound_only_when_violated():
    depth, error = np.array([1.0, 2.0, 3.0, 4.0]), np.full(4, 0.1)
    line = np.array([0.0, 1.0, 2.0, 1.0])
    bound = [Bound.EXACT, Bound.EXACT, Bound.EXACT, Bound.LOWER]
    assert leave_one_depth_out("exponential", Observations(depth, line, error, bound)) < 0.05
    line[3] = 5.0  # the others predict 3, and the truth is 5 at least
    assert leave_one_depth_out("exponential", Observations(depth, line, error, bound)) > 0.9


def test_resolution_is_that_of_an_even_spread_between_two_hops():
    random = np.random.default_rng(0)
    for solved in (1, 3, 7):
        spread = random.uniform(math.log2(solved), math.log2(solved + 1), 100_000).std()
        assert resolution(solved) == pytest.approx(spread, rel=0.02)
    assert resolution(0) == resolution(1)


def study(depths=(1, 2, 3, 4), seeds=3, sequences=60, seed=0):
    """Counts of runs whose error curve crosses at log2 k = L - 1, a little apart by seed."""
    random = np.random.default_rng(seed)
    depth = np.repeat(depths, seeds)
    middles = depth - 1 + 0.5 + 0.1 * random.standard_normal(len(depth))
    chance = np.array([logistic(m, 0.2) for m in middles])
    wrong = random.binomial(20, chance[:, :, None], size=(len(depth), len(KS), sequences))
    zero = np.zeros((len(depth), 1, sequences))
    return Counts(
        "x",
        "eval",
        [f"run{i}" for i in range(len(depth))],
        depth,
        np.tile(np.arange(seeds), len(depths)),
        CHANCE,
        np.arange(9),
        np.concatenate([zero, wrong], 1).astype(float),
        np.full((9, sequences), 20.0),
    )


SETTINGS = Settings((0.1, 0.05), 60, seed=1)


def test_scaling_table_finds_the_law():
    table = scaling_table([study()], SETTINGS).set_index("growth")
    row = table.loc["exponential"]
    assert row["slope"] == pytest.approx(1.0, abs=0.2)
    assert row["slope_low"] < row["slope"] < row["slope_high"]
    assert row["slope_high"] - row["slope_low"] < 0.4
    assert row["depths"] == 4
    assert row["depths_beyond"] == 1
    assert row["verdict"].startswith("best")
    assert table.loc["linear", "verdict"].startswith(("worse than", "not told from"))


def test_two_depths_cannot_tell_the_laws_apart_and_the_table_says_so():
    table = scaling_table([study(depths=(2, 3))], SETTINGS)
    best = [v for v in table["verdict"] if v.startswith("best")]
    assert len(best) == 1
    assert "not told from" in best[0]
    assert sum("not told from" in v for v in table["verdict"]) == 3


def test_thresholds_table():
    table = thresholds_table([study()], SETTINGS)
    assert len(table) == 4 * (3 + 1) * 2
    pooled = table[(table["seed"] == "all") & (table["threshold"] == 0.1)].set_index("depth")
    assert pooled["largest_solved"].is_monotonic_increasing
    assert (pooled["log2_k_low"] <= pooled["log2_k"]).all()
    assert (pooled["log2_k"] <= pooled["log2_k_high"]).all()
    strict = table[(table["seed"] == "all") & (table["threshold"] == 0.05)]
    assert (strict["log2_k"].to_numpy() <= pooled["log2_k"].to_numpy()).all()
    single = table[table["seed"] != "all"]
    assert single["log2_k_low"].isna().all()


def test_resampling_is_seeded_and_stays_within_a_depth():
    counts = study()
    draws = list(resamples(counts, 20, seed=3))
    for draw, again in zip(draws, resamples(counts, 20, seed=3), strict=True):
        assert (draw.runs == again.runs).all()
        assert np.array_equal(draw.errors, again.errors)
        assert (counts.depths[draw.runs] == counts.depths).all()
    assert len({tuple(draw.runs) for draw in draws}) > 10
    mean = np.mean([draw.errors for draw in draws], 0)
    assert np.abs(mean - counts.errors()).max() < 0.15


def test_percentile_interval():
    assert percentile_interval(np.arange(101.0)) == pytest.approx((2.5, 97.5))
    assert all(math.isnan(v) for v in percentile_interval(np.array([1.0, np.nan, np.nan])))


def test_tables_pass_their_schema(tmp_path):
    from logdepth.errors import UserError
    from logdepth.tables import read_table, write_table

    counts = [study()]
    for name, table in (
        ("thresholds", thresholds_table(counts, SETTINGS)),
        ("scaling", scaling_table(counts, SETTINGS)),
    ):
        path = tmp_path / f"{name}.csv"
        write_table(name, table, path)
        pd.testing.assert_frame_equal(
            read_table(name, path), table, check_dtype=False, rtol=1e-4, atol=1e-5
        )
        path.write_text(path.read_text().replace("experiment", "experiments", 1))
        with pytest.raises(UserError, match=f"{name}.csv: not a table of {name}: .*experiment"):
            read_table(name, path)


def test_a_table_published_under_former_names_is_read(tmp_path):
    from logdepth.tables import read_table, write_table

    for name, table in (
        ("thresholds", thresholds_table([study()], SETTINGS)),
        ("scaling", scaling_table([study()], SETTINGS)),
    ):
        path, old = tmp_path / f"{name}.csv", tmp_path / f"old-{name}.csv"
        write_table(name, table, path)
        text = path.read_text().replace("log2_k", "log2_hops").replace(",mode,", ",dropout,")
        old.write_text(text.replace(",eval,", ",off,"))
        assert old.read_text() != path.read_text()
        pd.testing.assert_frame_equal(read_table(name, old), read_table(name, path))
