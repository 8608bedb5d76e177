"""Traces of a study that Snakemake really made, and the pages beside its figures."""

import csv
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from audit_trail.files import sha256_of
from audit_trail.tracing.trace import Tracer
from checkout import FIGURES, Checkout


def trace(finished: Checkout, name: str, row: str | None = None) -> dict[str, Any]:
    return Tracer(finished.folder / "results").trace(finished.results / name, row)


def runs(found: dict[str, Any]) -> set[str]:
    names = [file["name"] for job in found["jobs"].values() for file in job["made"]]
    return {name.split("/")[1] for name in names if name.startswith("runs/")}


def statements(finished: Checkout) -> dict[str, Any]:
    """The statement of the record that made each output, by the output's name."""
    found = {}
    for path in finished.results.glob("provenance/*/*.json"):
        if path.parent.name not in ("environments", "sources", "studies"):
            statement = json.loads(path.read_text())
            found |= {subject["name"]: statement for subject in statement["subject"]}
    return found


def ancestors(name: str, made: dict[str, Any]) -> Iterator[str]:
    yield name
    if name in made:
        build = made[name]["predicate"]["buildDefinition"]
        for resource in build["resolvedDependencies"]:
            if resource["annotations"]["role"] == "input":
                yield from ancestors(resource["name"], made)


@pytest.mark.parametrize("name", [f"figures/{f}.pdf" for f in FIGURES] + ["tables/table3.tex"])
def test_a_lineage_is_all_that_records_say(finished, name):
    made = statements(finished)
    found = trace(finished, name)
    outputs = {f["name"]: f for job in found["jobs"].values() for f in job["made"]}
    assert set(outputs) == set(ancestors(name, made))
    for file, node in outputs.items():
        assert node["sha256"] == sha256_of(finished.results / file)
    jobs = found["jobs"].values()
    assert {job["started"] for job in jobs} == {
        made[file]["predicate"]["runDetails"]["metadata"]["startedOn"] for file in outputs
    }
    assert set(found["states"]) == {"as recorded"}
    (commit,) = {job["facts"]["commit"]["commit"] for job in jobs}
    assert re.fullmatch("[0-9a-f]{40}", commit)
    assert not [job for job in jobs if "uncommitted" in job["facts"]["commit"]]
    # Tables of settings rest on study.json alone, and on no run.
    assert len(runs(found)) == (3 if name.startswith("figures/") else 0) or "training" in name


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("table", ["tables/errors.csv", "figures/error_by_k.csv"])
def test_the_runs_that_an_error_comes_from_give_that_error(finished, table):
    for row in rows(finished.results / table):
        about = ("experiment", "depth", "mode", "k")
        found = trace(finished, table, ",".join(f"{key}={row[key]}" for key in about))
        counts = [
            count
            for run in runs(found)
            for count in rows(finished.results / "runs" / run / "evaluation.csv")
            if (count["mode"], count["k"]) == (row["mode"], row["k"])
        ]
        assert len(counts) == 16 * int(row["seeds"])
        wrong, symbols = (sum(int(c[column]) for c in counts) for column in ("wrong", "symbols"))
        assert wrong / symbols == pytest.approx(float(row["error"]), rel=1e-5)


def test_a_row_of_a_figure_names_its_run_alone(finished):
    found = trace(finished, "figures/error_by_k.pdf", "k=2,L=2")
    assert found["file"].endswith("error_by_k.csv")
    (run,) = runs(found)
    assert "-L2-" in run
    row = "experiment=fast,depth=1,step=400,k=1"
    assert len(runs(trace(finished, "figures/training_curves.csv", row))) == 1


@pytest.mark.parametrize("kind", ["pdf", "png"])
def test_a_mailed_figure_leads_to_its_study(finished, tmp_path, kind):
    mailed = tmp_path / f"figure from a mail.{kind}"
    shutil.copy(finished.results / f"figures/depth_law.{kind}", mailed)
    found = Tracer(finished.folder / "results").trace(mailed)
    assert found["found"].endswith(f"results/tiny/figures/depth_law.{kind}")
    assert len(runs(found)) == 3


def test_each_figure_has_a_page_with_its_records(finished):
    pages = {p.stem: p.read_text() for p in finished.results.glob("traces/*.html")}
    assert sorted(pages) == FIGURES
    for name, text in pages.items():
        found = trace(finished, f"figures/{name}.png")
        line = found["jobs"][f"provenance/figure/{name}.json"]["line"]
        assert f"1. figure {name} · " in text
        assert f" · line {line} of the history" in text
    assert not list(finished.results.glob("provenance/traces"))


def test_pages_follow_a_record_that_changed(template, redrawn):
    before, after = ((c.results / "traces/depth_law.html").read_text() for c in (template, redrawn))
    line = trace(redrawn, "figures/depth_law.png")["jobs"]["provenance/figure/depth_law.json"][
        "line"
    ]
    assert f" · line {line} of the history" not in before
    assert f" · line {line} of the history" in after
    assert redrawn.jobs("--dry-run") == {}


def test_pages_follow_a_record_whose_outputs_did_not_change(finished):
    record = finished.results / "provenance/fit/fits.json"
    record.write_text(json.dumps(json.loads(record.read_text())))
    # No result is made again for it.
    assert finished.jobs("--dry-run") == {"traces": 1}


def test_pages_follow_the_code_that_writes_them(finished):
    finished.edit("workflow/audit_trail/tracing/show.py", "the nearest first", "near ones first")
    assert finished.jobs("--dry-run") == {"traces": 1}


def test_the_report_holds_tables_captions_and_each_figure_with_a_link_to_its_page(finished):
    finished.snakemake("--report", "results/tiny/report.html")
    text = (finished.results / "report.html").read_text()
    assert "growth with depth" in text
    assert "A study for tests" in text
    for name in FIGURES:
        shown = name.replace("_", " ")
        assert f'<a class=\\"reference external\\" href=\\"traces/{name}.html\\">' in text
        for kind in ("figure", "trace"):
            assert re.search(rf'"labels": {{"figure": "{shown}", "kind": "{kind}"}}', text)
        assert (finished.results / "traces" / f"{name}.html").is_file()
