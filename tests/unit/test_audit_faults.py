"""What goes wrong around a job whose work is done costs a line in its record, never the work."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit_trail import environment, files, writer
from audit_trail.errors import AuditError
from audit_trail.repository import Repository
from audit_trail.study import open_study
from audit_trail.verify import verify
from forgery import HISTORY
from small_study import ERRORS, ERRORS_RECORD, RUN, git, job, make_clone

Patch = pytest.MonkeyPatch
LATIN = os.fsdecode(b"m\xfcller")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clone(tmp_path_factory.mktemp("template") / "clone")


@pytest.fixture
def clone(template: Path, tmp_path: Path, monkeypatch: Patch) -> Path:
    shutil.copytree(template, tmp_path / "clone")
    monkeypatch.chdir(tmp_path / "clone")
    return tmp_path / "clone"


def fails(error: BaseException) -> Callable[..., Any]:
    def failing(*_: object, **__: object) -> Any:
        raise error

    return failing


def work(clone: Path, text: str = "experiment,k,error\nfast,1,0.75\n") -> None:
    job(clone, clone / "results/tiny", "tabulate/tables", [f"runs/{RUN}/run.json"], {ERRORS: text})


def found(clone: Path) -> set[tuple[str, str]]:
    """Return state and reason of all that is wrong with what the job wrote."""
    problems = verify(open_study(clone / "results/tiny"), Repository(clone)).problems
    of = [p for name in (ERRORS, ERRORS_RECORD, HISTORY, "code") for p in problems.get(name, [])]
    return {(p.state.value, p.reason) for p in of}


def failing(place: object, name: str, error: BaseException) -> Callable[[Patch, Path], None]:
    return lambda patch, _: patch.setattr(place, name, fails(error))


def lock(make: Callable[[Path], object]) -> Callable[[Patch, Path], None]:
    def apply(patch: Patch, clone: Path) -> None:
        path = clone.parent / "environment/locks/cpu.txt"
        path.parent.mkdir(parents=True)
        make(path)
        patch.setattr(sys, "prefix", str(clone.parent / "environment"))

    return apply


def of_latin_files(patch: Patch, clone: Path) -> None:
    (clone / LATIN).write_text("tracked")
    git(clone, "add", ".")
    git(clone, "commit", "-qm", "latin")
    (clone / LATIN).write_text("changed")
    (clone / f"{LATIN}2").write_text("untracked")


def of_latin_packages(patch: Patch, clone: Path) -> None:
    (clone.parent / f"path/{LATIN}-1.dist-info").mkdir(parents=True)
    patch.syspath_prepend(clone.parent / "path")


def of_latin_words(patch: Patch, clone: Path) -> None:
    patch.setattr("socket.gethostname", lambda: LATIN)
    patch.setenv("SLURM_JOB_NAME", LATIN)


# What goes wrong, how it is made to, and what verify then says of the job.
FAULTS: dict[str, tuple[Callable[[Patch, Path], None], set[tuple[str, str]]]] = {
    "a lock that is not UTF-8": (lock(lambda p: p.write_bytes(b"# \xff\n")), set()),
    "a lock that cannot be read": (lock(Path.mkdir), {("not checked", "lock")}),
    "git that says no": (
        failing(environment, "git", AuditError("dubious ownership")),
        {("not checked", "commit")},
    ),
    "git that is a broken file": (
        failing(subprocess, "run", PermissionError(errno.EACCES, "no")),
        {("not checked", "commit")},
    ),
    "packages nobody can list": (
        failing(environment, "packages", RuntimeError()),
        {("not checked", "packages")},
    ),
    "a machine that does not say": (
        failing(environment, "machine", OSError("no /proc")),
        {("not checked", "machine")},
    ),
    "a platform that does not say": (
        failing(environment.platform, "platform", UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no")),
        {("not checked", "machine")},
    ),
    "no locking of files": (
        failing(writer.FileLock, "acquire", OSError(errno.ENOLCK, "no")),
        set(),
    ),
    "no locking at all": (failing(writer.FileLock, "acquire", NotImplementedError("no")), set()),
    "no syncing": (failing(os, "fsync", OSError(errno.EINVAL, "no")), set()),
    "no modes": (failing(os, "chmod", PermissionError(errno.EPERM, "no")), set()),
    "files of a clone that are not UTF-8": (of_latin_files, {("broken chain", "uncommitted")}),
    "packages that are not UTF-8": (of_latin_packages, set()),
    "words that are not UTF-8": (of_latin_words, set()),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_costs_a_line_and_never_the_work(clone, monkeypatch, caplog, fault):
    apply, told = FAULTS[fault]
    with monkeypatch.context() as patch:
        apply(patch, clone)
        work(clone)
    assert "0.75" in (clone / "results/tiny" / ERRORS).read_text()
    # An interpreter without locks has none to keep.
    assert found(clone) - {("broken chain", "lock")} == told
    record = open_study(clone / "results/tiny").records[ERRORS_RECORD]
    assert {*record.unknown} == {reason for state, reason in told if state == "not checked"}
    assert all(reason in caplog.text for reason in record.unknown.values())
    assert ("without a lock" in caplog.text) == ("locking" in fault)
    work(clone, "again 0.75")
    assert found(clone) <= {("broken chain", "lock"), ("broken chain", "uncommitted")}


def test_names_that_are_not_utf_8_are_written_escaped(clone):
    study, outside = clone / "results/tiny", clone.parent / LATIN
    outside.write_text("input")
    output = study / f"tables/{LATIN}.csv"
    command = writer.Work("logdepth", "tabulate", {"title": LATIN}, root=clone)
    record = study / ERRORS_RECORD
    with writer.recorded(command, inputs=[outside], outputs=[output], record=record):
        output.write_text("x")
    assert output.read_text() == "x"
    made = open_study(study).records[ERRORS_RECORD]
    assert made.parameters == {"title": "m%FCller"}
    assert [r.name for r in made.external] == [f"{clone.parent}/m%FCller"]
    assert [r.name for r in made.outputs] == ["tables/m%FCller.csv"]
    problems = verify(open_study(study), Repository(clone)).problems
    states = {name: {p.state.value for p in of} for name, of in problems.items()}
    # Nobody can name it so that every reader finds it.
    assert "missing" in states["tables/m%FCller.csv"]
    assert states[f"tables/{LATIN}.csv"] == {"foreign"}


@pytest.mark.parametrize("name", [ERRORS_RECORD, HISTORY])
def test_a_full_disk_leaves_the_outputs_and_the_same_job_goes_on(clone, monkeypatch, name):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(clone / "results/tiny" / name))
    place, function = (writer, "append_entry") if name == HISTORY else (writer, "write_bytes")
    with monkeypatch.context() as patch:
        patch.setattr(place, function, fails(full))
        with pytest.raises(OSError, match=r"No space left.*tiny"):
            work(clone)
    assert "0.75" in (clone / "results/tiny" / ERRORS).read_text()
    work(clone)
    assert found(clone) == set()


def test_a_history_that_is_a_link_is_refused_before_the_work(clone):
    history = clone / "results/tiny" / HISTORY
    history.rename(clone / "elsewhere")
    history.symlink_to(clone / "elsewhere")
    with pytest.raises(AuditError, match="is a symbolic link"):
        work(clone)
    assert "0.75" not in (clone / "results/tiny" / ERRORS).read_text()


def test_a_clock_that_was_set_back_costs_the_finding_alone(clone, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(writer, "_now", lambda: "2024-01-01T00:00:00.000Z")
        work(clone)
    assert "0.75" in (clone / "results/tiny" / ERRORS).read_text()
    assert found(clone) == {("broken chain", "time")}
    history = verify(open_study(clone / "results/tiny")).problems[HISTORY]
    assert ["before the line above it" in p.detail for p in history] == [True]
    work(clone)
    # The chain of hashes went on; what is left is the history's line.
    assert found(clone) == {("broken chain", "time")}
    assert files.read_json(clone / "results/tiny" / ERRORS_RECORD)


def test_what_a_killed_job_kept_for_its_record_is_no_foreign_file(
    clone: Path, monkeypatch: Patch
) -> None:
    study = clone / "results/tiny"
    write = writer.write_bytes

    def killed(path: Path, content: bytes) -> None:
        if path == study / ERRORS_RECORD:
            raise KeyboardInterrupt
        write(path, content)

    monkeypatch.setattr(writer, "write_bytes", killed)
    monkeypatch.setattr(writer, "canonical_json", lambda value: f"{value} by other code")
    with pytest.raises(KeyboardInterrupt):
        work(clone, "experiment,k,error\nfast,1,0.25\n")
    monkeypatch.undo()
    monkeypatch.chdir(clone)
    work(clone)
    findings = verify(open_study(study), Repository(clone))
    assert not [p for name, of in findings.problems.items() if "/sources/" in name for p in of]
    assert [note for note in findings.notes if "jobs that did not finish" in note]
    # One with another content than its name says is.
    kept = next((study / "provenance/sources").iterdir())
    kept.with_stem("0" * 64).write_bytes(kept.read_bytes())
    findings = verify(open_study(study), Repository(clone))
    (problem,) = findings.problems[f"provenance/sources/{'0' * 64}.json"]
    assert problem.state.value == "foreign"
