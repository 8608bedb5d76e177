"""The figures of single executions, drawn from the CSV that they write."""

from functools import cache
from importlib import import_module

import pandas as pd
import pytest
from matplotlib.colors import same_color
from matplotlib.patches import PathPatch

from figure_layout import check_layout
from logdepth.config.theory import Theory
from logdepth.figures import style
from logdepth.files import write_csv
from logdepth.tables import read_table, write_table
from logdepth.theory.catalog import EXECUTIONS, TABLES

names = pytest.mark.parametrize("name", EXECUTIONS)


@pytest.fixture(scope="module")
def csv_of(tmp_path_factory):
    """Return a function that writes the data of a figure as CSV."""
    folder = tmp_path_factory.mktemp("executions")

    @cache
    def write(name, seed):
        path = folder / f"{name}-{seed}.csv"
        write_table(name, import_module(TABLES[name]).table(Theory(seed=seed)), path)
        data = module_of(name).prepare({name: read_table(name, path)}, style.Shown({}))
        write_csv(path, data)
        return path

    return write


def module_of(name):
    return import_module(f"logdepth.figures.{name}")


@pytest.fixture(scope="module")
def drawn(csv_of):
    """Return a function that draws a figure from its CSV, once for all tests, and its data."""

    @cache
    def draw(name, seed=0):
        data = pd.read_csv(csv_of(name, seed))
        return module_of(name).draw(data), data

    return draw


@names
def test_the_data_of_a_figure_are_written_as_they_were_read(name, csv_of, drawn, tmp_path):
    write_csv(tmp_path / "again.csv", drawn(name)[1])
    assert (tmp_path / "again.csv").read_text() == csv_of(name, 0).read_text()


@names
@pytest.mark.parametrize("seed", range(3))
def test_text_is_large_enough_within_the_figure_and_does_not_overlap(name, seed, drawn):
    figure, _ = drawn(name, seed)
    check_layout(figure)
    assert figure.get_figwidth() == style.WIDE_INCHES
    (axis,) = figure.axes
    assert min(text.get_fontsize() for text in axis.texts) >= 6


@pytest.mark.parametrize(("name", "in_legend"), [("mpc_execution", 2), ("attention_as_mpc", 4)])
def test_every_message_is_a_line(name, in_legend, drawn):
    figure, data = drawn(name)
    (axis,) = figure.axes
    lines = [patch for patch in axis.patches if isinstance(patch, PathPatch)]
    assert len(lines) == (data["kind"] == "message").sum() + in_legend


def test_every_corrupted_column_of_the_example_is_crossed_out(drawn):
    figure, data = drawn("routing_example")
    (axis,) = figure.axes
    crosses = [line for line in axis.lines if line.get_marker() == "x"]
    assert len(crosses) == (data["state"] == "corrupted").sum() + 1


def test_packets_have_the_colours_of_their_states(drawn):
    figure, data = drawn("mpc_as_attention")
    (axis,) = figure.axes
    module = module_of("mpc_as_attention")
    columns, packets = data[data["kind"] == "column"], data[data["state"] == "packet"]
    example = data.loc[data["kind"] == "inbox", "token"].min()
    own = (packets["destination"] == example).sum()
    for colour, count in (
        (module.KEPT, (columns["kept"] == 1).sum() + own),
        (module.OTHER, (columns["kept"] == 0).sum() + len(packets) - own),
        (module.CORRUPTED, (columns["state"] == "corrupted").sum()),
    ):
        drawn = [p for p in axis.patches if same_color(p.get_facecolor(), colour) and p.get_fill()]
        assert len(drawn) == count + 1
