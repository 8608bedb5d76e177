"""Runs trained together are what they are alone; and a step is fit to be recorded for a GPU."""

import contextlib
import os
import signal
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from families import each, full_recipes, short_recipes, small_model, small_tasks
from interruption import CPU, at_step, equal, same, store
from logdepth import models
from logdepth.config.run import Run
from logdepth.errors import UserError
from logdepth.models.fused import fuse
from logdepth.tasks.hop import Hop
from logdepth.training import replay
from logdepth.training.interrupts import InterruptedTraining
from logdepth.training.loop import train, train_together
from logdepth.training.replay import Replayed
from logdepth.training.steps import Steps

TASK = Hop(context=10, alphabet=4, max_k=2)
# Those with weights in other layers are trained alone.
TOGETHER = ("gpt2", "hybrid", "kernel", "looped", "softmax", "window")
RECIPES = short_recipes(steps=8, batch=4) | full_recipes()


def group(form: str, recipe: str, count: int = 3, **changes: Any) -> list[Run]:
    """Runs of one shape that differ in all that runs of one shape may differ in."""
    training = RECIPES[recipe].changed(changes)
    rates = {name: rate for name, rate in training if name.endswith("_rate")}
    return [
        Run(
            task=TASK,
            model=small_model(form, depth=3),
            training=training.changed(
                {name: rate * (1 + place // 2) for name, rate in rates.items()}
                | {"samples": 5 * place + 4 if place else None}
            ),
            seed=place,
        )
        for place in range(count)
    ]


def together(runs, folder, **options):
    stores = [store(folder / str(place)) for place in range(len(runs))]
    return train_together(runs, device=CPU, checkpoints=stores, **options)


def largest_difference(trained, runs, folder) -> float:
    """Of the weights, from those of each run trained alone."""
    alone = [
        train(run, device=CPU, checkpoints=store(folder / f"alone{place}"))
        for place, run in enumerate(runs)
    ]
    return max(
        float((weight - other.model.state_dict()[name]).abs().max())
        for one, other in zip(trained, alone, strict=True)
        for name, weight in one.model.state_dict().items()
    )


@pytest.mark.parametrize("recipe", [name for name in RECIPES if "bfloat16" not in name])
@pytest.mark.parametrize("form", TOGETHER)
def test_runs_trained_together_are_what_they_are_alone(form, recipe, tmp_path):
    runs = group(form, recipe)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        trained = together(runs, tmp_path)
        assert largest_difference(trained, runs, tmp_path) < 1e-10
    finally:
        torch.set_default_dtype(before)
    # And they are different runs.
    assert not torch.equal(trained[0].model.tokens.weight, trained[1].model.tokens.weight)


@pytest.mark.parametrize(
    ("form", "recipe", "bound"),
    [("softmax", "muon-float32", 1e-2), ("gpt2", "paper-float32", 1e-5)],
)
def test_in_float32_they_are_but_for_rounding(form, recipe, bound, tmp_path):
    """After 20 steps; weights have moved by 0.1 and more with Muon, whose steps are large."""
    runs = group(form, recipe, steps=20)
    trained = together(runs, tmp_path)
    assert 0 < largest_difference(trained, runs, tmp_path) < bound


def test_stopped_together_they_go_on_together_or_alone(tmp_path):
    runs = group("gpt2", "paper-float32")
    whole = together(runs, tmp_path / "whole")
    with pytest.MonkeyPatch.context() as patch:
        at_step(patch, 5, lambda: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(InterruptedTraining, match="after step 5"):
            together(runs, tmp_path / "cut")
    saved = [store(tmp_path / "cut" / str(place)).latest() for place in range(3)]
    assert [checkpoint["step"] for checkpoint in saved] == [5, 5, 5]
    alone = train(runs[1], device=CPU, checkpoints=store(tmp_path / "cut" / "1"))
    # The state is that of the run alone, its rest but for rounding, too.
    for name, weight in alone.model.state_dict().items():
        torch.testing.assert_close(weight, whole[1].model.state_dict()[name], rtol=0, atol=1e-4)
    for one, other in zip(together(runs, tmp_path / "cut"), whole, strict=True):
        same(one, other)


def test_one_of_another_step_is_trained_apart(tmp_path):
    runs = group("softmax", "muon-float32")
    with pytest.MonkeyPatch.context() as patch:
        at_step(patch, 4, lambda: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(InterruptedTraining):
            train(runs[2], device=CPU, checkpoints=store(tmp_path / "2"))
    trained = together(runs, tmp_path)
    same(trained[2], train(runs[2], device=CPU, checkpoints=store(tmp_path / "alone")))
    for one, other in zip(trained, together(runs[:2], tmp_path / "two"), strict=False):
        same(one, other)


def test_one_that_fails_keeps_no_other_from_its_end(tmp_path):
    runs = group("softmax", "muon-float32")
    diverging = {"adamw_rate": 1e19, "muon_rate": 1e19, "clip": 1e30}
    runs = [
        run.model_copy(update={"training": run.training.changed({"clip": 1e30})}) for run in runs
    ]
    unhurt = together(runs, tmp_path / "unhurt")
    runs[1] = runs[1].model_copy(update={"training": runs[1].training.changed(diverging)})
    trained = together(runs, tmp_path / "hurt", checkpoint_seconds=0)
    assert isinstance(trained[1], UserError)
    assert str(trained[1]).startswith(f"{runs[1].identifier}: the loss, or its gradient, is")
    for place in (0, 2):
        same(trained[place], unhurt[place])
    saved = store(tmp_path / "hurt" / "1").latest()
    if saved:
        assert all(tensor.isfinite().all() for tensor in saved["state"]["model"].values())


@pytest.mark.parametrize("form", models.names())
def test_a_form_is_fused_or_refused(form):
    networks = [small_model(form, depth=2).build(TASK) for _ in range(2)]
    if form in TOGETHER:
        assert fuse(networks).depth == 2
    else:
        with pytest.raises(ValueError, match="has weights and no fused form"):
            fuse(networks)
    others = [
        small_model("softmax", depth, width).build(TASK) for depth, width in [(2, 32), (2, 64)]
    ]
    with pytest.raises(ValueError, match="expected networks of one shape"):
        fuse(others)


class WaitError(AssertionError):
    pass


class NeverWaits(TorchDispatchMode):
    """Refuses what a GPU would have to be waited for.

    That is numbers read, sizes that depend on them, and numbers that come from Python.
    """

    refused = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "equal", "lift_fresh")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name.removeprefix("aten::")
        places = args[1] if name.startswith("index") and isinstance(args[1], list) else []
        by_mask = any(place is not None and place.dtype == torch.bool for place in places)
        if name.startswith(self.refused) or by_mask:
            raise WaitError(name)
        return func(*args, **(kwargs or {}))


STEPS = {f"{form}-hop": (small_model(form, depth=3), TASK) for form in models.names()} | {
    f"softmax-{name}": (small_model("softmax", depth=3), task)
    for name, task in small_tasks().items()
}


@each("pair", STEPS)
def test_a_step_never_waits_for_its_device_and_keeps_its_memory(pair):
    model, task = pair
    recipe = RECIPES["paper-float32" if model.form == "gpt2" else "muon-float32"]
    runs = [Run(task=task, model=model, training=recipe, seed=seed) for seed in range(2)]
    steps = Steps(runs if model.form in TOGETHER else runs[:1], CPU)
    steps.take()  # tables that stay are made in the first

    def lasting():
        network = steps.model
        state = [*network.parameters(), *network.buffers(), steps.metrics.every, steps.metrics.sums]
        state += [t for run in range(len(steps.networks)) for t in tensors(steps.optimizers[run])]
        return [tensor.data_ptr() for tensor in state]

    def tensors(optimizers):
        return [tensor for optimizer in optimizers for tensor in optimizer.tensors()]

    before = lasting()
    with NeverWaits():
        for _ in range(3):
            steps.take()
    assert lasting() == before
    assert steps.metrics.every[:4].abs().sum((1, 2)).gt(0).all()
    assert steps.metrics.every[4:].eq(0).all()


def test_products_are_rounded_on_a_gpu_where_that_was_asked_for():
    run = Run(task=TASK, model=small_model("softmax"), training=RECIPES["muon-float32"], seed=0)
    for precision in ("tf32", "float32"):  # the default last, for the setting is of the process
        recipe = run.training.changed({"precision": precision})
        Steps([run.model_copy(update={"training": recipe})], CPU)
        assert torch.backends.cuda.matmul.allow_tf32 == (precision == "tf32")


def test_what_waits_is_found():
    for waits in (
        lambda: torch.ones(1).item(),
        lambda: torch.ones(3)[torch.ones(3) > 0],
        lambda: torch.tensor([1.0]),
        lambda: bool(torch.ones(1) > 0),
    ):
        with pytest.raises(WaitError), NeverWaits():
            waits()


def test_a_recorded_step_is_replayed_as_often_as_asked(monkeypatch):
    """Without a GPU: with a graph that notes what is recorded, and does it when it is replayed."""
    taken, recording = [], []

    class Graph:
        def replay(self):
            taken.extend(self.recorded)

    class Recording:
        def __init__(self, graph, stream):
            self.graph = graph

        def __enter__(self):
            recording.append([])

        def __exit__(self, *_):
            self.graph.recorded = recording.pop()

    class Stream:
        def wait_stream(self, _):
            pass

    def step():
        (recording[-1] if recording else taken).append("step")

    for name, value in {
        "Stream": Stream,
        "current_stream": Stream,
        "stream": lambda _: contextlib.nullcontext(),
        "CUDAGraph": Graph,
        "graph": Recording,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    replayed = Replayed(step)
    for times in (1, 4, 1, replay.MOST, 3 * replay.MOST + 7, 2):
        taken.clear()
        replayed(times)
        assert len(taken) == times
    replayed.forget()
    taken.clear()
    replayed(5)
    assert len(taken) == 5


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_recorded_steps_are_the_same_to_the_bit_on_a_gpu():
    device = torch.device("cuda")
    runs = group("gpt2", "paper-float32", steps=40)
    plain, recorded = Steps(runs, device), Steps(runs, device)
    replayed = Replayed(recorded.take)
    for _ in range(40):
        plain.take()
    replayed(40)
    for run in range(len(runs)):
        equal(plain.state(run), recorded.state(run))
