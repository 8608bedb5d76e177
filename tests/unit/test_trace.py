"""Traces of a small study that was made by hand, record by record."""

import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_trail.study import open_study
from audit_trail.tracing.narrowing import narrow
from audit_trail.tracing.nodes import Lineage, Node
from audit_trail.tracing.page import page, write_page
from audit_trail.tracing.rows import Table, choose, matching, parse_conditions, read_rows, same
from audit_trail.tracing.states import Files
from audit_trail.tracing.trace import Trace, Tracer
from audit_trail.tracing.tree import print_tree
from logdepth.errors import UserError
from logdepth.files import write_text
from logdepth.provenance.job import Job
from logdepth.provenance.record import append_entry, recorded


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
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\x1b[31m"


def job(
    folder: Path, stage: str, name: str, inputs: list[Path], outputs: dict[str, str], **more: Any
):
    """Run a job that writes texts; {mark} in one of them becomes the mark."""
    record = folder / "provenance" / stage / f"{name}.json"
    paths = [folder / output for output in outputs]
    made = Job(stage, ("logdepth.files",), more.pop("parameters", {}), more.pop("seeds", {}))
    files: dict[str, Any] = {"inputs": inputs, "outputs": paths, "record": record}
    with recorded(made, **files, definition=made.definition(), **more) as mark:
        for path, text in zip(paths, outputs.values(), strict=True):
            write_text(path, text.replace("{mark}", str(mark)))


def run_name(depth: int, seed: int) -> str:
    return f"fast-L{depth}-seed{seed}"


def train(study: Path, depth: int, seed: int, weights: str = "weights") -> None:
    run = {
        "model": {"depth": depth, "heads": 2, "width": 16},
        "training": {"samples": None, "steps": 30},
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
        f"figures/{name}.pdf": "%PDF {mark} drawn",
        f"figures/{name}.png": "PNG {mark} drawn",
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


def trace(path: Path | str, row: str | None = None, folder: str = "results") -> Trace:
    return Tracer(Path(folder)).trace(Path(path), row)


def reached(lineage: Lineage) -> Iterator[Node]:
    seen: set[str] = set()
    waiting = [lineage.root]
    while waiting:
        node = waiting.pop()
        if node.key not in seen:
            seen.add(node.key)
            waiting += node.children
            yield node


def by_name(found: Trace) -> dict[str, Node]:
    return {node.name: node for node in reached(found.lineage) if node.name}


def kinds(found: Trace, kind: str) -> list[str]:
    return sorted(node.title for node in reached(found.lineage) if node.kind == kind)


def test_a_figure_leads_to_runs_models_data_and_surroundings(study):
    found = trace(study / "figures/fig02.pdf")
    assert found.lineage.root.name == "figures/fig02.pdf"
    assert {node.key for node in reached(found.lineage)} == set(found.lineage.nodes)
    names = by_name(found)
    assert "data/evaluation.safetensors" in names
    assert {f"runs/{run_name(*run)}/model.safetensors" for run in RUNS} <= set(names)
    assert {node.state for node in names.values()} == {"as recorded"}
    assert kinds(found, "run") == sorted(run_name(*run) for run in RUNS)
    assert len(kinds(found, "environment")) == len(kinds(found, "machine")) == 1
    jobs = [node for node in reached(found.lineage) if node.kind == "job"]
    assert len(jobs) == 3 + 2 * len(RUNS)
    for node in jobs:
        assert node.record in found.lineage.records
        assert {"code", "source", "environment", "machine"} <= {c.kind for c in node.children}
    run = next(node for node in reached(found.lineage) if node.title == "fast-L2-seed1")
    assert (run.facts["depth"], run.facts["seed"], run.facts["device"]) == (2, 1, "cpu")
    assert run.facts["training.steps"] == 30


def test_a_record_and_a_file_of_a_run_can_be_traced(study):
    assert trace(study / "provenance/tabulate/tables.json").lineage.root.kind == "job"
    found = trace(study / "runs/fast-L1-seed0/evaluation.csv")
    assert set(by_name(found)) >= {"runs/fast-L1-seed0/model.safetensors"}
    assert not [name for name in by_name(found) if "L2" in name]


@both
def test_a_row_leads_to_its_own_runs_and_rows_alone(study, words):
    found = trace(study / "figures/fig02.csv", "k=2,L=2")
    assert kinds(found, "run") == ["fast-L2-seed0", "fast-L2-seed1"]
    names = by_name(found)
    assert names["figures/fig02.csv"].facts["rows"] == "1 of 4"
    assert names["tables/errors.csv"].facts["rows"] == "1 of 12"
    evaluation = names["runs/fast-L2-seed1/evaluation.csv"]
    # With dropout off, as the row says, and the one k of three.
    assert evaluation.facts["rows"] == f"{SEQUENCES} of {2 * len(KS) * SEQUENCES}"
    assert found.rows is not None
    assert found.rows.rows == (("fast", "2", words.eval, "2", "0.1"),)


@both
def test_a_row_of_a_pdf_is_one_of_the_table_beside_it(study, words):
    one, other = (
        trace(study / "figures/fig02.pdf", "k=1,L=1"),
        trace(study / "figures/fig02.csv", f"{words.k}=1.0,depth=01"),
    )
    assert one.lineage.nodes.keys() == other.lineage.nodes.keys()


@both
def test_each_chosen_row_narrows_by_itself(study, words):
    # Depth 1 at k = 1 and depth 2 at k = 2 do not mean depth 1 at k = 2.
    opened = open_study(study)
    table = read_rows(study / "figures/fig02.csv")
    places = {i for i, row in enumerate(table.rows) if row[1] == row[3]}
    assert len(places) == 2
    rows = narrow(opened, Files(opened), "figures/fig02.csv", places).rows
    for depth in (1, 2):
        name = f"runs/{run_name(depth, 0)}/evaluation.csv"
        chosen = [read_rows(study / name).rows[i] for i in rows[name][0]]
        assert {(row[0], row[1]) for row in chosen} == {(words.eval, str(depth))}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("k=7", "no row with {0}=7; expected {0} one of 1, 2"),
        ("k=1,L=3", "depth one of 1, 2"),
        ("colour=red", "no column 'colour' .* one of experiment, depth, {2}, {0}, error"),
        ("k", "expected COLUMN=VALUE"),
        ("k=1,{0}=1", "names {0} twice"),
    ],
)
@both
def test_a_row_that_is_not_there_is_one_line_that_says_what_is(study, row, message, words):
    row, message = row.format(*words), message.format(*words)
    with pytest.raises(UserError, match=message) as caught:
        trace(study / "figures/fig02.csv", row)
    assert "\n" not in str(caught.value)


def test_a_model_has_no_rows(study):
    with pytest.raises(UserError, match="has no rows"):
        trace(study / "runs/fast-L1-seed0/model.safetensors", "k=1")


@both
def test_the_best_of_all_j_rests_on_all_of_them(study, words):
    cells = [f"{k},{j},0.{j}" for k in (1, 2) for j in (1, 2, 3)]
    head = f"{words.k},{words.j},cosine\n"
    table = head + "\n".join(cells) + "\n"
    job(study, "attention", "a", [], {"runs/fast-L1-seed0/alignment.csv": table})
    best = {"figures/fig14.csv": f"{head}1,3,0.3\n2,3,0.3\n"}
    inputs = [study / "runs/fast-L1-seed0/alignment.csv"]
    for draws, rows in (("best_alignment", "3 of 6"), ("alignment", "1 of 6")):
        job(study, "figure", "fig14", inputs, best, parameters={"figure": {"draws": draws}})
        names = by_name(trace(study / "figures/fig14.csv", "k=1"))
        assert names["runs/fast-L1-seed0/alignment.csv"].facts["rows"] == rows


@pytest.mark.parametrize(
    ("row", "tables", "runs"),
    [
        ("kind=run,seed=1,L=2", {"tables/thresholds.csv": "1 of 8"}, ["fast-L2-seed1"]),
        (
            "kind=depth,L=2",
            {"tables/thresholds.csv": "1 of 8"},
            ["fast-L2-seed0", "fast-L2-seed1"],
        ),
        ("kind=linear", {"tables/scaling.csv": "1 of 2"}, [run_name(*run) for run in RUNS]),
        ("kind=theory", {}, []),
    ],
)
@both
def test_points_laws_and_theory_of_the_depth_law_come_from_different_tables(
    study, row, tables, runs, words
):
    mode, off = words.mode, words.eval
    names = [run_name(*run) for run in RUNS]
    seeds = [(d, s, t) for d in (1, 2) for s in ("1", "all") for t in ("0.1", "0.05")]
    thresholds = "".join(f"fast,{d},{off},{s},{t},1\n" for d, s, t in seeds)
    scaling = f"fast,{off},linear,1,0.1\nfast,{off},power,1,0.1\n"
    head = f"experiment,depth,{mode},seed,threshold,log2_{words.k}\n"
    fits = {
        "tables/thresholds.csv": head + thresholds,
        "tables/scaling.csv": f"experiment,{mode},growth,slope,threshold\n{scaling}",
    }
    inputs = [study / "runs" / name / "evaluation.csv" for name in names]
    job(study, "fit", "fits", inputs, fits, parameters={"experiments": {"fast": names}})
    drawn = f"fast,{off},run,2,1,1\nfast,{off},depth,2,all,1\nfast,{off},linear,1.7,,1\n"
    head = f"experiment,{mode},kind,depth,seed,log2_{words.k}\n"
    figure = {"figures/law.csv": f"{head}{drawn}fast,{off},theory,2,,1\n"}
    inputs = [study / name for name in fits]
    job(study, "figure", "law", inputs, figure, parameters={"figure": {"draws": "depth_law"}})
    found = trace(study / "figures/law.csv", row)
    rows = {n.name: n.facts.get("rows") for n in reached(found.lineage) if n.kind == "table"}
    assert rows == tables
    assert kinds(found, "run") == sorted(runs)
    figure_job = found.lineage.nodes["job:provenance/figure/law.json"]
    assert "and no more" in figure_job.facts["for this row"]


@both
def test_a_number_that_nobody_measured_comes_from_no_run(study, words):
    names = [run_name(*run) for run in RUNS]
    head, off = f"depth,{words.k},{words.mode},experiment,published\n", words.eval
    table = {"tables/comparison.csv": f"{head}1,1,{off},,0.2\n1,2,{off},fast,0.2\n"}
    inputs = [study / "runs" / name / "evaluation.csv" for name in names]
    job(study, "compare", "all", inputs, table, parameters={"experiments": {"fast": names}})
    assert kinds(trace(study / "tables/comparison.csv", "k=1"), "run") == []
    measured = kinds(trace(study / "tables/comparison.csv", "k=2"), "run")
    assert measured == ["fast-L1-seed0", "fast-L1-seed1"]


def test_a_run_without_a_record_is_known_by_its_definition(study):
    for path in study.glob("provenance/train/*.json"):
        path.unlink()
    found = trace(study / "tables/errors.csv", "k=1,L=2")
    assert kinds(found, "run") == ["fast-L2-seed0", "fast-L2-seed1"]
    run = next(node for node in reached(found.lineage) if node.kind == "run")
    assert (run.state, run.facts["depth"]) == ("no record", 2)
    assert "no record" in run.facts["made by"]


def test_what_became_of_a_file_is_said(study):
    (study / "tables/errors.csv").write_text("changed")
    (study / "runs/fast-L1-seed0/model.safetensors").unlink()
    model = study / "runs/fast-L2-seed0/model.safetensors"
    withheld = {"runs/fast-L2-seed0/model.safetensors": trace(model).lineage.root.sha256}
    append_entry(study, {"event": "published", "withheld": withheld})
    model.unlink()
    data = study / "data/evaluation.safetensors"
    data.rename(study / "data/moved")
    data.symlink_to("moved")
    found = trace(study / "figures/fig02.pdf")
    names = by_name(found)
    states = {name: node.state for name, node in names.items() if node.state != "as recorded"}
    assert states == {
        "tables/errors.csv": "modified",
        "runs/fast-L1-seed0/model.safetensors": "missing",
        "runs/fast-L2-seed0/model.safetensors": "withheld",
        # A link is not followed, be it to the very bytes.
        "data/evaluation.safetensors": "modified",
    }
    runs = {node.title: node.state for node in reached(found.lineage) if node.kind == "run"}
    assert (runs["fast-L1-seed0"], runs["fast-L2-seed1"]) == ("missing", "as recorded")
    assert found.lineage.states() == {
        "as recorded": len(names) - 4,
        "withheld": 1,
        "missing": 1,
        "modified": 2,
    }


def test_an_input_that_was_made_again_since_is_another_version(study):
    train(study, 2, 0, "other weights")
    evaluate(study, 2, 1)
    found = trace(study / "figures/fig02.pdf")
    node = by_name(found)["runs/fast-L2-seed0/model.safetensors"]
    assert node.state == "other version"
    assert node.facts["sha256 of its record now"] != node.sha256
    # The history still knows how that version was made.
    assert re.fullmatch(
        r"provenance/train/fast-L2-seed0.json \(line \d+ of the history\)", node.record
    )
    assert [child.kind for child in node.children] == ["job"]
    # The same bytes, made again, are no other version.
    assert by_name(found)["runs/fast-L2-seed1/evaluation.csv"].state == "as recorded"


def test_a_file_whose_record_was_deleted_is_explained_by_the_history(study):
    (study / "provenance/tabulate/tables.json").unlink()
    node = by_name(trace(study / "figures/fig02.pdf"))["tables/errors.csv"]
    assert node.state == "no record"
    assert "of the history" in node.record
    assert node.children


def test_a_record_that_was_edited_is_said_to_be(study):
    record = study / "provenance/tabulate/tables.json"
    record.write_text(record.read_text().replace('"fast-L1-seed0"', '"fast-L1-seed9"'))
    found = trace(study / "figures/fig02.pdf")
    node = found.lineage.nodes["job:provenance/tabulate/tables.json"]
    assert (node.state, node.facts["record"]) == ("modified", "not as in the history")


@pytest.mark.parametrize("kind", ["pdf", "png"])
def test_a_mailed_figure_is_found_by_its_mark_wherever_it_lies(study, tmp_path, kind):
    mailed = tmp_path / "elsewhere" / f"attachment (1).{kind}"
    mailed.parent.mkdir()
    (study / f"figures/fig02.{kind}").rename(mailed)
    found = trace(mailed)
    root = found.lineage.root
    assert root.state == "as recorded"
    assert root.facts["recorded as"] == f"results/tiny/figures/fig02.{kind}"
    assert len(kinds(found, "run")) == len(RUNS)
    mailed.write_bytes(mailed.read_bytes() + b" and a little more")
    root = trace(mailed).lineage.root
    assert root.state == "modified"
    assert root.facts["found by"] == "the mark in its metadata"
    assert root.facts["bytes"].startswith("not the recorded ones")


def test_a_mailed_figure_that_was_drawn_again_since_is_found_in_the_history(study, tmp_path):
    mailed = tmp_path / "old.pdf"
    mailed.write_bytes((study / "figures/fig02.pdf").read_bytes())
    write_text(study / "tables/other.csv", "experiment\nfast\n")
    draw(study, table="other")
    found = trace(mailed)
    assert found.lineage.root.state == "as recorded"
    version = found.lineage.root.children[0]
    assert version.state == "other version"
    assert "tables/errors.csv" in by_name(found)


def test_a_mailed_table_is_found_by_its_bytes(study, tmp_path):
    mailed = tmp_path / "numbers.csv"
    mailed.write_bytes((study / "tables/errors.csv").read_bytes())
    found = trace(mailed)
    assert found.lineage.root.facts["found by"] == "its bytes"
    assert kinds(trace(mailed, "k=1,L=2"), "run") == ["fast-L2-seed0", "fast-L2-seed1"]
    # Rows of an altered figure need not be those of the table beside the recorded one.
    altered = tmp_path / "altered.pdf"
    altered.write_bytes((study / "figures/fig02.pdf").read_bytes() + b"altered")
    with pytest.raises(UserError, match=r"not the same as results/tiny/figures/fig02\.pdf"):
        trace(altered, "k=1")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pdf", "%PDF nothing", "no mark in its metadata"),
        (
            "a.pdf",
            f"%PDF logdepth definition={'a' * 64} inputs={'b' * 64}",
            "the record of its mark .definition aaaaaaaaaaaa, inputs bbbbbbbbbbbb.* --in",
        ),
        ("a.csv", "k\n1\n", "a record of its bytes"),
        ("results/tiny/a.csv", "k\n1\n", "says how it was made"),
        ("a.png", None, "no such file"),
        ("results/tiny/a.png", None, "says how it was made"),
        ("results/tiny", None, "a folder; expected a file"),
    ],
)
def test_a_file_that_nothing_tells_of_is_one_line(study, tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        trace(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


def test_json_is_complete_and_the_same_each_time(study):
    one, other = (trace(study / "figures/fig02.pdf").as_json() for _ in range(2))
    assert json.dumps(one) == json.dumps(other)
    nodes = {node["key"]: node for node in one["nodes"]}
    assert one["root"] in nodes
    assert {child for node in nodes.values() for child in node["children"]} <= set(nodes)
    assert {node["record"] for node in nodes.values()} - {None} == set(one["records"])
    # What the records say of files is all there.
    for name, statement in one["records"].items():
        assert statement == json.loads((study / name).read_text())
        for subject in statement["subject"]:
            node = nodes.get(f"file:{subject['name']}")
            assert node is None or node["sha256"] == subject["digest"]["sha256"]


class Page(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] == "script":
            self.scripts[-1] += data


def read_page(found: Trace, path: Path) -> Page:
    write_page(found, path)
    return Page(path.read_text(encoding="utf-8"))


def test_a_page_needs_nothing_from_elsewhere_and_can_be_walked_by_keys(study, tmp_path):
    shown = read_page(trace(study / "figures/fig02.pdf"), tmp_path / "page.html")
    for tag, attributes in shown.tags:
        assert tag not in ("link", "iframe", "object", "base", "form")
        assert not [a for a in attributes if a.startswith("on") or a == "style"]
        assert (attributes.get("src") or "data:").startswith("data:")
        assert "href" not in attributes
    items = [a for _, a in shown.tags if a.get("role") == "treeitem"]
    embedded = json.loads(shown.scripts[0])
    assert {a["data-key"] for a in items} == set(embedded["nodes"])
    assert {a["tabindex"] for a in items} == {"-1"}
    policy = next(a["content"] for _, a in shown.tags if "http-equiv" in a)
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy


def test_what_records_hold_does_no_harm_on_a_page(study, tmp_path):
    outputs = {f"tables/{'<b onclick=x>'}.csv": "k\n</script><b>\n"}
    parameters = {HOSTILE: HOSTILE, "experiments": {HOSTILE: ["fast-L1-seed0"]}}
    inputs = [study / "runs/fast-L1-seed0/evaluation.csv"]
    job(study, "tabulate", "x<script>", inputs, outputs, parameters=parameters)
    found = trace(study / next(iter(outputs)), "k=</script><b>")
    shown = read_page(found, tmp_path / "page.html")
    harmless = read_page(trace(study / "tables/errors.csv", "k=1"), tmp_path / "other.html")
    # No element and no attribute that a page of a harmless record does not have.
    assert {tag for tag, _ in shown.tags} == {tag for tag, _ in harmless.tags}
    assert len(shown.scripts) == 2
    assert shown.scripts[1] == harmless.scripts[1]
    node = json.loads(shown.scripts[0])["nodes"]["job:provenance/tabulate/x<script>.json"]
    assert node["facts"][HOSTILE] == HOSTILE


def test_a_terminal_sees_no_control_characters_of_records(study):
    job(
        study,
        "tabulate",
        "x",
        [],
        {"tables/x.csv": "k\n1\n"},
        parameters={"title": HOSTILE[-9:]},
    )
    done = logdepth(study, "trace", "results/tiny/tables/x.csv")
    assert "\x1b" not in done.stdout
    assert "\\x1b[31m" in done.stdout


ODD = (None, True, -1, 1e300, "", HOSTILE, "\ud800", [], [1, [2]], {}, {"a": {"b": []}}, "x" * 5000)


@settings(max_examples=40)
@given(place=st.integers(0, 10_000), odd=st.sampled_from(ODD), renamed=st.booleans())
def test_any_value_in_a_record_is_shown_or_refused_in_one_line(template, place, odd, renamed):
    record = template / "provenance/tabulate/tables.json"
    text = record.read_text()
    statement = json.loads(text)
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
        record.write_text(json.dumps(statement))
        for row in (None, "k=1"):
            found = trace(template / "figures/fig02.csv", row, str(template.parent))
            print_tree(found, io.StringIO())
            page(found, datetime.now(UTC))
            json.dumps(found.as_json(), indent=1)
    except UserError as error:
        refused = str(error)
    finally:
        record.write_text(text)
    assert "\n" not in refused


def test_a_record_that_cannot_be_shown_is_refused(study):
    value = "[" * 60 + "]" * 60
    record = study / "provenance/tabulate/tables.json"
    record.write_text(record.read_text().replace('"fast":', f'"odd": {value}, "fast":'))
    with pytest.raises(UserError, match=r"provenance/tabulate/tables.json: nested more than"):
        trace(study / "figures/fig02.csv")


def test_records_in_a_circle_end(study):
    for one, other in (("a", "b"), ("b", "a"), ("a", "b")):
        write_text(study / f"tables/{other}.csv", "k\n1\n")
        job(study, "fit", one, [study / f"tables/{other}.csv"], {f"tables/{one}.csv": "k\n1\n"})
    for row in (None, "k=1"):
        names = by_name(trace(study / "tables/a.csv", row))
        assert {"tables/a.csv", "tables/b.csv"} <= set(names)
    assert logdepth(study, "trace", "results/tiny/tables/a.csv").returncode == 0


def logdepth(study: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "logdepth", "audit", *arguments]
    folder = study.resolve().parent.parent
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_command_prints_a_tree_json_and_pages(study, tmp_path):
    done = logdepth(study, "trace", "results/tiny/figures/fig02.pdf")
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 100
    for text in (*(run_name(*run) for run in RUNS), "evaluation.safetensors", "commit "):
        assert text in done.stdout
    # Shared things are described once.
    assert done.stdout.count("sequences") <= 1
    assert len(re.findall(r"^environment 1$", done.stdout, re.M)) == 1
    done = logdepth(study, "trace", "results/tiny/figures/fig02.pdf", "--json")
    assert json.loads(done.stdout)["root"] == "file:figures/fig02.pdf"
    files = [f"results/tiny/figures/fig02.{kind}" for kind in ("png", "csv")]
    assert logdepth(study, "trace", files[0], "--html", "one.html").returncode == 0
    assert logdepth(study, "trace", *files[:1], "--pages", "pages").returncode == 0
    assert sorted(p.name for p in tmp_path.glob("**/*.html")) == ["fig02.html", "one.html"]
    refused = logdepth(study, "trace", *files)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)


def test_tracing_imports_neither_snakemake_nor_torch_and_rich_for_the_terminal_alone(study):
    code = (
        "import sys; from pathlib import Path\n"
        "from audit_trail.tracing.page import write_page\n"
        "from audit_trail.tracing.trace import Tracer\n"
        "found = Tracer(Path('results')).trace(Path('results/tiny/figures/fig02.pdf'))\n"
        "write_page(found, Path('page.html'))\n"
        "print({'snakemake', 'torch', 'rich', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


CELL = st.sampled_from(["0", "0.0", "1", "2", "all", "", "eval"])


@given(
    chosen=st.lists(st.fixed_dictionaries({"depth": CELL, "seed": CELL, "k": CELL}), max_size=4),
    rows=st.lists(st.tuples(CELL, CELL, CELL), max_size=8),
)
def test_rows_match_as_a_plain_search_says(chosen, rows):
    table = Table(("seed", "k", "error"), tuple(rows))
    pooled = {"seed": any(r[0] == "all" for r in rows), "k": any(r[1] == "all" for r in rows)}

    def agrees(key: str, value: str, cell: str) -> bool:
        return same(value, cell) or value == "" or (value == "all" and not pooled[key])

    expected = {
        i
        for i, (seed, k, _) in enumerate(rows)
        if any(agrees("seed", c["seed"], seed) and agrees("k", c["k"], k) for c in chosen)
    }
    assert (matching(chosen, table) or set()) == expected


def test_tables_without_common_columns_are_used_whole():
    assert matching([{"setting": "heads"}], Table(("k",), (("1",),))) is None


def test_letters_give_way_to_columns_of_that_name(tmp_path):
    table = Table(("k", "hops"), (("1", "2"),))
    assert parse_conditions("k=1", tmp_path, table) == {"k": "1"}
    assert choose(table, {"k": "1.0"}, tmp_path) == [0]
