"""The exports of the studies that are published, which Snakemake has really made."""

import json
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement

from audit_trail.__main__ import main
from audit_trail.crate import write_crate
from audit_trail.files import sha256_of
from audit_trail.records import Resource
from audit_trail.repository import Repository, git
from audit_trail.study import StudyFolder, open_study
from offline_validator import fill_cache, problems, validated

# The validator builds graphs with a class of rdflib that rdflib is about to drop.
PUBLISHED = Path(__file__).parents[2] / "results" / "published"
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


STUDIES = sorted(path.parents[1].name for path in PUBLISHED.glob("*/provenance/history.jsonl"))


@pytest.fixture(scope="module")
def crate(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The crate of the published laptop."""
    folder = tmp_path_factory.mktemp("crates") / "laptop"
    write_crate(open_study(PUBLISHED / "laptop"), Repository(root), folder)
    return folder


@pytest.fixture(scope="module")
def study() -> StudyFolder:
    return open_study(PUBLISHED / "laptop")


@pytest.fixture(scope="module")
def cache(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill_cache(tmp_path_factory.mktemp("cache") / "http", root / "tests/data/contexts")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise OSError("this test must not use the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def graph(crate: Path) -> dict[str, dict[str, Any]]:
    metadata = json.loads((crate / "ro-crate-metadata.json").read_text())
    return {entity["@id"]: entity for entity in metadata["@graph"]}


@pytest.mark.parametrize(
    "name",
    # `make test` takes one study, whatever is published; `make test-published` the others.
    [pytest.param(n, marks=() if n == "laptop" else pytest.mark.published) for n in STUDIES],
)
def test_a_crate_meets_every_requirement_and_answers_what_its_profiles_ask(
    root, tmp_path, cache, name
):
    study = open_study(PUBLISHED / name)
    write_crate(study, Repository(root), tmp_path / name)
    result = validated(tmp_path / name, cache)
    assert problems(result) == []
    assert result.passed()
    # A check that is skipped is not one that passed.
    assert [detail.message for detail in result.skipped_check_details] == []
    assert {check.requirement.profile.identifier for check in result.executed_checks} == {
        "ro-crate-1.1",
        "process-run-crate-0.5",
        "workflow-ro-crate-1.0",
        "workflow-run-crate-0.5",
    }
    answer_the_questions(graph(tmp_path / name), study)


def test_a_broken_crate_is_refused(crate, cache, tmp_path):
    broken = shutil.copytree(crate, tmp_path / "crate")
    (broken / "results/laptop/tables/errors.csv").unlink()
    path = broken / "ro-crate-metadata.json"
    metadata = json.loads(path.read_text())
    entities = {entity["@id"]: entity for entity in metadata["@graph"]}
    (data,) = [name for name in entities if name.startswith("#job/data/")]
    del entities[data]["instrument"]
    entities["./"]["conformsTo"] = entities["./"]["conformsTo"][:1]
    entities["#run"]["inventedTerm"] = "x"
    path.write_text(json.dumps(metadata))
    result = validated(broken, cache)
    assert not result.passed()
    found = " ".join(problems(result))
    for complaint in (
        "Action instrument",
        "Root Data Entity conformsTo",
        "inventedTerm",
        "tables/errors.csv",
    ):
        assert complaint in found


def test_without_contexts_nothing_passes(crate, tmp_path):
    assert not validated(crate, tmp_path / "empty").passed()


def test_every_job_is_an_action_with_its_files(crate, study):
    entities = graph(crate)
    withheld = study.history.withheld

    def place(resource: Resource) -> str:
        absent = resource.name in withheld
        return f"#withheld/{resource.sha256}" if absent else f"results/laptop/{resource.name}"

    for record in study.records.values():
        title = record.name.removeprefix("provenance/").removesuffix(".json")
        action = entities[f"#job/{title}"]
        objects, results = (listed(action.get(key)) for key in ("object", "result"))
        assert results == [place(output) for output in record.outputs]
        assert objects[: len(record.inputs)] == [place(given) for given in record.inputs]
        assert listed(action["subjectOf"]) == [f"results/laptop/{record.name}"]


def test_the_code_and_the_configuration_are_those_of_the_commit(crate, study, root):
    entities = graph(crate)
    # Trained at one commit, a study may have been tabulated at a later one, whose files these are.
    commits = {record.commit for record in study.records.values()}
    commit = max(study.records.values(), key=lambda record: record.finished).commit
    tools = [e for e in entities.values() if e["@type"] == "SoftwareApplication"]
    assert {tool["softwareVersion"] for tool in tools} == commits
    assert entities["Snakefile"]["version"] == commit
    for name in ("Snakefile", "config/laptop.yaml", "workflow/rules/evaluate.smk"):
        assert sha256_of(crate / name) == entities[name]["sha256"]
        assert (crate / name).read_bytes() == git(root, "show", f"{commit}:{name}")


def test_the_study_in_a_crate_verifies(crate, root, capsys):
    options = ["--repository", str(root), "--allow", "stale"]
    assert main(["verify", str(crate / "results/laptop"), *options]) == 0, capsys.readouterr().out


@pytest.mark.parametrize("name", STUDIES)
def test_records_are_statements_to_other_tools(name):
    study = open_study(PUBLISHED / name)
    assert study.records
    for record in study.records.values():
        # What is published names no folder of the machine that it was made on.
        words = [*record.command, *(resource.name for resource in record.external)]
        assert not [word for word in words if word.startswith("/")], record.name
        text = study.path(record.name).read_text()
        message = json_format.Parse(text, statement_pb2.Statement())
        Statement.copy_from_pb(message).validate()
        predicate = json_format.ParseDict(
            record.statement["predicate"], provenance_pb2.Provenance()
        )
        assert predicate.build_definition.build_type == "urn:logdepth:job:v1"
        assert predicate.run_details.metadata.HasField("started_on")
        names = {d.name for d in predicate.build_definition.resolved_dependencies}
        assert {resource.name for resource in record.inputs} <= names


def listed(references: Any) -> list[str]:
    """Return the identifiers of one reference or of many."""
    if references is None:
        return []
    many = references if isinstance(references, list) else [references]
    return [reference["@id"] for reference in many]


def answer_the_questions(entities: dict[str, dict[str, Any]], study: StudyFolder) -> None:
    """Ask what the profiles of workflow runs are for: who, with what, from what, when, how."""

    def of(entity: dict[str, Any], key: str) -> list[dict[str, Any]]:
        return [entities[identifier] for identifier in listed(entity.get(key))]

    root = entities["./"]
    (workflow,) = of(root, "mainEntity")
    actions = [e for e in entities.values() if e["@type"] == "CreateAction"]
    # Which runs of which workflow are in it, who started them, and what came of them?
    (run,) = [action for action in actions if workflow in of(action, "instrument")]
    assert run in of(root, "mentions")
    assert of(run, "agent")
    assert of(run, "result")
    # By what was each file made, from what, with which tool, and how long did it take?
    jobs = [action for action in actions if action is not run]
    assert len(jobs) == len(study.records)
    makers: dict[str, list[str]] = {}
    for job in jobs:
        assert job["startTime"] <= job["endTime"]
        (tool,) = of(job, "instrument")
        # With which settings?
        settings = [e for e in of(job, "object") if e["@type"] == "PropertyValue"]
        assert {"name", "value"} <= {key for setting in settings for key in setting}
        for result in listed(job["result"]):
            makers.setdefault(result, []).append(job["@id"])
        # In which environment, and what says so?
        assert of(tool, "softwareRequirements")
        (record,) = of(job, "subjectOf")
        assert record["sha256"] in {r.sha256 for r in study.records.values()}
    for record in study.records.values():
        for output in record.outputs:
            inside = f"results/{study.name}/{output.name}"
            name = inside if inside in entities else f"#withheld/{output.sha256}"
            assert f"#job/{record.name[11:-5]}" in makers[name]
    # Which configuration was the workflow given?
    assert [e for e in of(run, "object") if e["@id"].startswith("config/")]
