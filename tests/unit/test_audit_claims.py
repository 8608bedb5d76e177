"""What a record, a history or a signature claims, and what is believed of it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit_trail.errors import AuditError
from audit_trail.findings import EXIT_CODES, State
from audit_trail.format import SIGNATURES
from audit_trail.publish import publish
from audit_trail.repository import Repository
from audit_trail.signature import sign
from audit_trail.study import open_study
from audit_trail.verify import verify
from command_line import logdepth_here
from forgery import HISTORY, forge, lines_of, write_history
from small_study import ERRORS, ERRORS_RECORD, RUN, TRAIN_RECORD, git, make_clone, train


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clone(tmp_path_factory.mktemp("template") / "clone")


@pytest.fixture
def clone(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(template, tmp_path / "clone")
    monkeypatch.chdir(tmp_path / "clone")
    return tmp_path / "clone"


@pytest.fixture
def study(clone: Path) -> Path:
    return clone / "results/tiny"


def problems(study: Path, **checks: Any) -> dict[str, set[tuple[str, str]]]:
    """Return what is wrong with each artefact, as (state, reason)."""
    found = verify(open_study(study), Repository(Path.cwd()), **checks).problems
    return {name: {(p.state.value, p.reason) for p in of} for name, of in found.items() if of}


def broken(reason: str) -> set[tuple[str, str]]:
    return {("broken chain", reason)}


def dependencies(statement: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    return found


@pytest.mark.parametrize("role", ["packages", "source", "lock"])
def test_a_record_without_a_part_is_no_whole_record(study, role):
    def leave_out(statement: dict[str, Any]) -> None:
        rest = [d for d in dependencies(statement) if d["annotations"]["role"] != role]
        dependencies(statement)[:] = rest

    forge(study, ERRORS_RECORD, leave_out)
    assert problems(study) == {ERRORS: broken(role)}


def test_a_list_of_source_without_code_explains_nothing(study):
    source = study / next(
        d["name"]
        for d in dependencies(json.loads((study / ERRORS_RECORD).read_text()))
        if d["annotations"]["role"] == "source"
    )
    source.write_text("{}")
    assert ("broken chain", "source") in problems(study)[ERRORS]


def test_an_input_in_another_role_is_an_input_still(study):
    """The run was made anew; the table of the old one says that it took a file from elsewhere."""
    original = (study / f"runs/{RUN}/run.json").read_bytes()
    for role, malformed in (("external", False), ("lock", True), ("output", True), ([], True)):

        def relabel(statement: dict[str, Any], role: Any = role) -> None:
            dependencies(statement)[0]["annotations"]["role"] = role
            dependencies(statement)[0]["name"] = f"/data/results/tiny/runs/{RUN}/run.json"

        copy = study.with_name("copy")
        shutil.copytree(study, copy)
        forge(copy, ERRORS_RECORD, relabel)
        found = problems(copy)
        shutil.rmtree(copy)
        if malformed:
            assert found[ERRORS_RECORD] == {("record altered", "malformed")}
        else:
            assert found == {ERRORS: broken("input")}
    assert original


@pytest.mark.parametrize(
    ("started", "finished"),
    [
        ("1970-01-01T00:00:00.000Z", "1970-01-01T00:00:01.000Z"),
        ("2099-01-01T00:00:00.000Z", "2099-01-01T00:00:01.000Z"),
        # Before the commit was made.
        ("2024-01-01T00:00:00.000Z", "2024-01-01T00:00:01.000Z"),
        ("soon", "later"),
        (None, "2024-01-01T00:00:00.000Z"),
    ],
)
def test_times_that_cannot_be_are_told(study, started, finished):
    def date(statement: dict[str, Any]) -> None:
        metadata = statement["predicate"]["runDetails"]["metadata"]
        metadata["startedOn"] = started or metadata["startedOn"]
        metadata["finishedOn"] = finished

    forge(study, ERRORS_RECORD, date)
    assert ("broken chain", "time") in problems(study)[ERRORS]


def test_a_history_that_runs_backwards_is_told(study):
    entries = lines_of(study)
    entries[0]["time"] = "2098-01-01T00:00:00.000Z"
    write_history(study, entries)
    assert problems(study)[HISTORY] == broken("time")
    entries[0]["time"] = "2020-01-01T00:00:00.000Z"
    write_history(study, entries)
    assert problems(study) == {TRAIN_RECORD: broken("time")}


def test_a_line_of_the_history_that_holds_another_record_than_its_file_is_told(study):
    entries = lines_of(study)
    (line,) = (entry for entry in entries if entry["record"] == ERRORS_RECORD)
    line["statement"]["predicate"]["buildDefinition"]["internalParameters"]["seeds"] = {"run": 7}
    write_history(study, entries)
    assert problems(study) == {ERRORS_RECORD: {("record altered", "edited")}}


def test_every_state_has_a_code_of_its_own():
    assert sorted(EXIT_CODES.values()) == [0, 3, 4, 5, 6, 7, 8, 9, 10]
    assert set(EXIT_CODES) == set(State)


# Signatures.


@pytest.fixture
def key(tmp_path: Path) -> Callable[[str], Path]:
    def make(name: str) -> Path:
        path = tmp_path / name
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)]
        subprocess.run(command, check=True)
        public = path.with_suffix(".pub").read_text().split()
        (tmp_path / f"{name}.signers").write_text(f"{name} {public[0]} {public[1]}\n")
        return path

    return make


def heads(study: Path) -> list[str]:
    return sorted(f"{SIGNATURES}/{p.name}" for p in (study / SIGNATURES).glob("*.json"))


def test_a_study_cut_to_an_older_signed_state_is_noticed_by_its_length(clone, study, key, tmp_path):
    author, signers = key("author"), tmp_path / "author.signers"
    sign(open_study(study), author)
    before = (study / HISTORY).read_bytes()
    train(clone, study, "another-0123abcd", "{}")
    sign(open_study(study), author)
    assert problems(study, signers=signers, least=4) == {}
    # What was signed last is taken away, with all that came after the first signature.
    for name in (
        heads(study)[-1],
        f"{heads(study)[-1]}.sig",
        TRAIN_RECORD.replace(RUN, "another-0123abcd"),
    ):
        (study / name).unlink()
    shutil.rmtree(study / "runs/another-0123abcd")
    (study / HISTORY).write_bytes(before)
    assert problems(study, signers=signers) == {}, "as it was then, and vouched for"
    assert problems(study, signers=signers, least=4) == {HISTORY: broken("history")}
    assert problems(study, least=4) == {HISTORY: broken("history")}


def test_a_signature_is_of_one_study(clone, study, key, tmp_path):
    sign(open_study(study), key("author"))
    study.rename(study.with_name("released"))
    other = study.with_name("released")
    found = problems(other, signers=tmp_path / "author.signers")
    assert found == dict.fromkeys(
        (heads(other)[0], f"{heads(other)[0]}.sig", HISTORY), broken("signature")
    )


def test_who_may_sign_is_said_by_the_caller_alone(clone, study, key):
    stranger = key("stranger")
    sign(open_study(study), stranger)
    (clone / "signers").write_text(stranger.with_name("stranger.signers").read_text())
    key("author")
    found = problems(study, signers=stranger.with_name("author.signers"))
    assert found == {HISTORY: broken("signature")}
    with pytest.raises(AuditError, match="no such file; expected a file with a line"):
        problems(study, signers=clone / "none")


def test_a_signed_file_counts_by_its_bytes(study, key, tmp_path):
    sign(open_study(study), key("author"))
    (head,) = heads(study)
    path = study / head
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    found = problems(study, signers=tmp_path / "author.signers")
    assert found == dict.fromkeys((head, f"{head}.sig", HISTORY), broken("signature"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("id_ed25519", "-----BEGIN OPENSSH PRIVATE KEY-----\n"),
        ("000003-0123456789ab.json", "{}"),
        ("000003-0123456789ab.json.sig", "-----BEGIN OPENSSH PRIVATE KEY-----\n"),
        ("deep/000003-0123456789ab.json", "{}"),
    ],
)
def test_only_signatures_lie_among_them_and_only_they_are_published(
    clone, study, key, name, content
):
    head = sign(open_study(study), key("author"))
    path = study / SIGNATURES / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    assert set(problems(study)) == {f"{SIGNATURES}/{name}"}
    if not name.startswith("0") or name.endswith(".sig"):
        publish(study, clone / "copy", [])
        copied = {p.name for p in (clone / "copy" / SIGNATURES).rglob("*")}
        assert copied == {head.name, f"{head.name}.sig"}
    else:
        with pytest.raises(AuditError, match=name):
            publish(study, clone / "copy", [])


# Publishing.


def test_publishing_replaces_an_earlier_copy_and_nothing_else(clone, study):
    published = clone / "results/published"
    target = published / "tiny"
    for _ in range(2):
        assert publish(study, target, ["*.safetensors"]) == 1
    assert problems(target) == {}
    other = published / "other"
    shutil.copytree(study, other)
    thesis = clone / "thesis"
    (thesis / "figures").mkdir(parents=True)
    (thesis / "thesis.tex").write_text("years of work")
    (clone / "link").symlink_to(target)
    (clone / "file").write_text("x")
    before = sorted(str(p) for p in clone.rglob("*") if ".git" not in p.parts)
    for wrong in (published, thesis, other, study, clone, clone / "link", clone / "file", Path()):
        with pytest.raises(AuditError, match=r"expected|holds the study"):
            publish(study, wrong, [])
        assert sorted(str(p) for p in clone.rglob("*") if ".git" not in p.parts) == before
    # A note that somebody has put into the copy is not thrown away.
    (target / "figures/note.txt").write_text("mine")
    with pytest.raises(AuditError, match=r"note\.txt"):
        publish(study, target, [])
    assert (target / "figures/note.txt").read_text() == "mine"


def test_what_is_published_comes_from_a_commit_that_was_looked_at(clone, study, monkeypatch):
    with (clone / ".git/config").open("a") as file:
        file.write("[core]\n sshCommand = evil\n")
    with pytest.raises(AuditError, match="can make git run or fetch something"):
        publish(study, clone / "copy", [])
    monkeypatch.chdir(clone.parent)
    with pytest.raises(AuditError, match="in no clone of logdepth"):
        publish(study, clone / "copy", [])
    assert not (clone / "copy").exists()


# Surroundings.


def test_under_any_encoding_what_was_found_is_printed(clone, study):
    for i in range(30):
        (study / f"tables/ü{i}.csv").write_text("x")
    for encoding in ("latin-1", "ascii", "utf-8"):
        done = subprocess.run(
            [sys.executable, "-m", "logdepth", "audit", "verify", "results"],
            env={"PATH": os.environ["PATH"], "PYTHONIOENCODING": encoding},
            capture_output=True,
        )
        assert done.returncode == EXIT_CODES[State.FOREIGN], done.stderr
        assert b"verdict: foreign" in done.stdout


def test_a_clone_with_other_line_ends_has_the_same_bytes(clone, study, root, tmp_path):
    shutil.copy(root / ".gitattributes", clone / ".gitattributes")
    publish(study, clone / "results/published/tiny", [])
    git(clone, "add", "-f", ".")
    git(clone, "commit", "-qm", "publish")
    git(tmp_path, "-c", "core.autocrlf=true", "clone", "-q", str(clone), "windows")
    copy = tmp_path / "windows/results/published/tiny"
    assert b"\r" not in (copy / HISTORY).read_bytes()
    assert problems(copy) == {}


def test_the_command_says_when_it_is_wrong(clone):
    done = logdepth_here("audit", "verify", "results", "--allow", "nothing")
    assert (done.returncode, "invalid choice: 'nothing'" in done.stderr) == (2, True)
