"""Definitions, records and their history."""

import hashlib
import itertools
import json
import multiprocessing
import re

import pytest

from audit_trail import environment
from audit_trail.errors import AuditError
from audit_trail.writer import definition_or_retry, mark_of
from logdepth import jobs
from logdepth.config.figures import FigureSpec
from logdepth.config.run import Run
from logdepth.files import sha256_of, write_text
from logdepth.models.softmax import Softmax
from logdepth.provenance.definition import code_hash, definition, hash_of, source
from logdepth.provenance.image import VARIABLE
from logdepth.provenance.job import Job
from logdepth.provenance.record import recorded
from logdepth.recipes.muon import MuonRecipe
from logdepth.resolved import StudySummary
from logdepth.tasks.hop import Hop

CODE = (
    '"""Doc."""\nx = 1  # one\n"""Doc of x."""\n\n\ndef f(a):\n    """Doc."""\n'
    '    if a > 1:\n        raise ValueError(f"a is {a}")\n    return a + x\n'
)
RUN = Run(task=Hop(), model=Softmax(), training=MuonRecipe(), seed=0)
JOB = Job("data", ("logdepth.files",), {"depth": 2}, {"run": 7})


@pytest.mark.parametrize(
    "other",
    [
        CODE.replace("# one", "# uno"),
        CODE.replace("Doc", "Documentation"),
        CODE.replace("\n\n\n", "\n\n\n\n"),
        CODE.replace("a + x", "(a + x)"),
        CODE.replace('    """Doc."""\n', ""),
        CODE.replace('"""Doc of x."""\n', ""),
        CODE.replace("a is {a}", "{a} was given; expected less"),
        CODE.replace('f"a is {a}"', '"a is", a'),
    ],
)
def test_comments_texts_messages_and_layout_are_no_code(other):
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
        CODE.replace("ValueError", "KeyError"),
        CODE.replace("a > 1", "a > 2"),
    ],
)
def test_code_is_code(other):
    assert code_hash(other) != code_hash(CODE)


def test_the_hash_of_code_is_pinned():
    # It must not vary with the version of Python, nor between releases without need.
    simple = "445ed66cd668dec62f16f35b1d897df3043425286ce6049a2ee16c10ec85774b"
    assert code_hash("x = 1\n") == code_hash("x = 1\n", with_messages=True) == simple
    assert code_hash(CODE) == "cbf30e4b41b79b1aebb09a12ced2b100060d9c6dede336ec9ed0a16a8d8bcc85"


def test_the_hash_that_the_first_published_records_have_is_pinned():
    # So it was computed before messages and texts other than docstrings were left out.
    assert (
        code_hash(CODE, with_messages=True)
        == "6d7dd02172e37c5a7d02f9a00829de1ae6d3223729098b8288a1165e0fd4602b"
    )
    undocumented = CODE.replace('    """Doc."""\n', "")
    assert code_hash(undocumented, with_messages=True) == code_hash(CODE, with_messages=True)


def test_the_closure_is_computed():
    train = source(jobs.train(RUN).modules)
    # Imported at the top, within functions, and through others.
    assert {
        "logdepth.training.loop",
        "logdepth.training.store",
        "logdepth.tasks.hop",
        "logdepth.random",
        "logdepth.models.softmax",
        "logdepth.models.mixing",
        "logdepth.models.network",
        "logdepth.recipes.muon",
        "logdepth.optimizers.muon",
        "logdepth.files",
    } <= set(train)
    assert not [m for m in train if re.match(r"logdepth\.(figures|fitting|evaluation)", m)]
    # What reads the user's wishes, checks, plans and records changes no bytes.
    apart = r"logdepth\.(cli|config|errors|planning|provenance|settings|tables|training.progress)"
    assert not [m for m in train if re.match(apart, m)]
    # Nor do other members of its families.
    others = r"logdepth\.(models\.(gpt2|recurrent|window)|tasks\.s5|recipes\.(paper|compiled))"
    assert not [m for m in train if re.match(others, m)]
    summary = StudySummary("tiny", {"a": "A"}, (), {"a": [RUN]})
    figure = source(jobs.figure(FigureSpec(draws="depth_law"), summary).modules)
    assert "logdepth.figures.style" in figure
    assert "logdepth.figures.error_by_k" not in figure
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


def run_job(folder, text="content", name="a", definition=None, job=JOB, **more):
    source_file = folder / "data" / "in.txt"
    write_text(source_file, "input")
    output = folder / "out" / f"{name}.txt"
    record = folder / "provenance" / "data" / f"{name}.json"
    asked = job.definition() if definition is None else definition
    files = {"inputs": [source_file], "outputs": [output], "record": record}
    with recorded(job, **files, definition=asked, **more):
        write_text(output, text)
    return output, record


def build_of(record):
    return json.loads(record.read_text())["predicate"]["buildDefinition"]


def test_a_record_is_an_in_toto_statement_of_slsa_provenance(study, monkeypatch):
    monkeypatch.setenv("MY_SECRET_TOKEN", "hunter2hunter2")
    output, record = run_job(study, device="cpu")
    text = record.read_text()
    statement = json.loads(text)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert statement["subject"] == [{"name": "out/a.txt", "digest": {"sha256": sha256_of(output)}}]
    build = statement["predicate"]["buildDefinition"]
    assert build["externalParameters"] == {"stage": "data", "depth": 2, "device": "cpu"}
    assert build["internalParameters"]["definition"] == JOB.definition()
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
    assert json.loads((study / kept["source"]["name"]).read_text()) == source(JOB.modules)


@pytest.mark.parametrize("count", ["", "+2"])
def test_a_record_states_the_definition_that_ran_and_says_if_another_was_asked_for(
    study, caplog, count
):
    _, record = run_job(study, definition=f"{JOB.definition()}{count}")
    assert not caplog.records
    stated = build_of(record)["internalParameters"]["definition"]
    assert stated == f"{JOB.definition()}{count}"
    _, record = run_job(study, definition=f"{'e' * 64}{count}")
    assert build_of(record)["internalParameters"]["definition"] == stated
    assert "changed since the workflow started: run it again" in caplog.text


def test_a_definition_is_over_parameters_seeds_source_and_image(study, monkeypatch):
    one = JOB.definition()
    others = [
        Job("data", JOB.modules, {"depth": 3}, JOB.seeds).definition(),
        Job("data", JOB.modules, JOB.parameters, {"run": 8}).definition(),
        Job("data", ("logdepth.devices",), JOB.parameters, JOB.seeds).definition(),
        JOB.definition("f" * 64),
    ]
    assert len({one, *others}) == 5
    # The order of experiments is that of tables and figures.
    orders = [Job("data", (), {"titles": {a: a, b: b}}) for a, b in ("ab", "ba")]
    assert orders[0].definition() != orders[1].definition()
    # A job in an image knows its sha256 from the workflow.
    monkeypatch.setenv("APPTAINER_CONTAINER", "/shared/some.sif")
    monkeypatch.setenv(VARIABLE, "f" * 64)
    _, record = run_job(study, definition=JOB.definition("f" * 64))
    assert build_of(record)["internalParameters"]["definition"] == JOB.definition("f" * 64)


def test_a_job_by_hand_has_no_definition(study):
    _, record = run_job(study, definition="")
    assert build_of(record)["internalParameters"]["definition"] == ""


def test_the_options_of_a_job_say_all_that_study_json_does_not():
    job = Job(
        "evaluate",
        (),
        {"mode": ["eval", "train"], "figure": {"title": "it's"}, "titles": {"a": "A"}},
        {"dropout": 3, "instances": 4},
        hidden=("instances",),
    )
    assert job.options == ('--mode eval --mode train --figure \'{"title":"it\'"\'"\'s"}\' --seed 3')


def test_the_study_is_kept_as_it_was_read(study):
    summary = study / "study.json"
    write_text(summary, '{"study":"tiny"}\n')
    digest = sha256_of(summary)
    record = study / "provenance" / "data" / "a.json"
    files = {"inputs": [], "outputs": [study / "out.txt"], "record": record}
    with recorded(JOB, **files, definition="", study=summary):
        write_text(study / "out.txt", "x")
        write_text(summary, '{"study":"changed"}\n')
    (kept,) = [
        d for d in build_of(record)["resolvedDependencies"] if d["annotations"]["role"] == "study"
    ]
    assert kept["name"] == f"provenance/studies/{digest}.json"
    assert kept["digest"]["sha256"] == sha256_of(study / kept["name"]) == digest


def test_the_locks_are_kept_with_the_results(study, monkeypatch, tmp_path):
    write_text(tmp_path / "locks" / "cpu.txt", "torch==2.13.0\n")
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    _, record = run_job(study)
    (lock,) = [
        d for d in build_of(record)["resolvedDependencies"] if d["annotations"]["role"] == "lock"
    ]
    assert lock["annotations"]["file"] == "envs/cpu.txt"
    assert (study / lock["name"]).read_text() == "torch==2.13.0\n"


def test_inputs_from_elsewhere_are_told_apart(study, tmp_path):
    write_text(study / "data" / "in.txt", "input")
    write_text(tmp_path / "published.csv", "errors")
    output = study / "out.txt"
    record = study / "provenance" / "data" / "a.json"
    inputs = [study / "data/in.txt", tmp_path / "published.csv"]
    with recorded(JOB, inputs=inputs, outputs=[output], record=record, definition="") as mark:
        write_text(output, "x")
    found = build_of(record)["resolvedDependencies"]
    assert [(d["name"], d["annotations"]["role"]) for d in found[:2]] == [
        ("data/in.txt", "input"),
        (str(tmp_path / "published.csv"), "external"),
    ]
    assert mark == mark_of("", [d["digest"]["sha256"] for d in found[:2]])
    assert mark.startswith("logdepth definition=none inputs=")


def test_a_record_claims_nothing_outside_of_its_study(study, tmp_path):
    record = study / "provenance" / "data" / "a.json"
    for output, written, message in (
        ("elsewhere.txt", record, r"elsewhere\.txt: outside of .*tiny"),
        ("out.txt", tmp_path / "a.json", r"a record lies below"),
    ):
        files = {"inputs": [], "outputs": [tmp_path / output], "record": written}
        with pytest.raises(AuditError, match=message), recorded(JOB, **files, definition=""):
            raise AssertionError("the job must not start")


def test_a_mark_has_the_definition_without_its_count_and_all_inputs_in_any_order():
    one = mark_of("e" * 64 + "+2", ["a" * 64, "b" * 64])
    assert one == mark_of("e" * 64, ["b" * 64, "a" * 64]) != mark_of("e" * 64, ["a" * 64])
    assert f"definition={'e' * 64} inputs=" in one
    assert "definition=none" in mark_of("", [])


def test_the_history_is_a_chain_of_whole_records(study):
    for i in range(3):
        # Longer than what is read at once to find the last line.
        job = Job("data", JOB.modules, {"depth": 2, "long": "x" * 50_000 * i})
        run_job(study, f"content {i}", job=job)
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
    more = {"record": study / "provenance" / "data" / "a.json", "definition": ""}
    with (
        pytest.raises(FileNotFoundError, match=r"out\.txt: announced as an output"),
        recorded(JOB, inputs=[], outputs=[study / "out.txt"], **more),
    ):
        pass
    assert not more["record"].exists()
    with (
        pytest.raises(FileNotFoundError, match=r"none: this input of 'logdepth data'"),
        recorded(JOB, inputs=[study / "none"], outputs=[], **more),
    ):
        raise AssertionError("the job must not start")


def test_a_definition_counts_how_often_its_outputs_were_altered(study):
    now = JOB.definition()
    output, record = run_job(study)
    assert definition_or_retry(now, record) == now
    assert definition_or_retry("e" * 64, record) == "e" * 64
    assert definition_or_retry(now, study / "provenance" / "data" / "none.json") == now
    output.write_text("altered")
    assert definition_or_retry(now, record) == f"{now}+1"
    run_job(study, definition=f"{now}+1")
    assert definition_or_retry(now, record) == f"{now}+1", (
        "made again, so that nothing changes any more"
    )
    output.write_text("altered once more")
    assert definition_or_retry(now, record) == f"{now}+2"
    assert definition_or_retry("e" * 64, record) == "e" * 64
    output.unlink()
    assert definition_or_retry(now, record) == f"{now}+1", (
        "a missing output is Snakemake's to notice"
    )
    record.write_text("{")
    assert definition_or_retry(now, record) == f"{now}+1"
    assert hash_of(f"{now}+2") == now
