"""The exports of a study that Snakemake has really made."""

import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement

from audit_trail.__main__ import main as verify
from audit_trail.export.anonymous import write_anonymous
from audit_trail.export.crate import write_crate
from audit_trail.files import sha256_of
from audit_trail.repository import Repository
from audit_trail.study import StudyFolder, open_study
from checkout import Checkout
from logdepth.audited import PROJECT
from offline_validator import fill_cache, problems, validated

# The validator builds graphs with a class of rdflib that rdflib is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="session")
def checkout(template: Checkout, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    copy = template.copy(tmp_path_factory.mktemp("exported") / "checkout")
    for name in ("CITATION.cff", "LICENSE"):
        shutil.copy2(root / name, copy.folder / name)
    return copy


@pytest.fixture(scope="session")
def study(checkout: Checkout) -> StudyFolder:
    return open_study(checkout.results)


@pytest.fixture(scope="session")
def crate(study: StudyFolder, checkout: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("crates") / "crate"
    write_crate(study, Repository(checkout.folder, PROJECT), PROJECT, target)
    return target


@pytest.fixture(scope="session")
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


def test_the_crate_meets_every_requirement_of_the_profile(crate, cache):
    result = validated(crate, cache)
    assert problems(result) == []
    # A check that is skipped is not one that passed.
    assert [detail.message for detail in result.skipped_check_details] == []
    assert {check.requirement.profile.identifier for check in result.executed_checks} == {
        "ro-crate-1.1",
        "process-run-crate-0.5",
        "workflow-ro-crate-1.0",
        "workflow-run-crate-0.5",
        "provenance-run-crate-0.5",
    }


def of_data(entities: dict[str, dict[str, Any]], kind: str) -> dict[str, Any]:
    (name,) = [name for name in entities if name.startswith(f"#{kind}/data/hop-")]
    return entities[name]


def lose_instrument(entities: dict[str, dict[str, Any]]) -> None:
    del of_data(entities, "job")["instrument"]


def lose_control(entities: dict[str, dict[str, Any]]) -> None:
    del of_data(entities, "control")["object"]


def lose_profile(entities: dict[str, dict[str, Any]]) -> None:
    entities["./"]["conformsTo"] = entities["./"]["conformsTo"][:2]


def invent_a_term(entities: dict[str, dict[str, Any]]) -> None:
    entities["#run"]["inventedTerm"] = "x"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lose_instrument, "Action instrument"),
        (lose_control, "ControlAction object"),
        (lose_profile, "Root Data Entity conformsTo"),
        (invent_a_term, "inventedTerm"),
    ],
)
def test_a_broken_crate_is_refused(
    crate: Path, cache: Path, tmp_path: Path, change: Callable[..., None], complaint: str
) -> None:
    broken = shutil.copytree(crate, tmp_path / "crate")
    path = broken / "ro-crate-metadata.json"
    metadata = json.loads(path.read_text())
    change({entity["@id"]: entity for entity in metadata["@graph"]})
    path.write_text(json.dumps(metadata))
    result = validated(broken, cache)
    assert not result.passed()
    assert complaint in " ".join(problems(result))


def test_a_crate_that_lacks_a_file_is_refused(crate, cache, tmp_path):
    broken = shutil.copytree(crate, tmp_path / "crate")
    (broken / "results/tiny/tables/errors.csv").unlink()
    assert not validated(broken, cache).passed()


def test_without_contexts_nothing_passes(crate, tmp_path):
    assert not validated(crate, tmp_path / "empty").passed()


def test_every_job_is_an_action_with_its_files(crate, study):
    entities = graph(crate)
    for record in study.records.values():
        title = record.name.removeprefix("provenance/").removesuffix(".json")
        action = entities[f"#job/{title}"]
        objects, results = (listed(action.get(key)) for key in ("object", "result"))
        assert results == [f"results/tiny/{output.name}" for output in record.outputs]
        assert [f"results/tiny/{i.name}" for i in record.inputs] == objects[: len(record.inputs)]
        assert listed(action["subjectOf"]) == [f"results/tiny/{record.name}"]
        assert listed(entities[f"#control/{title}"]["object"]) == [f"#job/{title}"]
    steps = [entities[i]["name"] for i in listed(entities["Snakefile"]["step"])]
    assert steps.index("data") < steps.index("evaluate") < steps.index("tabulate")
    assert steps.index("train") < steps.index("curves") < steps.index("figure")
    engine = entities[entities["#engine-run"]["instrument"]["@id"]]
    assert engine["softwareVersion"].startswith("9.")


def test_the_study_in_the_crate_verifies(crate, checkout, capsys):
    options = ["--repository", str(checkout.folder)]
    assert verify([str(crate / "results" / "tiny"), *options]) == 0, capsys.readouterr().out


def test_the_code_and_the_configuration_are_those_of_the_commit(crate, study, checkout):
    entities = graph(crate)
    (commit,) = {record.commit for record in study.records.values()}
    assert entities[f"#code/{commit}"]["identifier"] == f"swh:1:rev:{commit}"
    assert entities["Snakefile"]["description"] == f"The workflow, as of commit {commit}"
    for name in ("Snakefile", "config/tiny.yaml", "workflow/rules/models.smk"):
        assert sha256_of(crate / name) == entities[name]["sha256"]
        assert (crate / name).read_bytes() == (checkout.folder / name).read_bytes()


def test_the_anonymous_copy_verifies(study, checkout, tmp_path, capsys):
    write_anonymous(study, tmp_path / "review", frozenset())
    options = ["--repository", str(checkout.folder)]
    assert verify([str(tmp_path / "review"), *options]) == 0, capsys.readouterr().out


def test_records_are_statements_to_other_tools(study):
    assert study.records
    for record in study.records.values():
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


def published(root: Path) -> list[str]:
    found = (root / "results" / "published").glob("*/provenance/history.jsonl")
    return sorted(path.parent.parent.name for path in found)


def test_the_published_studies_are_valid_crates_that_answer_what_their_profiles_ask(
    root, cache, tmp_path
):
    for name in published(root):
        made = open_study(root / "results/published" / name)
        write_crate(made, Repository(root, PROJECT), PROJECT, tmp_path / name)
        result = validated(tmp_path / name, cache)
        assert problems(result) == []
        assert result.passed()
        assert result.skipped_check_details == []
        answer_the_questions(graph(tmp_path / name), made)


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
        places = of(tool, "input") + of(tool, "output")
        for entity in of(job, "object") + of(job, "result"):
            # Which place of the tool does each input, output and parameter take?
            assert [place for place in of(entity, "exampleOfWork") if place in places], entity
        for result in listed(job["result"]):
            makers.setdefault(result, []).append(job["@id"])
        # In which environment and on which machine, and what says so?
        assert of(tool, "softwareRequirements")
        assert of(job, "location")[0]["additionalProperty"]
        (record,) = of(job, "subjectOf")
        assert record["sha256"] in {r.sha256 for r in study.records.values()}
    for record in study.records.values():
        for output in record.outputs:
            inside = f"results/{study.name}/{output.name}"
            name = inside if inside in entities else f"#withheld/{output.sha256}"
            assert f"#job/{record.name[11:-5]}" in makers[name]
    # Which step of the workflow was each job, and in which order do they come?
    controls = [e for e in entities.values() if e["@type"] == "ControlAction"]
    stages = {
        job["@id"]: step
        for c in controls
        for job in of(c, "object")
        for step in listed(c["instrument"])
    }
    order = {step["@id"]: int(step["position"]) for step in of(workflow, "step")}
    assert sorted(order.values()) == list(range(1, len(order) + 1))
    for job in jobs:
        for given in listed(job.get("object")):
            for maker in makers.get(given, ()):
                if maker in stages and job["@id"] in stages:
                    assert order[stages[maker]] < order[stages[job["@id"]]]
    # Which configuration was the workflow given?
    assert [e for e in of(run, "object") if e["@id"].startswith("config/")]
