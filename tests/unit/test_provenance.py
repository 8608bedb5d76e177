"""Definitions, records and their history."""

import hashlib
import itertools
import json
import multiprocessing
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logdepth.errors import UserError
from logdepth.files import sha256_of, write_text
from logdepth.provenance import environment
from logdepth.provenance.definition import code_hash, definition, hash_of, source
from logdepth.provenance.integrity import settled
from logdepth.provenance.mark import Mark, inputs_hash, read_mark
from logdepth.provenance.record import Job, recorded

CODE = '"""Doc."""\nx = 1  # one\n\n\ndef f(a):\n    """Doc."""\n    return a + x\n'


@pytest.mark.parametrize(
    "other",
    [
        CODE.replace("# one", "# uno"),
        CODE.replace("Doc", "Documentation"),
        CODE.replace("\n\n\n", "\n\n\n\n"),
        CODE.replace("a + x", "(a + x)"),
        CODE.replace('    """Doc."""\n', ""),
    ],
)
def test_comments_docstrings_and_layout_are_no_code(other):
    assert other != CODE
    assert code_hash(other) == code_hash(CODE)


@pytest.mark.parametrize(
    "other",
    [
        CODE.replace("x = 1", "x = 2"),
        CODE.replace("x = 1", "x = 1.0"),
        CODE.replace("a + x", "x + a"),
        CODE.replace("f(a)", "f(a, b=0)"),
        CODE.replace("return a + x", "return 'Doc.'"),
        CODE + "f(1)\n",
    ],
)
def test_code_is_code(other):
    assert code_hash(other) != code_hash(CODE)


def test_the_hash_of_code_is_pinned():
    # It must not vary with the version of Python, nor between releases without need.
    assert (
        code_hash("x = 1\n") == "445ed66cd668dec62f16f35b1d897df3043425286ce6049a2ee16c10ec85774b"
    )


def test_the_closure_is_computed():
    train = source(("logdepth.cli.train",))
    # Imported at the top, within functions, and through others.
    assert {
        "logdepth.cli.train",
        "logdepth.training.loop",
        "logdepth.tasks.random",
        "logdepth.models.transformer",
        "logdepth.config.run",
        "logdepth.files",
    } <= set(train)
    assert not [m for m in train if re.match(r"logdepth\.(figures|fitting|evaluation)", m)]
    assert not [m for m in train if m.startswith("logdepth.provenance")]
    assert "logdepth.training.progress" not in train
    figure = source(("logdepth.cli.figure", "logdepth.figures.depth_law"))
    assert "logdepth.figures.style" in figure
    assert "logdepth.figures.error_by_hops" not in figure
    assert not [m for m in figure if m.startswith(("logdepth.training", "logdepth.models"))]


def test_a_module_that_does_not_exist_is_an_error():
    with pytest.raises(ModuleNotFoundError, match=r"logdepth\.nothing"):
        source(("logdepth.nothing",))


def test_definitions_see_names_and_not_order():
    one = definition(("logdepth.files",), {"depth": 1, "width": 2})
    assert one == definition(("logdepth.files",), {"width": 2, "depth": 1})
    assert one != definition(("logdepth.files",), {"depth": 2, "width": 1})
    assert one != definition(("logdepth.errors",), {"depth": 1, "width": 2})


@pytest.fixture
def study(tmp_path):
    return tmp_path / "results" / "tiny"


def run_job(study, text="content", name="a", definition="d" * 64, parameters=None):
    source_file = study / "data" / "in.txt"
    write_text(source_file, "input")
    output = study / "out" / f"{name}.txt"
    record = study / "provenance" / "data" / f"{name}.json"
    job = Job(
        "data", record, definition, parameters or {"depth": 2}, [source_file], [output], {"run": 7}
    )
    with recorded(job):
        write_text(output, text)
    return output, record


def test_a_record_is_an_in_toto_statement_of_slsa_provenance(study, monkeypatch):
    monkeypatch.setenv("MY_SECRET_TOKEN", "hunter2hunter2")
    output, record = run_job(study)
    text = record.read_text()
    statement = json.loads(text)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert statement["subject"] == [{"name": "out/a.txt", "digest": {"sha256": sha256_of(output)}}]
    build = statement["predicate"]["buildDefinition"]
    assert build["externalParameters"] == {"stage": "data", "depth": 2}
    assert build["internalParameters"]["definition"] == "d" * 64
    assert build["internalParameters"]["seeds"] == {"run": 7}
    inputs = {d["name"]: d for d in build["resolvedDependencies"]}
    assert inputs["data/in.txt"]["digest"]["sha256"] == hashlib.sha256(b"input").hexdigest()
    assert re.fullmatch(r"[0-9a-f]{40}", inputs["code"]["digest"]["gitCommit"])
    details = statement["predicate"]["runDetails"]
    assert details["metadata"]["startedOn"] <= details["metadata"]["finishedOn"]
    machine = details["byproducts"][0]["annotations"]
    assert machine["torch"]["threads"] >= 1
    assert "hunter2" not in text
    kept = {d["annotations"]["role"]: d for d in build["resolvedDependencies"]}
    for role in ("packages", "source"):
        path = study / kept[role]["name"]
        assert kept[role]["digest"]["sha256"] == path.stem == sha256_of(path)
    assert (
        json.loads((study / kept["packages"]["name"]).read_text())["torch"]
        == environment.packages()["torch"]
    )
    assert json.loads((study / kept["source"]["name"]).read_text()) == source(
        ("logdepth.cli.data",)
    )


def test_the_locks_are_kept_with_the_results(study, monkeypatch, tmp_path):
    write_text(tmp_path / "locks" / "cpu.txt", "torch==2.13.0\n")
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    _, record = run_job(study)
    dependencies = json.loads(record.read_text())["predicate"]["buildDefinition"]
    (lock,) = [
        d for d in dependencies["resolvedDependencies"] if d["annotations"]["role"] == "lock"
    ]
    assert lock["annotations"]["file"] == "envs/cpu.txt"
    assert (study / lock["name"]).read_text() == "torch==2.13.0\n"


def test_inputs_from_elsewhere_are_told_apart(study, tmp_path):
    write_text(study / "data" / "in.txt", "input")
    write_text(tmp_path / "published.csv", "errors")
    output = study / "out.txt"
    record = study / "provenance" / "data" / "a.json"
    job = Job("data", record, "", {}, [study / "data/in.txt", tmp_path / "published.csv"], [output])
    with recorded(job) as mark:
        write_text(output, "x")
    found = json.loads(record.read_text())["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert [(d["name"], d["annotations"]["role"]) for d in found[:2]] == [
        ("data/in.txt", "input"),
        (str(tmp_path / "published.csv"), "external"),
    ]
    assert mark.definition is None
    assert mark.inputs == inputs_hash(d["digest"]["sha256"] for d in found[:2])


def test_a_record_claims_nothing_outside_of_its_study(study, tmp_path):
    record = study / "provenance" / "data" / "a.json"
    job = Job("data", record, "", {}, [], [tmp_path / "elsewhere.txt"])
    with pytest.raises(UserError, match=r"elsewhere\.txt: outside of .*tiny"), recorded(job):
        raise AssertionError("the job must not start")
    job = Job("data", tmp_path / "a.json", "", {}, [], [tmp_path / "out.txt"])
    with pytest.raises(UserError, match=r"a record lies below"), recorded(job):
        raise AssertionError("the job must not start")


@given(definition=st.sampled_from(["", "d" * 64, "e" * 64 + "+2"]), before=st.binary(max_size=50))
def test_a_mark_is_read_from_any_bytes(definition, before):
    mark = Mark(hash_of(definition) or None, inputs_hash(["a" * 64]))
    assert read_mark(before + str(mark).encode() + b"\n" + before) == mark
    assert read_mark(before) is None


def test_the_history_is_a_chain_of_whole_records(study):
    for i in range(3):
        # Longer than what is read at once to find the last line.
        run_job(study, f"content {i}", parameters={"depth": 2, "long": "x" * 50_000 * i})
    lines = (study / "provenance" / "history.jsonl").read_bytes().splitlines()
    entries = [json.loads(line) for line in lines]
    assert [entry["previous"] for entry in entries] == [
        None,
        *(hashlib.sha256(line).hexdigest() for line in lines[:-1]),
    ]
    assert len({entry["sha256"] for entry in entries}) == 3
    record = study / entries[-1]["record"]
    assert entries[-1]["sha256"] == sha256_of(record)
    assert entries[-1]["statement"] == json.loads(record.read_text())


def test_a_line_cut_short_stays_and_the_history_goes_on(study):
    run_job(study)
    history = study / "provenance" / "history.jsonl"
    with history.open("ab") as file:
        file.write(b'{"time": "20')
    run_job(study)
    lines = history.read_bytes().splitlines()
    assert lines[1] == b'{"time": "20'
    assert json.loads(lines[2])["previous"] == hashlib.sha256(lines[1]).hexdigest()


def write_some(study, name):
    for i in range(10):
        run_job(study, f"{name} {i}", name)


def test_many_jobs_write_one_history(study):
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=write_some, args=(study, f"w{i}")) for i in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    lines = (study / "provenance" / "history.jsonl").read_bytes().splitlines()
    assert len(lines) == 30
    for line, after in itertools.pairwise(lines):
        assert json.loads(after)["previous"] == hashlib.sha256(line).hexdigest()


def test_no_record_of_a_job_that_failed(study):
    job = Job("s", study / "provenance" / "s" / "a.json", "", {}, [], [study / "out.txt"])
    with pytest.raises(FileNotFoundError, match=r"out\.txt: announced as an output"), recorded(job):
        pass
    assert not job.record.exists()
    missing = Job("s", job.record, "", {}, [study / "none"], [])
    with (
        pytest.raises(FileNotFoundError, match=r"none: this input of 'logdepth s'"),
        recorded(missing),
    ):
        raise AssertionError("the job must not start")


def test_definitions_settle(study):
    now = "d" * 64
    output, record = run_job(study, definition=now)
    assert settled(now, record) == now
    assert settled("e" * 64, record) == "e" * 64
    assert settled(now, study / "provenance" / "data" / "none.json") == now
    output.write_text("altered")
    assert settled(now, record) == f"{now}+1"
    run_job(study, definition=f"{now}+1")
    assert settled(now, record) == f"{now}+1", "made again, so that nothing changes any more"
    output.write_text("altered once more")
    assert settled(now, record) == f"{now}+2"
    assert settled("e" * 64, record) == "e" * 64
    output.unlink()
    assert settled(now, record) == f"{now}+1", "a missing output is Snakemake's to notice"
    record.write_text("{")
    assert settled(now, record) == f"{now}+1"
    assert hash_of(f"{now}+2") == now


def test_uncommitted_changes_have_a_hash(tmp_path):
    import subprocess

    def git(*arguments):
        command = ["git", "-c", "user.name=t", "-c", "user.email=t", *arguments]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)

    assert environment.commit(tmp_path) is None
    git("init", "-q")
    (tmp_path / "a").write_text("1")
    (tmp_path / "sub").mkdir()
    git("add", ".")
    git("commit", "-qm", "x")
    clean = environment.commit(tmp_path / "sub")
    assert set(clean) == {"gitCommit"}
    (tmp_path / "a").write_text("2")
    changed = environment.commit(tmp_path / "sub")
    (tmp_path / "new").write_text("1")
    added = environment.commit(tmp_path / "sub")
    (tmp_path / "new").write_text("2")
    edited = environment.commit(tmp_path / "sub")
    hashes = [facts["uncommittedSha256"] for facts in (changed, added, edited)]
    assert len(set(hashes)) == 3
    assert {facts["gitCommit"] for facts in (clean, changed, added)} == {clean["gitCommit"]}
