"""Outputs made again from their records alone, in real checkouts."""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from checkout import Checkout
from command_line import logdepth, logdepth_here
from forgery import alter, forge, forge_output, lines_of, write_history
from logdepth.files import sha256_of

ERRORS, ERRORS_RECORD = "tables/errors.csv", "provenance/tabulate/tables.json"
FIGURE, FIGURE_RECORD = "figures/depth_law.png", "provenance/figure/depth_law.json"


def reproduce(
    checkout: Checkout, name: str | Path, *options: str, code: int = 0, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command; nothing but what it prints may stay behind."""
    path = name if isinstance(name, Path) else checkout.results / name
    before = sorted(checkout.folder.rglob("*"))
    temporary = checkout.folder.parent / "temporary"
    temporary.mkdir(exist_ok=True)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TMPDIR": str(temporary)}
    folder = cwd or checkout.folder
    done = logdepth("audit", "reproduce", path, *options, cwd=folder, env=environment)
    assert done.returncode == code, done.stdout + done.stderr
    assert not list(temporary.iterdir())
    assert sorted(checkout.folder.rglob("*")) == before
    return done


def refused(checkout: Checkout, name: str, message: str, *options: str) -> str:
    with contextlib.chdir(checkout.folder):
        done = logdepth_here("audit", "reproduce", checkout.results / name, *options)
    assert done.returncode == 1, done.stdout
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    return done.stderr


def build_of(statement):
    return statement["predicate"]["buildDefinition"]


def test_a_figure_from_its_tables_whatever_the_code_is_now(finished, tmp_path):
    finished.edit("workflow/logdepth/figures/depth_law.py", 'color="C3"', 'color="C2"')
    # The study is the one that the job read, not what it is now.
    alter(finished.results / "study.json", '"title":"fast"', '"title":"quick"')
    done = reproduce(finished, FIGURE, "--keep", str(tmp_path / "kept"))
    assert "1 job, " in done.stdout
    assert f"the code is that of {finished.folder}" in done.stdout
    assert done.stdout.count("identical bytes") == 3
    assert (tmp_path / "kept" / FIGURE).read_bytes() == (finished.results / FIGURE).read_bytes()
    refused(finished, FIGURE, "is there already", "--keep", str(tmp_path))


def test_what_is_not_there_is_made_again_too(finished):
    for model in finished.results.glob("runs/*/model.safetensors"):
        model.unlink()
    table = sorted(finished.results.glob("runs/*/evaluation.csv"))[0]
    done = reproduce(finished, table, "--json")
    report = json.loads(done.stdout)
    assert report["verdict"] == "identical"
    assert len(report["taken"]) == 1
    assert [title.partition("/")[0] for title in report["jobs"]] == ["train", "evaluate"]


def test_everything_from_nothing(finished):
    table = sorted(finished.results.glob("runs/*/evaluation.csv"))[0]
    done = reproduce(finished, table, "--deep")
    assert "3 jobs, " in done.stdout
    assert "0 inputs taken" in done.stdout


def test_code_comes_from_the_callers_clone_alone(finished, tmp_path):
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
    shutil.copytree(finished.results, tmp_path / "alone" / "tiny")
    alone = logdepth("audit", "reproduce", "tiny/tables/errors.csv", cwd=tmp_path / "alone")
    assert alone.returncode == 1
    assert "--repository with one" in alone.stderr
    reproduce(
        finished,
        tmp_path / "alone" / "tiny" / ERRORS,
        *("--repository", str(finished.folder)),
        cwd=tmp_path / "alone",
    )


def test_another_result_is_told(finished):
    alter(finished.results / ERRORS, "fast,2,eval,1,0.", "fast,2,eval,1,0.0")
    forge_output(finished.results, ERRORS, ERRORS_RECORD)
    done = reproduce(finished, ERRORS, code=4)
    line = next(line for line in done.stdout.splitlines() if ERRORS in line and "cells" in line)
    assert "error at experiment=fast, depth=2, mode=eval, k=1: 0.0" in line
    assert "verdict: different" in done.stdout


@pytest.mark.parametrize("name", [FIGURE, "figures/depth_law.pdf"])
def test_a_figure_with_other_bytes_is_another_figure(finished, name):
    path = finished.results / name
    path.write_bytes(path.read_bytes()[:4])
    forge_output(finished.results, name, FIGURE_RECORD)
    done = reproduce(finished, name, code=4)
    assert f"{name}: other bytes\n" in done.stdout
    assert done.stdout.count("identical bytes") == 2


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
    train[train.index("--checkpoints") + 1] = "results/tiny/sent"
    sent = finished.results / "sent"
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

    def go_on(statement):
        words = build_of(statement)["internalParameters"]["command"]
        words[words.index("--checkpoints") + 1] = "results/tiny/sent"

    forge(finished.results, record, go_on)
    done = reproduce(finished, name, code=4)
    assert "of its largest weight" in done.stdout

    checkpoint = sorted(sent.iterdir())[-1]

    def declare(statement):
        resource = {"name": f"sent/{checkpoint.name}", "annotations": {"role": "input"}}
        resource["digest"] = {"sha256": sha256_of(checkpoint)}
        build_of(statement)["resolvedDependencies"].append(resource)

    forge(finished.results, record, declare)
    refused(finished, name, "no option of it reads the input sent/step")


def test_an_altered_record_is_not_followed(finished):
    alter(finished.results / FIGURE_RECORD, '"cores": ', '"cores": 1')
    refused(finished, FIGURE, "not what its job wrote")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("results/tiny/figures", "/tmp/elsewhere", "no file that the record declares"),
        ("results/tiny/figures", "--output=/tmp/elsewhere", "has no value"),
        ("figure", "audit", "none of logdepth"),
        ("--record", "--other", "does not name this record"),
    ],
)
def test_a_command_that_the_record_does_not_explain_is_not_run(finished, old, new, message):
    def change(statement):
        command = build_of(statement)["internalParameters"]["command"]
        command[command.index(old)] = new

    forge(finished.results, FIGURE_RECORD, change)
    refused(finished, FIGURE, message)
    assert not Path("/tmp/elsewhere").exists()


@pytest.mark.parametrize("what", ["externalParameters", "internalParameters"])
def test_a_job_that_is_another_than_its_record_says_is_told(finished, what):
    def change(statement):
        part = build_of(statement)[what]
        part.get("seeds", part)["bootstrap"] = 7

    forge(finished.results, FIGURE_RECORD, change)
    done = reproduce(finished, FIGURE, code=1)
    assert "than its record says" in done.stderr


def test_an_environment_is_the_recorded_one_or_named(finished, tmp_path):
    lock = f"evil @ file://{tmp_path}/evil\n"
    digest = hashlib.sha256(lock.encode()).hexdigest()
    (finished.results / f"provenance/environments/{digest}.txt").write_text(lock)

    def change(statement, commit=None):
        for resource in build_of(statement)["resolvedDependencies"]:
            if resource["annotations"].get("file") == "envs/cpu.txt":
                resource["digest"]["sha256"] = digest
                resource["name"] = f"provenance/environments/{digest}.txt"
            if commit and resource["name"] == "code":
                resource["digest"]["gitCommit"] = commit

    forge(finished.results, FIGURE_RECORD, change)
    # A lock that came with the results: not a word of how to install it.
    said = refused(finished, FIGURE, "it ran in another environment (another lock)")
    assert "its envs/cpu.txt is not that of its commit" in said
    assert "--python" not in said
    assert "evil" not in said
    assert "verdict: identical" in reproduce(finished, FIGURE, "--here").stdout
    # The lock of the clone: how to install it, and what was installed from it.
    (finished.folder / "envs").mkdir()
    (finished.folder / "envs/cpu.txt").write_text(lock)
    finished.git("add", "envs")
    finished.git("commit", "-qm", "another lock")
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=finished.folder, capture_output=True, text=True
    ).stdout.strip()
    forge(finished.results, FIGURE_RECORD, lambda statement: change(statement, head))
    assert f"git worktree add --detach ../again {head}" in refused(finished, FIGURE, "make setup")
    python = tmp_path / "env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    refused(finished, FIGURE, "it ran in another environment", "--python", str(python))
    (tmp_path / "env/locks").mkdir()
    (tmp_path / "env/locks/cpu.txt").write_text(lock)
    assert "verdict: identical" in reproduce(finished, FIGURE, "--python", str(python)).stdout


def test_an_input_whose_record_is_gone_is_made_by_the_history(finished):
    (finished.results / ERRORS).unlink()
    (finished.results / ERRORS_RECORD).unlink()
    done = reproduce(finished, "figures/error_by_k.png")
    assert ": 2 jobs, " in done.stdout
    kept = [entry for entry in lines_of(finished.results) if entry["record"] != ERRORS_RECORD]
    write_history(finished.results, kept)
    refused(finished, "figures/error_by_k.png", "which no record explains")


def test_uncommitted_code_is_gone_and_replaced_only_by_a_commit_that_is_named(uncommitted):
    refused(uncommitted, FIGURE, "made with uncommitted changes on")
    refused(uncommitted, FIGURE, "git rev-parse", "--commit", "nowhere")
    done = reproduce(uncommitted, FIGURE, "--commit", "HEAD", code=4)
    assert "(code logdepth.figures.depth_law: " in done.stdout
    assert f"{FIGURE}: other bytes" in done.stdout


def test_inputs_made_again_since_are_made_as_they_were_then(finished):
    finished.edit("config/tiny.yaml", "sequences: 16", "sequences: 20")
    finished.git("commit", "-qam", "more sequences")
    finished.snakemake(*(f"results/tiny/{n}" for n in finished.hashes() if "/evaluation.csv" in n))
    jobs = json.loads(reproduce(finished, ERRORS, "--json").stdout)["jobs"]
    # The models are there still; the sequences and their counts are of another time.
    stages = [title.partition("/")[0] for title in jobs]
    assert sorted(stages) == ["data", *["evaluate"] * 3, "tabulate"]
    assert all(job["identical"] for job in jobs.values())
    differences = [d for job in jobs.values() for d in job["differences"]]
    assert not [d for d in differences if d["kind"] != "machine"]


def test_an_input_from_elsewhere_stays_where_it_belongs(finished, tmp_path):
    def add(name, digest):
        def change(statement):
            resource = {"name": name, "digest": {"sha256": digest}}
            resource["annotations"] = {"role": "external"}
            build_of(statement)["resolvedDependencies"].append(resource)

        forge(finished.results, FIGURE_RECORD, change)

    untouched = (finished.results / FIGURE_RECORD).read_bytes(), lines_of(finished.results)
    # Not in the place of code or results.
    for name in ("workflow/logdepth/x.py", "results/tiny/tables/errors.csv"):
        add(name, "0" * 64)
        refused(finished, FIGURE, "code and results belong there")
        (finished.results / FIGURE_RECORD).write_bytes(untouched[0])
        write_history(finished.results, untouched[1])
    # Nor out of the working folder; and the job does not say that it read it.
    (tmp_path / "evil.csv").write_text("evil")
    for name in ("../evil.csv", str(tmp_path / "evil.csv")):
        add(name, sha256_of(tmp_path / "evil.csv"))
    before = sorted(tmp_path.iterdir())
    done = reproduce(finished, FIGURE, code=1)
    assert "it had other inputs than its record says" in done.stderr
    assert sorted([*before, tmp_path / "temporary"]) == sorted(tmp_path.iterdir())
    (tmp_path / "evil.csv").unlink()
    refused(finished, FIGURE, "which is not there")


def test_a_job_that_fails_says_why_and_leaves_nothing(finished):
    table = sorted(finished.results.glob("runs/*/evaluation.csv"))[0]
    model = table.parent / "model.safetensors"
    model.unlink()
    done = reproduce(finished, model, "--device", "nowhere", code=1)
    assert "the job failed: " in done.stderr
    assert "nowhere" in done.stderr
