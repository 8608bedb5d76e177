"""Records and histories as they come from somebody else."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_trail.errors import AuditError, printable
from audit_trail.files import canonical_json
from audit_trail.history import read_history
from audit_trail.records import BadRecordError, check_name, parse_statement
from audit_trail.study import look_through, open_study, study_of
from logdepth.files import write_text
from logdepth.provenance.job import Job
from logdepth.provenance.record import recorded

NAME = "provenance/data/a.json"
JOB = Job("data", ("logdepth.files",), {"depth": 2}, {"a": 7})


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results") / "tiny"
    write_text(folder / "data" / "in.txt", "input")
    inputs = [folder / "data/in.txt", Path(__file__)]
    for content in ("one", "two", "three"):
        output = folder / "tables" / "out.csv"
        files = {"inputs": inputs, "outputs": [output], "record": folder / NAME}
        with recorded(JOB, **files, definition=f"{JOB.definition()}+1"):
            write_text(output, content)
    return folder


def test_a_record_is_read(study):
    record = open_study(study).record_for("tables/out.csv")
    assert record is open_study(study).records.get(NAME) or record.name == NAME
    assert (record.stage, record.parameters, record.seeds) == ("data", {"depth": 2}, {"a": 7})
    assert record.definition == JOB.definition()
    assert [resource.name for resource in record.inputs] == ["data/in.txt"]
    assert [resource.name for resource in record.external] == [Path(__file__).as_posix()]
    assert {resource.role for resource in record.kept} >= {"packages", "source"}
    assert len(record.commit) == 40


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path to every value within a value."""
    inner: Any = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    for key, item in inner:
        yield (*path, key)
        yield from places(item, (*path, key))


@pytest.mark.parametrize("wrong", [None, 7, True, "\x1b[31m", "../x", [], {}, [[]], {"a": None}])
def test_whatever_a_field_holds_a_record_is_read_or_refused(study, wrong):
    original = json.loads((study / NAME).read_text())
    refused = 0
    for path in places(original):
        statement = json.loads(json.dumps(original))
        place = statement
        for part in path[:-1]:
            place = place[part]
        place[path[-1]] = wrong
        try:
            parse_statement(NAME, "0" * 64, statement)
        except BadRecordError:
            refused += 1
    assert refused > 20


@given(content=st.binary(max_size=300))
def test_arbitrary_bytes_are_a_history_that_breaks(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("history") / "history.jsonl"
    path.write_bytes(content)
    history = read_history(path)
    assert bool(history.breaks) == bool(content)
    assert not history.entries


@pytest.mark.parametrize("odd", [None, 7, "", [], {}, [[]]])
def test_an_event_in_a_history_may_hold_anything(tmp_path, odd):
    path = tmp_path / "history.jsonl"
    event = {"event": odd, "previous": None, "sha256": odd, "time": "", "withheld": odd}
    path.write_text(canonical_json(event) + "\n")
    history = read_history(path)
    assert (history.breaks, history.latest, history.withheld) == ([], {}, {})
    assert len(history.events) == 1


@pytest.mark.parametrize("name", ["a", "runs/a/b.csv", "tables/ü.csv", "a b/..c"])
def test_a_name_within_its_study(name):
    check_name(name)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "/", "/a", "../a", "a/../../b", "a/..", "./a", "a//b", "a\\b", "a\0b"]
)
def test_a_name_that_leaves_its_study(name):
    with pytest.raises(BadRecordError, match="no path within its study"):
        check_name(name)


@pytest.mark.parametrize("name", ["x" * 300, "x/" * 2000 + "x", "é" * 128, "x/" * 100 + "x"])
def test_a_name_that_no_file_can_have(study, name):
    statement = json.loads((study / NAME).read_text())
    build = statement["predicate"]["buildDefinition"]
    (external,) = [
        d for d in build["resolvedDependencies"] if d["annotations"]["role"] == "external"
    ]
    for resource in (statement["subject"][0], external):
        before = resource["name"]
        resource["name"] = name
        with pytest.raises(BadRecordError, match="which is too long for a file"):
            parse_statement(NAME, "0" * 64, statement)
        resource["name"] = before
    parse_statement(NAME, "0" * 64, statement)


def test_a_changed_byte_anywhere_breaks_the_history(study, tmp_path):
    content = (study / "provenance/history.jsonl").read_bytes()
    assert read_history(study / "provenance/history.jsonl").breaks == []
    last = content[:-1].rindex(b"\n")
    path = tmp_path / "history.jsonl"
    for position in range(0, last, 97):
        changed = bytearray(content)
        changed[position] ^= 1
        path.write_bytes(changed)
        assert read_history(path).breaks, f"byte {position}"


def test_a_line_cut_short_by_a_crash_is_forgiven_and_told(study, tmp_path):
    copy = tmp_path / "results" / "tiny"
    (copy / "provenance").mkdir(parents=True)
    (copy / "provenance/history.jsonl").write_bytes(
        (study / "provenance/history.jsonl").read_bytes() + b'{"time": "2'
    )
    assert read_history(copy / "provenance/history.jsonl").breaks == [
        "line 4, the last one, cannot be read"
    ]
    output = copy / "tables" / "out.csv"
    with recorded(JOB, inputs=[], outputs=[output], record=copy / NAME, definition=""):
        write_text(output, "four")
    history = read_history(copy / "provenance/history.jsonl")
    assert (history.breaks, history.torn, len(history.hashes)) == ([], [4], 5)


def test_studies_are_found(study, tmp_path):
    assert look_through(study.parent) == look_through(study) == {study: "study"}
    assert study_of(study / "tables/out.csv") == study
    assert look_through(tmp_path) == {}
    with pytest.raises(AuditError, match="no study"):
        open_study(tmp_path)


@given(text=st.text())
def test_what_is_printed_obeys_no_terminal(text):
    assert printable(text).isprintable()
