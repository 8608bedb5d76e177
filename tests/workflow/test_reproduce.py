"""Outputs made again from their records alone, in real checkouts."""

import contextlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from checkout import Checkout
from command_line import logdepth, logdepth_here
from forgery import alter, forge, forge_output, lines_of, write_history
from logdepth.files import sha256_of

ERRORS, ERRORS_RECORD = "tables/errors.csv", "provenance/tabulate/tables.json"
FIGURE, FIGURE_RECORD = "figures/depth_law.png", "provenance/figure/depth_law.json"


def worktrees(checkout: Checkout) -> int:
    command = ["git", "worktree", "list"]
    listed = subprocess.run(
        command, cwd=checkout.folder, capture_output=True, text=True, check=True
    )
    return len(listed.stdout.splitlines())


def reproduce(
    checkout: Checkout, name: str | Path, *options: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    path = name if isinstance(name, Path) else checkout.results / name
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | variables
    done = logdepth("audit", "reproduce", path, *options, cwd=checkout.folder, env=environment)
    assert worktrees(checkout) == 1, "a worktree is left over"
    return done


def refused(checkout: Checkout, name: str, message: str, *options: str) -> None:
    with contextlib.chdir(checkout.folder):
        done = logdepth_here("audit", "reproduce", checkout.results / name, *options)
    assert worktrees(checkout) == 1, "a worktree is left over"
    assert done.returncode == 1, done.stdout
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_figure_from_its_tables_whatever_the_code_is_now(finished, tmp_path):
    finished.edit("workflow/logdepth/figures/depth_law.py", 'color="C3"', 'color="C2"')
    # The study is the one that the job read, not what it is now.
    alter(finished.results / "study.json", '"title":"fast"', '"title":"quick"')
    before = finished.hashes()
    done = reproduce(finished, FIGURE, "--keep", str(tmp_path / "kept"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 job, " in done.stdout
    assert done.stdout.count("identical bytes") == 3
    assert (tmp_path / "kept" / FIGURE).read_bytes() == (finished.results / FIGURE).read_bytes()
    assert finished.hashes() == before
    refused(finished, FIGURE, "is there already", "--keep", str(tmp_path))


def test_what_is_not_there_is_made_again_too(finished):
    for model in finished.results.glob("runs/*/model.safetensors"):
        model.unlink()
    table = sorted(finished.results.glob("runs/*/evaluation.csv"))[0]
    done = reproduce(finished, table, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["verdict"] == "identical"
    assert "2 jobs, " in done.stderr
    assert "1 input taken" in done.stderr


def test_everything_from_nothing(finished):
    table = sorted(finished.results.glob("runs/*/evaluation.csv"))[0]
    done = reproduce(finished, table, "--deep")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 jobs, " in done.stdout
    assert "0 inputs taken" in done.stdout


def test_a_copy_elsewhere_with_the_clone_named(finished, tmp_path):
    shutil.copytree(finished.results, tmp_path / "mailed" / "tiny")
    done = reproduce(finished, tmp_path / "mailed/tiny" / ERRORS)
    assert done.returncode == 0, done.stdout + done.stderr
    alone = logdepth("audit", "reproduce", "tiny/tables/errors.csv", cwd=tmp_path / "mailed")
    assert alone.returncode == 1
    assert "expected --repository with one" in alone.stderr


def test_another_result_is_measured(finished):
    alter(finished.results / ERRORS, "fast,2,eval,1,0.", "fast,2,eval,1,0.0")
    forge_output(finished.results, ERRORS, ERRORS_RECORD)
    done = reproduce(finished, ERRORS)
    assert done.returncode == 4, done.stdout + done.stderr
    line = next(line for line in done.stdout.splitlines() if ERRORS in line and "again" in line)
    assert "error 0.0" in line
    assert "standard errors" in line
    assert "verdict: other" in done.stdout


def test_another_figure_is_measured_in_pixels(finished):
    shutil.copy(finished.results / "figures/error_by_k.png", finished.results / FIGURE)
    forge_output(finished.results, FIGURE, FIGURE_RECORD)
    done = reproduce(finished, FIGURE)
    assert done.returncode == 4, done.stdout + done.stderr
    assert "pixels" in done.stdout


def test_an_altered_record_is_not_followed(finished):
    alter(finished.results / FIGURE_RECORD, '"cores": ', '"cores": 1')
    refused(finished, FIGURE, "not what its job wrote")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("results/tiny/figures", "/tmp/elsewhere", "out of the folder"),
        ("results/tiny/figures", "results/../../x", "out of the folder"),
        ("results/tiny/figures", "--output=/tmp/elsewhere", "out of the folder"),
        ("figure", "audit", "cannot be run again"),
        ("logdepth", "rm", "cannot be run again"),
        ("--record", "--other", "does not name this record"),
    ],
)
def test_a_command_that_leads_elsewhere_is_not_run(finished, old, new, message):
    def change(statement):
        command = statement["predicate"]["buildDefinition"]["internalParameters"]["command"]
        command[command.index(old)] = new

    forge(finished.results, FIGURE_RECORD, change)
    refused(finished, FIGURE, message)
    assert not Path("/tmp/elsewhere").exists()


def test_another_environment_is_told_and_not_taken_for_the_same(finished):
    def change(statement):
        for resource in statement["predicate"]["buildDefinition"]["resolvedDependencies"]:
            if resource["annotations"]["role"] == "lock":
                resource["digest"]["sha256"] = "0" * 64

    forge(finished.results, FIGURE_RECORD, change)
    refused(finished, FIGURE, "it ran in another environment (the same packages from another lock)")
    assert reproduce(finished, FIGURE, "--here").returncode == 0


def test_an_input_whose_record_is_gone_is_made_by_the_history(finished):
    (finished.results / ERRORS).unlink()
    (finished.results / ERRORS_RECORD).unlink()
    done = reproduce(finished, "figures/error_by_k.png")
    assert done.returncode == 0, done.stdout + done.stderr
    assert ": 2 jobs, " in done.stdout
    kept = [entry for entry in lines_of(finished.results) if entry["record"] != ERRORS_RECORD]
    write_history(finished.results, kept)
    refused(finished, "figures/error_by_k.png", "which no record explains")


def test_uncommitted_code_is_gone_and_replaced_only_by_a_commit_that_is_named(uncommitted):
    refused(uncommitted, FIGURE, "made with uncommitted changes on")
    refused(uncommitted, FIGURE, "no such thing", "--commit", "nowhere")
    done = reproduce(uncommitted, FIGURE, "--commit", "HEAD")
    assert done.returncode == 4, done.stdout + done.stderr
    assert "(code logdepth.figures.depth_law: " in done.stdout
    assert "of the pixels differ" in done.stdout


def test_inputs_made_again_since_are_made_as_they_were_then(finished):
    finished.edit("config/tiny.yaml", "sequences: 16", "sequences: 20")
    finished.git("commit", "-qam", "more sequences")
    finished.snakemake(*(f"results/tiny/{n}" for n in finished.hashes() if "/evaluation.csv" in n))
    done = reproduce(finished, ERRORS, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    jobs = json.loads(done.stdout)["jobs"]
    stages = [job["title"].partition("/")[0] for job in jobs]
    # The models are there still; the sequences and their counts are of another time.
    assert sorted(stages) == ["data", *["evaluate"] * 3, "tabulate"]
    assert all(job["identical"] for job in jobs)
    assert not [d for job in jobs for d in job["differences"] if d["kind"] != "machine"]


@pytest.mark.parametrize("name", ["workflow/logdepth/x.py", "results/tiny/tables/errors.csv"])
def test_an_input_from_elsewhere_does_not_take_the_place_of_code_or_results(finished, name):
    def change(statement):
        resource = {"name": name, "digest": {"sha256": "0" * 64}, "annotations": {}}
        resource["annotations"]["role"] = "external"
        statement["predicate"]["buildDefinition"]["resolvedDependencies"].append(resource)

    forge(finished.results, FIGURE_RECORD, change)
    refused(finished, FIGURE, "where code and results belong")


def test_an_input_from_elsewhere_is_not_written_elsewhere(finished, tmp_path):
    (tmp_path / "evil.csv").write_text("evil")
    digest = sha256_of(tmp_path / "evil.csv")

    def change(statement):
        for name in ("../evil.csv", str(tmp_path / "evil.csv")):
            resource = {"name": name, "digest": {"sha256": digest}}
            resource["annotations"] = {"role": "external"}
            statement["predicate"]["buildDefinition"]["resolvedDependencies"].append(resource)

    forge(finished.results, FIGURE_RECORD, change)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    before = sorted(tmp_path.iterdir())
    done = reproduce(finished, FIGURE, TMPDIR=str(temporary))
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(tmp_path.iterdir()) == before
    assert not list(temporary.iterdir())
    (tmp_path / "evil.csv").unlink()
    refused(finished, FIGURE, "which is not there")


def test_a_job_that_fails_says_why_and_leaves_nothing(finished):
    def change(statement):
        command = statement["predicate"]["buildDefinition"]["internalParameters"]["command"]
        command[command.index("--output")] = "--nowhere"

    forge(finished.results, FIGURE_RECORD, change)
    done = reproduce(finished, FIGURE)
    assert done.returncode == 1
    assert "the job failed: " in done.stderr
    assert "--nowhere" in done.stderr
