"""Exports of small studies: as a crate, as PROV, and for double-blind review."""

import getpass
import hashlib
import itertools
import json
import os
import shutil
import socket
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from prov.model import ProvDocument
from typer.testing import CliRunner

from audit_trail.chain import Checks
from audit_trail.export import names
from audit_trail.export.anonymous import anonymised, write_anonymous
from audit_trail.export.crate.write import write_crate
from audit_trail.export.people import read_citation
from audit_trail.export.prov import provenance, write_prov
from audit_trail.findings import Problem, State
from audit_trail.repository import Repository
from audit_trail.study import open_study
from audit_trail.verify import verify
from logdepth.canonical import canonical_json
from audit_trail.commands import export
from logdepth.errors import UserError
from logdepth.files import sha256_of, write_text
from logdepth.provenance import environment
from logdepth.provenance.image import VARIABLE
from logdepth.provenance.job import Job
from logdepth.provenance.record import append_entry, recorded
from offline_validator import fill_cache, problems, validated

CITATION = """\
cff-version: 1.2.0
title: some code
license: MIT
repository-code: https://example.org/code
authors:
  - given-names: Ada
    family-names: Lovelace
    orcid: https://orcid.org/0000-0002-1825-0097
  - name: The Analytical Society
references:
  - type: article
    title: Notes
    doi: 10.1000/1
    journal: Scientific Memoirs
    year: 1843
    authors: [{given-names: Luigi, name-particle: von, family-names: Menabrea}]
"""
SECRET = "hunter2hunter2"
IMAGE = "f" * 64


@pytest.fixture(scope="module", autouse=True)
def machine() -> Iterator[None]:
    """A machine whose names stand in no file by chance."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "gethostname", lambda: "node7.example.org")
        patch.setattr(getpass, "getuser", lambda: "adalove")
        patch.setattr(Path, "home", classmethod(lambda cls: Path("/home/adalove")))
        yield


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a checkout, and a study of three jobs.

    One was typed by hand and read a file from elsewhere, one was run by the workflow, and one by
    the workflow in an image on a cluster.
    """
    base = tmp_path_factory.mktemp("original")
    checkout, study = base / "checkout", base / "tiny"
    write_text(checkout / "CITATION.cff", CITATION)
    write_text(checkout / "LICENSE", "As you like it.\n")
    write_text(checkout / "Snakefile", "rule all: ...\n")
    write_text(checkout / "config" / "tiny.yaml", "title: 'A title'\n")
    write_text(checkout / "config" / "published.csv", "k,error\n1,0.5\n")
    elsewhere = base / "home of somebody" / "weights.pt"
    write_text(elsewhere, "weights")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MY_SECRET_TOKEN", SECRET)
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        patch.chdir(checkout)
        patch.setattr("sys.argv", ["logdepth", "data", str(elsewhere), "--x=../up/to/x.csv"])
        run_job(study, "data", "a", [elsewhere], ["data/a.txt"], by_hand=True)
        inputs = [study / "data/a.txt", Path("config/published.csv")]
        write_text(study / "study.json", '{"study":"tiny"}\n')
        outputs = ["tables/b.csv", "tables/c.csv"]
        run_job(study, "fit", "b", inputs, outputs, study=study / "study.json")
        patch.setenv("APPTAINER_CONTAINER", "/shared/images/some.sif")
        patch.setenv("LOGDEPTH_IMAGE_SHA256", IMAGE)
        patch.setenv("SLURM_CLUSTER_NAME", "bigcluster")
        patch.setenv("SLURM_JOB_ID", "17")
        run_job(study, "curves", "b", [study / "tables/b.csv"], ["tables/d.csv"])
    return base


@pytest.fixture
def repository(original: Path) -> Repository:
    return Repository(original / "checkout")


@pytest.fixture
def study(original: Path, tmp_path: Path) -> Path:
    """A copy of the study, which a test may alter."""
    return shutil.copytree(original / "tiny", tmp_path / "results" / "tiny")


def run_job(
    folder: Path,
    stage: str,
    name: str,
    inputs: list[Path],
    outputs: list[str],
    by_hand: bool = False,
    study: Path | None = None,
) -> None:
    job = Job(
        stage,
        ("logdepth.files",),
        {"depth": 2, "rates": [0.1], "nothing": None, "model": {"form": "softmax", "mlp": True}},
        {"the run": 7},
    )
    with recorded(
        job,
        inputs=inputs,
        outputs=[folder / output for output in outputs],
        record=folder / "provenance" / stage / f"{name}.json",
        definition="" if by_hand else job.definition(os.environ.get(VARIABLE)),
        study=study,
    ):
        for output in outputs:
            write_text(folder / output, f"{stage} {output}")


def graph(crate: Path) -> dict[str, dict[str, Any]]:
    metadata = json.loads((crate / "ro-crate-metadata.json").read_text())
    return {entity["@id"]: entity for entity in metadata["@graph"]}


def references(value: Any) -> list[str]:
    """Return every identifier that is referred to."""
    if isinstance(value, list):
        return [identifier for item in value for identifier in references(item)]
    if isinstance(value, dict):
        inner = references([item for key, item in value.items() if key != "@id"])
        return [value["@id"], *inner] if set(value) == {"@id"} else inner
    return []


def command(*arguments: Any) -> Any:
    import typer

    app = typer.Typer()
    app.callback()(lambda: None)
    export.register(app)
    return CliRunner().invoke(app, ["export", *map(str, arguments)])


@pytest.fixture(scope="module")
def crate(original: Path) -> Path:
    write_crate(
        open_study(original / "tiny"), Repository(original / "checkout"), original / "crate"
    )
    return original / "crate"


def test_each_file_of_the_crate_is_described_with_its_sha256_and_size(crate):
    described = {i: e for i, e in graph(crate).items() if "File" in e["@type"] and i[0] != "#"}
    there = {p.relative_to(crate).as_posix() for p in crate.rglob("*") if p.is_file()}
    assert set(described) == there - {"ro-crate-metadata.json"}
    for name, entity in described.items():
        assert sha256_of(crate / name) == entity["sha256"]
        assert str((crate / name).stat().st_size) == entity["contentSize"]
    assert "results/tiny/provenance/history.jsonl" in described


def test_no_reference_in_the_crate_leads_nowhere(crate):
    entities = graph(crate)
    known = {
        "https://w3id.org/ro/crate/1.1",
        "https://w3id.org/ro/terms/workflow-run#SIFImage",
    }
    # The library describes the language Snakemake with links to its pages.
    ours = [entity for entity in entities.values() if entity["@type"] != "ComputerLanguage"]
    assert set(references(ours)) - set(entities) == known
    parts = set(references(entities["./"]["hasPart"]))
    assert parts == {i for i, e in entities.items() if "File" in e["@type"] and i[0] != "#"}


def test_the_same_study_gives_the_same_bytes(crate, study, repository, tmp_path):
    write_crate(open_study(study), repository, tmp_path / "again")
    metadata = "ro-crate-metadata.json"
    assert (crate / metadata).read_bytes() == (tmp_path / "again" / metadata).read_bytes()
    for name in ("one.zip", "two.zip"):
        write_crate(open_study(study), repository, tmp_path / name)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        assert archive.read(metadata) == (crate / metadata).read_bytes()
        assert archive.read("results/tiny/data/a.txt") == b"data data/a.txt"
    assert not list(tmp_path.glob(".*"))


# The validator builds graphs with a class of rdflib that rdflib is about to drop.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_crate_with_an_image_and_withheld_files_meets_every_requirement(crate, root, tmp_path):
    cache = fill_cache(tmp_path / "http", root / "tests" / "data" / "contexts")
    result = validated(crate, cache)
    assert problems(result) == []
    assert [detail.message for detail in result.skipped_check_details] == []


def test_people_licence_and_paper_are_those_of_the_citation(crate):
    entities = graph(crate)
    root = entities["./"]
    ada, society = (entities[identifier] for identifier in references(root["author"]))
    assert (ada["@type"], ada["name"]) == ("Person", "Ada Lovelace")
    assert ada["@id"] == "https://orcid.org/0000-0002-1825-0097"
    assert (society["@type"], society["name"]) == ("Organization", "The Analytical Society")
    assert root["license"] == {"@id": "https://spdx.org/licenses/MIT"}
    paper = entities[root["citation"]["@id"]]
    assert (paper["@id"], paper["datePublished"]) == ("https://doi.org/10.1000/1", "1843")
    assert entities[paper["author"]["@id"]]["name"] == "Luigi von Menabrea"
    kinds = [e["name"] for e in entities.values() if e["@type"] == "Person"]
    assert sorted(kinds) == ["Ada Lovelace", "Luigi von Menabrea"], "nobody is invented"
    assert references(entities["#job/fit/b"]["agent"]) == references(root["author"])


def test_parameters_and_seeds_are_named_and_belong_to_their_tool(crate):
    entities = graph(crate)
    action = entities["#job/fit/b"]
    values = [entities[i] for i in references(action["object"]) if i.startswith("#value/")]
    assert {value["name"]: value["value"] for value in values} == {
        "depth": 2,
        "rates": "[0.1]",
        "nothing": "null",
        "model.form": "softmax",
        "model.mlp": True,
        "seed.the run": 7,
    }
    tool = entities[action["instrument"]["@id"]]
    assert {value["exampleOfWork"]["@id"] for value in values} < set(references(tool["input"]))
    depth = entities["#parameter/fit/depth"]
    assert (depth["additionalType"], depth["valueRequired"]) == ("Integer", True)
    needed = [entities[i] for i in references(tool["softwareRequirements"])]
    packages = next(n for n in needed if n["@id"].endswith(".json"))
    assert json.loads((crate / packages["@id"]).read_text()) == environment.packages()


def test_the_image_and_the_machine_of_a_job_are_shown(crate):
    entities = graph(crate)
    assert "containerImage" not in entities["#job/fit/b"]
    image = entities[entities["#job/curves/b"]["containerImage"]["@id"]]
    assert (image["@type"], image["name"]) == ("ContainerImage", "some.sif")
    assert image["sha256"] == IMAGE
    place = entities[entities["#job/curves/b"]["location"]["@id"]]
    facts = [entities[i] for i in references(place["additionalProperty"])]
    found = {fact["name"]: fact["value"] for fact in facts}
    assert found["host"] == "node7.example.org"
    assert found["slurm.SLURM_CLUSTER_NAME"] == "bigcluster"
    assert found["processor"]


def test_files_from_elsewhere_are_in_the_crate_only_if_the_checkout_has_them(crate):
    entities = graph(crate)
    assert "config/published.csv" in references(entities["#job/fit/b"]["object"])
    assert (crate / "config/published.csv").read_text() == "k,error\n1,0.5\n"
    sha256 = hashlib.sha256(b"weights").hexdigest()
    withheld = entities[f"#withheld/{sha256}"]
    assert (withheld["@type"], withheld["sha256"]) == ("File", sha256)
    assert withheld["name"].endswith("weights.pt")


def test_jobs_typed_by_hand_are_none_of_the_workflow(crate):
    entities = graph(crate)
    assert "#control/data/a" not in entities
    assert references(entities["#engine-run"]["object"]) == ["#control/curves/b", "#control/fit/b"]
    assert "results/tiny/data/a.txt" in references(entities["#run"]["object"])
    assert "results/tiny/data/a.txt" not in references(entities["#run"]["result"])
    assert "#job/data/a" in references(entities["./"]["mentions"])


def test_outputs_withheld_when_a_study_was_published_are_described(study, repository, tmp_path):
    path = study / "tables" / "c.csv"
    sha256 = sha256_of(path)
    append_entry(study, {"event": "published", "withheld": {"tables/c.csv": sha256}})
    path.unlink()
    done = command(study, "--crate", tmp_path / "c", "--repository", repository.folder)
    assert done.exit_code == 0, done.output
    assert "2 files withheld" in done.output
    assert graph(tmp_path / "c")[f"#withheld/{sha256}"]["name"] == "tables/c.csv"
    write_anonymous(open_study(study), tmp_path / "review", frozenset())
    last = open_study(tmp_path / "review").history.entries[-1].content
    assert last["withheld"] == {"tables/c.csv": sha256}


@pytest.mark.parametrize("option", ["--crate", "--prov", "--anonymous"])
def test_an_altered_study_is_not_exported(study, repository, tmp_path, option):
    (study / "tables" / "c.csv").write_text("altered")
    done = command(study, option, tmp_path / "out", "--repository", repository.folder)
    assert isinstance(done.exception, UserError)
    assert "tables/c.csv: modified" in str(done.exception)
    assert len(str(done.exception).splitlines()) == 1
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("option", ["--crate", "--prov", "--anonymous"])
def test_nothing_is_overwritten(study, repository, tmp_path, option):
    (tmp_path / "out").write_text("mine")
    done = command(study, option, tmp_path / "out", "--repository", repository.folder)
    assert "is there already" in str(done.exception)
    assert (tmp_path / "out").read_text() == "mine"


def test_without_a_format_or_a_checkout_there_is_nothing_to_export(study, tmp_path):
    assert "expected --crate, --prov or --anonymous" in str(command(study).exception)
    assert "lies in no checkout" in str(command(study, "--crate", tmp_path / "c").exception)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("license: MIT\n", "", "license: is missing"),
        ("authors:\n", "author:\n", "authors: is missing"),
        ("  - name: The Analytical Society\n", "  - website: x.org\n", "authors: one has no name"),
        ("title: some code", "title: [", "is no YAML"),
    ],
)
def test_a_citation_that_lacks_something_is_an_error_in_one_line(tmp_path, old, new, message):
    assert old in CITATION
    with pytest.raises(UserError, match=message) as error:
        read_citation(CITATION.replace(old, new).encode(), tmp_path / "CITATION.cff")
    assert "expected" in str(error.value)


def test_prov_names_jobs_files_software_and_people(study, repository, tmp_path):
    opened = open_study(study)
    write_prov(opened, repository, tmp_path / "prov.json")
    text = (tmp_path / "prov.json").read_text()
    assert ProvDocument.deserialize(content=text, format="json") == provenance(opened, repository)
    found = json.loads(text)
    labels = {agent["prov:label"] for agent in found["agent"].values()}
    assert {"Ada Lovelace", "The Analytical Society"} < labels
    jobs = {job["prov:label"]: job for job in found["activity"].values()}
    assert set(jobs) == set(opened.records)
    job = jobs["provenance/fit/b.json"]
    assert (job["parameter:model.form"], job["parameter:depth"]["$"]) == ("softmax", "2")
    derived = {
        (e["prov:generatedEntity"].rpartition(":")[2], e["prov:usedEntity"].rpartition(":")[2])
        for e in found["wasDerivedFrom"].values()
    }
    assert derived >= {
        ("tables/b.csv", "data/a.txt"),
        ("tables/b.csv", "config/published.csv"),
        ("tables/d.csv", "tables/b.csv"),
    }
    assert IMAGE in {
        entity["term:sha256"] for entity in found["entity"].values() if "term:sha256" in entity
    }


def test_no_secret_of_the_environment_is_recorded_or_exported(study, repository, tmp_path):
    opened = open_study(study)
    write_crate(opened, repository, tmp_path / "out" / "crate")
    write_prov(opened, repository, tmp_path / "out" / "prov.json")
    write_anonymous(opened, tmp_path / "out" / "review", frozenset())
    files = [p for f in (study, tmp_path / "out") for p in f.rglob("*") if p.is_file()]
    assert {"history.jsonl", "ro-crate-metadata.json", "prov.json"} <= {p.name for p in files}
    for path in files:
        content = path.read_bytes()
        assert SECRET.encode() not in content
        assert b"MY_SECRET_TOKEN" not in content


@pytest.fixture(scope="module")
def review(original: Path) -> Path:
    write_anonymous(open_study(original / "tiny"), original / "review", frozenset())
    return original / "review"


def test_the_anonymous_copy_is_a_study_that_verifies(review, study):
    copy, original = open_study(review), open_study(study)
    assert (copy.history.breaks, copy.history.torn, copy.bad) == ([], [], {})
    assert set(copy.records) == set(original.records)
    for name, record in copy.records.items():
        assert copy.history.latest()[name].record_sha256 == record.sha256
        assert record.outputs == original.records[name].outputs
        assert (record.definition, record.commit) == (
            original.records[name].definition,
            original.records[name].commit,
        )
        for output in record.outputs:
            assert sha256_of(review / output.name) == output.sha256
    findings = verify(copy, Checks())
    states = {p.state for problems in findings.problems.values() for p in problems}
    # The code of these tests may be uncommitted, and there is no image: so it was before.
    assert states <= {State.BROKEN_CHAIN}
    before = verify(original, Checks()).problems
    assert _reasons(findings.problems) == _reasons(before)
    (kept,) = copy.records["provenance/fit/b.json"].kept_as("study")
    assert (review / kept.name).read_text() == '{"study":"tiny"}\n'


def _reasons(problems: Mapping[str, Iterable[Problem]]) -> dict[str, set[str]]:
    return {name: {problem.reason for problem in found} for name, found in problems.items()}


def test_the_anonymous_history_keeps_order_and_times_and_names_the_original(review, study):
    lines = (review / "provenance/history.jsonl").read_bytes().splitlines()
    entries = [json.loads(line) for line in lines]
    before = (study / "provenance/history.jsonl").read_bytes().splitlines()
    assert [(e["time"], e["record"]) for e in entries[:-1]] == [
        (e["time"], e["record"]) for e in map(json.loads, before)
    ]
    for line, after in itertools.pairwise(lines):
        assert json.loads(after)["previous"] == hashlib.sha256(line).hexdigest()
    assert entries[-1]["event"] == "anonymised"
    assert entries[-1]["head"] == hashlib.sha256(before[-1]).hexdigest()


def test_the_anonymous_copy_tells_no_host_user_path_or_cluster(review, original):
    text = "\n".join(p.read_text() for p in review.rglob("*") if p.is_file())
    for word in (
        "node7",
        "adalove",
        "bigcluster",
        "home of somebody",
        "/shared",
        str(original),
        "../",
    ):
        assert word not in text
    record = open_study(review).records["provenance/data/a.json"]
    assert record.command == ("logdepth", "data", "weights.pt", "--x=x.csv")
    assert [resource.name for resource in record.external] == ["weights.pt"]
    machine = open_study(review).records["provenance/curves/b.json"].machine
    assert "host" not in machine
    assert machine["slurm"] == {"SLURM_JOB_ID": "17"}
    assert record.interpreter["platform"].count("-") == 1


def test_a_result_that_holds_the_user_is_not_exported(study, tmp_path):
    run_job(study, "data", "a", [], ["data/a.txt", "data/AdaLove-notes.txt"], by_hand=True)
    with pytest.raises(UserError, match=r"^data/AdaLove-notes\.txt: holds the name 'adalove'"):
        write_anonymous(open_study(study), tmp_path / "review", frozenset())
    assert not (tmp_path / "review").exists()
    assert not list(tmp_path.glob(".*"))
    write_anonymous(open_study(study), tmp_path / "review", frozenset({"adalove"}))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"run on VM, by ada", "vm"),
        (b"a vmap of svm and vm_2", None),
        (b"\x00\x01 vm \x00", None),
        (b"\x00\x01 /home/ada/x \x00", "/home/ada"),
        (b"%PDF /Root 1 0 R", None),
        (b"/root/x", "/root"),
        (b"", None),
    ],
)
def test_names_count_as_whole_words_and_short_ones_in_texts_alone(tmp_path, content, found):
    (tmp_path / "file").write_bytes(content)
    assert names.found_in(tmp_path / "file", {"vm", "/home/ada", "/root"}) == found


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("results/laptop/runs", "results/laptop/runs"),
        ("/home/ada/my data/x.csv", "x.csv"),
        ("~/x.csv", "x.csv"),
        ("~ada/deep/x.csv", "x.csv"),
        ("../x.csv", "x.csv"),
        ("a/../../x.csv", "x.csv"),
        ("file:///home/ada/x.csv", "x.csv"),
        ("C:\\Users\\ada\\x.csv", "x.csv"),
        ("--output=/home/ada/x.csv", "--output=x.csv"),
        ("fast=/home/ada/x.csv,/home/ada/y.csv", "fast=y.csv"),
        ("from /home/ada/x.csv to ../y.csv", "from x.csv to y.csv"),
        ('{"a":["/home/ada/x y.csv"]}', '{"a":["x y.csv"]}'),
        ("blocks with and/or without an MLP", "blocks with and/or without an MLP"),
        ("https://example.org/a/b", "https://example.org/a/b"),
        ("/", "elsewhere"),
        ("..", "elsewhere"),
    ],
)
def test_paths_are_cut_to_the_names_of_files(text, cut):
    assert names.without_places(text) == cut
    assert names.without_places({"a": [text, 1, None]}) == {"a": [cut, 1, None]}


def test_hosts_and_homes_are_found_in_records(study):
    record = open_study(study).records["provenance/data/a.json"]
    statement = json.loads(json.dumps(record.statement))
    details = statement["predicate"]["runDetails"]
    details["byproducts"][0]["annotations"]["host"] = "node7.example.org"
    internal = statement["predicate"]["buildDefinition"]["internalParameters"]
    internal["command"] = ["logdepth", "--x=/home/ada/x", "/Users/bob/y"]
    found = names.recorded(statement)
    assert found >= {"node7.example.org", "node7", "/home/ada", "ada", "/Users/bob", "bob"}
    told = canonical_json(anonymised(statement, {}))
    assert not [name for name in found if names.found_in_name(told, {name})]


def test_packages_from_a_place_are_left_out_of_the_anonymous_copy(study, tmp_path, monkeypatch):
    listed = {"numpy": "2.0", "own": "1.0 @ file:///home/ada/own", "torch": "2.13.0+cpu"}
    monkeypatch.setattr(environment, "packages", lambda: listed)
    run_job(study, "figure", "x", [], ["figures/x.txt"])
    write_anonymous(open_study(study), tmp_path / "review", frozenset())
    record = open_study(tmp_path / "review").records["provenance/figure/x.json"]
    (packages,) = record.kept_as("packages")
    text = (tmp_path / "review" / packages.name).read_text()
    assert json.loads(text) == {"numpy": "2.0", "torch": "2.13.0+cpu"}
    assert hashlib.sha256(text.encode()).hexdigest() == packages.sha256
