"""What a stranger does with a study that was just made: outputs are made again, and exported."""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from audit_trail import reproduce as rebuilding
from audit_trail.reproduce import make_plan
from audit_trail.study import open_study
from checkout import Checkout
from command_line import logdepth_here, snakemake_here
from forgery import HISTORY, alter, forge, forge_output, lines_of, write_history
from logdepth.files import sha256_of
from offline_validator import fill_cache, problems, validated

ERRORS, ERRORS_RECORD = "tables/errors.csv", "provenance/tabulate/tables.json"
FIGURE, FIGURE_RECORD = "figures/depth_law.png", "provenance/figure/depth_law.json"
run_snakemake = rebuilding.run_snakemake


@pytest.fixture(autouse=True)
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What Snakemake says; it runs in forks of this process, which spares it its imports."""
    found: list[str] = []

    def run(words: Sequence[str], folder: Path, environment: Mapping[str, str]) -> int:
        with pytest.MonkeyPatch.context() as patch:
            # The folder of temporary files that is watched is the command's, and not theirs.
            patch.setattr(tempfile, "tempdir", None)
            done = snakemake_here(words, folder, environment)
        found.append(done.stdout + done.stderr)
        return done.returncode

    monkeypatch.setattr(rebuilding, "run_snakemake", run)
    return found


def reproduce(
    checkout: Checkout, name: str | Path, *options: str, code: int = 0, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command; nothing but what it prints may stay behind."""
    path = name if isinstance(name, Path) else checkout.results / name
    before = sorted(checkout.folder.rglob("*"))
    temporary = checkout.folder.parent / "temporary"
    temporary.mkdir(exist_ok=True)
    with contextlib.chdir(cwd or checkout.folder), pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(temporary))
        done = logdepth_here("audit", "reproduce", path, *options)
    assert done.returncode == code, done.stdout + done.stderr
    assert not list(temporary.iterdir())
    assert sorted(checkout.folder.rglob("*")) == before
    return done


def refused(
    checkout: Checkout, name: str, message: str, *options: str, cwd: Path | None = None
) -> str:
    with contextlib.chdir(cwd or checkout.folder):
        done = logdepth_here("audit", "reproduce", checkout.results / name, *options)
    assert done.returncode == 1, done.stdout
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    return done.stderr


def build_of(statement):
    return statement["predicate"]["buildDefinition"]


def test_a_figure_from_its_tables_whatever_the_code_is_now(finished, tmp_path):
    finished.edit("workflow/logdepth/figures/depth_law.py", 'color="C3"', 'color="C2"')
    # Settings and what follows from them are those of the commit, not what they are now.
    finished.edit("config/tiny.yaml", "title: fast", "title: quick")
    alter(finished.results / "study.json", '"title":"fast"', '"title":"quick"')
    done = reproduce(finished, FIGURE, "--keep", str(tmp_path / "kept"))
    assert "jobs to run 1, " in done.stdout
    assert f"the code is that of {finished.folder}" in done.stdout
    assert done.stdout.count("identical bytes") == 3
    assert (tmp_path / "kept" / FIGURE).read_bytes() == (finished.results / FIGURE).read_bytes()
    refused(finished, FIGURE, "is there already", "--keep", str(tmp_path))


def test_what_is_not_there_is_made_again_too_and_all_of_it_if_asked(finished):
    for model in finished.results.glob("runs/*/model.safetensors"):
        model.unlink()
    found = sorted(finished.results.glob("runs/*/evaluation.csv"))[0]
    table = found.relative_to(finished.results).as_posix()

    def change(statement):
        # What was trained with others is trained alone, which makes it no other job.
        beside = {"together": ["this", "another"]}
        build_of(statement)["externalParameters"]["checkpoint"] = beside
        # What only the new record says is no difference.
        del statement["predicate"]["runDetails"]["byproducts"][0]["annotations"]["torch"]

    forge(finished.results, f"provenance/train/{Path(table).parent.name}.json", change)
    jobs, taken = make_plan(open_study(finished.results), table, deep=False)
    assert [job.stage for job in jobs] == ["evaluate", "train"]
    assert [name.partition("/")[0] for name in taken] == ["data"]
    done = reproduce(finished, table, "--deep").stdout
    assert "verdict: identical" in done
    assert "inputs taken 0" in done
    assert "3 jobs on both sides; 3 of them wrote the same bytes\n" in done
    assert done.count("\ndifferent ") == 1
    assert 'configuration:\n  checkpoint.together: ["this","another"] → none  (1 train)\n' in done


def test_code_comes_from_the_callers_clone_alone(finished, root, tmp_path):
    # A clone is sent with the results, with code and hooks of its own.
    sent = finished.copy(tmp_path / "sent")
    hook = sent.folder / ".git/hooks/post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    shutil.copy(hook, finished.folder / ".git/hooks/post-checkout")
    done = reproduce(finished, sent.results / ERRORS)
    assert f"the code is that of {finished.folder}\n" in done.stdout
    assert not (tmp_path / "ran").exists()
    said = refused(sent, ERRORS, "--repository with one", cwd=tmp_path)
    assert "no clone of logdepth" in said
    refused(sent, ERRORS, f"{root}: has no commit", "--repository", str(root), cwd=tmp_path)


def test_another_result_is_told(finished):
    alter(finished.results / ERRORS, "fast,2,eval,1,0.", "fast,2,eval,1,0.0")
    forge_output(finished.results, ERRORS, ERRORS_RECORD)
    done = reproduce(finished, ERRORS, code=4)
    line = next(line for line in done.stdout.splitlines() if ERRORS in line and "cells" in line)
    assert "most error in row " in line
    assert "(experiment=fast, depth=2, mode=eval, k=1): 0.0" in line
    assert "verdict: different" in done.stdout


def test_a_figure_with_other_bytes_is_another_figure(finished):
    for name in (FIGURE, "figures/depth_law.pdf"):
        path = finished.results / name
        path.write_bytes(path.read_bytes()[:4])
        forge_output(finished.results, name, FIGURE_RECORD)
    done = reproduce(finished, FIGURE, code=4)
    assert f"{FIGURE}: other bytes\n" in done.stdout
    assert "figures/depth_law.pdf: other bytes\n" in done.stdout
    assert done.stdout.count("identical bytes") == 1


# Writes checkpoints of weights that no training made, and leaves them there.
CHEAT = """
from logdepth.cli.main import main
from logdepth.training.checkpoint import CheckpointStore as Store
def save(self, step, state, save=Store.save):
    save(self, step, state | {"model": {n: w + 0.5 for n, w in state["model"].items()}})
Store.save, Store.clear = save, lambda self: None
main()
"""


def test_a_training_does_not_go_on_from_what_was_sent(finished, tmp_path):
    model = sorted(finished.results.glob("runs/*gpt2*/model.safetensors"))[0]
    name, run = model.relative_to(finished.results).as_posix(), model.parent.name
    record, honest = f"provenance/train/{run}.json", model.read_bytes()
    words = build_of(json.loads((finished.results / record).read_text()))["internalParameters"]
    train = words["command"][1 : words["command"].index("--record")]
    sent = finished.results / "checkpoints" / run
    for program in (["-c", CHEAT], ["-m", "logdepth"]):
        # The second one, honest code, trains the last step, and clears the checkpoints.
        done = subprocess.run(
            [sys.executable, *program, *train, "--checkpoint-seconds", "0"],
            cwd=finished.folder,
            env=os.environ | {"PYTHONPATH": str(finished.folder / "workflow")},
        )
        assert done.returncode == 0
        if sent.exists():
            shutil.copytree(sent, tmp_path / "sent")
    shutil.copytree(tmp_path / "sent", sent)
    assert model.read_bytes() != honest
    for path in ("model.safetensors", "steps.csv", "by_k.csv"):
        forge_output(finished.results, f"runs/{run}/{path}", record)
    done = reproduce(finished, name, code=4)
    assert f"{name}: other bytes" in done.stdout

    checkpoint = sorted(sent.iterdir())[-1].relative_to(finished.results).as_posix()
    digest = {"sha256": sha256_of(finished.results / checkpoint)}

    def declare(statement):
        resource = {"name": checkpoint, "annotations": {"role": "input"}, "digest": digest}
        build_of(statement)["resolvedDependencies"].append(resource)

    # Be there a record that explains it, or none.
    other = sorted((finished.results / "provenance/evaluate").glob("*.json"))[-1]
    made = {"name": checkpoint, "digest": digest}
    for explain in (False, True):
        forge(finished.results, record, declare)
        if explain:
            name_of_other = other.relative_to(finished.results).as_posix()
            forge(finished.results, name_of_other, lambda s: s["subject"].append(made))
        refused(finished, name, f"made from {checkpoint}")


def test_a_record_that_cannot_be_followed_is_refused(finished):
    def uncommit(statement):
        (code,) = [d for d in build_of(statement)["resolvedDependencies"] if d["name"] == "code"]
        code["annotations"]["uncommittedSha256"] = "0" * 64

    def lose_code(statement):
        rest = [d for d in build_of(statement)["resolvedDependencies"] if d["name"] != "code"]
        build_of(statement)["resolvedDependencies"] = rest

    def lose_input(statement):
        for resource in build_of(statement)["resolvedDependencies"]:
            if resource["name"].startswith("tables/"):
                resource["digest"]["sha256"] = "0" * 64

    def add_history(statement):
        digest = {"sha256": sha256_of(finished.results / HISTORY)}
        resource = {"name": HISTORY, "digest": digest, "annotations": {"role": "input"}}
        build_of(statement)["resolvedDependencies"].append(resource)

    untouched = (finished.results / FIGURE_RECORD).read_bytes(), lines_of(finished.results)
    for change, message in (
        (add_history, f"made from {HISTORY}"),
        (uncommit, "made with uncommitted changes on"),
        (lose_code, "made at no known commit"),
        (lose_input, "which no record explains"),
    ):
        forge(finished.results, FIGURE_RECORD, change)
        refused(finished, FIGURE, message)
        (finished.results / FIGURE_RECORD).write_bytes(untouched[0])
        write_history(finished.results, untouched[1])
    renamed = finished.copy(finished.folder.with_name("renamed"))
    renamed.results.rename(renamed.results.with_name("other"))
    with contextlib.chdir(renamed.folder):
        done = logdepth_here("audit", "reproduce", f"results/other/{FIGURE}")
    assert "its commit has no config/other.yaml" in done.stderr
    alter(finished.results / FIGURE_RECORD, '"cores": ', '"cores": 1')
    refused(finished, FIGURE, "not what its job wrote")


def test_a_record_decides_nothing_of_what_runs_and_what_it_says_else_is_told(finished, tmp_path):
    """Its command is not followed; other settings, seeds or inputs than it says are an error."""

    def change(statement):
        internal = build_of(statement)["internalParameters"]
        internal["command"] = ["sh", "-c", f"touch {tmp_path}/ran"]
        internal["seeds"]["bootstrap"] = 7
        # It is of another study, and brought as such; the job reads none of it.
        resource = {"name": "results/other/a.csv", "annotations": {"role": "external"}}
        resource["digest"] = {"sha256": sha256_of(finished.folder / "results/other/a.csv")}
        build_of(statement)["resolvedDependencies"].append(resource)

    (finished.folder / "results/other").mkdir()
    (finished.folder / "results/other/a.csv").write_text("k\n")
    forge(finished.results, FIGURE_RECORD, change)
    done = reproduce(finished, FIGURE, code=1)
    assert "its job had other seeds, inputs than its record says" in done.stderr
    assert not (tmp_path / "ran").exists()


def test_an_environment_is_the_recorded_one_or_named(finished, tmp_path, monkeypatch):
    lock = f"evil @ file://{tmp_path}/evil\n"
    digest = hashlib.sha256(lock.encode()).hexdigest()
    (finished.results / f"provenance/environments/{digest}.txt").write_text(lock)

    def change(statement, commit=None):
        for resource in build_of(statement)["resolvedDependencies"]:
            if resource["annotations"].get("file") in ("envs/cpu.txt", "envs/cuda.txt"):
                resource["annotations"]["file"] = "envs/cpu.txt"
                resource["digest"]["sha256"] = digest
                resource["name"] = f"provenance/environments/{digest}.txt"
            if commit and resource["name"] == "code":
                resource["digest"]["gitCommit"] = commit

    forge(finished.results, FIGURE_RECORD, change)
    # A lock that came with the results: not a word of how to install it.
    said = refused(finished, FIGURE, "it ran in another environment")
    assert "its envs/cpu.txt is not that of its commit" in said
    assert "make" not in said
    assert "evil" not in said
    assert "verdict: identical" in reproduce(finished, FIGURE, "--here").stdout
    # The lock of the clone: how to install it, and what was installed from it.
    (finished.folder / "envs").mkdir()
    (finished.folder / "envs/cpu.txt").write_text(lock)
    finished.git("add", "envs")
    finished.git("commit", "-qm", "another lock")
    head = finished.git("rev-parse", "HEAD")
    forge(finished.results, FIGURE_RECORD, lambda statement: change(statement, head))
    said = refused(finished, FIGURE, f"git worktree add --detach ../again {head}; make -C ../again")
    assert "../again/.venv/bin/python -m audit_trail reproduce" in said
    python = tmp_path / "env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\ntouch {tmp_path}/ran\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    # As by the interpreter of another environment.
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "env"))
    monkeypatch.setattr(sys, "executable", str(python))
    refused(finished, FIGURE, "it ran in another environment")
    (tmp_path / "env/locks").mkdir()
    (tmp_path / "env/locks/cpu.txt").write_text(lock)
    # As users run it: a process of its own.
    monkeypatch.setattr(rebuilding, "run_snakemake", run_snakemake)
    assert "verdict: identical" in reproduce(finished, FIGURE).stdout
    assert (tmp_path / "ran").exists()


def test_a_file_from_elsewhere_takes_the_place_of_no_code(finished, tmp_path):
    untouched = (finished.results / FIGURE_RECORD).read_bytes(), lines_of(finished.results)
    sent = tmp_path / "sent"
    for name in (
        *("workflow/logdepth/x.py", "results/tiny/tables/extra.csv", "Snakefile", "x.py"),
        *("profiles/default/config.yaml", "../x.py", "results/other/../../x.py", "a" * 200),
        "RESULTS/Tiny/checkpoints/x",
    ):
        (sent / name).parent.mkdir(parents=True, exist_ok=True)
        (sent / name).write_text("evil")

        def add(statement, name=name):
            resource = {"name": name, "digest": {"sha256": sha256_of(sent / name)}}
            resource["annotations"] = {"role": "external"}
            build_of(statement)["resolvedDependencies"].append(resource)

        forge(finished.results, FIGURE_RECORD, add)
        repository = ("--repository", str(finished.folder))
        refused(finished, FIGURE, "which is not there", *repository, cwd=sent)
        (finished.results / FIGURE_RECORD).write_bytes(untouched[0])
        write_history(finished.results, untouched[1])


def test_a_job_that_fails_is_told_and_leaves_nothing(finished, said):
    finished.edit(
        "workflow/logdepth/figures/depth_law.py", "def draw(", "raise SystemExit\ndef draw("
    )
    finished.git("commit", "-qam", "broken")
    head = finished.git("rev-parse", "HEAD")

    def at_head(statement):
        for resource in build_of(statement)["resolvedDependencies"]:
            if resource["name"] == "code":
                resource["digest"]["gitCommit"] = head

    forge(finished.results, FIGURE_RECORD, at_head)
    done = reproduce(finished, FIGURE, code=1)
    assert "made again, its workflow failed, with exit code 1" in done.stderr
    assert "figure_depth_law" in said[0]


# The validator builds graphs with a class of rdflib that rdflib is about to drop.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_the_workflow_makes_now_is_exported_too(finished, root, tmp_path):
    for name in ("CITATION.cff", "LICENSE"):
        shutil.copy2(root / name, finished.folder / name)
    with contextlib.chdir(finished.folder):
        done = logdepth_here("audit", "export", finished.results, "--crate", tmp_path / "crate")
        assert done.returncode == 0, done.stderr
        done = logdepth_here("audit", "verify", tmp_path / "crate/results/tiny")
        assert done.returncode == 0, done.stdout
    cache = fill_cache(tmp_path / "http", root / "tests/data/contexts")
    assert problems(validated(tmp_path / "crate", cache)) == []
