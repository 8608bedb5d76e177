"""What every task of the family must do, found by its file: a new one is held to it unasked."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
import torch

from families import each, small_task, small_tasks
from logdepth import tasks
from logdepth.random import random_bits, stream_start
from logdepth.tasks.base import Task

EVERY = each("task", small_tasks())


def ks_of(task: Task) -> list[int]:
    assert 0 < len(task.ks) <= 17, "a test of every k must stay short"
    return list(task.ks)


def test_there_are_tasks():
    assert "hop" in tasks.names()
    for name in tasks.names():
        assert issubclass(tasks.settings(name), Task)
        assert small_task(name).name == name


@EVERY
def test_every_answer_is_that_of_brute_force(task):
    for k in [None, *ks_of(task)]:
        batch = task.batch(5, 0, 24, k=k)
        rows = zip(batch.tokens, batch.targets, batch.counted, batch.k, strict=True)
        for tokens, targets, counted, own in rows:
            answers = task.oracle(tokens.tolist(), int(own))
            assert len(answers) == task.context
            expected = [answer is not None and answer in task.answers for answer in answers]
            assert counted.tolist() == expected
            found = zip(answers, targets.tolist(), expected, strict=True)
            assert all(answer == target for answer, target, counts in found if counts)
        assert batch.counted.any(), "nothing is asked"


@EVERY
def test_shapes_types_and_ranges(task):
    batch = task.batch(1, 0, 50)
    for part in (batch.tokens, batch.targets):
        assert part.shape == (50, task.context)
        assert part.dtype == torch.int64
        assert part.min() >= 0
        assert part.max() < task.vocabulary
    assert batch.counted.shape == (50, task.context)
    assert batch.counted.dtype == torch.bool
    assert batch.k.shape == (50,)
    assert batch.k.dtype == torch.int64
    asked = batch.targets[batch.counted]
    assert set(asked.tolist()) <= set(task.answers)
    assert set(task.answers) <= set(range(task.vocabulary))


@EVERY
def test_k_is_the_one_asked_for_or_drawn_from_all(task):
    for k in ks_of(task):
        assert task.batch(0, 0, 7, k=k).k.tolist() == [k] * 7
    drawn = task.batch(0, 0, 100 * len(task.ks)).k
    assert set(drawn.tolist()) == set(task.ks)


@EVERY
def test_a_k_that_there_is_not_is_refused(task):
    for k in (task.ks.start - 1, task.ks.stop, -1, 10**6):
        with pytest.raises(ValueError, match=f"k is {k}, but"):
            task.batch(0, 0, 2, k=k)


def same(first, second) -> bool:
    pairs = zip(vars(first).values(), vars(second).values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@EVERY
def test_batches_depend_on_their_arguments_alone(task):
    for k in (None, task.ks[-1]):
        first = task.batch(3, 5, 16, k=k)
        task.batch(3, 6, 16)
        torch.rand(10)
        assert same(first, task.batch(3, 5, 16, k=k))
        assert same(first, small_task(task.name).batch(3, 5, 16, stream="train", k=k))
        for other in (
            task.batch(3, 6, 16, k=k),
            task.batch(4, 5, 16, k=k),
            task.batch(3, 5, 16, stream="evaluation", k=k),
            task.batch(5, 3, 16, k=k),
        ):
            # No sequence of one is one of the other's at the same place, but by luck.
            assert (first.tokens != other.tokens).any(1).sum() >= 12
    # Nor are the sequences of a batch each other's.
    assert len(torch.unique(task.batch(3, 5, 16).tokens, dim=0)) >= 12


@EVERY
def test_a_uniform_guess_errs_as_chance_says(task):
    batch = task.batch(9, 0, 6000)
    right = batch.targets[batch.counted]
    answers = right.unique()
    guesses = answers[torch.randint(len(answers), right.shape, generator=seeded(1))]
    error = (guesses != right).double().mean().item()
    assert 0 < task.chance < 1
    # Six standard errors.
    spread = (task.chance * (1 - task.chance) / len(right)) ** 0.5
    assert abs(error - task.chance) < 6 * spread
    # Which six standard errors tell from a guess among one answer more or less.
    assert task.chance == pytest.approx(1 - 1 / len(answers))


@EVERY
def test_the_best_guess_is_no_worse_than_a_uniform_one(task):
    assert all(0 <= task.guess(k) <= task.chance for k in task.ks)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@EVERY
def test_what_the_theory_reaches_grows_with_depth(task):
    reached = [task.reach(depth) for depth in range(1, 8)]
    known = [k for k in reached if k is not None]
    assert known == sorted(known)
    assert known == reached[len(reached) - len(known) :]


@EVERY
def test_it_is_described_and_named(task):
    assert all(isinstance(key, str) for key in task.description())
    assert task.context in task.description().values()
    assert task.label().startswith(task.name)
    # A part of file names.
    assert task.label().replace("-", "").replace("_", "").isalnum()


@EVERY
def test_pointers_are_of_positions_in_the_sequence_and_sequences_stay(task):
    if not task.has_pointers:
        for method in (task.asked, task.pointers):
            with pytest.raises(NotImplementedError):
                method(task.batch(0, 0, 1).tokens, 1)
        return
    drawn = task.batch(2, 0, 20)
    for k in ks_of(task):
        assert torch.equal(task.asked(drawn.tokens, k), task.batch(2, 0, 20, k=k).tokens)
    own = torch.arange(task.context).expand(20, -1)
    for j in range(task.max_k + 1):
        reached = task.pointers(drawn.tokens, j)
        assert reached.shape == drawn.tokens.shape
        assert reached.min() >= -1
        # A position cannot look at a later one.
        assert (reached <= own).all()
    assert (task.pointers(drawn.tokens, 1) >= 0).any()


@pytest.mark.parametrize("learn_all", [False, True])
def test_planted_strings_have_no_equal_neighbours_and_are_asked_at_the_end(learn_all):
    task = tasks.settings("planted")(context=40, max_k=6, learn_all=learn_all)
    batch = task.batch(0, 0, 200)
    assert (batch.tokens[:, 1:-1] != batch.tokens[:, 2:]).all()
    assert batch.counted.nonzero()[:, 1].eq(39).all()
    plain = tasks.settings("hop")(context=40, alphabet=4, max_k=6)
    for tokens, targets, k in zip(batch.tokens, batch.targets, batch.k, strict=True):
        answers = plain.oracle(tokens.tolist(), int(k))
        blank = task.vocabulary - 1
        expected = [blank if answer is None else answer for answer in answers]
        if not learn_all:
            expected[:-1] = [blank] * 39
        assert targets.tolist() == expected


def test_the_places_of_planted_pairs_are_equally_probable():
    task = tasks.settings("planted")
    bits = random_bits(torch.tensor([stream_start("places")]), 60_000 * 8).view(60_000, 8)
    module = sys.modules[task.__module__]
    first = module.planted(bits, torch.full((60_000,), 2))
    # Two pairs among eight places, neither touching the other nor the last place: 10 ways.
    ways, counts = first.unique(dim=0, return_counts=True)
    assert len(ways) == 10
    assert (first.sum(1) == 2).all()
    assert not first[:, -2:].any()
    assert not (first[:, 1:] & first[:, :-1]).any()
    # Six standard errors.
    assert (counts - 6000).abs().max() < 6 * (60_000 * 0.1 * 0.9) ** 0.5


def test_settings_are_read_without_torch(root):
    """A configuration is read, and a dry run planned, without waiting for torch."""
    code = """
import sys
from pathlib import Path
from pydantic import TypeAdapter
import logdepth.config.study
from logdepth import models, recipes, tasks
from logdepth.config.run import AnyModel, AnyRecipe, AnyTask
found = 0
for kind, tag, family in (
    (AnyTask, "name", tasks), (AnyModel, "form", models), (AnyRecipe, "recipe", recipes)
):
    for name in family.names():
        settings = TypeAdapter(kind).validate_python({tag: name})
        assert type(settings) is family.settings(name), name
        found += 1
for study in ("laptop", "paper"):
    found += len(logdepth.config.study.load_study(Path(f"config/{study}.yaml")).trained_runs())
assert found > 50, found
assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_random_bits_are_splitmix64():
    (bits,) = random_bits(torch.tensor([stream_start("a", 1)]), 5).numpy()
    start = np.frombuffer(hashlib.sha256(b"a/1").digest()[:8], ">u8")[0].astype(np.uint64)
    with np.errstate(over="ignore"):
        x = start + np.arange(1, 6, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    assert (bits == (x & np.uint64(2**63 - 1)).astype(np.int64)).all()


@EVERY
@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_batches_are_the_same_on_a_gpu(task):
    there = task.batch(1, 2, 64, device=torch.device("cuda"))
    here = task.batch(1, 2, 64)
    for part, value in vars(here).items():
        assert torch.equal(getattr(there, part).cpu(), value), part
