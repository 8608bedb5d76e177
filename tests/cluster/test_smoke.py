"""The smoke study with the profile, in the image, on a Slurm without accounting."""

import json
import os
import re
import shutil
import subprocess

import pytest

from audit_trail.__main__ import main


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    """A file that notes how Apptainer is called, and whether for a GPU, by way of its folder."""
    folder = tmp_path_factory.mktemp("bin")
    script = folder / "apptainer"
    note = f'echo "nv=$APPTAINER_NV $*" >> {folder}/calls'
    script.write_text(f'#!/bin/sh\n{note}\nexec {shutil.which("apptainer")} "$@"\n')
    script.chmod(0o755)
    return folder / "calls"


@pytest.fixture(scope="module")
def on_cluster(cluster, make, calls, tmp_path_factory):
    """A checkout whose smoke study ran on the cluster, and what Snakemake printed."""
    checkout = make(tmp_path_factory.mktemp("smoke") / "checkout")
    path = f"{calls.parent}{os.pathsep}{os.environ['PATH']}"
    started = checkout.start(study="smoke", PATH=path)
    return checkout, started.finish()


def folder_of(checkout):
    return checkout.folder / "results" / "smoke"


def records(checkout, stage):
    for path in sorted((folder_of(checkout) / "provenance" / stage).glob("*.json")):
        yield json.loads(path.read_text())["predicate"]


def bits(checkout):
    import hashlib

    results = folder_of(checkout)
    files = [p for k in ("data", "runs", "tables", "figures") for p in (results / k).rglob("*.*")]
    return {
        str(p.relative_to(results)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in files
        if p.is_file()
    }


def test_it_is_complete_and_nothing_is_left_to_do(on_cluster):
    checkout, printed = on_cluster
    assert "sacct does not answer" in printed
    assert (folder_of(checkout) / "figures/depth_law.pdf").is_file()
    again = checkout.start(study="smoke").finish()
    assert "Nothing to be done" in again


def test_the_same_bits_as_on_one_machine_in_the_same_image(on_cluster, make, tmp_path):
    checkout, _ = on_cluster
    here = make(tmp_path / "here")
    here.local(study="smoke")
    assert bits(here) == bits(checkout)


def most_at_once(spans):
    """How many of some (start, end) ran at the same time."""
    return max(sum(a <= start < b for a, b in spans) for start, _ in spans)


def test_runs_share_jobs_and_a_gpu_is_asked_for_by_training_alone(on_cluster, cluster):
    checkout, printed = on_cluster
    packs = re.findall(r"Job ([\d,]+) has been submitted with SLURM jobid (\d+)", printed)
    spans = {}
    for details in (record["runDetails"] for record in records(checkout, "train")):
        slurm = details["byproducts"][0]["annotations"]["slurm"]
        times = details["metadata"]
        spans.setdefault(slurm["SLURM_JOB_ID"], []).append(
            (times["startedOn"], times["finishedOn"])
        )
    assert sum(map(len, spans.values())) == 10
    assert len(spans) <= 4
    assert max(map(most_at_once, spans.values())) > 1
    for members, number in packs:
        job = cluster.job(int(number))
        assert job["JobState"] == "COMPLETED"
        # A core for each process; fewer than there are members where a long one decides anyway.
        cores = int(job["CPUs/Task"])
        assert 1 <= cores <= min(4, len(members.split(",")))
        if number in spans:
            assert most_at_once(spans[number]) <= cores
            assert job["TresPerJob"] == "gres:gpu:1"
        else:
            assert "TresPerJob" not in job


def test_the_image_gets_the_libraries_of_a_gpu_in_jobs_that_have_one(on_cluster, calls):
    lines = [line for line in calls.read_text().splitlines() if "logdepth " in line]
    stages = {line.split("logdepth ")[-1].split()[0] for line in lines}
    assert {"data", "train", "evaluate", "tabulate", "figure"} <= stages
    for line in lines:
        assert line.startswith("nv=1 ") == ("logdepth train" in line), line


def test_a_record_names_the_image_the_lock_and_the_slurm_job(on_cluster, image):
    checkout, _ = on_cluster
    digest = image.with_name(f"{image.name}.sha256").read_text().split()[0]
    for predicate in records(checkout, "train"):
        resolved = predicate["buildDefinition"]["resolvedDependencies"]
        roles = {d["annotations"]["role"]: d for d in resolved if "annotations" in d}
        assert roles["image"]["digest"]["sha256"] == digest
        assert roles["lock"]["annotations"]["file"] == "envs/cpu.txt"
        assert roles["code"]["digest"]["gitCommit"]
        machine = predicate["runDetails"]["byproducts"][0]["annotations"]
        assert machine["slurm"]["SLURM_JOB_PARTITION"] == "main"


def test_what_ran_in_the_image_is_verified_with_it_and_misses_it_without(
    on_cluster, image, tmp_path, capsys
):
    checkout, _ = on_cluster
    study = [str(folder_of(checkout)), "--repository", str(checkout.folder)]
    assert main(["verify", *study, "--image", str(image)]) == 0
    assert main(["verify", *study, "--image", str(tmp_path / "none.sif")]) == 6
    assert "its image logdepth.sif" in capsys.readouterr().out


def test_what_ran_in_the_image_is_reproduced_in_it(on_cluster, image):
    checkout, _ = on_cluster
    figure = folder_of(checkout) / "figures/depth_law.png"
    command = [
        "apptainer",
        "exec",
        "--bind",
        str(image.parent),
        str(image),
        "logdepth",
        "audit",
        "reproduce",
        str(figure),
    ]
    done = subprocess.run(
        command,
        cwd=checkout.folder,
        env=os.environ | checkout.site,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("identical bytes") == 3
