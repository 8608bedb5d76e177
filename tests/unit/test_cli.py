"""The command line: one clear line for a mistake, and nothing half-written."""

import json
import os
import resource
import shutil
import subprocess
import sys

import pytest

from command_line import error, logdepth, logdepth_here
from logdepth.cli.main import COMMANDS
from logdepth.config.run import Run
from logdepth.resolved import StudySummary

RUN = {
    "task": {"name": "hop", "context": 12, "alphabet": 4, "max_k": 2},
    "model": {"form": "softmax", "depth": 1, "heads": 2, "width": 16},
    "training": {"recipe": "muon", "steps": 20, "batch": 8, "warmup": 2},
    "seed": 0,
}


# Holds a folder as a training does, until its input ends.
HOLDER = """
import fcntl, os, sys
fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX)
print("r", end="", flush=True)
sys.stdin.read()
"""


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
        *("data", "--task", json.dumps(RUN["task"]), "--sequences", 8),
        *("--k", 0, "--k", 1, "--k", 2, "--seed", 0, "--stream", "evaluation"),
        *("--output", folder / "evaluation.safetensors"),
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
    assert "run.yaml: not YAML" in error(
        logdepth_here("train", "--run", tmp_path / "run.yaml", "--output", tmp_path / "out")
    )


def test_no_such_device(tmp_path):
    done = logdepth_here(
        "train", "--run", json.dumps(RUN), "--output", tmp_path / "out", "--device", "cuda:99"
    )
    assert "--device cuda:99: no such device here (expected auto or cpu)" in error(done)


def test_a_disk_that_fills_up_leaves_no_half_file(tmp_path):
    limit = (2000, resource.RLIM_INFINITY)
    done = logdepth(
        *("train", "--run", json.dumps(RUN), "--output", tmp_path / "out", "--device", "cpu"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
        # Python would leave half of what it compiles.
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert f"{tmp_path}/out/model.safetensors" in error(done)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_a_checkpoint_that_cannot_be_written_is_one_line(tmp_path, monkeypatch):
    def save(*_):
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 1 vs 0")

    monkeypatch.setattr("torch.save", save)
    options = ("--device", "cpu", "--checkpoint-seconds", 0)
    out = tmp_path / "out"
    done = logdepth_here("train", "--run", json.dumps(RUN), "--output", out, *options)
    assert f"{out}/checkpoints: a checkpoint cannot be written" in error(done)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_two_trainings_of_one_run_are_one_too_many(tmp_path):
    words = ("train", "--run", json.dumps(RUN), "--output", tmp_path, "--device", "cpu")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout.read(1) == b"r"
    assert f"{tmp_path}: another process is writing it" in error(logdepth_here(*words))
    holder.communicate()
    assert logdepth_here(*words).returncode == 0


def test_a_job_of_slurm_waits_for_what_a_killed_attempt_left(tmp_path):
    # The second attempt of a job killed for its memory met the training of the first.
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout.read(1) == b"r"
    job = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "logdepth",
            "train",
            "--run",
            json.dumps(RUN),
            "--output",
            tmp_path,
            "--device",
            "cpu",
        ],
        env=os.environ | {"SLURM_JOB_ID": "2"},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert f"{tmp_path}: another process is writing it; waiting for it" in job.stderr.readline()
    assert not (tmp_path / "run.json").exists()
    holder.communicate()
    _, printed = job.communicate()
    assert job.returncode == 0, printed
    assert (tmp_path / "run.json").exists()


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
    assert f"{tmp_path}/out: expected a folder, but there is a file" in error(done)


def evaluate(model, data, output, *more):
    return logdepth_here(
        *("evaluate", "--model", model, "--data", data, "--output", output),
        *(more or ("--mode", "eval")),
        *("--device", "cpu"),
    )


def test_evaluation(trained, tmp_path):
    data, model = trained / "evaluation.safetensors", trained / "model.safetensors"
    out = tmp_path / "e.csv"
    done = evaluate(model, data, out, "--mode", "eval", "--mode", "train")
    assert done.returncode == 0, done.stderr
    lines = out.read_text().splitlines()
    assert lines[0] == "mode,k,sequence,wrong,symbols,late_wrong,late_symbols"
    assert len(lines) == 1 + 2 * 3 * 8


def test_evaluation_of_what_is_no_model(trained, tmp_path):
    data, model = trained / "evaluation.safetensors", trained / "model.safetensors"
    out = tmp_path / "e.csv"
    assert f"{tmp_path}/none: no such model" in error(evaluate(tmp_path / "none", data, out))
    assert f"{tmp_path}/none: this input of 'logdepth evaluate' does not exist" in error(
        evaluate(model, tmp_path / "none", out)
    )
    assert "not a model that 'logdepth train' wrote, or damaged" in error(evaluate(data, data, out))
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(model.read_bytes()[:-50])
    assert f"{broken}: not a model that" in error(evaluate(broken, data, out))
    assert f"{broken}: not an evaluation set, or damaged" in error(evaluate(model, broken, out))
    assert "--mode maybe: expected eval or train" in error(
        evaluate(model, data, out, "--mode", "maybe")
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


def test_what_was_killed_while_it_wrote_leaves_nothing_beside_a_finished_training(tmp_path):
    files = "checkpoints/step-000000010.pt", "checkpoints/.step-000000010.pt.x7.part", ".m.y8.part"
    for path in (left := [tmp_path / name for name in files]):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half")
    done = logdepth_here("train", "--run", json.dumps(RUN), "--output", tmp_path, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert not [path for path in (*left, tmp_path / "checkpoints") if path.exists()]


def data(output, *ks, stream="evaluation"):
    return logdepth_here(
        *("data", "--task", json.dumps(RUN["task"]), "--sequences", 8, "--seed", 0),
        *("--stream", stream),
        *("--output", output, *(word for k in ks for word in ("--k", k))),
    )


@pytest.mark.parametrize("ks", [(0, 9), (1, -2), (3,)])
def test_a_k_without_a_hop_token(tmp_path, ks):
    done = data(tmp_path / "e.safetensors", *ks)
    assert f"--k {ks[-1]}: expected numbers from 0 to 2" in error(done)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("ks", "message"), [(("x",), "Invalid value for '--k'"), ((), "'--k'")])
def test_a_k_that_is_no_number(tmp_path, ks, message):
    done = data(tmp_path / "e.safetensors", *ks)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_only_the_streams_that_are_not_trained_on(tmp_path):
    done = data(tmp_path / "e.safetensors", 0, stream="train")
    assert "--stream train: expected evaluation or selection" in error(done)
    assert not list(tmp_path.iterdir())
    for stream in ("evaluation", "selection"):
        assert data(tmp_path / stream, 0, stream=stream).returncode == 0
    assert (tmp_path / "evaluation").read_bytes() != (tmp_path / "selection").read_bytes()


COLUMNS = "experiment,depth,mode,k,error,sequences_low,sequences_high,seeds_low,seeds_high,seeds,"
COLUMNS += "sequences,symbols,late_error,late_symbols,guess"


def test_figures(tmp_path):
    table, study, out = tmp_path / "errors.csv", tmp_path / "study.json", tmp_path / "figures"
    spec = '{"draws": "error_by_k", "mode": "train"}'
    arguments = ("figure", "mine", "--table", table, "--output", out, "--study", study, "--figure")
    assert "--figure: no kind of figure 'pie'; expected one of ablation, alignment" in error(
        logdepth_here(*arguments, '{"draws": "pie"}')
    )
    assert "--figure: mode: input should be 'eval' or 'train'" in error(
        logdepth_here(*arguments, '{"draws": "error_by_k", "mode": "on"}')
    )
    assert f"{study}: no such file" in error(logdepth_here(*arguments, spec))
    study.write_text("{}")
    assert f"{study}: not a study.json that the workflow wrote" in error(
        logdepth_here(*arguments, spec)
    )
    StudySummary("mine", {"a": "The title"}, (), {"a": [Run.model_validate(RUN)]}).write(study)
    table.write_text("a,b\n1,2\n")
    assert f"{table}: not a table of errors: column 'experiment'" in error(
        logdepth_here(*arguments, spec)
    )
    table.write_text(COLUMNS + "\na,1,eval,1,0.5,0.4,0.6,0.4,0.6,2,8,100,0.5,25,0.7\n")
    assert "table errors: no row with mode train; nothing to draw" in error(
        logdepth_here(*arguments, spec)
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["errors.csv", "study.json"]
    done = logdepth_here(*arguments, spec.replace("train", "eval"))
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in out.iterdir()) == ["mine.csv", "mine.pdf", "mine.png"]
    assert "The title" in (out / "mine.csv").read_text()


def test_commands_about_many_runs_take_the_study(trained, tmp_path):
    run, study = Run.model_validate(RUN), tmp_path / "study.json"
    StudySummary("mine", {"fast": "Fast", "none": "None"}, (), {"fast": [run]}).write(study)
    folder = tmp_path / "runs" / run.identifier
    shutil.copytree(trained, folder)
    done = evaluate(
        folder / "model.safetensors", folder / "evaluation.safetensors", folder / "evaluation.csv"
    )
    assert done.returncode == 0, done.stderr
    shared = ("--study", study, "--runs", folder.parent, "--output")
    for command, options, files in (
        ("tabulate", (), ["errors.csv", "errors_by_run.csv"]),
        ("curves", (), ["training.csv"]),
        ("fit", ("--threshold", 0.1), ["scaling.csv", "thresholds.csv"]),
        ("describe", (), [f"table{a}.{b}" for a in (1, 2, 3) for b in ("csv", "md", "tex")]),
    ):
        out = tmp_path / command
        output = out / "training.csv" if command == "curves" else out
        taken = shared if command != "describe" else ("--study", study, "--output")
        done = logdepth_here(command, *taken, output, *options)
        assert done.returncode == 0, done.stderr
        assert sorted(p.name for p in out.iterdir()) == files
        if command != "describe":
            assert "\nfast," in (out / files[0]).read_text(), command
    (folder / "evaluation.csv").unlink()
    missing = logdepth_here("tabulate", *shared, tmp_path / "again")
    assert f"{folder}/evaluation.csv: this input of 'logdepth tabulate'" in error(missing)
    assert not (tmp_path / "again").exists()


def test_attention(trained, tmp_path):
    model, frozen = trained / "model.safetensors", trained / "evaluation.safetensors"
    arguments = ("attention", "--model", model, "--data", frozen, "--device", "cpu")
    alignment, maps = tmp_path / "alignment.csv", tmp_path / "attention-k2.csv"
    for output, options in ((alignment, ("--sequences", 3)), (maps, ("--k", 2))):
        done = logdepth_here(*arguments, "--output", output, "--mode", "eval", *options)
        assert done.returncode == 0, done.stderr
    assert alignment.read_text().startswith("layer,head,k,j,cosine,printed,depth\n")
    assert maps.read_text().startswith("layer,head,query,key,weight,j,depth,k\n")
    for options, message in (
        (("--mode", "on", "--k", 1), "--mode on: expected eval or train"),
        (("--mode", "eval", "--k", 9), "--k 9: expected 0 to 2"),
        (("--mode", "eval", "--sequences", 9), f"{frozen}: 8 sequences for each k, but 9 are"),
    ):
        out = tmp_path / "none.csv"
        assert message in error(logdepth_here(*arguments, "--output", out, *options))
        assert not out.exists()


def test_ablation(trained, tmp_path):
    model, frozen = trained / "model.safetensors", trained / "evaluation.safetensors"
    arguments = ("ablation", "--model", model, "--data", frozen, "--device", "cpu")
    done = logdepth_here(*arguments, "--output", tmp_path / "ablation.csv", "--sequences", 3)
    assert done.returncode == 0, done.stderr
    written = (tmp_path / "ablation.csv").read_text()
    assert written.startswith("ablation,layer,head,k,error,depth\nnone,0,0,0,")
    more = logdepth_here(*arguments, "--output", tmp_path / "none.csv", "--sequences", 9)
    assert f"{frozen}: 8 sequences for each k, but 9 are" in error(more)
    assert not (tmp_path / "none.csv").exists()


def test_config_commands(root):
    done = logdepth("config", "check", root / "config/smoke.yaml")
    assert "10 runs and 2 compiled models in 3 experiments" in done.stdout
    assert "no such file" in error(logdepth_here("config", "check", "none.yaml"))
    assert "needs a file" in error(logdepth_here("config", "runs"))
    assert len(logdepth_here("config", "runs", root / "config/smoke.yaml").stdout.split()) == 12


def test_code_that_a_full_disk_left_half_compiled_is_named(monkeypatch, root):
    def load(*_):
        raise EOFError("EOF read where object expected")

    monkeypatch.setattr("logdepth.config.study.load_study", load)
    said = error(logdepth_here("config", "check", root / "config/smoke.yaml"))
    assert "compiled code is cut short" in said


def test_a_wrong_command_says_what_there_is():
    done = logdepth("trian")
    assert done.returncode == 2
    assert "No such command 'trian'" in done.stderr
    help_text = logdepth("--help").stdout
    for command in COMMANDS:
        assert command in help_text
