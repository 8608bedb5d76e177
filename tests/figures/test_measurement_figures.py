"""The figures of the theory's measurements, drawn from the CSV that they write."""

import math
from functools import cache
from importlib import import_module

import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from figure_layout import check_layout
from logdepth.config.theory import Theory
from logdepth.figures import KINDS, style
from logdepth.files import write_csv
from logdepth.tables import read_table, write_table
from logdepth.theory.catalog import TABLES

NAMES = ("temperature", "precision", "routing_width", "attention_cost", "protocol_rounds")
# As many values as by default, so that labels have no more room; small ones where they take time.
MANY = Theory(
    instances=4,
    alphabets=(4, 26),
    max_hops=8,
    machines=(8, 32, 128, 1024),
    measured_lengths=(4, 6, 8, 12, 16, 24, 32),
    fans=(1, 2, 3, 4, 6, 8),
    tokens=(4, 6, 8, 12, 16, 24, 32, 2048, 3072, 4096),
    diameters=(2, 3, 4, 6, 8, 12, 16, 24, 32),
)
# The least that a study may ask for.
FEW = Theory(
    instances=2,
    alphabets=(1,),
    max_hops=1,
    machines=(4,),
    measured_lengths=(1,),
    fans=(1,),
    tokens=(4,),
    diameters=(2,),
)
names = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="session")
def folder(once):
    """Every table as a study writes it."""

    def make(folder):
        with pytest.MonkeyPatch.context() as patch:
            # Temperatures to half an octave, for what is drawn of them.
            patch.setattr("logdepth.theory.measurements.temperatures._STEPS", 4)
            for size, settings in (("many", MANY), ("few", FEW)):
                for name in {table for figure in NAMES for table in KINDS[figure].tables}:
                    made = import_module(TABLES[name]).table(settings)
                    write_table(name, made, folder / size / f"{name}.csv")

    return once("measurements", make)


@pytest.fixture(scope="module")
def csv_of(folder, tmp_path_factory):
    """Return a function that writes the data of a figure as CSV."""
    written = tmp_path_factory.mktemp("figures")

    @cache
    def write(name, size="many"):
        tables = {t: read_table(t, folder / size / f"{t}.csv") for t in KINDS[name].tables}
        path = written / f"{name}-{size}.csv"
        write_csv(path, module_of(name).prepare(tables, style.Shown({})))
        return path

    return write


@pytest.fixture(scope="module")
def drawn(csv_of):
    """Return a function that draws a figure from its CSV, once for all tests, and its data."""

    @cache
    def draw(name, size="many"):
        data = pd.read_csv(csv_of(name, size))
        return module_of(name).draw(data), data

    return draw


def module_of(name):
    return import_module(f"logdepth.figures.{name}")


@names
def test_the_data_of_a_figure_are_written_as_they_were_read(name, csv_of, drawn, tmp_path):
    write_csv(tmp_path / "again.csv", drawn(name)[1])
    assert (tmp_path / "again.csv").read_text() == csv_of(name).read_text()


@names
def test_the_least_that_a_study_may_ask_for_can_be_drawn(name, drawn):
    figure, _ = drawn(name, "few")
    FigureCanvasAgg(figure).draw()


@names
def test_text_and_legends_have_room(name, drawn):
    check_layout(drawn(name)[0])


@names
def test_a_figure_imports_nothing_of_the_theory(name):
    code = module_of(name).__loader__.get_source(f"logdepth.figures.{name}")
    assert "logdepth.theory" not in code


def lines_of(axis, marker):
    return [line for line in axis.get_lines() if (line.get_marker() != "None") == marker]


def test_every_measured_temperature_is_drawn_below_its_bound(drawn):
    figure, data = drawn("temperature")
    measured = data[data["kind"] == "measured"]
    drawn = sum(len(line.get_xdata()) for axis in figure.axes for line in lines_of(axis, True))
    assert drawn == 2 * len(measured)
    assert (measured["temperature"] <= measured["temperature_bound"]).all()


def test_a_cell_says_zero_only_where_no_answer_is_wrong(drawn):
    figure, data = drawn("precision")
    shown = [text.get_text() for axis in figure.axes for text in axis.texts]
    assert len(shown) == len(data)
    assert shown.count("0") == (data["wrong"] == 0).sum()
    assert 0 < shown.count("0") < len(shown)


def test_a_tiny_share_is_not_written_as_zero():
    data = pd.DataFrame(
        {
            "encoding": "bits",
            "precision": ["float32", "float64"],
            "length": 8,
            "alphabet": 4,
            "wrong": [1, 0],
            "answers": 10**6,
            "share": [1e-6, 0.0],
        }
    )
    texts = [t.get_text() for t in module_of("precision").draw(data).axes[0].texts]
    assert "<.1" in texts
    assert texts.count("0") == 1


def test_executions_lie_on_the_lines_of_the_formulas(drawn):
    figure, data = drawn("attention_cost")
    assert data["rounds_run"].notna().any()
    assert data["rounds_run"].isna().any()
    left = figure.axes[0]
    formulas, executed = lines_of(left, False), lines_of(left, True)
    assert len(formulas) == len(executed) == 3
    drawn = 0
    for formula, points in zip(formulas, executed, strict=True):
        heights = dict(zip(*formula.get_data(), strict=True))
        for x, y in zip(*points.get_data(), strict=True):
            if not math.isnan(y):
                assert heights[x] == y
                drawn += 1
    assert drawn == data.loc[data["tile"] == 1, "rounds_run"].notna().sum()


def test_a_table_that_loses_nothing_is_drawn_with_an_open_marker(drawn):
    figure, data = drawn("routing_width")
    losses = data.query("panel == 'loss'")
    none = losses[losses["loss"] == 0]
    assert len(none)
    right = figure.axes[1]
    hollow = [line for line in lines_of(right, True) if line.get_markerfacecolor() == "white"]
    assert sum(len(line.get_xdata()) for line in hollow) == len(none)


def test_rounds_of_hop_k_appear_against_n_for_one_k_and_against_k_for_one_n(drawn):
    figure, data = drawn("protocol_rounds")
    hops = data[data["curve"] == "hop_k"]
    assert set(hops[hops["panel"] == "size"]["hops"]) == {8}
    assert set(hops[hops["panel"] == "hops"]["size"]) == {1024}
    left, middle, _ = figure.axes
    assert len(lines_of(left, True)) == 6
    assert len(lines_of(middle, True)) == 1
