"""The article: the same bytes twice, each number from a result that can be traced."""

import csv
import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import typst

from audit_trail.tracing.trace import choose
from logdepth.audited import PROJECT

SMALL = '#import "results.typ": *\n'


@pytest.fixture(scope="module")
def build(root):
    return runpy.run_path(str(root / "article/build.py"))


def test_two_builds_have_the_same_bytes(root, build, tmp_path):
    output = tmp_path / "article.pdf"
    command = [sys.executable, "article/build.py", "--output", output]
    subprocess.run(command, cwd=root, check=True)
    pdf = output.read_bytes()
    assert pdf == build["compiled"](root / "article/article.typ")
    assert b"/CreationDate" not in pdf


def test_each_trace_leads_to_its_number(root, build):
    asked = {"root": root, "format": "json", "field": "value", **build["options"](root)}
    numbers = json.loads(typst.query(root / "article/article.typ", "<number>", **asked))
    assert sum(number["exact"] is not None for number in numbers) > 150
    for number in numbers:
        study = root / "results/published" / Path(number["file"]).parts[0]
        path = study.parent / number["file"]
        assert path.is_file()
        if number["exact"] is not None:
            row = ",".join(f"{name}={value}" for name, value in number["where"].items())
            table = choose(path, study, row, PROJECT.letters)["chosen"] if row else whole(path)
            cells = [cells[number["column"]] for cells in table]
            assert number["exact"] in cells or int(number["exact"]) == sum(map(int, cells)), number


def whole(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def small(root, tmp_path, build):
    """Return what typesets a line of text with one published table."""
    folder = tmp_path / "results/published/law/tables"
    folder.mkdir(parents=True)
    (folder / "t.csv").write_text("k,error,p\n1,0.5,-1234567.891\n2,0.004,\n2,0.1,1e-7\n")
    (tmp_path / "results.typ").write_text((root / "article/results.typ").read_text())
    source = tmp_path / "small.typ"

    def typeset(text):
        source.write_text(SMALL + text)
        return build["compiled"](source, tmp_path)

    return typeset


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('#value("law/tables/u.csv", "error", k: 1)', "u.csv: error where k=1: no such file"),
        ('#value("law/tables/t.csv", "slope", k: 1)', "t.csv: slope where k=1: no column slope"),
        ('#value("law/tables/t.csv", "error", j: 1)', "t.csv: error where j=1: no column j"),
        ('#value("law/tables/t.csv", "error", k: 3)', "t.csv: error where k=3: no such row"),
        (
            '#value("law/tables/t.csv", "error", k: 2)',
            "k=2: expected one value, found 2 rows",
        ),
        ('#published-figure("law/figures/f.pdf", "")', "law/figures/f.pdf: no such file"),
        ("#supported(1 > 2)[one]", "the results no longer support: [one]"),
    ],
)
def test_what_is_missing_stops_the_build_with_one_line(small, text, message):
    with pytest.raises(SystemExit) as stop:
        small(text)
    (line,) = str(stop.value).splitlines()
    assert line.startswith("small.typ: error: ")
    assert message in line


@pytest.mark.parametrize(
    ("call", "shown"),
    [
        ('decimals("0.5", 0, factor: 100)', "50"),
        ('decimals("0.004", 1, factor: 100)', "0.4"),
        ('decimals("-1234567.891", 2)', "−1 234 567.89"),
        ('decimals("-0.001", 2)', "0.00"),
        ('decimals("9.996", 2)', "10.00"),
        ('decimals("1234", 0)', "1234"),
    ],
)
def test_decimals(small, call, shown):
    assert small(f'#assert.eq({call}, "{shown}")')
