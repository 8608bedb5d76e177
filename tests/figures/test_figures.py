"""Figures: from data to the same bytes, with all text in place."""

from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.testing.compare import compare_images

from figure_layout import check_legends, check_text
from logdepth.config.figures import NEEDS
from logdepth.config.study import load_study
from logdepth.figures import style
from logdepth.figures.catalog import FIGURES
from logdepth.figures.selection import select
from logdepth.files import sha256_of
from logdepth.tables import read_table

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "results" / "published"
STUDIES = {
    path.name: load_study(ROOT / "config" / f"{path.name}.yaml")
    for path in sorted(PUBLISHED.iterdir())
    if path.is_dir()
}
FIGURES_OF = [
    (study, name)
    for study, content in STUDIES.items()
    for name in content.figures
    if (PUBLISHED / study / "figures" / f"{name}.csv").exists()
]
NAMES = pytest.mark.parametrize(("study", "name"), FIGURES_OF)


def module_of(study, name):
    return import_module(f"logdepth.figures.{STUDIES[study].figures[name].draws}")


def build(study, name):
    """Draw a published figure again, from the data it shows."""
    path = PUBLISHED / study / "figures" / f"{name}.csv"
    data = pd.read_csv(path, dtype={"seed": str, "train_samples": str}, keep_default_na=True)
    return module_of(study, name).draw(data), data


def from_tables(study, name):
    content = STUDIES[study]
    spec = content.figures[name]
    titles = {key: e.title for key, e in content.experiments.items()}
    tables = {
        t: read_table(t, PUBLISHED / study / "tables" / f"{t}.csv") for t in FIGURES[spec.draws]
    }
    return module_of(study, name).prepare(select(tables, spec), titles)


def paths(folder, name):
    return [folder / f"{name}.{kind}" for kind in ("pdf", "png", "csv")]


@NAMES
def test_a_published_figure_is_drawn_from_its_csv_alone(study, name, tmp_path):
    figure, data = build(study, name)
    style.save(figure, data, *paths(tmp_path, name), mark="")
    _, png, csv = paths(tmp_path, name)
    _, published_png, published_csv = paths(PUBLISHED / study / "figures", name)
    assert csv.read_text() == published_csv.read_text()
    # Another build of the font library may move a pixel; another figure moves many.
    difference = compare_images(str(published_png), str(png), tol=2, in_decorator=False)
    assert difference is None, difference


@pytest.mark.parametrize(
    ("study", "name"), [(s, n) for s, n in FIGURES_OF if STUDIES[s].figures[n].draws not in NEEDS]
)
def test_the_published_tables_give_the_published_data(study, name, tmp_path):
    data = from_tables(study, name)
    path = tmp_path / "data.csv"
    style.write_data(data, path)
    assert path.read_text() == (PUBLISHED / study / "figures" / f"{name}.csv").read_text()


@NAMES
def test_equal_data_give_equal_bytes(study, name, tmp_path):
    for side in "ab":
        figure, data = build(study, name)
        style.save(figure, data, *paths(tmp_path / side, name), mark="m")
    for a, b in zip(paths(tmp_path / "a", name), paths(tmp_path / "b", name), strict=True):
        assert sha256_of(a) == sha256_of(b)


@NAMES
def test_text_lies_within_the_figure_and_does_not_overlap(study, name):
    figure, _ = build(study, name)
    check_text(figure)


@pytest.mark.parametrize("kind", FIGURES)
def test_each_kind_of_figure_has_a_caption(kind):
    caption = (ROOT / "workflow" / "report" / f"{kind}.rst").read_text()
    assert len(caption.split()) > 10


@NAMES
def test_no_legend_covers_a_point(study, name):
    figure, _ = build(study, name)
    check_legends(figure)
