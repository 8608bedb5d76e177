"""The figures of the theory's measurements, drawn from the CSV that they write."""

import math
from importlib import import_module

import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from figure_layout import check_legends, check_text
from logdepth.config.theory import Theory
from logdepth.figures import style
from logdepth.figures.catalog import FIGURES
from logdepth.files import sha256_of
from logdepth.tables import read_table, write_table
from logdepth.theory.catalog import JOBS

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


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Every table as a study writes it."""
    folder = tmp_path_factory.mktemp("tables")
    for size, settings in (("many", MANY), ("few", FEW)):
        for name in {table for figure in NAMES for table in FIGURES[figure]}:
            made = import_module(JOBS[name]).table(settings)
            write_table(name, made, folder / size / f"{name}.csv")
    return folder


def module_of(name):
    return import_module(f"logdepth.figures.{name}")


def data_of(name, folder, size):
    """The data of a figure, written and read again."""
    tables = {t: read_table(t, folder / size / f"{t}.csv") for t in FIGURES[name]}
    data = module_of(name).prepare(tables, {})
    style.write_data(data, folder / size / "figures" / f"{name}.csv")
    return pd.read_csv(folder / size / "figures" / f"{name}.csv")


@names
def test_a_figure_is_drawn_from_its_csv_alone_to_the_same_bytes(name, folder, tmp_path):
    data = data_of(name, folder, "many")
    files = {
        side: [tmp_path / side / f"{name}.{kind}" for kind in ("pdf", "png", "csv")]
        for side in "ab"
    }
    for paths in files.values():
        style.save(module_of(name).draw(data), data, *paths, mark="m")
    for a, b in zip(*files.values(), strict=True):
        assert sha256_of(a) == sha256_of(b)
    # The CSV of the figure that was drawn from a CSV is that CSV.
    source = folder / "many" / "figures" / f"{name}.csv"
    assert files["a"][2].read_text() == source.read_text()


@names
def test_the_least_that_a_study_may_ask_for_can_be_drawn(name, folder):
    figure = module_of(name).draw(data_of(name, folder, "few"))
    FigureCanvasAgg(figure).draw()


@names
def test_text_and_legends_have_room(name, folder):
    figure = module_of(name).draw(data_of(name, folder, "many"))
    check_text(figure)
    check_legends(figure)


@names
def test_a_figure_imports_nothing_of_the_theory(name):
    code = module_of(name).__loader__.get_source(f"logdepth.figures.{name}")
    assert "logdepth.theory" not in code


def lines_of(axis, marker):
    return [line for line in axis.get_lines() if (line.get_marker() != "None") == marker]


def test_every_measured_temperature_is_drawn_below_its_bound(folder):
    data = data_of("temperature", folder, "many")
    measured = data[data["kind"] == "measured"]
    figure = module_of("temperature").draw(data)
    drawn = sum(len(line.get_xdata()) for axis in figure.axes for line in lines_of(axis, True))
    assert drawn == 2 * len(measured)
    assert (measured["temperature"] <= measured["temperature_bound"]).all()


def test_a_cell_says_zero_only_where_no_answer_is_wrong(folder):
    data = data_of("precision", folder, "many")
    figure = module_of("precision").draw(data)
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


def test_executions_lie_on_the_lines_of_the_formulas(folder):
    data = data_of("attention_cost", folder, "many")
    assert data["rounds_run"].notna().any()
    assert data["rounds_run"].isna().any()
    left = module_of("attention_cost").draw(data).axes[0]
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


def test_a_table_that_loses_nothing_is_drawn_with_an_open_marker(folder):
    losses = data_of("routing_width", folder, "many").query("panel == 'loss'")
    none = losses[losses["loss"] == 0]
    assert len(none)
    right = module_of("routing_width").draw(data_of("routing_width", folder, "many")).axes[1]
    hollow = [line for line in lines_of(right, True) if line.get_markerfacecolor() == "white"]
    assert sum(len(line.get_xdata()) for line in hollow) == len(none)


def test_rounds_of_hop_k_appear_against_n_for_one_k_and_against_k_for_one_n(folder):
    data = data_of("protocol_rounds", folder, "many")
    hops = data[data["curve"] == "hop_k"]
    assert set(hops[hops["panel"] == "size"]["hops"]) == {8}
    assert set(hops[hops["panel"] == "hops"]["size"]) == {1024}
    left, middle, _ = module_of("protocol_rounds").draw(data).axes
    assert len(lines_of(left, True)) == 6
    assert len(lines_of(middle, True)) == 1
