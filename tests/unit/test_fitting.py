"""Thresholds and growth laws, on curves whose answer is known."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import logit

from logdepth.evaluation.counts import Counts
from logdepth.fitting.growth import CURVES, LAWS, Observations, fit_growth
from logdepth.fitting.tables import scaling_table, solved_by_depth, thresholds_table, verdict
from logdepth.fitting.thresholds import Bound, largest_solved, logistic_fit

KS = np.arange(1, 9)
CHANCE = 0.75
CEILING = np.full(8, CHANCE)


def logistic(midpoint, width, ks=KS):
    return CHANCE / (1 + np.exp(-(np.log2(ks) - midpoint) / width))


def test_the_crossing_is_interpolated_on_the_logit():
    errors = np.array([0.0, 0.05, 0.05, 0.15, 0.4, 0.5, 0.6, 0.7])
    solved = largest_solved(KS, errors, 0.1)
    assert (solved.largest, solved.bound) == (3, Bound.EXACT)
    share = (logit(0.1) - logit(0.05)) / (logit(0.15) - logit(0.05))
    assert solved.log_k == pytest.approx((1 - share) * math.log2(3) + share * 2)
    assert largest_solved(KS, errors, 0.05).largest == 1


@pytest.mark.parametrize("midpoint", np.linspace(1.2, 2.8, 5))
@pytest.mark.parametrize("width", [0.3, 0.5])
def test_a_logistic_curve_crosses_where_it_does(midpoint, width):
    """Within what interpolation may be off; a chord is off by up to 0.3 octaves here."""
    solved = largest_solved(KS, logistic(midpoint, width), 0.1)
    truth = midpoint + width * logit(0.1 / CHANCE)
    if truth > 0:
        assert abs(solved.log_k - truth) < 2 * solved.resolution


def test_curves_that_never_cross_are_bounds():
    beyond, none = (largest_solved(KS, np.full(8, error), 0.1) for error in (0.01, 0.5))
    assert (beyond.largest, beyond.log_k, beyond.bound) == (8, 3.0, Bound.LOWER)
    assert (none.largest, none.log_k, none.bound) == (0, 0.0, Bound.UPPER)


def test_a_cliff_may_lie_anywhere_in_its_step():
    step = largest_solved(KS, np.array([0, 0, 0, 0, 0.7, 0.7, 0.7, 0.7]), 0.1)
    slope = largest_solved(KS, np.array([0, 0, 0.02, 0.06, 0.2, 0.4, 0.6, 0.7]), 0.1)
    assert 2 < step.log_k < math.log2(5)
    assert step.resolution == pytest.approx(math.log2(5 / 4) / math.sqrt(12))
    assert slope.resolution < step.resolution / 3


def test_a_later_dip_does_not_count():
    errors = np.array([0.0, 0.2, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    assert largest_solved(KS, errors, 0.1).largest == 1


@given(st.lists(st.floats(0, 1), min_size=8, max_size=8), st.floats(0.01, 0.5))
def test_the_crossing_lies_where_it_should(errors, threshold):
    solved = largest_solved(KS, np.array(errors), threshold)
    if solved.bound is Bound.EXACT:
        low, high = math.log2(solved.largest), math.log2(solved.largest + 1)
        assert low - 1e-9 <= solved.log_k <= high + 1e-9
    assert all(error < threshold for error in errors[: solved.largest])


@pytest.mark.parametrize(("midpoint", "width"), [(1.0, 0.2), (2.2, 0.4), (0.3, 0.6)])
def test_a_logistic_curve_is_found_again(midpoint, width):
    found = logistic_fit(KS, logistic(midpoint, width), CEILING)
    assert found == pytest.approx((midpoint, width), rel=1e-3)
    # The ceiling is the best guess, which differs between odd and even k.
    ceiling = np.tile([0.7, 0.5], 4)
    found = logistic_fit(KS, logistic(midpoint, width) / CHANCE * ceiling, ceiling)
    assert found == pytest.approx((midpoint, width), rel=1e-3)


@pytest.mark.parametrize("errors", [np.zeros(8), np.full(8, CHANCE), np.full(8, 0.001)])
def test_a_flat_curve_has_no_midpoint(errors):
    assert all(math.isnan(value) for value in logistic_fit(KS, errors, CEILING))


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
    assert fit.parameters == pytest.approx((intercept, slope), rel=0.06, abs=0.2)
    assert fit.low < slope < fit.high


@pytest.mark.parametrize("law", LAWS)
def test_the_true_law_wins_when_the_data_can_tell(law):
    data = observations(law, *TRUTHS[law], depths=range(2, 9), error=0.02)
    fits = {name: fit_growth(name, data) for name in CURVES}
    assert verdict(fits, data.known)[0] == law
    assert fits[law].p > 0.05


def test_the_offset_power_law_holds_the_power_law():
    data = observations("power", *TRUTHS["power"], depths=range(2, 9), error=0.02)
    plain, offset = (fit_growth(law, data) for law in ("power", "offset power"))
    # At the cost of one more parameter.
    assert plain.aic - 5 < offset.aic < plain.aic + 2.01
    assert offset.chi2 <= plain.chi2 + 1e-3
    assert abs(offset.parameters[2]) < 0.5
    bent = observations("exponential", *TRUTHS["exponential"], depths=range(2, 7), error=0.05)
    assert fit_growth("offset power", bent).parameters[2] > 5


def test_equal_errors_are_ordinary_least_squares():
    data = observations("exponential", 0.0, 1.0, depths=range(1, 7), error=0.05)
    data = Observations(data.depth, data.log_k + np.tile([0.3, -0.3], 3), data.error, data.bound)
    fit = fit_growth("exponential", data)
    line = stats.linregress(data.depth, data.log_k)
    assert fit.parameters == pytest.approx((line.intercept, line.slope), abs=1e-3)
    reach = line.stderr * stats.t.ppf(0.975, 4)
    assert (fit.low, fit.high) == pytest.approx((line.slope - reach, line.slope + reach), rel=1e-3)
    z = (data.log_k - line.intercept - line.slope * data.depth) / data.error
    assert fit.chi2 == pytest.approx(np.square(z).sum(), rel=1e-4)
    assert fit.freedom == 4
    assert fit.p == pytest.approx(stats.chi2.sf(fit.chi2, 4), rel=1e-3)
    assert 0.2 < fit.scatter < 0.4
    # What is estimated from few seeds proves less.
    few = Observations(data.depth, data.log_k, data.error, data.bound, freedom=3)
    assert fit_growth("exponential", few).p > 3 * fit.p
    none = Observations(data.depth, data.log_k, data.error, data.bound, freedom=0)
    assert math.isnan(fit_growth("exponential", none).p)


def test_values_known_better_weigh_more():
    data = observations("exponential", 0.0, 1.0, depths=range(1, 6), error=1e-3)
    error = np.array([0.5, 0.01, 0.01, 0.01, 0.01])
    log_k = data.log_k + np.array([0.6, 0, 0, 0, 0])
    fit = fit_growth("exponential", Observations(data.depth, log_k, error, data.bound))
    assert fit.parameters[1] == pytest.approx(1.0, abs=0.01)
    assert fit.p > 0.05


def test_bounds_enter_as_bounds():
    # Depth L solves 2**(L-1), but nothing above 8 is tried: deeper ones show "at least 8".
    data = observations("exponential", -1.0, 1.0, depths=range(1, 8), top=3.05, error=0.1)
    assert data.mask(Bound.LOWER).sum() >= 3
    fit = fit_growth("exponential", data)
    assert fit.parameters[1] == pytest.approx(1.0, abs=0.15)
    assert fit.freedom == data.known - 2
    naive = np.polyfit(data.depth, data.log_k, 1)[0]
    assert naive < 0.75, "taking the bounds for values would have hidden the law"


def test_a_violated_bound_speaks_against_a_law():
    depth = np.arange(1.0, 6)
    values = np.array([0.0, 1, 2, 3, 3.5])
    bound = [Bound.EXACT] * 4 + [Bound.LOWER]
    kept, broken = (
        fit_growth(
            "exponential",
            Observations(depth, values + np.array([0, 0, 0, 0, up]), np.full(5, 0.1), bound),
        )
        for up in (0, 3)
    )
    assert kept.p > 0.9
    assert broken.p < 0.001


def test_a_law_needs_more_values_than_it_has_parameters():
    bound = [Bound.UPPER, Bound.EXACT, Bound.EXACT, Bound.LOWER]
    data = Observations(np.arange(1.0, 5), np.array([0.0, 1, 2, 3]), np.full(4, 0.1), bound)
    assert fit_growth("exponential", data) is None
    assert verdict({law: fit_growth(law, data) for law in CURVES}, data.known)[0] == "cannot tell"


def test_what_no_law_fits():
    zigzag = np.array([0.0, 2, 1.5, 3.5, 3, 5])
    data = Observations(np.arange(1.0, 7), zigzag, np.full(6, 0.05), [Bound.EXACT] * 6)
    says, reason = verdict({law: fit_growth(law, data) for law in CURVES}, 6)
    assert says == "none fits"
    assert "octaves" in reason


@pytest.mark.parametrize("known", [3, 4])
def test_few_depths_cannot_tell(known):
    data = observations("exponential", -1.0, 1.0, depths=range(2, 2 + known), error=0.01)
    fits = {law: fit_growth(law, data) for law in CURVES}
    assert fits["linear"].p < 0.05
    assert verdict(fits, data.known) == (
        "cannot tell",
        f"{known} depths have a value, expected at least 5",
    )


def study(depths=(1, 2, 3, 4), seeds=3, sequences=60, seed=0):
    """Counts of runs whose error curve crosses at log2 k = L - 1, a little apart by seed."""
    random = np.random.default_rng(seed)
    depth = np.repeat(depths, seeds)
    middles = depth - 1 + 0.5 + 0.1 * random.standard_normal(len(depth))
    chance = np.array([logistic(m, 0.2) for m in middles])
    wrong = random.binomial(20, chance[:, :, None], size=(len(depth), len(KS), sequences))
    zero = np.zeros((len(depth), 1, sequences))
    wrong = np.concatenate([zero, wrong], 1).astype(float)
    return Counts(
        "x",
        "eval",
        [f"run{i}" for i in range(len(depth))],
        depth,
        np.tile(np.arange(seeds), len(depths)),
        np.arange(9),
        np.array([0, *CEILING]),
        wrong,
        np.full((9, sequences), 20.0),
        wrong.sum(2),
        np.full(9, 20.0 * sequences),
    )


THRESHOLDS = (0.1, 0.05)


def test_the_error_of_a_depth_is_that_of_seeds_and_of_steps():
    part = study(depths=(2, 3), seeds=40)
    depths = solved_by_depth(part, 0.1)
    spread = np.std([run.log_k for run in depths.runs if run.bound is Bound.EXACT][:40], ddof=1)
    steps = np.array([solved.resolution for solved in depths.pooled])
    assert depths.error == pytest.approx(np.hypot(spread / math.sqrt(40), steps), rel=0.1)
    assert depths.freedom >= 78
    alone = solved_by_depth(study(seeds=1), 0.1)
    assert alone.freedom == 0
    assert (alone.error > 0).all()


def test_a_k_without_an_answer_is_not_solved():
    part = study()
    part.symbols[8], part.wrong[:, 8] = 0, 0
    assert max(solved.largest for solved in solved_by_depth(part, 0.1).pooled) <= 7


def test_scaling_table_has_a_row_for_each_threshold_and_law():
    table = scaling_table([study(depths=(1, 2, 3, 4, 5, 6))], THRESHOLDS)
    assert len(table) == 2 * len(CURVES)
    row = table[(table["growth"] == "exponential") & (table["threshold"] == 0.1)].iloc[0]
    assert row["slope"] == pytest.approx(1.0, abs=0.2)
    assert row["slope_low"] < row["slope"] < row["slope_high"]
    assert row["depths"] == 6
    assert row["depths_beyond"] == 3
    assert row["verdict"] == "cannot tell"
    assert table.groupby("threshold")["verdict"].nunique().eq(1).all()
    assert table["offset"].notna().eq(table["growth"] == "offset power").sum() >= 6


def test_thresholds_table():
    table = thresholds_table([study()], THRESHOLDS)
    assert len(table) == 4 * (3 + 1) * 2
    pooled = table[(table["seed"] == "all") & (table["threshold"] == 0.1)].set_index("depth")
    assert pooled["largest_solved"].is_monotonic_increasing
    exact = pooled[pooled["value"] == "exact"]
    assert (exact["log2_k_low"] < exact["log2_k"]).all()
    assert (exact["log2_k"] < exact["log2_k_high"]).all()
    assert pooled.loc[pooled["value"] != "exact", "log2_k_low"].isna().all()
    strict = table[(table["seed"] == "all") & (table["threshold"] == 0.05)]
    assert (strict["log2_k"].to_numpy() <= pooled["log2_k"].to_numpy()).all()
    single = table[table["seed"] != "all"]
    assert single["log2_k_low"].isna().all()


def test_tables_pass_their_schema(tmp_path):
    from logdepth.errors import UserError
    from logdepth.tables import read_table, write_table

    counts = [study()]
    for name, table in (
        ("thresholds", thresholds_table(counts, THRESHOLDS)),
        ("scaling", scaling_table(counts, THRESHOLDS)),
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

    path, old = tmp_path / "thresholds.csv", tmp_path / "old-thresholds.csv"
    write_table("thresholds", thresholds_table([study()], THRESHOLDS), path)
    text = path.read_text().replace("log2_k", "log2_hops").replace(",mode,", ",dropout,")
    old.write_text(text.replace(",eval,", ",off,"))
    assert old.read_text() != path.read_text()
    pd.testing.assert_frame_equal(read_table("thresholds", old), read_table("thresholds", path))
