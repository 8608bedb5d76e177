"""The command line: one clear line for a mistake, and nothing half-written."""

import json
import os
import resource

import pytest

from command_line import error, logdepth, logdepth_here
from logdepth.cli.main import COMMANDS

RUN = {
    "task": {"context": 12, "alphabet": 4, "max_hops": 2},
    "model": {"form": "fast", "depth": 1, "heads": 2, "width": 16},
    "training": {"recipe": "fast", "steps": 20, "batch": 8, "warmup": 2},
    "seed": 0,
}


def run_with(path, value):
    run = json.loads(json.dumps(RUN))
    place = run
    *parents, key = path.split(".")
    for parent in parents:
        place = place[parent]
    place[key] = value
    return json.dumps(run)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    done = logdepth_here("train", "--run", json.dumps(RUN), "--output", folder, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    done = logdepth_here(
        *("data", "--task", json.dumps(RUN["task"]), "--hops", "0,1,2", "--sequences", 8),
        *("--seed", 0, "--output", folder / "evaluation.safetensors"),
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("model.depth", 0, "model.depth: input should be greater than or equal to 1, not 0"),
        ("task.alphabet", 1, "task.alphabet: input should be greater than or equal to 2"),
        ("model.heads", 3, "heads is 3, which does not divide width 16"),
        ("model.widht", 3, "unknown key 'widht', did you mean 'width'?"),
        ("training.steps", "x", "training.steps: input should be a valid integer"),
    ],
)
def test_an_impossible_run_is_refused_before_training(tmp_path, path, value, message):
    done = logdepth_here("train", "--run", run_with(path, value), "--output", tmp_path / "out")
    assert message in error(done)
    assert not (tmp_path / "out").exists()


def test_a_run_from_a_file(tmp_path):
    assert f"{tmp_path}/run.yaml: no such file" in error(
        logdepth_here("train", "--run", tmp_path / "run.yaml", "--output", tmp_path / "out")
    )
    (tmp_path / "run.yaml").write_text("a: [")
    assert "run.yaml: not valid YAML" in error(
        logdepth_here("train", "--run", tmp_path / "run.yaml", "--output", tmp_path / "out")
    )


def test_no_such_device(tmp_path):
    done = logdepth_here(
        "train", "--run", json.dumps(RUN), "--output", tmp_path / "out", "--device", "cuda:99"
    )
    assert "--device cuda:99: no such device here (right would be auto or cpu)" in error(done)


def test_a_disk_that_fills_up_leaves_no_half_file(tmp_path):
    limit = (2000, resource.RLIM_INFINITY)
    done = logdepth(
        *("train", "--run", json.dumps(RUN), "--output", tmp_path / "out", "--device", "cpu"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
    )
    assert f"{tmp_path}/out/model.safetensors" in error(done)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(tmp_path):
    tmp_path.chmod(0o500)
    done = logdepth_here("train", "--run", json.dumps(RUN), "--output", tmp_path / "out")
    assert f"{tmp_path}/out" in error(done)


def test_an_output_folder_that_is_a_file(tmp_path):
    (tmp_path / "out").write_text("")
    done = logdepth_here(
        "train", "--run", json.dumps(RUN), "--output", tmp_path / "out", "--device", "cpu"
    )
    assert f"{tmp_path}/out/model.safetensors" in error(done)


def evaluate(model, data, output, *more):
    return logdepth_here(
        *("evaluate", "--model", model, "--data", data, "--output", output),
        *(more or ("--dropout", "off")),
        *("--device", "cpu"),
    )


def test_evaluation(trained, tmp_path):
    data, model = trained / "evaluation.safetensors", trained / "model.safetensors"
    out = tmp_path / "e.csv"
    done = evaluate(model, data, out, "--dropout", "off", "--dropout", "on")
    assert done.returncode == 0, done.stderr
    lines = out.read_text().splitlines()
    assert lines[0] == "dropout,hops,sequence,wrong,symbols"
    assert len(lines) == 1 + 2 * 3 * 8


def test_evaluation_of_what_is_no_model(trained, tmp_path):
    data, model = trained / "evaluation.safetensors", trained / "model.safetensors"
    out = tmp_path / "e.csv"
    assert "none: this input of 'logdepth evaluate' does not exist" in error(
        evaluate(tmp_path / "none", data, out)
    )
    assert "not a model that 'logdepth train' wrote, or damaged" in error(evaluate(data, data, out))
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(model.read_bytes()[:-50])
    assert f"{broken}: not a model that" in error(evaluate(broken, data, out))
    assert f"{broken}: not an evaluation set, or damaged" in error(evaluate(model, broken, out))
    assert "--dropout maybe: right would be on or off" in error(
        evaluate(model, data, out, "--dropout", "maybe")
    )
    assert not out.exists()


def test_a_damaged_checkpoint_is_skipped(tmp_path):
    out = tmp_path / "out"
    (out / "checkpoints").mkdir(parents=True)
    bad = out / "checkpoints" / f"step-000000010-{'0' * 16}.pt"
    bad.write_bytes(b"half a checkpoint")
    done = logdepth("train", "--run", json.dumps(RUN), "--output", out, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert f"skipped checkpoint {bad}: damaged" in done.stderr


@pytest.mark.parametrize("hops", ["0,9", "x", "1,-2", ""])
def test_a_k_without_a_hop_token(tmp_path, hops):
    done = logdepth_here(
        *("data", "--task", json.dumps(RUN["task"]), "--hops", hops, "--sequences", 8),
        *("--seed", 0, "--output", tmp_path / "e.safetensors"),
    )
    assert f"--hops {hops}: right would be numbers from 0 to 2" in error(done)


def test_figures(tmp_path):
    table = tmp_path / "errors.csv"
    spec = '{"draws": "error_by_hops", "dropout": "on"}'
    arguments = ("figure", "mine", "--table", table, "--output", tmp_path, "--spec")
    assert "--spec: draws: input should be 'depth_law'" in error(
        logdepth_here(*arguments, '{"draws": "pie"}')
    )
    table.write_text("a,b\n1,2\n")
    assert f"{table}: not a table of errors: column 'experiment'" in error(
        logdepth_here(*arguments, spec)
    )
    columns = "experiment,depth,dropout,hops,error,sequences_low,sequences_high,seeds_low,"
    columns += "seeds_high,seeds,sequences,symbols"
    table.write_text(columns + "\na,1,off,1,0.5,0.4,0.6,0.4,0.6,2,8,100\n")
    assert "table errors: no row with dropout on; nothing to draw" in error(
        logdepth_here(*arguments, spec)
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["errors.csv"]
    assert "--title 'x': right would be NAME=VALUE" in error(
        logdepth_here(*arguments, spec, "--title", "x")
    )


def test_config_commands(root):
    done = logdepth("config", "check", root / "config/smoke.yaml")
    assert "10 runs and 2 compiled models in 3 experiments" in done.stdout
    assert "no such file" in error(logdepth_here("config", "check", "none.yaml"))
    assert "needs a file" in error(logdepth_here("config", "runs"))
    assert len(logdepth_here("config", "runs", root / "config/smoke.yaml").stdout.split()) == 12


def test_a_wrong_command_says_what_there_is():
    done = logdepth("trian")
    assert done.returncode == 2
    assert "No such command 'trian'" in done.stderr
    help_text = logdepth("--help").stdout
    for command in COMMANDS:
        assert command in help_text
