"""What the statistics are worth, on studies simulated under a known truth.

Small versions of `python benchmarks/simulations.py`, whose functions these are.
"""

from functools import cache

import numpy as np
import pytest
from scipy.stats import binom

from logdepth.fitting.growth import LAWS
from logdepth.tables import read_table

NUMBER = 40


@pytest.fixture(scope="module")
def simulated(simulations):
    """Return a function that simulates studies once, for all tests of them."""

    @cache
    def make(law, last, scatter):
        number = NUMBER if last > 4 else 5
        return simulations.fits(number, law, range(2, last + 1), seed=4, scatter=scatter)

    return make


def most(rate, number=NUMBER):
    """The largest count that a rate explains, but for one time in two hundred."""
    return binom.ppf(0.995, number, rate)


def test_intervals_of_the_slope_hold_it(simulations, simulated):
    settings = [(law, 6, scatter) for law in LAWS for scatter in (0.0, 0.1)]
    held = {each: simulations.coverage(simulated(*each), each[0]) for each in settings}
    # 240 studies: a standard error of 1.4 %.
    assert 0.92 < np.mean(list(held.values())) < 0.98, f"seed 4: {held}"
    assert min(held.values()) > 0.85, f"seed 4: {held}"


@pytest.mark.parametrize("law", LAWS)
def test_a_true_law_is_hardly_ever_rejected(law, simulated):
    rows = simulated(law, 6, 0.0)
    p = rows.loc[rows["growth"] == law, "p"]
    note = f"seed 4: {(p < 0.05).sum()} below 0.05, {(p < 0.5).sum()} below 0.5, of {NUMBER}"
    assert (p < 0.05).sum() <= most(0.05), note
    # About even, so that p means something: interpolation errs less than it is given.
    assert (p < 0.5).sum() >= NUMBER * 0.15, note
    assert (p < 0.5).sum() <= most(0.5), note


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("scatter", [0.0, 0.1])
def test_a_wrong_law_is_hardly_ever_named(law, scatter, simulations, simulated):
    says = simulations.verdicts(simulated(law, 6, scatter))
    wrong = sum(share for word, share in says.items() if word in LAWS and word != law)
    assert wrong * NUMBER <= most(0.05), f"seed 4: {says}"
    if not scatter:
        assert says[law] > 0.75, f"seed 4: {says}"


@pytest.mark.parametrize("law", LAWS)
def test_three_depths_name_no_law(law, simulations, simulated):
    assert simulations.verdicts(simulated(law, 4, 0.0)) == {"cannot tell": 1.0}


@pytest.mark.parametrize("seeds", [0, 1, 2, 3])
def test_a_false_alarm_is_as_rare_as_stated(seeds, simulations, root):
    """One in twenty whole comparisons of 85 cells may call an error lower or higher."""
    published = read_table("published_errors", root / "config" / "published_errors.csv")
    alarms, squares, number = 0, [], 40
    for table in simulations.alarms(number, published, seed=20 + seeds, seeds=seeds, sequences=128):
        measured = table[table["verdict"] != "not measured"]
        assert len(measured) == 85
        if seeds == 1:
            assert set(measured["verdict"]) == {"not testable"}
            return
        alarms += (measured["verdict"] != "agrees").any()
        squares.append(np.square(measured["z"]).mean())
    note = f"seed {20 + seeds}: {alarms} of {number}, mean square of z {np.mean(squares):.2f}"
    assert alarms <= most(0.05, number), note
    assert 0.4 < np.mean(squares) < 1.3, note
