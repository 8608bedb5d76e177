"""Clones that somebody else has made or bent: nothing of theirs runs, and what cannot be checked
is said."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from audit_trail.environment import commit, packages
from audit_trail.errors import AuditError
from audit_trail.repository import Repository, find_repository
from command_line import logdepth_here
from small_study import ERRORS, FIGURE, git, make_clone, make_study


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clone(tmp_path_factory.mktemp("template") / "clone")


@pytest.fixture
def clone(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(template, tmp_path / "clone", symlinks=True)
    monkeypatch.chdir(tmp_path / "clone")
    return tmp_path / "clone"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program that leaves a trace when it runs."""
    path = tmp_path / "program"
    path.write_text(f"#!/bin/sh\ntouch {tmp_path}/it-ran\nexit 1\n")
    path.chmod(0o755)
    return path


def verify(*arguments: Any) -> tuple[int, dict[str, set[str]]]:
    """Return the exit code of a verification, and the reasons in each state that is not good."""
    done = logdepth_here("audit", "verify", "--json", *arguments)
    assert done.stdout, done.stderr
    found: dict[str, set[str]] = {}
    for study in json.loads(done.stdout)["studies"]:
        for artefact in study["artefacts"]:
            for problem in artefact["problems"]:
                found.setdefault(problem["state"], set()).add(problem["reason"])
    return done.returncode, found


NOT_CHECKED = (10, {"not checked": {"repository"}})
# What a delivered .git/config may say; {} is the program.
CONFIGURATIONS = [
    '[core]\n sshCommand = "{}"\n[extensions]\n partialClone = origin\n'
    '[remote "origin"]\n url = ssh://x/y\n promisor = true\n',
    '[extensions]\n partialClone = evil\n[remote "evil"]\n url = "ext::{}"\n promisor = true\n'
    '[protocol "ext"]\n allow = always\n',
    '[remote "evil"]\n url = x\n vcs = evil\n promisor = true\n',
    '[core]\n fsmonitor = "{}"\n',
    '[filter "x"]\n smudge = "{}"\n clean = "{}"\n',
    '[diff "x"]\n textconv = "{}"\n',
    '[diff]\n external = "{}"\n',
    "[core]\n worktree = /tmp\n",
    "[include]\n path = /dev/zero\n",
    '[includeIf "gitdir:/"]\n path = /dev/zero\n',
    '[core]\n alternateRefsCommand = "{}"\n',
]


@pytest.mark.parametrize("text", CONFIGURATIONS)
def test_a_clone_that_could_run_or_fetch_something_is_not_asked(clone, program, text):
    # With an object that is not there, which makes git fetch.
    with (clone / ".git/config").open("a") as file:
        file.write(text.replace("{}", str(program)))
    (clone / "workflow/logdepth/files.py").touch()
    loose = [p for p in (clone / ".git/objects").glob("??/*") if p.is_file()]
    assert verify("results") == NOT_CHECKED
    for path in loose:
        path.unlink()
    assert verify("results") == NOT_CHECKED
    for command in (
        ["export", "results/tiny", "--crate", clone / "crate"],
        ["publish", "results/tiny", "--to", clone / "copy"],
        ["reproduce", f"results/tiny/{ERRORS}", "--here"],
        ["trace", f"results/tiny/{FIGURE}"],
    ):
        logdepth_here("audit", *command)
    assert not (clone / "copy").exists()
    assert not (program.parent / "it-ran").exists()


def test_hooks_and_the_users_own_watcher_do_not_run(clone, program):
    hooks = clone / ".git/hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("post-checkout", "post-index-change", "reference-transaction", "pre-auto-gc"):
        shutil.copy(program, hooks / name)
    git(clone, "config", "core.fsmonitor", "true")
    git(clone, "config", "core.pager", str(program))
    (program.parent / "it-ran").unlink(missing_ok=True)
    assert verify("results") == (0, {})
    logdepth_here("audit", "reproduce", f"results/tiny/{ERRORS}", "--here")
    assert not (program.parent / "it-ran").exists()


@pytest.mark.parametrize("place", ["config", "info/grafts", "objects/info/alternates", "HEAD"])
def test_a_clone_with_parts_from_elsewhere_is_not_asked(clone, place):
    path = clone / ".git" / place
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    if place == "config":
        os.mkfifo(path)
    else:
        path.write_text("/elsewhere\n")
    assert verify("results") == NOT_CHECKED


def test_what_was_replaced_is_not_taken(clone):
    """With the commit replaced, a table of other code would pass for one of that commit."""
    sha = git(clone, "rev-parse", "HEAD")
    (clone / "workflow/logdepth/files.py").write_text("SCALE = 3\n")
    git(clone, "commit", "-qam", "other code")
    other = git(clone, "rev-parse", "HEAD")
    git(clone, "replace", sha, other)
    assert Repository(clone).read(sha, "workflow/logdepth/files.py") != b"SCALE = 3\n"
    assert verify("results", "--allow", "stale")[0] == 0


def test_a_shallow_clone_says_what_it_did_not_check(clone, tmp_path, monkeypatch):
    (clone / "README").write_text("x")
    git(clone, "add", ".")
    git(clone, "commit", "-qm", "later")
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{clone}", "shallow")
    git(tmp_path / "shallow", "remote", "remove", "origin")
    shutil.copytree(clone / "results", tmp_path / "shallow/results")
    monkeypatch.chdir(tmp_path / "shallow")
    assert verify("results") == (10, {"not checked": {"commit"}})
    assert verify("results", "--allow", "commit")[0] == 0
    # The file alone turns nothing off in a clone that has its commits.
    monkeypatch.chdir(clone)
    (clone / ".git/shallow").write_text(git(clone, "rev-parse", "HEAD") + "\n")
    assert verify("results")[0] == 0 or "commit" in verify("results")[1]["not checked"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs root to give away files")
def test_a_clone_of_somebody_else_is_not_asked(clone):
    for path in (clone, clone / ".git"):
        os.chown(path, 12345, 12345)
    assert verify("results") == NOT_CHECKED


@pytest.mark.parametrize("variable", ["GIT_DIR", "GIT_OBJECT_DIRECTORY", "GIT_CONFIG_GLOBAL"])
def test_variables_that_lead_elsewhere_do_not_count(clone, tmp_path, monkeypatch, variable):
    git(tmp_path, "init", "-q", "other")
    sha = git(clone, "rev-parse", "HEAD")
    monkeypatch.setenv(variable, str(tmp_path / "other/.git"))
    assert verify("results") == (0, {})
    assert commit(clone).sha == sha


def test_a_clone_that_lies_with_the_results_is_never_used(clone, tmp_path, program, monkeypatch):
    sent = clone / "results/sent"
    make_clone(sent)
    with (sent / ".git/config").open("a") as file:
        file.write(CONFIGURATIONS[0].replace("{}", str(program)))
    # Its commits are none of ours.
    assert find_repository().folder == clone
    assert verify(sent / "results/tiny")[1] == {"broken chain": {"commit"}}
    monkeypatch.chdir(tmp_path)
    assert find_repository() is None
    assert verify(sent / "results/tiny") == NOT_CHECKED
    code, found = verify(clone / "results/tiny", "--repository", clone)
    assert (code, found) == (0, {})
    with pytest.raises(AuditError, match="no clone of logdepth; expected a folder with"):
        find_repository(clone / "results")
    done = logdepth_here("audit", "verify", clone / "results/tiny", "--repository", clone)
    assert f"commits and code are those of {clone}" in done.stdout
    assert not (program.parent / "it-ran").exists()


def test_a_worktree_is_a_clone(clone, tmp_path, monkeypatch):
    git(clone, "worktree", "add", "-q", str(tmp_path / "tree"))
    shutil.copytree(clone / "results", tmp_path / "tree/results")
    monkeypatch.chdir(tmp_path / "tree")
    assert verify("results") == (0, {})
    # What it is told apart from the clone counts as well.
    git(tmp_path / "tree", "config", "extensions.worktreeConfig", "true")
    git(tmp_path / "tree", "config", "--worktree", "core.sshCommand", "evil")
    assert verify("results") == NOT_CHECKED


def test_studies_that_are_gone_hidden_or_linked_are_told(clone, tmp_path):
    make_study(clone, clone / "results/.laptop")
    for name in ("published/tiny", "published/other"):
        shutil.copytree(clone / "results/tiny", clone / "results" / name)
    git(clone, "add", "results")
    git(clone, "commit", "-qm", "publish")
    (clone / "results/published/README.md").write_text("beside them")
    (clone / "results/tiny").rename(tmp_path / "elsewhere")
    (clone / "results/tiny").symlink_to(tmp_path / "elsewhere")
    shutil.rmtree(clone / "results/published/other")
    for lost in ("provenance", "runs", "tables"):
        shutil.rmtree(clone / "results/published/tiny" / lost)
    done = logdepth_here("audit", "verify", "results")
    listed = done.stdout
    assert re.search(r"results/\.laptop: \d+ verified;", listed)
    assert "results/tiny: 1 not checked" in listed
    assert "is a symbolic link to a folder" in listed
    assert "results/published/other: 1 missing" in listed
    assert "provenance/history.jsonl: is not there" in listed
    assert "not looked at, in results: published/README.md" in listed
    assert verify("results/published/other")[1] == {"missing": {"gone"}}
    assert verify("results/tiny/") == (0, {})


class TestCommitOfOurOwnCode:
    """What a record says of the commit."""

    def test_a_clone(self, clone):
        assert commit(clone).uncommitted is None

    def test_code_that_merely_lies_in_another_clone(self, clone):
        shutil.copytree(clone / "workflow", clone / "archive/workflow")
        assert commit(clone / "archive").sha is None

    def test_changes_have_a_hash(self, clone):
        hashes = []
        for name, text in (("LICENSE", "2"), ("new", "1"), ("new", "2")):
            (clone / name).write_text(text)
            hashes.append(commit(clone).uncommitted)
        assert len({*hashes}) == 3
        assert None not in hashes

    def test_what_is_published_is_no_code(self, clone):
        """A study may be published while another is made."""
        published = clone / "results/published"
        published.mkdir(parents=True, exist_ok=True)
        (published / "new").write_text("")
        assert commit(clone).uncommitted is None
        (clone / "workflow/results").mkdir()
        (clone / "workflow/results/new.py").write_text("")
        assert commit(clone).uncommitted is not None

    @pytest.mark.parametrize("fault", ["no git", "no commit", "refused"])
    def test_what_nobody_knows_is_said_before_the_work(self, clone, caplog, monkeypatch, fault):
        if fault == "no git":
            monkeypatch.setenv("PATH", "/nowhere")
        elif fault == "no commit":
            (clone / ".git/HEAD").write_text("ref: refs/heads/none\n")
        else:
            (clone / ".git/config").write_text("[core\n")
        with pytest.raises(AuditError):
            commit(clone)
        make_study(clone, clone / "results/unknown")
        assert "the record will say that its commit is not known" in caplog.text
        monkeypatch.undo()
        os.chdir(clone)
        code, reasons = verify("results/unknown")
        assert (code, "commit" in reasons["not checked"]) == (10, True)


def test_the_version_of_a_package_is_that_of_the_module_as_imported(tmp_path):
    """A module that PYTHONPATH puts before the installed one, with and without a description."""
    assert "not the installed one" not in str(packages())
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare/filelock.py").write_text('__version__ = "9.9"\n')
    described = tmp_path / "full/filelock-8.8.dist-info"
    described.mkdir(parents=True)
    (tmp_path / "full/filelock.py").write_text("")
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: filelock\nVersion: 8.8\n")
    code = (
        "import filelock; from audit_trail.environment import packages as p; print(p()['filelock'])"
    )
    for folder, version in (("bare", "9.9 (not the installed one)"), ("full", "8.8")):
        environment = os.environ | {"PYTHONPATH": str(tmp_path / folder)}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True
        )
        assert done.stdout.strip() == version, done.stderr
