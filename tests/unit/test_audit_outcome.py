"""How close an output made again is to the recorded one, and which commands are followed."""

import sys

import numpy as np
import pytest
from matplotlib.image import imsave
from safetensors.numpy import save_file

from audit_trail.reproduction.command import arguments_of, place_of
from audit_trail.reproduction.environment import variables
from audit_trail.reproduction.outcome import outcomes
from audit_trail.reproduction.plan import make_plan
from audit_trail.study import open_study
from logdepth.errors import UserError
from logdepth.files import write_text
from logdepth.provenance.job import Job
from logdepth.provenance.record import recorded

JOB = Job("fit", ("logdepth.files",), {})
TABLE = "n,error,sequences_low,sequences_high,slope,verdict\n1,0.5,0.4,0.6,1.0,best\n"


@pytest.fixture
def study(tmp_path):
    """A job with an output of each kind."""
    folder = tmp_path / "tiny"
    names = ("a.csv", "a.png", "a.pdf", "a.json", "a.safetensors")
    record = folder / "provenance" / "fit" / "fits.json"
    outputs = [folder / name for name in names]
    with recorded(JOB, inputs=[], outputs=outputs, record=record, definition=""):
        write_kinds(folder)
    return open_study(folder)


def write_kinds(folder, *, table=TABLE, bright=0, weight=1.0, other=""):
    write_text(folder / "a.csv", table)
    picture = np.zeros((100, 100, 3), np.uint8)
    picture.reshape(-1)[:bright] = 255
    imsave(folder / "a.png", picture)
    for name in ("a.pdf", "a.json"):
        write_text(folder / name, f"{name}{other}")
    save_file({"w": np.array([1.0, weight]), "v": np.zeros(2)}, folder / "a.safetensors")


def again(study, folder, **changes):
    folder.mkdir()
    write_kinds(folder, **changes)
    (record,) = study.records.values()
    return {outcome.name: outcome for outcome in outcomes(study, record, folder)}


def test_the_same_bytes_are_identical(study, tmp_path):
    assert all(outcome.identical for outcome in again(study, tmp_path / "again").values())


@pytest.mark.parametrize(
    ("old", "new", "close", "detail"),
    [
        ("0.5", "0.51", True, "error 0.5, again 0.51 at n=1, verdict=best, 0.139 standard errors"),
        ("0.5", "0.9", False, "5.54 standard errors"),
        ("1.0", "1.0001", True, "slope 1, again 1.0001"),
        ("1.0", "1.1", False, "slope 1, again 1.1"),
        ("0.6", "0.9", False, "sequences_high"),
        ("best", "worse", False, "1 rows are others"),
        ("1,0.5", "2,0.5", False, "1 rows are others"),
        ("best\n", "best\n2,0.5,0.4,0.6,1.0,best\n", False, "1 rows are others"),
        ("slope", "rise", False, "the columns are others"),
        ("1.0", "1.00", True, "the same numbers, written otherwise"),
    ],
)
def test_tables_are_measured(study, tmp_path, old, new, close, detail):
    table = TABLE.replace(old, new, 1)
    found = again(study, tmp_path / "again", table=table)["a.csv"]
    assert (found.identical, found.close) == (False, close)
    assert detail in found.detail


@pytest.mark.parametrize(("bright", "close"), [(3, True), (300, False)])
def test_pictures_are_measured_and_a_pdf_is_as_close_as_its_picture(study, tmp_path, bright, close):
    found = again(study, tmp_path / "again", bright=bright, other="!")
    assert found["a.png"].detail == f"{bright / 300:.3f}% of the pixels differ, by up to 100.0%"
    assert found["a.png"].close == found["a.pdf"].close == close
    assert (found["a.json"].identical, found["a.json"].close) == (False, False)


def test_weights_are_measured(study, tmp_path):
    found = again(study, tmp_path / "near", weight=1.00001)["a.safetensors"]
    assert (found.close, found.detail) == (True, "w differs by up to 1e-05")
    assert not again(study, tmp_path / "far", weight=2.0)["a.safetensors"].close


def test_without_the_recorded_bytes_nothing_is_measured(study, tmp_path):
    study.path("a.csv").write_text("altered")
    found = again(study, tmp_path / "again", table=TABLE.replace("0.5", "0.51", 1))["a.csv"]
    assert not found.close
    assert "not here to measure" in found.detail


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("config/published.csv", "config/published.csv"),
        ("../../x/y", "up/up/x/y"),
        ("/etc/x", "root/etc/x"),
        ("//etc/x", "root/etc/x"),
        ("a/../../x", "a/up/up/x"),
        (".", "nothing"),
    ],
)
def test_an_input_from_elsewhere_stays_in_the_folder(name, place):
    assert place_of(name) == place


def record_of(study, monkeypatch, command, *, stage="fit", external=()):
    """Return a study whose only record is of this command."""
    monkeypatch.setattr(sys, "argv", command.split(" "))
    for path in external:
        write_text(path, "x")
    output = study / "t.csv"
    record = study / "provenance" / stage / "x.json"
    job = Job(stage, JOB.modules, {})
    with recorded(job, inputs=external, outputs=[output], record=record, definition=""):
        write_text(output, "x")
    opened = open_study(study)
    return opened, next(iter(opened.records.values()))


def test_a_command_is_moved_to_the_fresh_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path / "..")
    external = tmp_path / "published.csv"
    command = (
        f"logdepth fit --output old/t.csv --published {external} --record old/provenance/fit/x.json"
    )
    opened, record = record_of(tmp_path / "tiny", monkeypatch, command, external=[external])
    moved = arguments_of(opened, record)
    assert moved == [
        *("fit", "--output", "results/tiny/t.csv", "--published", place_of(str(external))),
        *("--record", "results/tiny/provenance/fit/x.json"),
    ]


def test_an_import_is_moved_and_names_only_what_the_record_is_about(tmp_path, monkeypatch):
    folder = tmp_path / "released" / "depth2"
    external = [folder / "config.yaml", folder / "model.pt"]
    command = f"logdepth import {folder} ../released/depth4 --samples 7"
    opened, record = record_of(
        tmp_path / "tiny", monkeypatch, command, stage="import", external=external
    )
    assert arguments_of(opened, record) == [
        *("import", place_of(str(folder)), "--output", "results/tiny", "--samples", "7")
    ]


@pytest.mark.parametrize(
    "word", ["/etc/x", "a/../b", "--output=/etc/x", "x=../y", "x=a,/b", "\0", "\ud800"]
)
def test_a_word_that_leads_out_is_refused(tmp_path, monkeypatch, word):
    command = f"logdepth fit {word} --record old/provenance/fit/x.json"
    opened, record = record_of(tmp_path / "tiny", monkeypatch, command)
    with pytest.raises(UserError, match="out of the folder"):
        arguments_of(opened, record)


def test_a_job_gets_this_code_its_threads_and_nothing_of_the_shell(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    monkeypatch.setenv("LOGDEPTH_DEFINITION", "other")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    command = "logdepth fit --record old/provenance/fit/x.json"
    _, record = record_of(tmp_path / "tiny", monkeypatch, command)
    record.machine["torch"] = {"threads": 3}
    given = variables(tmp_path, record, ["logdepth"])
    assert given["PYTHONPATH"] == str(tmp_path / "workflow")
    assert given["PYTHONSAFEPATH"] == "1"
    assert given["OMP_NUM_THREADS"] == "3"
    assert "LOGDEPTH_DEFINITION" not in given


def test_records_in_a_circle_are_refused(tmp_path, monkeypatch):
    study = tmp_path / "tiny"
    write_text(study / "t.csv", "x")
    monkeypatch.setattr(sys, "argv", ["", "fit", "--record", "x/provenance/fit/x.json"])
    files = {"inputs": [study / "t.csv"], "outputs": [study / "t.csv"]}
    with recorded(JOB, **files, record=study / "provenance/fit/x.json", definition=""):
        pass
    with pytest.raises(UserError, match="in a circle"):
        make_plan(open_study(study), "t.csv", deep=True, commit="0" * 40)
