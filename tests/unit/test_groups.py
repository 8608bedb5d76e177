"""Runs of a study that are trained together by the command, each with a record of its own."""

import json
import multiprocessing
import signal
import sys

import pytest
import torch

from command_line import logdepth_here
from interruption import CPU, store
from logdepth.canonical import digest
from logdepth.cli.main import main
from logdepth.config.run import Run
from logdepth.models.gpt2 import Gpt2
from logdepth.models.recurrent import Recurrent
from logdepth.models.softmax import Softmax
from logdepth.planning.groups import group_of
from logdepth.recipes.muon import MuonRecipe
from logdepth.recipes.paper import PaperRecipe
from logdepth.resolved import StudySummary
from logdepth.tasks.hop import Hop
from logdepth.training.checkpoint import CheckpointStore
from logdepth.training.loop import train_together
from logdepth.training.store import load_model

TASK = Hop(context=10, alphabet=4, max_k=2)
MODEL = Softmax(depth=2, heads=2, width=16, mlp_ratio=1)
RECIPE = MuonRecipe(steps=12, batch=4, warmup=3)
RUNS = [Run(task=TASK, model=MODEL, training=RECIPE, seed=seed) for seed in range(3)]


def study(runs, folder):
    path = folder / "study.json"
    StudySummary("mine", {"all": "all"}, (), {"all": list(runs)}).write(path)
    return path


def command(run, folder, *options):
    name = run.identifier
    return [
        *("train", "--run", run.model_dump_json(), "--output", folder / "runs" / name),
        *("--checkpoints", folder / "checkpoints" / name, "--device", "cpu"),
        *("--together", 8, "--among", folder / "study.json"),
        *("--record", folder / f"provenance/train/{name}.json", *options),
    ]


def record_of(run, folder):
    text = (folder / f"provenance/train/{run.identifier}.json").read_text()
    return json.loads(text)["predicate"]["buildDefinition"]["externalParameters"]


def test_a_group_is_the_same_for_each_of_it_and_has_one_shape():
    others = [
        RUNS[0].model_copy(update={"training": RECIPE.changed({"samples": 8, "muon_rate": 0.1})}),
        RUNS[0].model_copy(update={"training": RECIPE.changed({"steps": 13})}),
        RUNS[0].model_copy(update={"model": MODEL.model_copy(update={"depth": 3})}),
        RUNS[0].model_copy(update={"model": Gpt2(width=32), "training": PaperRecipe()}),
    ]
    runs = [*RUNS, *others]
    alike = {run.identifier for run in runs[:4]}
    for run in runs:
        group = group_of(run, [*runs, *runs], 8)
        assert {r.identifier for r in group} == (alike if run in runs[:4] else {run.identifier})
        twos = group_of(run, runs, 2)
        assert run in twos
        assert all(group_of(other, runs, 2) == twos for other in twos)


def test_the_first_trains_all_and_each_is_finished_by_itself(tmp_path):
    study(RUNS, tmp_path)
    stores = [store(tmp_path / "apart" / str(place)) for place in range(3)]
    expected = dict(
        zip(
            sorted(run.identifier for run in RUNS),
            train_together(
                sorted(RUNS, key=lambda run: run.identifier), device=CPU, checkpoints=stores
            ),
            strict=True,
        )
    )
    for place, run in enumerate(RUNS):
        done = logdepth_here(*command(run, tmp_path))
        assert done.returncode == 0, done.stderr
        # The first goes through the steps of all, each goes on from its own last one.
        assert ("and 2 more: step 12/12" in done.stderr) == (place == 0)
        assert f"{run.identifier}: goes on from step 12/12" in done.stderr
        model, _ = load_model(tmp_path / "runs" / run.identifier / "model.safetensors", CPU)
        for name, weight in model.state_dict().items():
            assert torch.equal(weight, expected[run.identifier].model.state_dict()[name])
        assert record_of(run, tmp_path)["checkpoint"]["together"] == sorted(
            r.identifier for r in RUNS
        )
    left = [path.name for path in (tmp_path / "checkpoints").iterdir()]
    assert all(name.endswith(".lock") for name in left)


def test_what_is_finished_or_of_no_fused_form_is_left_alone(tmp_path):
    (tmp_path / "runs" / RUNS[1].identifier).mkdir(parents=True)
    (tmp_path / "runs" / RUNS[1].identifier / "model.safetensors").touch()
    study(RUNS, tmp_path)
    done = logdepth_here(*command(RUNS[0], tmp_path))
    assert "and 1 more: step 12/12" in done.stderr
    names = [RUNS[0].identifier, RUNS[2].identifier]
    assert record_of(RUNS[0], tmp_path)["checkpoint"]["together"] == sorted(names)
    gated = [run.model_copy(update={"model": Recurrent(width=16)}) for run in RUNS]
    study(gated, tmp_path / "gated")
    done = logdepth_here(*command(gated[0], tmp_path / "gated"))
    assert done.returncode == 0, done.stderr
    assert "logdepth train: alone, for GRU has weights and no fused form" in done.stderr
    assert "checkpoint" not in record_of(gated[0], tmp_path / "gated")


def test_one_that_diverges_fails_alone(tmp_path):
    wild = RECIPE.changed({"muon_rate": 1e19, "adamw_rate": 1e19, "clip": 1e30})
    runs = [RUNS[0].model_copy(update={"training": RECIPE.changed({"clip": 1e30})})]
    runs.append(runs[0].model_copy(update={"training": wild}))
    study(runs, tmp_path)
    done = logdepth_here(*command(runs[0], tmp_path))
    assert done.returncode == 0, done.stderr
    line = f"{runs[1].identifier}: the loss, or its gradient, is"
    assert f"logdepth train: {line}" in done.stderr
    done = logdepth_here(*command(runs[1], tmp_path))
    assert done.returncode == 1
    assert line in done.stderr


def test_the_next_goes_on_where_one_that_was_killed_had_come_to(tmp_path, monkeypatch):
    """Three processes at once, of which the one that trains is killed: as if it had not been."""
    long = [run.model_copy(update={"training": RECIPE.changed({"steps": 60})}) for run in RUNS]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        study(long, folder)
    for run in long:
        assert logdepth_here(*command(run, whole)).returncode == 0
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(
        ["pytest", "torch._inductor.config", "logdepth.cli.train", "logdepth.training.loop"]
    )

    def start(run):
        words = command(run, cut, "--checkpoint-seconds", "0")
        monkeypatch.setattr(sys, "argv", ["logdepth", *map(str, words)])
        process = forks.Process(target=main)
        process.start()
        return process

    first = start(long[0])
    checkpoints = cut / "checkpoints" / long[2].identifier
    while not any(checkpoints.glob("step-*.pt")):
        assert first.is_alive()
    others = [start(run) for run in long[1:]]
    first.kill()
    first.join()
    assert first.exitcode == -signal.SIGKILL
    for process in [*others, start(long[0])]:
        process.join()
        assert process.exitcode == 0
    for run in long:
        for name in ("model.safetensors", "steps.csv", "by_k.csv"):
            made = [folder / "runs" / run.identifier / name for folder in (whole, cut)]
            assert made[0].read_bytes() == made[1].read_bytes(), name


@pytest.mark.parametrize("before", [[1], [1, 1, 1, 2]], ids=["first", "second"])
def test_killed_between_the_checkpoints_of_two_they_go_on_together(before, tmp_path):
    study(RUNS, tmp_path / "whole")
    study(RUNS, tmp_path / "cut")
    names = sorted(run.identifier for run in RUNS)
    runs = sorted(RUNS, key=lambda run: run.identifier)
    stores = [
        CheckpointStore(tmp_path / "cut/checkpoints" / run.identifier, digest(run.content))
        for run in runs
    ]
    save, saved = CheckpointStore.save, []

    def killed(self, step, state):
        if saved == before:
            raise KeyboardInterrupt
        saved.append(step)
        return save(self, step, state)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CheckpointStore, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            train_together(runs, device=CPU, checkpoints=stores, checkpoint_seconds=0)
    reached = [(store.latest() or {"step": 0})["step"] for store in stores]
    assert reached == [before[-1], before[-1] - 1, before[-1] - 1]
    for folder in ("whole", "cut"):
        assert logdepth_here(*command(runs[1], tmp_path / folder)).returncode == 0
    made = [
        tmp_path / folder / "runs" / names[1] / "model.safetensors" for folder in ("whole", "cut")
    ]
    assert made[0].read_bytes() == made[1].read_bytes()
    assert record_of(runs[1], tmp_path / "cut")["checkpoint"]["together"] == names


@pytest.mark.parametrize("most", [1, 2])
def test_a_group_of_one_is_the_run_alone(most, tmp_path):
    study(RUNS[:1], tmp_path)
    words = command(RUNS[0], tmp_path)
    words[words.index("--together") + 1] = most
    done = logdepth_here(*words)
    assert done.returncode == 0, done.stderr
    assert "checkpoint" not in record_of(RUNS[0], tmp_path)
