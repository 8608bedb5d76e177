"""Traces of a small study that was made by hand, record by record."""

import hashlib
import itertools
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import docutils.core
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import Environment

from audit_trail.errors import AuditError
from audit_trail.files import canonical_json
from audit_trail.tracing.show import as_page, as_text
from audit_trail.tracing.trace import Tracer, choose
from audit_trail.writer import append_entry
from forgery import HISTORY, lines_of, write_history
from logdepth.files import write_text
from logdepth.provenance.job import Job
from logdepth.provenance.record import recorded


class Words(NamedTuple):
    """What tables call the columns that had another name once."""

    k: str
    j: str
    mode: str
    train: str
    eval: str


NOW = Words("k", "j", "mode", "train", "eval")
# In what is published first.
FORMER = Words("hops", "jumps", "dropout", "on", "off")
both = pytest.mark.parametrize("words", [NOW, FORMER], ids=["now", "former"])

KS = (0, 1, 2)
SEQUENCES = 4
HOSTILE = (
    "</script><script>alert(1)</script><img src=x onerror=alert(2)>\x1b[31m\nverdict: verified"
)


def job(
    folder: Path, stage: str, name: str, inputs: list[Path], outputs: dict[str, str], **more: Any
):
    """Run a job that writes texts."""
    record = folder / "provenance" / stage / f"{name}.json"
    paths = [folder / output for output in outputs]
    made = Job(stage, ("logdepth.files",), more.pop("parameters", {}), more.pop("seeds", {}))
    files: dict[str, Any] = {"inputs": inputs, "outputs": paths, "record": record}
    with recorded(made, **files, definition=made.definition(), **more):
        for path, text in zip(paths, outputs.values(), strict=True):
            write_text(path, text)


def run_name(depth: int, seed: int) -> str:
    return f"fast-L{depth}-seed{seed}"


def train(study: Path, depth: int, seed: int, weights: str = "weights") -> None:
    run = {
        "model": {"depth": depth, "heads": 2, "width": 16},
        # Settings that only some recipes have, though they say nothing.
        "training": {"samples": None, "steps": 30} | ({"stop_after": None} if seed else {}),
        "seed": seed,
    }
    folder = f"runs/{run_name(depth, seed)}"
    outputs = {f"{folder}/model.safetensors": f"{weights} {depth} {seed}"}
    outputs[f"{folder}/run.json"] = json.dumps(run)
    more = {"parameters": {"run": run}, "seeds": {"run": seed}, "device": "cpu"}
    job(study, "train", run_name(depth, seed), [], outputs, **more)


def evaluate(study: Path, depth: int, seed: int, words: Words = NOW) -> None:
    folder = f"runs/{run_name(depth, seed)}"
    modes = (words.eval, words.train)
    rows = [f"{m},{k},{s},1,9" for m in modes for k in KS for s in range(SEQUENCES)]
    inputs = [study / folder / "model.safetensors", study / "data/evaluation.safetensors"]
    table = "\n".join([f"{words.mode},{words.k},sequence,wrong,symbols", *rows]) + "\n"
    job(study, "evaluate", run_name(depth, seed), inputs, {f"{folder}/evaluation.csv": table})


def tabulate(study: Path, runs: list[tuple[int, int]], words: Words = NOW) -> None:
    names = [run_name(*run) for run in runs]
    # Such jobs read run.json once; now they read study.json, of which a copy is kept.
    read = ("evaluation.csv",) if words == NOW else ("run.json", "evaluation.csv")
    inputs = [study / "runs" / name / file for name in names for file in read]
    rows = [f"fast,{d},{m},{k},0.1" for d in (1, 2) for m in (words.eval, words.train) for k in KS]
    errors = "\n".join([f"experiment,depth,{words.mode},{words.k},error", *rows]) + "\n"
    more: dict[str, Any] = {"parameters": {"experiments": {"fast": names}}}
    if words == NOW:
        write_text(study / "study.json", json.dumps({"experiments": names}))
        more["study"] = study / "study.json"
    job(study, "tabulate", "tables", inputs, {"tables/errors.csv": errors}, **more)


def draw(
    study: Path,
    name: str = "fig02",
    table: str = "errors",
    draws: str = "error_by_k",
    words: Words = NOW,
):
    rows = [f"fast,{d},{words.eval},{k},0.1" for d in (1, 2) for k in KS[1:]]
    head = f"experiment,depth,{words.mode},{words.k},error"
    outputs = {
        f"figures/{name}.pdf": f"%PDF {name} of {table}",
        f"figures/{name}.png": f"PNG {name} of {table}",
        f"figures/{name}.csv": "\n".join([head, *rows]) + "\n",
    }
    inputs = [study / f"tables/{table}.csv"]
    job(study, "figure", name, inputs, outputs, parameters={"figure": {"draws": draws}})


RUNS = [(depth, seed) for depth in (1, 2) for seed in (0, 1)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Words], Path]:
    """Return a function that makes the finished study once in some words."""

    @cache
    def make(words: Words) -> Path:
        study = tmp_path_factory.mktemp("trace") / "results" / "tiny"
        job(study, "data", "evaluation", [], {"data/evaluation.safetensors": "sequences"})
        for run in RUNS:
            train(study, *run)
            evaluate(study, *run, words)
        tabulate(study, RUNS, words)
        draw(study, words=words)
        return study

    return make


@pytest.fixture(scope="module")
def template(made: Callable[[Words], Path]) -> Path:
    return made(NOW)


@pytest.fixture
def words() -> Words:
    return NOW


@pytest.fixture
def study(
    made: Callable[[Words], Path], words: Words, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A copy of the finished study, below the working folder."""
    shutil.copytree(made(words), tmp_path / "results" / "tiny")
    monkeypatch.chdir(tmp_path)
    return Path("results/tiny")


def trace(path: Path | str, row: str | None = None, folder: str = "results") -> dict[str, Any]:
    return Tracer(Path(folder)).trace(Path(path), row)


def files(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return each file of a trace by its name, with the key of the job that made it."""
    jobs = found["jobs"].items()
    listed = [f for _, job in jobs for kind in ("from", "with") for f in job[kind]]
    made = [f | {"job": key} for key, job in jobs for f in job["made"]]
    return {file["name"]: file for file in (*listed, *made)}


def runs(found: dict[str, Any]) -> list[str]:
    names = {name.split("/")[1] for name in files(found) if name.startswith("runs/")}
    return sorted(names)


def stages(found: dict[str, Any]) -> dict[str, int]:
    listed = [job["stage"] for job in found["jobs"].values()]
    return {stage: listed.count(stage) for stage in listed}


def page(found: dict[str, Any]) -> str:
    return as_page(found, datetime(2026, 1, 2, tzinfo=UTC))


def test_a_figure_leads_to_runs_models_data_and_surroundings(study):
    found = trace(study / "figures/fig02.pdf")
    assert found["root"]["name"] == "figures/fig02.pdf"
    names = files(found)
    assert "data/evaluation.safetensors" in names
    assert {f"runs/{run_name(*run)}/model.safetensors" for run in RUNS} <= set(names)
    assert {file["state"] for file in names.values()} == {"as recorded"}
    assert runs(found) == sorted(run_name(*run) for run in RUNS)
    assert stages(found) == {"figure": 1, "tabulate": 1, "evaluate": 4, "train": 4, "data": 1}
    kept = {file["role"].split()[0] for file in names.values()} - {"input", "output"}
    assert kept == {"source", "packages", "lock", "study"}
    job = found["jobs"][f"provenance/train/{run_name(2, 1)}.json"]
    assert job["facts"]["seed"] == {"run": 1}
    assert job["facts"]["configuration"]["run.training.steps"] == 30
    assert {"source", "packages"} <= {file["role"].split()[0] for file in job["with"]}


def test_a_record_and_a_file_of_a_run_can_be_traced(study):
    record = "provenance/tabulate/tables.json"
    found = trace(study / record)
    assert (found["root"], next(iter(found["jobs"]))) == (None, record)
    found = trace(study / "runs/fast-L1-seed0/evaluation.csv")
    assert runs(found) == ["fast-L1-seed0"]
    assert set(files(found)) >= {"runs/fast-L1-seed0/model.safetensors"}


@both
def test_a_row_leads_to_its_own_runs_alone(study, words):
    found = trace(study / "figures/fig02.csv", "k=2,L=2")
    assert runs(found) == ["fast-L2-seed0", "fast-L2-seed1"]
    assert found["rows"] is not None
    assert (found["rows"]["total"], len(found["rows"]["chosen"])) == (4, 1)
    assert list(found["rows"]["chosen"][0].values()) == ["fast", "2", words.eval, "2", "0.1"]
    # A row of a figure is one of the table that was made with it; numbers are equal as numbers.
    for path, row in (("figures/fig02.pdf", "k=2,L=2"), ("figures/fig02.csv", "k=2.0,depth=02")):
        again = trace(study / path, row)
        assert all(again[part] == found[part] for part in ("file", "states", "jobs"))
    assert runs(trace(study / "tables/errors.csv", "k=1")) == sorted(run_name(*r) for r in RUNS)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("k=7", "no row with k=7; expected {0} one of 1, 2"),
        ("k=1,L=3", "depth one of 1, 2"),
        ("colour=red", "no column 'colour' .* one of experiment, depth, {2}, {0}, error"),
        ("k", "expected COLUMN=VALUE"),
        ("k=1,{0}=1", "names {0} twice"),
    ],
)
@both
def test_a_row_that_is_not_there_is_one_line_that_says_what_is(study, row, message, words):
    row, message = row.format(*words), message.format(*words)
    with pytest.raises(AuditError, match=message) as caught:
        trace(study / "figures/fig02.csv", row)
    assert "\n" not in str(caught.value)
    with pytest.raises(AuditError, match="has no rows"):
        trace(study / "runs/fast-L1-seed0/model.safetensors", row)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("kind=run,seed=1,L=2", ["fast-L2-seed1"]),
        ("kind=depth,L=2", ["fast-L2-seed0", "fast-L2-seed1"]),
        # A fitted curve rests on all depths, a theory on none.
        ("kind=linear", [run_name(*run) for run in RUNS]),
        ("kind=theory", []),
    ],
)
@both
def test_points_laws_and_theory_of_the_depth_law_come_from_different_runs(
    study, row, expected, words
):
    names = [run_name(*run) for run in RUNS]
    off, kinds = words.eval, (("run", "2", "1"), ("depth", "2", "all"), ("linear", "1.7", ""))
    drawn = [f"fast,{off},{kind},{depth},{seed},1" for kind, depth, seed in kinds]
    head = f"experiment,{words.mode},kind,depth,seed,log2_{words.k}"
    text = "\n".join([head, *drawn, f"fast,{off},theory,2,,1"]) + "\n"
    inputs = [study / "runs" / name / "evaluation.csv" for name in names]
    parameters = {"experiments": {"fast": names}}
    job(study, "fit", "fits", inputs, {"tables/thresholds.csv": "k\n"}, parameters=parameters)
    figure = {"figure": {"draws": "depth_law"}}
    fitted = [study / "tables/thresholds.csv"]
    job(study, "figure", "law", fitted, {"figures/law.csv": text}, parameters=figure)
    assert runs(trace(study / "figures/law.csv", row)) == sorted(expected)


@both
def test_a_number_that_nobody_measured_comes_from_no_run(study, words):
    names = [run_name(*run) for run in RUNS]
    head, off = f"depth,{words.k},{words.mode},experiment,published\n", words.eval
    table = {"tables/comparison.csv": f"{head}1,1,{off},,0.2\n1,2,{off},fast,0.2\n"}
    inputs = [study / "runs" / name / "evaluation.csv" for name in names]
    job(study, "compare", "all", inputs, table, parameters={"experiments": {"fast": names}})
    assert runs(trace(study / "tables/comparison.csv", "k=1")) == []
    found = trace(study / "tables/comparison.csv", "k=2")
    assert runs(found) == ["fast-L1-seed0", "fast-L1-seed1"]
    # What its verdict rests on beside them is said.
    assert "spread of seeds" in as_text(found)


def test_a_run_without_a_record_is_known_by_its_definition(study):
    for path in study.glob("provenance/train/*.json"):
        path.unlink()
    # The file is for others: what it said is in the history.
    assert trace(study / "tables/errors.csv")["states"].keys() == {"as recorded"}
    kept = [line for line in lines_of(study) if "/train/" not in line["record"]]
    write_history(study, kept)
    found = trace(study / "tables/errors.csv", "k=1,L=2")
    assert runs(found) == ["fast-L2-seed0", "fast-L2-seed1"]
    assert files(found)["runs/fast-L2-seed1/model.safetensors"]["state"] == "no record"


def test_what_became_of_a_file_is_said(study):
    (study / "tables/errors.csv").write_text("changed")
    (study / "runs/fast-L1-seed0/model.safetensors").unlink()
    model = "runs/fast-L2-seed0/model.safetensors"
    withheld = {model: files(trace(study / model))[model]["sha256"]}
    append_entry(study, {"event": "published", "withheld": withheld})
    (study / model).unlink()
    data = study / "data/evaluation.safetensors"
    data.rename(study / "data/moved")
    data.symlink_to("moved")
    found = trace(study / "figures/fig02.pdf")
    names = files(found)
    assert {n: file["state"] for n, file in names.items() if file["state"] != "as recorded"} == {
        "tables/errors.csv": "modified",
        "runs/fast-L1-seed0/model.safetensors": "missing",
        "runs/fast-L2-seed0/model.safetensors": "withheld",
        # A link is not followed, be it to the very bytes.
        "data/evaluation.safetensors": "modified",
    }
    assert names["tables/errors.csv"]["found"] == hashlib.sha256(b"changed").hexdigest()
    assert found["states"] == {
        "as recorded": len(names) - 4,
        "withheld": 1,
        "missing": 1,
        "modified": 2,
    }
    for text in (as_text(found), page(found)):
        assert "missing" in text
        assert "withheld" in text


def test_the_history_explains_what_was_made_again_since(study):
    train(study, 2, 0, "other weights")
    evaluate(study, 2, 1)
    found = trace(study / "figures/fig02.pdf")
    file = files(found)["runs/fast-L2-seed0/model.safetensors"]
    assert file["state"] == "other version"
    assert re.fullmatch(r"provenance/train/\S+\.json \(line \d+ of the history\)", file["job"])
    assert found["jobs"][file["job"]]["state"] == "as recorded"
    # The same bytes, made again, are no other version.
    assert files(found)["runs/fast-L2-seed1/evaluation.csv"]["state"] == "as recorded"
    assert runs(found) == sorted(run_name(*run) for run in RUNS)


def test_a_record_that_was_edited_is_said_to_be(study):
    name = "provenance/tabulate/tables.json"
    text = (study / name).read_text()
    (study / name).write_text(text.replace('"fast-L1-seed0"', '"fast-L1-seed9"'))
    found = trace(study / "figures/fig02.pdf")
    assert found["jobs"][name]["state"] == "modified"
    assert "fast-L1-seed9" not in json.dumps(found), "what counts is what the history has"
    assert "its record is modified" in as_text(found)


@pytest.mark.parametrize("kind", ["pdf", "png"])
def test_a_mailed_figure_is_found_wherever_it_lies(study, tmp_path, kind):
    mailed = tmp_path / "elsewhere" / f"attachment (1).{kind}"
    mailed.parent.mkdir()
    (study / f"figures/fig02.{kind}").rename(mailed)
    found = trace(mailed)
    assert found["found"] == f"results/tiny/figures/fig02.{kind}"
    assert "found by its bytes" in as_text(found)
    assert runs(found) == sorted(run_name(*run) for run in RUNS)
    # Be it in the folder of another study, or of this one.
    shutil.copy(mailed, study / f"figures/other.{kind}")
    assert trace(study / f"figures/other.{kind}")["found"] == found["found"]


def test_a_mailed_figure_that_was_drawn_again_since_is_found_in_the_history(study, tmp_path):
    mailed = tmp_path / "old.pdf"
    mailed.write_bytes((study / "figures/fig02.pdf").read_bytes())
    write_text(study / "tables/other.csv", "experiment\nfast\n")
    draw(study, table="other")
    found = trace(mailed)
    assert found["root"]["state"] == "other version"
    assert "tables/errors.csv" in files(found)


def test_a_mailed_table_is_found_by_its_bytes(study, tmp_path):
    mailed = tmp_path / "numbers.csv"
    mailed.write_bytes((study / "tables/errors.csv").read_bytes())
    assert trace(mailed)["found"] == "results/tiny/tables/errors.csv"
    assert runs(trace(mailed, "k=1,L=2")) == ["fast-L2-seed0", "fast-L2-seed1"]
    # Rows of a table that was altered since need not be those of the one that was mailed.
    (study / "tables/errors.csv").write_bytes(mailed.read_bytes() + b"\n")
    with pytest.raises(AuditError, match=r"results/tiny/tables/errors\.csv is another now"):
        trace(mailed, "k=1")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pdf", "%PDF nothing", "a record of its bytes"),
        ("a.csv", "k\n1\n", "a record of its bytes"),
        ("results/tiny/a.csv", "k\n1\n", "a record of its bytes"),
        ("a.png", None, "no folder above it is a study"),
        ("results/tiny/a.png", None, "says how it was made"),
        ("results/tiny", None, "a folder; expected a file"),
    ],
)
def test_a_file_that_nothing_tells_of_is_one_line(study, tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(AuditError, match=message) as caught:
        trace(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


def test_json_is_complete_and_the_same_each_time(study):
    one, other = (trace(study / "figures/fig02.pdf") for _ in range(2))
    assert json.dumps(one) == json.dumps(other)
    for name, found in one["jobs"].items():
        statement = json.loads((study / name).read_text())
        build = statement["predicate"]["buildDefinition"]
        assert found["facts"]["host"]["host"]
        assert found["command"] == build["internalParameters"]["command"]
        made = {s["name"]: s["digest"]["sha256"] for s in statement["subject"]}
        listed = {file["name"]: file["sha256"] for file in found["made"]}
        assert listed
        assert listed.items() <= made.items()
        inputs = [r for r in build["resolvedDependencies"] if r["annotations"]["role"] == "input"]
        assert [file["sha256"] for file in found["from"]] == [
            resource["digest"]["sha256"] for resource in inputs
        ]


class Page(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_page_runs_no_script_and_needs_nothing_from_elsewhere(study):
    shown = Page(page(trace(study / "figures/fig02.pdf")))
    for tag, attributes in shown.tags:
        assert tag not in ("script", "link", "iframe", "object", "base", "form")
        assert not [a for a in attributes if a.startswith("on") or a == "style"]
        assert not {"href", "src"} & set(attributes)
    policy = next(a["content"] for _, a in shown.tags if "http-equiv" in a)
    assert policy is not None
    assert policy.startswith("default-src 'none'; base-uri 'none'")
    assert "unsafe" not in policy


def test_what_records_hold_is_text_on_a_page_and_on_a_terminal(study):
    name = f"tables/{HOSTILE.replace('/', '|')}.csv"
    parameters = {HOSTILE: HOSTILE, "experiments": {HOSTILE: ["fast-L1-seed0"]}}
    inputs = [study / "runs/fast-L1-seed0/evaluation.csv"]
    table = {name: f'k\n"{HOSTILE}"\n'}
    job(study, "tabulate", "x<script>", inputs, table, parameters=parameters)
    found = trace(study / name, f"k={HOSTILE}")
    shown = Page(page(found))
    harmless = Page(page(trace(study / "tables/errors.csv", ["k=1", "=1,depth=1"][0])))
    # No element and no attribute that a page of a harmless record does not have.
    assert {tag for tag, _ in shown.tags} <= {tag for tag, _ in harmless.tags}
    assert {a for _, attributes in shown.tags for a in attributes} <= {
        a for _, attributes in harmless.tags for a in attributes
    }
    for text in (shown.text, as_text(found)):
        assert "\x1b" not in text
        assert "\\x1b[31m\\nverdict: verified" in re.sub(r"\n +", "", text)
        assert not re.search("^verdict", text, re.M)


def test_the_title_of_a_study_is_text_in_the_report(root):
    template = Environment().from_string((root / "workflow/report/study.rst").read_text())
    titles = (
        "A study",
        "x**\n\n.. raw:: html\n\n   <b>",
        "`a <b:c>`_ |x| \\ *",
        "{{ 1 }}",
        HOSTILE,
    )
    for title in titles:
        text = template.render(snakemake=SimpleNamespace(config={"title": title}))
        found = docutils.core.publish_doctree(text, settings_overrides={"report_level": 1})
        first = found.children[0]
        assert [child.tagname for child in first.children] == ["strong"]
        assert "".join(first.astext().split()) == "".join(
            "".join(c for c in title if c.isprintable()).split()
        )
        plain = template.render(snakemake=SimpleNamespace(config={"title": "A study"}))
        assert len(found.children) == len(docutils.core.publish_doctree(plain).children)


def test_each_file_has_a_page_of_its_own(study, tmp_path):
    draw(study, name="Fig02")
    figures = [f"results/tiny/figures/{name}" for name in ("fig02.png", "fig02.csv", "Fig02.csv")]
    for one, other in itertools.combinations(figures, 2):
        refused = logdepth(study, "trace", one, other, "--pages", "pages")
        assert "expected files of different names" in refused.stderr
        assert not (tmp_path / "pages").exists()
    draw(study, name="fig03")
    files = [figures[0], "results/tiny/figures/fig03.csv"]
    assert logdepth(study, "trace", *files, files[0], "--pages", "pages").returncode == 0
    pages = {path.name: Page(path.read_text()).text for path in (tmp_path / "pages").iterdir()}
    assert sorted(pages) == ["fig02.html", "fig03.html"]
    assert f"Trace of {files[0]}" in pages["fig02.html"]
    assert f"Trace of {files[1]}" in pages["fig03.html"]


def synthetic(study: Path, jobs: dict[str, tuple[list[str], list[str]]], name: str) -> None:
    """Write records like a given one, of jobs by their name, with inputs and outputs."""
    base = json.loads((study / name).read_text())
    previous, lines = None, []
    for job_name, (inputs, outputs) in jobs.items():
        build = base["predicate"]["buildDefinition"]
        kept = [r for r in build["resolvedDependencies"] if r["annotations"]["role"] != "input"]
        digests = {o: hashlib.sha256(o.encode()).hexdigest() for o in (*inputs, *outputs)}
        named = [{"name": i, "digest": {"sha256": digests[i]}} for i in inputs]
        build["resolvedDependencies"] = [
            *kept,
            *({**resource, "annotations": {"role": "input"}} for resource in named),
        ]
        base["subject"] = [{"name": o, "digest": {"sha256": digests[o]}} for o in outputs]
        text = json.dumps(base, indent=1, sort_keys=True) + "\n"
        record = f"provenance/{job_name}.json"
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        time = base["predicate"]["runDetails"]["metadata"]["finishedOn"]
        line = {"time": time, "record": record, "sha256": sha256, "statement": base}
        for path, content in {record: text, **{o: o for o in outputs}}.items():
            (study / path).parent.mkdir(parents=True, exist_ok=True)
            (study / path).write_text(content)
        lines.append(canonical_json({**line, "previous": previous}))
        previous = hashlib.sha256(lines[-1].encode()).hexdigest()
    (study / "provenance/history.jsonl").write_text("".join(f"{line}\n" for line in lines))


def test_a_chain_of_2000_jobs_is_traced_to_its_start(study, monkeypatch):
    steps = {
        f"fit/{i}": ([f"tables/t{i - 1}.csv"] if i else [], [f"tables/t{i}.csv"])
        for i in range(2000)
    }
    synthetic(study, steps, "provenance/tabulate/tables.json")
    found = trace(study / "tables/t1999.csv")
    assert len(found["jobs"]) == 2000
    assert found["states"] == {"as recorded": len(files(found))}
    assert "2000 jobs" in as_text(found)
    assert len(page(found)) < 1_000_000


def test_a_page_of_300_runs_is_below_a_megabyte(study):
    runs = [f"fast-attention-L4-H4-m64-seed{i}-{i:08x}" for i in range(300)]
    steps = {f"train/{run}": ([], [f"runs/{run}/model", f"runs/{run}/run.json"]) for run in runs}
    steps |= {
        f"evaluate/{run}": ([f"runs/{run}/model"], [f"runs/{run}/evaluation.csv"]) for run in runs
    }
    tables = [f"runs/{run}/{file}" for run in runs for file in ("run.json", "evaluation.csv")]
    steps["tabulate/tables"] = (tables, ["tables/all.csv"])
    synthetic(study, steps, f"provenance/train/{run_name(1, 0)}.json")
    found = trace(study / "tables/all.csv")
    assert len(found["jobs"]) == 601
    assert len(page(found)) < 500_000


ODD = (None, True, -1, 1e300, "", HOSTILE, "\ud800", [], [1, [2]], {}, {"a": {"b": []}}, "x" * 5000)


@settings(max_examples=60)
@given(place=st.integers(0, 10_000), odd=st.sampled_from(ODD), renamed=st.booleans())
def test_any_value_in_a_record_is_shown_or_refused_in_one_line(template, place, odd, renamed):
    entries = lines_of(template)
    text = (template / HISTORY).read_text()
    (line,) = (line for line in entries if line["record"] == "provenance/tabulate/tables.json")
    statement = line["statement"]
    spots: list[tuple[Any, Any]] = []
    waiting = [statement]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict | list):
            keys = list(value) if isinstance(value, dict) else range(len(value))
            spots += [(value, key) for key in keys]
            waiting += [value[key] for key in keys]
    holder, key = spots[place % len(spots)]
    if renamed and isinstance(holder, dict):
        holder[str(odd)] = holder[key]
    holder[key] = odd
    refused = ""
    try:
        write_history(template, entries)
        for row in (None, "k=1"):
            found = trace(template / "figures/fig02.csv", row, str(template.parent))
            assert "\x1b" not in as_text(found)
            assert len(Page(page(found)).tags) > 10
            json.dumps(found, indent=1)
    except AuditError as error:
        refused = str(error)
    finally:
        (template / HISTORY).write_text(text)
    assert "\n" not in refused


def test_records_in_a_circle_end(study):
    for one, other in (("a", "b"), ("b", "a"), ("a", "b")):
        write_text(study / f"tables/{other}.csv", "k\n1\n")
        job(study, "fit", one, [study / f"tables/{other}.csv"], {f"tables/{one}.csv": "k\n1\n"})
    for row in (None, "k=1"):
        found = trace(study / "tables/a.csv", row)
        assert {"tables/a.csv", "tables/b.csv"} <= set(files(found))
        assert "2 jobs" in as_text(found)


def logdepth(study: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "logdepth", "audit", *arguments]
    folder = study.resolve().parent.parent
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_command_prints_steps_and_json_and_writes_a_page(study, tmp_path):
    done = logdepth(study, "trace", "results/tiny/figures/fig02.pdf")
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 100
    for text in (*(run_name(*run) for run in RUNS), "evaluation.safetensors", "commit"):
        assert text in done.stdout
    # What all jobs have in common is said once.
    for once in (r"\bpackages\s", r"\bpython\s"):
        assert len(re.findall(once, done.stdout)) == 1
    assert len(re.findall(r"^\d\. ", done.stdout, re.M)) == 5
    done = logdepth(study, "trace", "results/tiny/figures/fig02.pdf", "--json")
    assert json.loads(done.stdout)["root"]["name"] == "figures/fig02.pdf"
    figure = "results/tiny/figures/fig02.png"
    assert logdepth(study, "trace", figure, "--pages", ".").returncode == 0
    assert "fig02.png" in (tmp_path / "fig02.html").read_text()
    done = logdepth(study, "trace", figure, "results/tiny/tables/errors.csv", figure)
    titles = re.findall(r"^results/\S+ · as recorded$", done.stdout, re.M)
    assert titles == [
        f"{name} · as recorded" for name in (figure, "results/tiny/tables/errors.csv")
    ]


def test_tracing_imports_neither_snakemake_nor_torch(study):
    code = (
        "import sys; from datetime import datetime; from pathlib import Path\n"
        "from audit_trail.tracing.show import as_page\n"
        "from audit_trail.tracing.trace import Tracer\n"
        "from audit_trail.project import use\n"
        "from logdepth.audited import PROJECT\n"
        "use(PROJECT)\n"
        "tracer = Tracer(Path('results'))\n"
        "found = tracer.trace(Path('results/tiny/figures/fig02.pdf'))\n"
        "as_page(found, datetime.now())\n"
        "print({'snakemake', 'torch', 'rich', 'pandas', 'pydantic'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_letters_give_way_to_columns_of_that_name(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("k,hops\n1,2\n")
    for asked in ("k=1", "k=1.0"):
        assert choose(table, tmp_path, asked, {"k": "hops"})["chosen"] == [{"k": "1", "hops": "2"}]
