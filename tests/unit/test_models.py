"""What every architecture and recipe must do, found by its file: a new one is tested unasked."""

import itertools

import pytest
import torch
from pydantic import ValidationError

from families import each, full_recipes, short_recipes, small_model, small_models, small_tasks
from interruption import CPU, equal, resumed, same, store
from logdepth import models, recipes
from logdepth.config.run import Run
from logdepth.evaluation.error_rates import count_errors, evaluation_set
from logdepth.models.base import Model
from logdepth.models.network import Network
from logdepth.settings import changed
from logdepth.tasks.hop import Hop
from logdepth.training import metrics
from logdepth.training.loop import train

TASK = Hop(context=20, alphabet=4, max_k=8)
MODELS, RECIPES = small_models(), short_recipes()
EVERY = each("model", MODELS)


def build(model: Model, seed: int = 0) -> Network:
    return model.build(TASK, torch.Generator().manual_seed(seed))


def test_there_are_models_and_recipes():
    assert {"softmax", "gpt2"} <= set(models.names())
    trained = {name for name in recipes.names() if recipes.settings(name).is_trained}
    assert {"muon", "paper"} <= trained == {recipe.recipe for recipe in RECIPES.values()}
    for name in models.names():
        assert issubclass(models.settings(name), Model)
        assert small_model(name).form == name


@EVERY
def test_no_position_sees_a_later_one(model):
    net = build(model).eval()
    tokens = TASK.batch(0, 0, 4).tokens
    with torch.no_grad():
        whole = net(tokens)
        for place in (1, 12, TASK.context - 1):
            changed = tokens.clone()
            symbols = tokens[:, place:] - TASK.first_symbol
            changed[:, place:] = TASK.first_symbol + (symbols + 1) % TASK.alphabet
            other = net(changed)
            assert torch.equal(whole[:, :place], other[:, :place])
            assert (whole[:, place:] != other[:, place:]).any(-1).all()


@EVERY
def test_a_position_sees_those_before_it(model):
    net = build(model).eval()
    tokens = TASK.batch(0, 0, 4).tokens
    changed = tokens.clone()
    changed[:, 3] = TASK.first_symbol + (tokens[:, 3] - TASK.first_symbol + 1) % TASK.alphabet
    with torch.no_grad():
        assert not torch.equal(net(tokens)[:, 4:], net(changed)[:, 4:])


@EVERY
def test_logits_have_a_class_for_every_answer(model):
    net = build(model)
    logits = net(TASK.batch(0, 0, 4).tokens)
    assert logits.shape[:2] == (4, TASK.context)
    assert logits.isfinite().all()
    answers = net.labels(torch.tensor(TASK.answers)).tolist()
    assert len(set(answers)) == len(TASK.answers)
    assert set(answers) <= set(range(logits.shape[2]))
    # What is no answer is none of them, and is a class that there is or not learnt at all.
    other = net.labels(torch.tensor([TASK.blank, 0])).tolist()
    assert not set(other) & set(answers)
    assert all(label == -100 or 0 <= label < logits.shape[2] for label in other)


@EVERY
def test_with_a_head_what_is_no_answer_is_not_learnt(model):
    net = build(model)
    targets = torch.tensor([[TASK.blank, TASK.first_symbol, TASK.bottom - 1, TASK.bottom]])
    if net.head is None:
        assert torch.equal(net.labels(targets), targets)
    else:
        assert net.labels(targets).tolist() == [[-100, 0, 3, 4]]
        assert net.head.out_features == len(TASK.answers)


@EVERY
def test_every_parameter_gets_a_finite_gradient(model):
    net = build(model)
    torch.manual_seed(0)
    net(TASK.batch(0, 0, 4).tokens).square().sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@EVERY
def test_starting_weights_are_drawn_from_the_generator_alone(model):
    torch.manual_seed(1)
    first = build(model).state_dict()
    torch.manual_seed(2)
    again, other = build(model).state_dict(), build(model, seed=1).state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in first.items())
    assert not all(torch.equal(tensor, other[name]) for name, tensor in first.items())


@EVERY
def test_dropout_acts_in_training_mode_only(model):
    net = build(model).eval()
    tokens = TASK.batch(0, 0, 2).tokens
    with torch.no_grad():
        assert torch.equal(net(tokens), net(tokens))
        net.train()
        varies = not torch.equal(net(tokens), net(tokens))
    assert varies == bool(getattr(model, "dropout", 0))


@EVERY
def test_parameters_are_counted_as_they_are_built(model):
    assert model.parameters(TASK) == sum(p.numel() for p in build(model).parameters())
    assert model.parameters(TASK) > 0
    # Nothing is made for it: a model too large for any memory is counted as well.
    assert small_model(model.form, depth=3, width=2**15).parameters(TASK) > 2**30


@EVERY
def test_a_network_has_the_sizes_of_its_settings(model):
    net = build(model)
    assert (net.depth, net.width, len(net.blocks)) == (2, 32, getattr(model, "group", 2))


def test_a_looped_model_is_the_model_that_repeats_its_blocks():
    looped = models.settings("looped")(depth=4, group=2, width=32)
    net, plain = build(looped), build(models.settings("softmax")(depth=4, width=32))
    state = net.state_dict()
    again = {
        name.replace(f"blocks.{place}.", f"blocks.{place + 2}."): tensor
        for place in (0, 1)
        for name, tensor in state.items()
        if name.startswith(f"blocks.{place}.")
    }
    plain.load_state_dict(state | again)
    tokens = TASK.batch(0, 0, 4).tokens
    assert torch.equal(net.eval()(tokens), plain.eval()(tokens))
    with pytest.raises(ValueError, match="depth is 3; expected a multiple of group"):
        models.settings("looped")(depth=3, group=2).check(TASK)


def test_labels_tell_forms_and_sizes_apart():
    found = []
    for name in models.names():
        fields = models.settings(name).model_fields
        for depth, width in itertools.product((2, 3), (32, 64)):
            sized = [{"heads": heads} for heads in (2, 4)] if "heads" in fields else [{}]
            found += [small_model(name, depth, width, **heads) for heads in sized]
    labels = [model.label() for model in found]
    assert len(set(labels)) == len(labels)
    # A part of file names.
    assert all(label.replace("-", "").replace("_", "").isalnum() for label in labels)


@each("recipe", RECIPES)
@EVERY
def test_optimisers_hold_every_parameter_once(model, recipe):
    net = build(model)
    held = [
        parameter
        for optimizer in recipe.optimizers(net)
        for group in optimizer.groups
        for parameter in group["params"]
    ]
    assert sorted(map(id, held)) == sorted(map(id, net.parameters()))


# Every form with every recipe and all that it has; recipes with less in them with one form.
RESUMED = {
    f"{form}-{name}": (MODELS[form], recipe)
    for form in models.names()
    for name, recipe in (short_recipes(steps=8, batch=4) | full_recipes()).items()
    if form == "softmax" or name in full_recipes()
}


@each("pair", RESUMED)
def test_resumed_training_goes_on_in_the_same_bits(pair, tmp_path, monkeypatch):
    model, recipe = pair
    # Of three blocks one can join late, and every cut is within an interval.
    task = Hop(context=10, alphabet=4, max_k=2)
    run = Run(task=task, model=changed(model, {"depth": 3}), training=recipe, seed=1)
    monkeypatch.setattr(metrics, "INTERVALS", 3)
    # The first step, those around a block that joins, the last but one.
    cuts = [1, 3, 4, recipe.trained_steps - 1]
    whole, cut = store(tmp_path / "whole", writes=False), store(tmp_path / "cut")
    trained = train(run, device=CPU, checkpoints=whole, checkpoint_seconds=0)
    same(trained, resumed(run, cut, *cuts))
    # What was read at a cut shows at the next: model, optimisers, random numbers, metrics.
    assert list(cut.states) == cuts
    for step, state in cut.states.items():
        equal(state, whole.states[step])
    # And it went somewhere.
    start = run.model.build(task, torch.Generator().manual_seed(1)).state_dict()
    after = trained.model.state_dict()
    assert not all(torch.equal(tensor, after[name]) for name, tensor in start.items())


@each("recipe", RECIPES)
def test_a_recipe_cut_short_to_be_timed_is_all_at_full_cost(recipe):
    changes = {"samples": 8}
    if "stop_after" in type(recipe).model_fields:
        changes["stop_after"] = 5
    short = recipe.changed(changes).cut(2)
    assert (short.steps, short.trained_steps, short.batch) == (2, 2, recipe.batch)
    assert short.train_samples is None
    assert short.rate_factor(0) > 0
    assert short.precision == recipe.precision


TASKS = small_tasks()
PAIRS = {
    f"{form}-{task}": (model, TASKS[task])
    for form, model in MODELS.items()
    for task in TASKS
    # Every form at one task, and every task with one form.
    if task == "hop" or form == "softmax"
}


@each("task", TASKS)
def test_a_form_that_does_not_take_a_task_cannot_be_written_down_with_it(task):
    for model in MODELS.values():
        settings = {"task": task, "model": model, "training": RECIPES["muon-float32"], "seed": 1}
        try:
            model.check(task)
        except ValueError:
            with pytest.raises(ValidationError):
                Run(**settings)
        else:
            # Which is what it is built by.
            assert Run(**settings).model.parameters(task) > 0


@each("pair", PAIRS)
def test_what_is_trained_is_evaluated(pair, tmp_path):
    model, task = pair
    training = RECIPES["muon-float32"]
    run = Run(task=task, model=model, training=training, seed=1)
    trained = train(run, device=CPU, checkpoints=store(tmp_path))
    assert trained.steps["loss"].gt(0).all()
    assert set(trained.by_k["k"]) <= set(task.ks)
    assert trained.by_k["error"].between(0, 1).all()
    data = evaluation_set(task, tuple(task.ks), 6, seed=0)
    table = count_errors(trained.model, data, mode="eval")
    assert table["symbols"].tolist() == data["counted"].sum(2).flatten().tolist()
    assert table["wrong"].between(0, table["symbols"]).all()
    # A model that has seen 96 sequences knows some answers, and not all of them.
    assert 0 < table["wrong"].sum() <= table["symbols"].sum()
    assert run.identifier.startswith(f"{task.label()}-{model.label()}-seed1-")
