"""Whole runs: the same bits everywhere, whatever interrupts them, and clear refusals."""

import json
import os
import shutil
import signal
import subprocess
import time

import psutil
import pytest
import torch
from filelock import FileLock
from ruamel.yaml import YAML

from checkout import Checkout
from command_line import logdepth, snakemake_here
from logdepth.config.study import load_study
from logdepth.files import sha256_of
from logdepth.planning.measured import shape_name

IMPORTING = """\
study: mine
title: Imported models
task: {name: hop, context: 10, alphabet: 4, max_k: 2}
evaluation: {sequences: 16, modes: [train, eval]}
fit: {thresholds: [0.1, 0.05]}
alignment: {sequences: 3}
experiments:
  authors:
    title: authors
    model: {form: gpt2, heads: 2, width: 32}
    training: {recipe: paper}
    depths: [2, 3]
    imported: true
figures:
  by_k: {draws: error_by_k}
  curves: {draws: training_curves}
  heads: {draws: alignment, experiments: [authors], depth: 2, k: 2}
  more_heads: {draws: alignment, experiments: [authors], depth: 3, k: 2}
"""


def test_every_output_has_a_record_that_matches(finished):
    recorded = {}
    for record in finished.results.glob("provenance/*/*.json"):
        if record.parent.name in ("environments", "sources", "studies"):
            continue
        statement = json.loads(record.read_text())
        for subject in statement["subject"]:
            recorded[subject["name"]] = subject["digest"]["sha256"]
        build = statement["predicate"]["buildDefinition"]
        assert len(build["internalParameters"]["definition"]) == 64
        roles = {d.get("annotations", {}).get("role") for d in build["resolvedDependencies"]}
        assert {"packages", "code"} <= roles
    assert recorded == finished.hashes()
    history = (finished.results / "provenance/history.jsonl").read_text().splitlines()
    # Evaluation set, three runs trained and evaluated, four jobs of tables, three figures.
    assert len(history) == 1 + 3 + 3 + 4 + 3


def test_inputs_in_a_record_are_outputs_of_another(finished):
    hashes = finished.hashes()
    figure = json.loads((finished.results / "provenance/figure/depth_law.json").read_text())
    inputs = {
        d["name"]: d["digest"]["sha256"]
        for d in figure["predicate"]["buildDefinition"]["resolvedDependencies"]
        if d["name"].endswith(".csv")
    }
    assert inputs == {
        name: hashes[name] for name in ("tables/thresholds.csv", "tables/scaling.csv")
    }


def test_runs_train_together_as_was_measured_of_the_gpu_of_the_site(fresh):
    fresh.edit("config/tiny.yaml", "seeds: [0]", "seeds: [0, 1, 2]")
    runs = load_study(fresh.config).trained_runs()
    rows = [
        {"shape": shape_name(run), "runs": count, "processes": 1, "recorded": True}
        | {"steps_per_second": rate}
        for run in runs.values()
        for count, rate in ((1, 100.0), (3, 90.0 if run.model.depth == 1 else 30.0))
    ]
    file = fresh.folder / "results/published/gpu/check.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"device": "NVIDIA L4", "rates": rows}))
    (fresh.folder / "site.yaml").write_text("gpu: L4\ntogether: fastest\n")
    asked = {}
    for command in fresh.commands():
        if "--together" in command:
            run = command[command.index("--output") + 1].rpartition("/")[2]
            asked[run] = command[command.index("--together") : command.index("--device")]
    expected = ["--together", "3", "--among", "results/tiny/study.json"]
    assert asked == {key: expected for key, run in runs.items() if run.model.depth == 1}
    assert len(asked) == 6


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def stop_while_training(checkout: Checkout, models: list[str], signum: signal.Signals) -> None:
    """Train models of the study, and stop all of its processes before both are finished."""
    command, environment = checkout.command(*models)
    while True:
        # What an earlier process has written there says nothing of this one.
        logs = checkout.results / "logs/train"
        shutil.rmtree(logs, ignore_errors=True)
        process = subprocess.Popen(
            command,
            cwd=checkout.folder,
            env=environment,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            while not any("step" in log.read_text() for log in logs.glob("*.log")):
                assert process.poll() is None, "the study ended before it trained"
                time.sleep(0.01)
        except BaseException:
            process.kill()
            raise
        started = [psutil.Process(process.pid)]
        started += started[0].children(recursive=True)
        os.killpg(process.pid, signum)
        process.wait()
        # Snakemake may end before a training that still saves what it has.
        while any(map(is_alive, started)):
            time.sleep(0.01)
        if not all((checkout.folder / model).exists() for model in models):
            return
        # This process had to wait for a processor, and the signal came too late: from the start.
        shutil.rmtree(checkout.results)
        shutil.rmtree(checkout.folder / ".snakemake")


@pytest.fixture
def models(template):
    """The models of the study, as Snakemake is asked for them."""
    return [f"results/tiny/{name}" for name in template.hashes() if "/model." in name]


def test_a_clone_that_was_stopped_and_killed_trains_the_same_models_as_another(
    fresh, template, models
):
    # What the models cost was counted there.
    fresh.results.mkdir(parents=True)
    shutil.copy(template.results / "costs.json", fresh.results)
    stop_while_training(fresh, models, signal.SIGTERM)
    assert list(fresh.results.glob("checkpoints/*/step-*.pt"))
    stop_while_training(fresh, models, signal.SIGKILL)
    # What follows from models is made again, bit by bit, in test_reruns.py and test_reproduce.py.
    fresh.snakemake("results/tiny/tables/training.csv", *models)
    made, there = fresh.hashes(), template.hashes()
    assert {*models, "results/tiny/tables/training.csv"} <= {f"results/tiny/{n}" for n in made}
    assert made == {name: there[name] for name in made}


def test_a_second_snakemake_is_told_of_the_first(fresh, models):
    (fresh.folder / ".snakemake").mkdir()
    with FileLock(fresh.folder / ".snakemake/tiny.lock"):
        said = fresh.refused(*models).splitlines()
        assert said[-1] == (
            "results/tiny: another Snakemake is at work here; wait for it, or stop it"
        )
        assert fresh.planned(*models)
    assert not fresh.hashes()


def test_a_wrong_configuration_stops_before_the_dag(fresh):
    # tests/unit/test_config.py has the other mistakes.
    fresh.edit("config/tiny.yaml", "width: 16", "widht: 16")
    said = fresh.refused()
    lines = [line for line in said.splitlines() if line and "profile" not in line]
    assert len(lines) == 1, said
    assert "config/tiny.yaml: experiments.fast.model: unknown key 'widht'" in lines[0]
    assert not fresh.results.exists()


def test_a_missing_configuration_file(fresh):
    fresh.config.unlink()
    assert "config/tiny.yaml" in fresh.refused()


def test_the_code_of_another_clone_is_refused(fresh, root):
    _, environment = fresh.command()
    elsewhere = environment | {"PYTHONPATH": str(root / "workflow")}
    done = snakemake_here(["--configfile", "config/tiny.yaml", "-n"], fresh.folder, elsewhere)
    assert done.returncode
    (line,) = [line for line in done.stderr.splitlines() if "clone" in line]
    code = root / "workflow/logdepth"
    assert line == f"{code}: of another clone; expected that of {fresh.folder}: make setup"
    assert not fresh.results.exists()


def test_an_experiment_that_stands_twice_is_refused(fresh):
    text = fresh.config.read_text()
    fresh.config.write_text(text.replace("  gpt2:\n", "  fast:\n", 1))
    assert "tiny.yaml: not YAML: " in (said := fresh.refused())
    assert 'duplicate key "fast"' in said


def test_a_missing_image_stops_before_the_dag(fresh):
    said = fresh.refused("--software-deployment-method", "apptainer")
    assert "containers/logdepth.sif: no such image" in said


def test_an_image_that_is_not_the_recorded_one_stops_before_the_dag(fresh):
    (fresh.folder / "containers").mkdir()
    (fresh.folder / "containers/logdepth.sif").write_bytes(b"swapped")
    (fresh.folder / "containers/logdepth.sif.sha256").write_text(f"{'0' * 64}  logdepth.sif\n")
    said = fresh.refused("--software-deployment-method", "apptainer")
    assert "logdepth.sif.sha256 says 000000000000" in said
    assert not fresh.results.exists()


def test_a_mistake_in_the_site_stops_before_the_dag(fresh):
    (fresh.folder / "site.yaml").write_text("partitions: gpu\n")
    (line,) = [line for line in fresh.refused().splitlines() if "site.yaml" in line]
    assert "partitions" in line
    assert not fresh.results.exists()


def test_the_log_of_a_failed_job_and_what_is_not_committed_are_shown(finished):
    before = finished.hashes()
    model = sorted(finished.results.glob("runs/*/model.safetensors"))[0]
    model.unlink()
    done = finished.snakemake(str(model.relative_to(finished.folder)))
    assert "can never be published" not in done.stderr
    finished.edit("config/tiny.yaml", "warmup: 2", "warmup: 2, adamw_rate: 1.0e+30, clip: 1.0e+30")
    finished.edit("config/tiny.yaml", "depths: [1, 2]", "depths: [1]")
    done = finished.snakemake("runs", "--until", "train", check=False)
    assert done.returncode != 0
    assert "expected lower learning rates in its recipe" in done.stdout + done.stderr
    assert "what is made now can never be published" in done.stderr
    assert finished.hashes() == before


def test_a_checkpoint_folder_is_gone_when_the_study_is_finished(finished):
    assert not list(finished.results.glob("checkpoints/*/*"))


def test_results_do_not_depend_on_the_folder_or_the_clock(template):
    for name in template.hashes():
        content = (template.results / name).read_bytes()
        assert str(template.folder).encode() not in content, name
        assert b"CreationDate" not in content, name


def test_an_imported_model_is_evaluated_and_drawn(fresh, tmp_path, transformers):
    released = tmp_path / "model"
    released.mkdir()
    task = {"char_tokens": 4, "max_hops": 2, "min_hops": 0, "seq_len": 11}
    config = {
        "model": {
            "depth": 2,
            "dim_embedding": 32,
            "headcount": 2,
            "family": "gpt2_model",
            "vocab_size": 30,
        },
        "training": {
            "batch_size": 4,
            "learning_rate": 1e-4,
            "seed": 7,
            "task_kwargs": task,
            "train_steps": 11,
            "warmup_steps": 2,
        },
    }
    YAML().dump(config, released / "config.yaml")
    torch.manual_seed(0)
    gpt2 = transformers.GPT2Config(vocab_size=30, n_positions=11, n_embd=32, n_layer=2, n_head=2)
    torch.save(transformers.GPT2Model(gpt2).state_dict(), released / "model_10.pt")
    (fresh.folder / "config/mine.yaml").write_text(IMPORTING)
    arguments = ("--configfile", "config/mine.yaml")
    assert "no imported model for the study 'mine'" in fresh.refused(*arguments)
    _, environment = fresh.command()
    done = logdepth(
        *("import", released, "--output", "results/mine"), cwd=fresh.folder, env=environment
    )
    assert done.returncode == 0, done.stderr
    (model,) = fresh.folder.glob("results/mine/runs/*/model.safetensors")
    before = sha256_of(model)
    assert "train" not in fresh.planned("figures", *arguments)
    fresh.snakemake("figures", *arguments)
    assert sha256_of(model) == before
    drawn = {path.stem for path in fresh.folder.glob("results/mine/figures/*.pdf")}
    # The deeper model was not imported, and with it two figures are left out.
    assert drawn == {"by_k", "heads"}
    # What is left of the study trains nothing, and what is there stays.
    assert fresh.planned(*arguments) == {"paper_tables": 1, "fit": 1}
