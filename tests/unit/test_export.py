"""The export of a small study as a crate."""

import hashlib
import itertools
import json
import os
import shutil
import socket
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from audit_trail import environment
from audit_trail.__main__ import main
from audit_trail.crate import read_citation, write_crate
from audit_trail.errors import AuditError
from audit_trail.files import sha256_of
from audit_trail.repository import Repository
from audit_trail.study import open_study
from audit_trail.writer import append_entry
from logdepth.files import write_text
from logdepth.provenance.image import VARIABLE
from logdepth.provenance.job import Job
from logdepth.provenance.record import recorded
from offline_validator import fill_cache, problems, validated
from small_study import git

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
LOCK = f"""\
--index-url https://adalove:{SECRET}@pkgs.bigcorp.example/simple
tools @ file:///groups/bigcorp/tools
numpy==2.0 --hash=sha256:{"0" * 64}
"""


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a checkout, and a study of three jobs.

    One was typed by hand and read a file from elsewhere, one was run by the workflow, and one by
    the workflow in an image on a cluster.
    """
    base = tmp_path_factory.mktemp("original")
    checkout, study = base / "checkout", base / "tiny"
    write_text(checkout / "workflow/logdepth/__init__.py", "")
    write_text(checkout / "CITATION.cff", CITATION)
    write_text(checkout / "LICENSE", "As you like it.\n")
    write_text(checkout / "Snakefile", "rule all: ...\n")
    write_text(checkout / "config" / "tiny.yaml", "title: 'A title'\n")
    write_text(checkout / "config" / "published.csv", "k,error\n1,0.5\n")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "start"]):
        git(checkout, *words)
    elsewhere = base / "home of somebody" / "weights.pt"
    write_text(elsewhere, "weights")
    write_text(base / "prefix/locks/cpu.txt", LOCK)
    packages = environment.packages() | {"torch-of-bigcorp": "2.1+bigcorp"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("logdepth.provenance.record._ROOT", checkout)
        # What an institute has installed, and from where.
        patch.setattr(sys, "prefix", str(base / "prefix"))
        patch.setattr(environment, "packages", lambda: packages)
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
        run_job(study, "curves", "b", [study / "tables/b.csv"], ["tables/50 % (d).csv"])
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
    model = {"form": "softmax", "mlp": True}
    parameters = {"depth": 2, "rates": [0.1], "nothing": None, "model": model}
    job = Job(stage, ("logdepth.files",), parameters, {"the run": 7})
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


def refused(*arguments: Any) -> str:
    """Return why the command does not export a study."""
    with pytest.raises(AuditError) as error:
        main(["export", *map(str, arguments)])
    return str(error.value)


@pytest.fixture(scope="module")
def crate(original: Path) -> Path:
    repository = Repository(original / "checkout")
    write_crate(open_study(original / "tiny"), repository, original / "crate")
    return original / "crate"


def test_each_file_of_the_crate_is_described_and_no_reference_leads_nowhere(crate):
    entities = graph(crate)
    files = [e for i, e in entities.items() if "File" in e["@type"] and i[0] != "#"]
    described = {unquote(e["@id"]): e for e in files}
    there = {p.relative_to(crate).as_posix() for p in crate.rglob("*") if p.is_file()}
    assert set(described) == there - {"ro-crate-metadata.json"}
    for name, entity in described.items():
        assert sha256_of(crate / name) == entity["sha256"]
        assert str((crate / name).stat().st_size) == entity["contentSize"]
    assert "results/tiny/provenance/history.jsonl" in described
    known = {
        "https://w3id.org/ro/crate/1.1",
        "https://w3id.org/ro/terms/workflow-run#SIFImage",
    }
    # The library describes the language Snakemake with links to its pages.
    ours = [entity for entity in entities.values() if entity["@type"] != "ComputerLanguage"]
    assert set(references(ours)) - set(entities) == known
    assert set(map(unquote, references(entities["./"]["hasPart"]))) == set(described)


def test_the_same_study_gives_the_same_bytes(crate, study, repository, tmp_path):
    write_crate(open_study(study), repository, tmp_path / "again")
    metadata = "ro-crate-metadata.json"
    assert (crate / metadata).read_bytes() == (tmp_path / "again" / metadata).read_bytes()
    assert not list(tmp_path.glob(".*"))


# The validator builds graphs with a class of rdflib that rdflib is about to drop.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_crate_with_an_image_and_withheld_files_meets_every_requirement(crate, root, tmp_path):
    cache = fill_cache(tmp_path / "http", root / "tests" / "data" / "contexts")
    result = validated(crate, cache)
    assert problems(result) == []
    assert [detail.message for detail in result.skipped_check_details] == []


def test_people_and_licence_are_those_of_the_citation(crate):
    entities = graph(crate)
    root = entities["./"]
    ada, society = (entities[identifier] for identifier in references(root["author"]))
    assert (ada["@type"], ada["name"]) == ("Person", "Ada Lovelace")
    assert ada["@id"] == "https://orcid.org/0000-0002-1825-0097"
    assert (society["@type"], society["name"]) == ("Organization", "The Analytical Society")
    assert root["license"] == {"@id": "https://spdx.org/licenses/MIT"}
    kinds = [e["name"] for e in entities.values() if e["@type"] == "Person"]
    assert kinds == ["Ada Lovelace"], "nobody is invented"
    assert references(entities["#job/fit/b"]["agent"]) == references(root["author"])


def test_parameters_seeds_and_image_of_a_job_are_shown(crate):
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
    needed = [entities[i] for i in references(tool["softwareRequirements"])]
    assert {Path(entity["@id"]).suffix for entity in needed} == {".json", ".txt"}
    assert "containerImage" not in action
    action = entities["#job/curves/b"]
    image = entities[action["containerImage"]["@id"]]
    assert (image["@type"], image["name"]) == ("ContainerImage", "some.sif")
    assert image["sha256"] == IMAGE
    # Of the machine the crate has the record.
    text = (crate / unquote(action["subjectOf"]["@id"])).read_text()
    assert socket.gethostname() in text
    assert "bigcluster" in text


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
    assert "results/tiny/tables/b.csv" in references(entities["#run"]["result"])
    assert "results/tiny/data/a.txt" not in references(entities["#run"]["result"])
    assert "#job/data/a" in references(entities["./"]["mentions"])


def test_outputs_withheld_when_a_study_was_published_are_described(
    study, repository, tmp_path, capsys
):
    path = study / "tables" / "c.csv"
    sha256 = sha256_of(path)
    append_entry(study, {"event": "published", "withheld": {"tables/c.csv": sha256}})
    path.unlink()
    words = (study, "--crate", tmp_path / "c", "--repository", repository.folder)
    assert main(["export", *map(str, words)]) == 0
    assert "2 withheld" in capsys.readouterr().out
    assert graph(tmp_path / "c")[f"#withheld/{sha256}"]["name"] == "tables/c.csv"


def test_an_altered_study_is_not_exported_and_nothing_is_overwritten(study, repository, tmp_path):
    (tmp_path / "out").write_text("mine")
    arguments = (study, "--crate", tmp_path / "out", "--repository", repository.folder)
    assert "is there already" in refused(*arguments)
    assert (tmp_path / "out").read_text() == "mine"
    (tmp_path / "out").unlink()
    (study / "tables" / "c.csv").write_text("altered")
    assert "tables/c.csv: modified" in (said := refused(*arguments))
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".*"))


def test_without_a_clone_there_is_nothing_to_export(study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "in no clone of logdepth" in refused(study, "--crate", tmp_path / "c")


# What does not belong to a study is left where it is, whatever refers to it and wherever it lies.
@pytest.mark.parametrize("where", ["signatures/id_key.json", "environments/key.txt", "fit/key"])
@pytest.mark.parametrize("linked", [False, True])
def test_nothing_but_what_records_name_is_exported(study, repository, tmp_path, where, linked):
    private = tmp_path / "private"
    private.write_text(f"-----BEGIN KEY----- {SECRET}")
    planted = study / "provenance" / where
    planted.parent.mkdir(exist_ok=True)
    planted.symlink_to(private) if linked else shutil.copy(private, planted)
    write_crate(open_study(study), repository, tmp_path / "out" / "crate")
    for path in (tmp_path / "out").rglob("*"):
        assert not path.is_symlink()
        assert path.name != planted.name
        assert not path.is_file() or b"BEGIN KEY" not in path.read_bytes()


BOMB = "a: &a [x, x]\n" + "".join(
    f"{n}: &{n} [{', '.join(['*' + b] * 9)}]\n" for b, n in itertools.pairwise("abcdefghij")
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (CITATION.replace("license: MIT\n", ""), "license: field required"),
        (CITATION.replace("authors:\n", "author:\n", 1), "authors: field required"),
        ("title: t\nlicense: MIT\nauthors: Ada\n", "authors: input should be a valid list"),
        ("title: t\nlicense: []\nauthors: [{name: Ada}]\n", "license: input should be a valid str"),
        (CITATION.replace("  - name: The Analytical Society\n", "  - website: x\n"), "no name"),
        (CITATION.replace("title: some code", "title: ["), "is no YAML"),
        (f"{BOMB}title: *j\n", "has an alias"),
        ("title: " + "[" * 1500 + "]" * 1500, "is no YAML"),
        ("\ufffe\x00", "is no YAML"),
        ("- a", "input should be a valid dictionary"),
        (CITATION + "#" * 300_000, "bytes; expected a file"),
    ],
)
def test_a_citation_that_cannot_be_used_is_an_error_in_one_line(content, message):
    with pytest.raises(AuditError, match=message) as error:
        read_citation(content.encode())
    assert "expected" in str(error.value)
    assert "\n" not in str(error.value)


def test_no_secret_of_the_environment_is_recorded_or_exported(study, repository, tmp_path):
    opened = open_study(study)
    write_crate(opened, repository, tmp_path / "out" / "crate")
    files = [p for f in (study, tmp_path / "out") for p in f.rglob("*") if p.is_file()]
    assert {"history.jsonl", "ro-crate-metadata.json"} <= {p.name for p in files}
    # The lock is what somebody has installed from; the study itself and the crate keep it.
    lock = hashlib.sha256(LOCK.encode()).hexdigest()
    for path in files:
        content = path.read_bytes()
        assert b"MY_SECRET_TOKEN" not in content
        assert SECRET.encode() not in content or path.stem == lock
