"""Figures: from data to the same bytes, with all text in place."""

from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.testing.compare import compare_images

from figure_layout import check_layout
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
    # The benchmarks are no study.
    if (path / "provenance").is_dir()
}
FIGURES_OF = [
    (study, name)
    for study, content in STUDIES.items()
    for name in content.figures
    if (PUBLISHED / study / "figures" / f"{name}.csv").exists()
]


def kind_of(study, name):
    return STUDIES[study].figures[name].draws


ONE_OF_EACH_KIND = list({kind_of(*published): published for published in FIGURES_OF}.values())


def module_of(study, name):
    return import_module(f"logdepth.figures.{kind_of(study, name)}")


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


@pytest.fixture(scope="module", params=FIGURES_OF, ids="-".join)
def published(request, tmp_path_factory):
    """Study, name, drawing and files of a published figure, drawn again once for all its tests."""
    study, name = request.param
    figure, data = build(study, name)
    files = paths(tmp_path_factory.mktemp(study), name)
    style.save(figure, data, *files, mark="m")
    return study, name, figure, files


def test_a_published_figure_is_drawn_from_its_csv_alone(published):
    study, name, _, (_, png, csv) = published
    _, published_png, published_csv = paths(PUBLISHED / study / "figures", name)
    assert csv.read_text() == published_csv.read_text()
    # Another build of the font library may move a pixel; another figure moves many.
    difference = compare_images(str(published_png), str(png), tol=2, in_decorator=False)
    assert difference is None, difference


def test_text_has_room_and_no_legend_covers_a_point(published):
    _, _, figure, _ = published
    check_layout(figure)


@pytest.mark.parametrize("published", ONE_OF_EACH_KIND, indirect=True, ids="-".join)
def test_equal_data_give_equal_bytes(published, tmp_path):
    study, name, _, files = published
    again = paths(tmp_path, name)
    style.save(*build(study, name), *again, mark="m")
    assert [sha256_of(path) for path in again] == [sha256_of(path) for path in files]


@pytest.mark.parametrize(
    ("study", "name"), [each for each in FIGURES_OF if kind_of(*each) not in NEEDS]
)
def test_the_published_tables_give_the_published_data(study, name, tmp_path):
    data = from_tables(study, name)
    path = tmp_path / "data.csv"
    style.write_data(data, path)
    assert path.read_text() == (PUBLISHED / study / "figures" / f"{name}.csv").read_text()


@pytest.mark.parametrize("kind", FIGURES)
def test_each_kind_of_figure_has_a_caption(kind):
    caption = (ROOT / "workflow" / "report" / f"{kind}.rst").read_text()
    assert len(caption.split()) > 10
