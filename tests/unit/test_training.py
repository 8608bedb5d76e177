"""Training: recipes, and what stops it."""

import itertools
import multiprocessing
import os
import shutil
import signal
import sys
import time

import pytest
import torch
from pydantic import ValidationError

from interruption import CPU, same, store
from logdepth.cli.main import main
from logdepth.config.run import Run
from logdepth.devices import bfloat16_factor
from logdepth.errors import UserError
from logdepth.files import sha256_of
from logdepth.models.gpt2 import Gpt2
from logdepth.models.network import Network
from logdepth.models.softmax import Softmax
from logdepth.random import stream_start
from logdepth.recipes.muon import MuonRecipe
from logdepth.recipes.paper import PaperRecipe
from logdepth.tasks.hop import Hop
from logdepth.training.interrupts import stop_requests
from logdepth.training.loop import train
from logdepth.training.store import load_model, run_of, save_model

TASK = Hop(context=14, alphabet=4, max_k=3)
MUON = Run(
    task=TASK,
    model=Softmax(depth=2, heads=2, width=32, mlp_ratio=2),
    training=MuonRecipe(steps=40, batch=16, warmup=5),
    seed=1,
)
BFLOAT = MUON.model_copy(
    update={"training": MUON.training.model_copy(update={"precision": "bfloat16"})}
)
PAPER = Run(
    task=TASK,
    model=Gpt2(depth=2, heads=2, width=32),
    training=PaperRecipe(steps=40, batch=16, warmup=5),
    seed=1,
)
GROWN = MUON.model_copy(
    update={
        "model": Softmax(depth=4, heads=2, width=32, mlp_ratio=2),
        "training": MUON.training.model_copy(update={"grow": (1, 20)}),
    }
)


# Resumed, each form and recipe: test_models.py.
def test_the_same_run_twice_and_another_seed(tmp_path):
    first, again = (train(MUON, device=CPU, checkpoints=store(tmp_path)) for _ in range(2))
    same(first, again)
    other = train(MUON.model_copy(update={"seed": 2}), device=CPU, checkpoints=store(tmp_path))
    assert not first.steps.equals(other.steps)


def test_killed_at_once_and_resumed(tmp_path, monkeypatch):
    """SIGKILL at points of its own choosing, until the run is through: the same files."""
    # Forked from a process that has imported everything, so that there can be many kills.
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(
        ["pytest", "torch._inductor.config", "logdepth.cli.train", "logdepth.training.loop"]
    )
    training = MUON.training.model_copy(update={"steps": 100})
    run = MUON.model_copy(update={"training": training}).model_dump_json()

    def start(folder, *options):
        arguments = ["--device", "cpu", "--run", run, "--output", str(folder), *options]
        monkeypatch.setattr(sys, "argv", ["logdepth", "train", *arguments])
        process = forks.Process(target=main)
        process.start()
        return process

    whole, cut = tmp_path / "whole", tmp_path / "cut"
    unhurt = start(whole)
    unhurt.join()
    assert unhurt.exitcode == 0
    kills = 0
    for attempt in itertools.count(1):
        before = set(cut.glob("checkpoints/step-*.pt"))
        process = start(cut, "--checkpoint-seconds", "0")
        # A checkpoint is always being written once the first new one is there.
        while process.is_alive() and set(cut.glob("checkpoints/step-*.pt")) <= before:
            time.sleep(0.001)
        process.join(0.05 * attempt)
        process.kill()
        process.join()
        if process.exitcode == 0 and kills:
            break
        if process.exitcode == 0:
            # This process had to wait for a processor, and came too late: from the start.
            shutil.rmtree(cut)
            continue
        assert process.exitcode == -signal.SIGKILL
        kills += 1
    for name in ("model.safetensors", "run.json", "steps.csv", "by_k.csv"):
        assert sha256_of(whole / name) == sha256_of(cut / name), name
    assert sorted(p.name for p in cut.iterdir()) == sorted(p.name for p in whole.iterdir())


def test_metrics(tmp_path):
    result = train(MUON, device=CPU, checkpoints=store(tmp_path))
    assert result.steps["step"].tolist() == list(range(1, 41))
    assert result.steps["loss"].iloc[-5:].mean() < result.steps["loss"].iloc[:5].mean()
    assert set(result.by_k["k"]) == {0, 1, 2, 3}
    assert result.by_k["step"].max() == 40
    assert result.by_k["error"].between(0, 1).all()


def test_the_muon_recipe_learns_one_hop(tmp_path):
    run = MUON.model_copy(
        update={"training": MUON.training.model_copy(update={"steps": 400, "batch": 32})}
    )
    last = train(run, device=CPU, checkpoints=store(tmp_path)).by_k.groupby("k")["error"]
    assert last.nth(-1).iloc[0] == 0  # the identity
    assert last.apply(lambda errors: errors.iloc[-10:].mean())[1] < 0.05


@pytest.mark.parametrize("ignored", [False, True])
def test_a_closed_terminal_stops_what_was_not_started_to_outlive_it(ignored):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
    try:
        with stop_requests() as stop:
            for number in (signal.SIGHUP, signal.SIGUSR1):
                stop.signum = 0
                os.kill(os.getpid(), number)
                assert stop.signum == (0 if ignored and number == signal.SIGHUP else number)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_blocks_join_without_effect_and_then_learn(tmp_path):
    """Until the third block joins, the network is one of two; with all joined, it is whole."""

    def trained(run: Run, steps: int) -> Network:
        stopped = run.training.model_copy(update={"steps": steps})
        return train(
            run.model_copy(update={"training": stopped}), device=CPU, checkpoints=store(tmp_path)
        ).model

    few = GROWN.model_copy(
        update={"training": GROWN.training.model_copy(update={"grow": (30, 40), "warmup": 0})}
    )
    tokens = TASK.batch(0, 0, 4).tokens
    net = trained(few, 12)
    assert (net.used, net.depth) == (2, 4)
    shallow = net(tokens)
    net.used = 4
    assert torch.equal(net(tokens), shallow)
    assert [few.training.blocks(step, 4) for step in (0, 29, 30, 39, 40)] == [2, 2, 3, 3, 4]
    assert few.training.full_steps(4) == (30 * 2 + 10 * 3) / 4
    whole = trained(GROWN, 40)
    assert whole.used == 4
    last = whole(tokens)
    whole.used = 3
    assert not torch.equal(whole(tokens), last)


def test_a_network_that_ends_before_its_last_block_joins_is_refused():
    definition = GROWN.model_dump()
    definition["training"]["grow"] = [10]
    with pytest.raises(ValidationError, match="40 steps end with 3 of 4 blocks"):
        Run.model_validate(definition)
    definition["training"]["grow"] = [30, 20]
    with pytest.raises(ValidationError, match="expected steps in ascending order"):
        Run.model_validate(definition)


@pytest.mark.parametrize("seconds", [0.0, 1e9])
def test_a_diverging_run_stops_with_advice_and_keeps_a_checkpoint_from_before(seconds, tmp_path):
    # Looked at every tenth step, and saved at each.
    update = {"adamw_rate": 1e19, "muon_rate": 1e19, "clip": 1e30, "steps": 1000}
    run = MUON.model_copy(update={"training": MUON.training.model_copy(update=update)})
    with pytest.raises(UserError, match=r"the loss, .* expected lower learning rates"):
        train(run, device=CPU, checkpoints=store(tmp_path), checkpoint_seconds=seconds)
    saved = store(tmp_path).latest()
    assert (saved is None) == bool(seconds)
    if saved:
        assert all(tensor.isfinite().all() for tensor in saved["state"]["model"].values())


def test_the_papers_optimiser_is_the_authors():
    models = [PAPER.model.build(TASK) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    # The authors give the rate alone.
    theirs = torch.optim.AdamW(models[1].parameters(), lr=torch.tensor(1e-4), fused=True)
    (ours,) = PaperRecipe().optimizers(models[0])
    for step in range(3):
        for model in models:
            model.zero_grad()
            model.eval()(TASK.batch(0, step, 4).tokens).square().mean().backward()
        ours.step(torch.ones(()))
        theirs.step()
    for a, b in zip(*(model.parameters() for model in models), strict=True):
        assert torch.equal(a, b)


def test_schedule_is_huggingfaces(transformers):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, 10, 100)
    recipes = [kind(steps=100, warmup=10) for kind in (MuonRecipe, PaperRecipe)]
    for step in range(100):
        for recipe in recipes:
            assert recipe.rate_factor(step) == pytest.approx(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert PaperRecipe(steps=5, warmup=0).rate_factor(0) == 1.0


def test_models_are_stored_with_their_run(tmp_path):
    model = PAPER.model.build(PAPER.task)
    for name in ("a", "b"):
        save_model(model, PAPER, tmp_path / name)
    assert sha256_of(tmp_path / "a") == sha256_of(tmp_path / "b")
    loaded, run = load_model(tmp_path / "a", CPU)
    assert run == run_of(tmp_path / "a") == PAPER
    assert not loaded.training
    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), loaded.parameters(), strict=True)
    )


def batches_of(run, monkeypatch, tmp_path):
    """Train and return the numbers of the batches that were drawn, and the result."""
    drawn = []
    draw = Hop.draw
    numbers = {stream_start("train", run.seed, step): step for step in range(100)}

    def noting(self, starts, *arguments):
        drawn.append(numbers[int(starts)])
        return draw(self, starts, *arguments)

    monkeypatch.setattr(Hop, "draw", noting)
    return drawn, train(run, device=CPU, checkpoints=store(tmp_path))


@pytest.mark.parametrize("run", [MUON, PAPER], ids=["muon", "paper"])
def test_a_finite_training_set_repeats_its_whole_batches(run, tmp_path, monkeypatch):
    training = run.training.model_copy(update={"samples": 50})
    drawn, _ = batches_of(run.model_copy(update={"training": training}), monkeypatch, tmp_path)
    # 50 samples are three batches of 16; the authors drop the rest, too.
    assert drawn == [step % 3 for step in range(40)]


def test_a_schedule_cut_short_is_the_start_of_the_whole(tmp_path, monkeypatch):
    training = PAPER.training.model_copy(update={"stop_after": 25})
    run = PAPER.model_copy(update={"training": training})
    drawn, short = batches_of(run, monkeypatch, tmp_path / "short")
    assert drawn == list(range(25))
    whole = train(PAPER, device=CPU, checkpoints=store(tmp_path / "whole"))
    assert short.steps.equals(whole.steps.head(25))
    assert short.steps["rate_factor"].iloc[-1] > 0.4


@pytest.mark.parametrize(("factor", "lines"), [(0.4, 0), (1.4, 0), (35.0, 1)])
def test_what_bfloat16_costs_here_is_said_once_before_training(
    factor, lines, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("logdepth.devices.bfloat16_factor", lambda: factor)
    options = ["train", "--run", BFLOAT.model_dump_json(), "--output", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["logdepth", *options, "--device", "cpu"])
    with pytest.raises(SystemExit) as done:
        main()
    assert done.value.code == 0
    err = capsys.readouterr().err
    line = "this CPU has no bfloat16 units: a product takes 35 times as long as in float32"
    assert err.count(line) == lines
    assert not lines or err.index(line) < err.index("step ")


def test_the_factor_of_bfloat16_is_that_of_this_cpu():
    # A CPU with units is faster in it by less than 10; one that emulates them slower by less than
    # 1000.
    assert 0.1 < bfloat16_factor(0.05) < 1000
