"""Figures: from data to the same bytes, with all text in place."""

import io
import json
import re
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import rc_context
from matplotlib.image import imread
from matplotlib.testing.compare import compare_images
from matplotlib.text import Text

from audit_trail.repository import find_repository
from audit_trail.study import open_study
from figure_layout import check_layout
from logdepth.config.study import load_study
from logdepth.evaluation.counts import errors_by_depth
from logdepth.figures import KINDS, style
from logdepth.figures.selection import select
from logdepth.files import sha256_of, write_csv
from logdepth.fitting.tables import scaling_table, thresholds_table
from logdepth.resolved import RESULTS
from logdepth.tables import SCHEMAS, read_table, write_table

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "results" / "published"


def published_study(folder):
    """A published study, with the trials that its selections chose."""
    chosen = {
        path.stem: json.loads(path.read_text())["chosen"]
        for path in folder.glob("selection/*.json")
    }
    return load_study(ROOT / "config" / f"{folder.name}.yaml").decided(chosen)


STUDIES = {
    path.name: published_study(path)
    for path in sorted(PUBLISHED.iterdir())
    # The benchmarks are no study.
    if (path / "provenance").is_dir()
}
# Kinds of figures that show more than when they were published, and a column that says so.
SHOW_MORE = {"depth_law": "threshold", "error_by_k": "guess"}
# What is published was drawn before figures, columns and labels had the names of today.
FORMER_FIGURES = {"error_by_k": "error_by_hops"}
FORMER_COLUMNS = {"hops": "k", "jumps": "j", "dropout": "mode", "log2_hops": "log2_k"}
FORMER_MODES = {"on": "train", "off": "eval"}
FORMER_LABELS = {
    "$k$": "hops $k$",
    "solved, says the theory": r"theory: $\lfloor\log_2 k\rfloor + 2 \leq L$",
}


def published_file(study, name, kind):
    """The file of a published figure, under its name of today or its former one."""
    folder = PUBLISHED / study / "figures"
    path = folder / f"{name}.{kind}"
    return path if path.exists() else folder / f"{FORMER_FIGURES.get(name, name)}.{kind}"


def kind_of(study, name):
    return STUDIES[study].figures[name].draws


def columns_of(path):
    return set(pd.read_csv(path, nrows=0))


def has_all_it_shows(study, name):
    """Whether a published figure shows what its kind shows today; else it waits to be made."""
    path = published_file(study, name, "csv")
    return path.exists() and {SHOW_MORE.get(kind_of(study, name), "experiment")} <= (
        columns_of(path) | {"experiment"}
    )


def has_its_tables(study, name):
    """Whether the published tables behind a figure have the columns of today."""
    paths = [PUBLISHED / study / "tables" / f"{t}.csv" for t in KINDS[kind_of(study, name)].tables]
    former = {old: new for old, new in FORMER_COLUMNS.items() if old != "log2_hops"}
    return all(
        set(SCHEMAS[path.stem].columns) <= {former.get(c, c) for c in columns_of(path)}
        for path in paths
    )


FIGURES_OF = [
    (study, name)
    for study, content in STUDIES.items()
    for name in content.figures
    if has_all_it_shows(study, name)
]


OF_ERRORS = [
    kind for kind, of in KINDS.items() if set(of.tables) <= {"errors", "thresholds", "scaling"}
]
# Those that are saved as PNG: to write a file takes longer than all else.
ONE_OF_EACH_STUDY = list({(each[0], kind_of(*each)): each for each in FIGURES_OF}.values())
# Those that are saved as PDF. Of the kinds of errors, a test below draws one from its own tables.
ONE_OF_EACH_KIND = list(
    {kind: each for each in ONE_OF_EACH_STUDY if (kind := kind_of(*each)) not in OF_ERRORS}.values()
)
# `make test` takes one of each kind, whatever is published; `make test-published` the others.
OF_EVERY_TEST = {kind_of(*each): each for each in ONE_OF_EACH_STUDY}.values()


def cases(figures):
    """Return published figures as parameters of a test."""
    others = pytest.mark.published
    return [pytest.param(e, marks=() if e in OF_EVERY_TEST else others) for e in figures]


def module_of(study, name):
    return import_module(f"logdepth.figures.{kind_of(study, name)}")


def with_names_of_today(data, kind):
    """The data of a published figure; the tables of the theory have kept their names."""
    if not set(KINDS[kind].tables) <= set(RESULTS):
        return data
    renamed = data.rename(columns=FORMER_COLUMNS)
    return renamed.replace({"mode": FORMER_MODES}) if "dropout" in data else renamed


def published_csv(study, name):
    """The text of a published CSV, with the names of today."""
    text = pd.read_csv(published_file(study, name, "csv"), dtype="str", keep_default_na=False)
    return with_names_of_today(text, kind_of(study, name)).to_csv(index=False)


def build(study, name):
    """Draw a published figure again, from the data it shows."""
    kinds = {"seed": str, "train_samples": str}
    data = pd.read_csv(published_file(study, name, "csv"), dtype=kinds, keep_default_na=True)
    data = with_names_of_today(data, kind_of(study, name))
    return module_of(study, name).draw(data), data


def shown(study):
    """What figures say of the experiments of a study."""
    variants = study.variants
    reach = {
        name: {
            depth: largest
            for depth in variant.depths
            if (largest := study.task_of(variant).reach(depth)) is not None
        }
        for name, variant in variants.items()
    }
    return style.Shown({name: variant.title for name, variant in variants.items()}, reach)


def from_tables(study, name):
    content = STUDIES[study]
    spec = content.figures[name]
    tables = {
        t: read_table(t, PUBLISHED / study / "tables" / f"{t}.csv")
        for t in KINDS[spec.draws].tables
    }
    return module_of(study, name).prepare(select(tables, spec), shown(content))


def paths(folder, name):
    return [folder / f"{name}.{kind}" for kind in ("pdf", "png", "csv")]


def save(figure, data, files):
    """Save with outlines in place of fonts: to take the letters out of one takes half the time."""
    with rc_context({"pdf.fonttype": 3}):
        style.save(figure, data, *files, mark="m")
    return files


def pdf_of(figure):
    """The bytes of a figure as PDF."""
    content = io.BytesIO()
    with rc_context({"pdf.fonttype": 3}):
        figure.savefig(content, format="pdf", metadata={"CreationDate": None})
    return content.getvalue()


@pytest.fixture(scope="module", params=cases(FIGURES_OF), ids="-".join)
def published(request, tmp_path_factory):
    """Study, name, data and drawing of a published figure, drawn again once for all its tests.

    Last its PDF and the path of its PNG, if it is one of those that have them.
    """
    study, name = request.param
    figure, data = build(study, name)
    pdf, png = None, tmp_path_factory.mktemp(study) / f"{name}.png"
    if request.param in ONE_OF_EACH_STUDY:
        # The PDF is written first: to lay a figure out a second time moves it.
        if request.param in ONE_OF_EACH_KIND:
            pdf = pdf_of(figure)
        else:
            figure.draw_without_rendering()
        figure.savefig(png, dpi=style.RESOLUTION)
        # Its text is looked at where it was written.
        figure.set_layout_engine("none")
    return study, name, data, figure, pdf, png


@pytest.mark.parametrize("published", cases(ONE_OF_EACH_STUDY), indirect=True, ids="-".join)
def test_a_published_figure_is_drawn_from_its_csv_alone(published, tmp_path):
    study, name, data, _, _, png = published
    write_csv(tmp_path / "data.csv", data)
    assert (tmp_path / "data.csv").read_text() == published_csv(study, name)
    header = published_file(study, name, "csv").read_text().partition("\n")[0]
    if FORMER_COLUMNS.keys() & set(header.split(",")):
        png = with_former_labels(*build(study, name), tmp_path) or png
    # Another build of the font library may move a pixel; another figure moves many.
    published_png = published_file(study, name, "png")
    if imread(published_png).shape != imread(png).shape:
        # Laid out otherwise since: then it is called stale, and is drawn with its study's next run.
        assert stale(study, name)
        return
    difference = compare_images(str(published_png), str(png), tol=2, in_decorator=False)
    assert difference is None, difference


def stale(study, name):
    """Whether the code that drew a published figure has changed since."""
    opened = open_study(PUBLISHED / study)
    record = opened.record_for(f"figures/{published_file(study, name, 'png').name}")
    return bool(find_repository(ROOT).other_code(opened.listed(record, "source")))


def with_former_labels(figure, data, folder):
    """The PNG of a figure with its former labels; None if it has none that changed."""
    labels = [text for text in figure.findobj(Text) if text.get_text() in FORMER_LABELS]
    if not labels:
        return None
    for text in labels:
        text.set_text(FORMER_LABELS[text.get_text()])
    return save(figure, data, paths(folder, "former"))[1]


def test_text_has_room_and_no_legend_covers_a_point(published):
    check_layout(published[3])


@pytest.mark.parametrize("published", cases(ONE_OF_EACH_KIND), indirect=True, ids="-".join)
def test_equal_data_give_equal_bytes(published):
    study, name, _, _, pdf, _ = published
    # What is random in a drawing, or of the clock, is in its PDF as well; PNG and CSV: see below.
    assert pdf_of(build(study, name)[0]) == pdf


@pytest.mark.parametrize(
    "figure",
    cases(e for e in FIGURES_OF if not KINDS[kind_of(*e)].options and has_its_tables(*e)),
    ids="-".join,
)
def test_the_published_tables_give_the_published_data(figure, tmp_path):
    study, name = figure
    path = tmp_path / "data.csv"
    write_csv(path, from_tables(study, name))
    assert path.read_text() == published_csv(study, name)


@pytest.fixture(scope="module")
def tables(tmp_path_factory, simulations):
    """Tables of two experiments that were never trained, as a study writes them."""
    random = np.random.default_rng(0)
    ks, depths = np.arange(1, 17), (range(2, 7), range(1, 5))
    counts = [
        simulations.study(law, span, random, ks=ks, sequences=16)
        for law, span in zip(("exponential", "linear"), depths, strict=True)
    ]
    folder = tmp_path_factory.mktemp("tables")
    for name, made in (
        ("errors", errors_by_depth(counts)),
        ("thresholds", thresholds_table(counts, (0.1, 0.02, 0.5))),
        ("scaling", scaling_table(counts, (0.1, 0.02, 0.5))),
    ):
        write_table(name, made, folder / f"{name}.csv")
    return folder


@pytest.mark.parametrize("kind", OF_ERRORS)
def test_a_figure_of_errors_is_drawn_from_its_csv(kind, tables, tmp_path):
    module = import_module(f"logdepth.figures.{kind}")
    made = {name: read_table(name, tables / f"{name}.csv") for name in KINDS[kind].tables}
    reach = {"exponential": {2: 1, 3: 3, 4: 7}, "linear": {}}
    data = module.prepare(made, style.Shown({"linear": "straight growth"}, reach))
    write_csv(tmp_path / "data.csv", data)
    again = pd.read_csv(tmp_path / "data.csv", dtype={"seed": str})
    for number in range(2):
        figure = module.draw(again)
        save(figure, again, paths(tmp_path, f"{number}"))
    check_layout(figure)
    first, second = ([sha256_of(p) for p in paths(tmp_path, f"{n}")] for n in (0, 1))
    assert first == second
    assert (tmp_path / "0.csv").read_text() == (tmp_path / "data.csv").read_text()


def test_the_depth_law_shows_the_laws_that_are_not_rejected(tables):
    module = import_module("logdepth.figures.depth_law")
    made = {name: read_table(name, tables / f"{name}.csv") for name in ("thresholds", "scaling")}
    made["scaling"].loc[made["scaling"]["growth"] == "linear", "p"] = 0.01
    data = module.prepare(made, style.Shown({}))
    assert "linear" not in set(data["kind"])
    assert {"exponential", "power", "verdict"} & set(data["kind"]) >= {"exponential", "verdict"}
    titles = [axis.get_title() for axis in module.draw(data).axes]
    says = made["scaling"].drop_duplicates(["experiment", "threshold"])
    for title, (_, rows) in zip(titles, says.groupby("experiment", sort=False), strict=True):
        assert all(verdict in title for verdict in rows["verdict"])


def test_the_best_guess_is_drawn_beside_the_errors(tables):
    module = import_module("logdepth.figures.error_by_k")
    data = module.prepare({"errors": read_table("errors", tables / "errors.csv")}, style.Shown({}))
    for axis in module.draw(data).axes:
        (line,) = (line for line in axis.get_lines() if line.get_label() == "best guess")
        assert line.get_ydata().tolist() == [0.75] * 16


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_figure_has_a_caption(kind):
    caption = KINDS[kind].caption
    assert len(caption.split()) > 10
    # Nothing of Snakemake's templates.
    assert "{" not in caption


def test_every_caption_of_a_rule_exists():
    rules = ROOT / "workflow/rules"
    texts = [path.read_text() for path in rules.glob("*.smk")]
    captions = [name for text in texts for name in re.findall(r'caption="(.+)"', text)]
    assert len(captions) >= 4
    assert all((rules / name).is_file() for name in captions)
