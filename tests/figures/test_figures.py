"""Figures: from data to the same bytes, with all text in place."""

from importlib import import_module

import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.testing.compare import compare_images

from logdepth.config.study import load_study
from logdepth.figures import style
from logdepth.figures.catalog import FIGURES
from logdepth.files import sha256_of
from logdepth.tables import read_table

NAMES = pytest.mark.parametrize("name", FIGURES)


@pytest.fixture(scope="session")
def published(root):
    return root / "results" / "published" / "laptop"


@pytest.fixture(scope="session")
def titles(root):
    study = load_study(root / "config" / "laptop.yaml")
    return {name: experiment.title for name, experiment in study.experiments.items()}


def build(name, published, titles):
    module = import_module(f"logdepth.figures.{name}")
    tables = {t: read_table(t, published / "tables" / f"{t}.csv") for t in FIGURES[name]}
    data = module.prepare(tables, titles)
    return module.draw(data), data


def paths(folder, name):
    return [folder / f"{name}.{kind}" for kind in ("pdf", "png", "csv")]


@NAMES
def test_the_published_tables_give_the_published_figure(name, published, titles, tmp_path):
    figure, data = build(name, published, titles)
    style.save(figure, data, *paths(tmp_path, name))
    _, png, csv = paths(tmp_path, name)
    _, published_png, published_csv = paths(published / "figures", name)
    assert csv.read_text() == published_csv.read_text()
    # Another build of the font library may move a pixel; another figure moves many.
    difference = compare_images(str(published_png), str(png), tol=2, in_decorator=False)
    assert difference is None, difference


@NAMES
def test_a_figure_is_drawn_from_its_csv_alone(name, published, titles, tmp_path):
    module = import_module(f"logdepth.figures.{name}")
    figure, data = build(name, published, titles)
    style.save(figure, data, *paths(tmp_path / "a", name))
    types = {"seed": str} if "seed" in data else None
    again = pd.read_csv(tmp_path / "a" / f"{name}.csv", dtype=types)
    style.save(module.draw(again), again, *paths(tmp_path / "b", name))
    a, b = (str(tmp_path / side / f"{name}.png") for side in "ab")
    assert compare_images(a, b, tol=0.5, in_decorator=False) is None


@NAMES
def test_equal_data_give_equal_bytes(name, published, titles, tmp_path):
    for side in "ab":
        figure, data = build(name, published, titles)
        style.save(figure, data, *paths(tmp_path / side, name))
    for a, b in zip(paths(tmp_path / "a", name), paths(tmp_path / "b", name), strict=True):
        assert sha256_of(a) == sha256_of(b)


@NAMES
def test_text_lies_within_the_figure_and_does_not_overlap(name, published, titles):
    figure, _ = build(name, published, titles)
    FigureCanvasAgg(figure).draw()
    page = figure.bbox
    boxes = []
    for axis in figure.axes:
        texts = [axis.title, axis.xaxis.label, axis.yaxis.label, *axis.texts]
        for side in (axis.xaxis, axis.yaxis):
            low, high = sorted(side.get_view_interval())
            # Ticks beyond the limits have labels, too, but those are not drawn.
            texts += [t.label1 for t in side.get_major_ticks() if low <= t.get_loc() <= high]
        for text in texts:
            if text.get_visible() and text.get_text():
                boxes.append((text.get_text(), text.get_window_extent()))
        if legend := axis.get_legend():
            boxes.append(("legend", legend.get_window_extent()))
    boxes += [("legend", legend.get_window_extent()) for legend in figure.legends]
    for words, box in boxes:
        inside = page.padded(1).count_contains([(box.x0, box.y0), (box.x1, box.y1)])
        assert inside == 2, f"{words} leaves the page"
    for i, (words, box) in enumerate(boxes):
        for others, other in boxes[i + 1 :]:
            width = min(box.x1, other.x1) - max(box.x0, other.x0)
            height = min(box.y1, other.y1) - max(box.y0, other.y0)
            assert width < 1 or height < 1, f"{words!r} and {others!r} overlap"


@NAMES
def test_each_figure_has_a_caption(name, root):
    caption = (root / "workflow" / "report" / f"{name}.rst").read_text()
    assert len(caption.split()) > 10


@NAMES
def test_no_legend_covers_a_point(name, published, titles):
    figure, _ = build(name, published, titles)
    FigureCanvasAgg(figure).draw()
    for axis in figure.axes:
        legends = [*figure.legends, *filter(None, [axis.get_legend()])]
        for line in axis.get_lines():
            if line.get_marker() in ("None", "", "_"):
                continue
            for x, y in axis.transData.transform(line.get_xydata()):
                for legend in legends:
                    assert not legend.get_window_extent().contains(x, y)
