"""Optimisers against torch's own, their state, and the arithmetic that Muon keeps."""

import copy
import subprocess
import sys

import pytest
import torch

from logdepth.optimizers.base import AdamW
from logdepth.optimizers.muon import Muon, orthogonalised

SHAPES = [(12, 4), (4, 4), (16, 4), (4, 16), (12, 4), (4, 4)]
SETTINGS = {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.01}
ADAMW = {"lr": 3e-3, "betas": (0.9, 0.99), "weight_decay": 0.01}
OURS = {"muon": lambda p: Muon(p, **SETTINGS), "adamw": lambda p: AdamW(p, **ADAMW)}


def parameters(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.nn.Parameter(torch.randn(*s, generator=generator)) for s in SHAPES]


def take_steps(optimizer, matrices, steps, first=0):
    at_peak = [] if isinstance(optimizer, torch.optim.Optimizer) else [torch.ones(())]
    for step in range(first, first + steps):
        generator = torch.Generator().manual_seed(100 + step)
        for matrix in matrices:
            matrix.grad = torch.randn(matrix.shape, generator=generator)
        optimizer.step(*at_peak)


def test_steps_are_those_of_torch_within_its_rounding():
    ours, theirs = parameters(), parameters()
    start = [p.detach().clone() for p in ours]
    take_steps(Muon(ours, **SETTINGS), ours, 5)
    take_steps(torch.optim.Muon(theirs, adjust_lr_fn="original", **SETTINGS), theirs, 5)
    for mine, other, first in zip(ours, theirs, start, strict=True):
        moved = (other - first).norm()
        # torch orthogonalises in bfloat16, whose numbers are 2^-9 apart.
        assert (mine - other).norm() < 0.02 * moved


@pytest.mark.parametrize("shape", SHAPES)
def test_the_iteration_is_torchs_but_for_bfloat16(shape, monkeypatch):
    from torch.optim._muon import DEFAULT_A, DEFAULT_B, DEFAULT_C, _zeropower_via_newtonschulz

    matrix = torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    theirs = _zeropower_via_newtonschulz(matrix, (DEFAULT_A, DEFAULT_B, DEFAULT_C), 5, 1e-7)
    torch.testing.assert_close(orthogonalised(matrix[None])[0], theirs, rtol=1e-12, atol=1e-12)


def test_singular_values_come_close_to_1_and_vectors_stay():
    matrices = torch.randn(3, 20, 8, generator=torch.Generator().manual_seed(2))
    left, values, right = torch.linalg.svd(orthogonalised(matrices), full_matrices=False)
    assert values.min() > 0.65
    assert values.max() < 1.25
    ours = left @ right
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    torch.testing.assert_close(ours, left @ right, rtol=0, atol=1e-4)


def test_a_gradient_of_zeros_moves_nothing_but_by_decay():
    (matrix,) = [torch.nn.Parameter(torch.ones(3, 3))]
    matrix.grad = torch.zeros(3, 3)
    Muon([matrix], lr=0.1, momentum=0.9, weight_decay=0.5).step(torch.ones(()))
    torch.testing.assert_close(matrix.data, torch.full((3, 3), 0.95))


@pytest.mark.parametrize("make", OURS.values(), ids=OURS)
def test_saved_and_resumed_it_goes_on_to_the_bit(make, tmp_path):
    whole = parameters()
    take_steps(make(whole), whole, 8)
    first = parameters()
    optimizer = make(first)
    take_steps(optimizer, first, 3)
    torch.save(optimizer.state_dict(), tmp_path / "state.pt")
    second = copy.deepcopy(first)
    resumed = make(second)
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    take_steps(resumed, second, 5, first=3)
    for a, b in zip(whole, second, strict=True):
        assert torch.equal(a, b)


def test_a_state_of_other_parameters_is_refused():
    with pytest.raises(ValueError, match="zip"):
        Muon(parameters(), **SETTINGS).load_state_dict(Muon(parameters()[:3], **SETTINGS).state)


def test_adamw_is_torchs_to_the_bit():
    ours, theirs = parameters(), parameters()
    take_steps(AdamW(ours, **ADAMW), ours, 5)
    # Rates are float32 here, so that a GPU need not wait for them.
    settings = ADAMW | {"lr": torch.tensor(ADAMW["lr"])}
    take_steps(torch.optim.AdamW(theirs, fused=True, **settings), theirs, 5)
    for mine, other in zip(ours, theirs, strict=True):
        assert torch.equal(mine, other)


def test_training_does_not_import_the_compiler(tmp_path):
    code = """
import sys, torch
from pathlib import Path
from logdepth.config.run import Run
from logdepth.training.checkpoint import CheckpointStore
from logdepth.training.loop import train
run = {"task": {"name": "hop", "context": 6, "max_k": 1}, "model": {"form": "softmax", "width": 8},
       "training": {"recipe": "muon", "steps": 2, "batch": 2, "warmup": 0}, "seed": 0}
store = CheckpointStore(Path(sys.argv[1]), "a" * 64)
train(Run.model_validate(run), device=torch.device("cpu"), checkpoints=store)
print("torch._dynamo" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def test_each_matrix_is_orthogonalised_by_itself():
    alone, together = parameters()[:1], parameters()
    take_steps(Muon(alone, **SETTINGS), alone, 1)
    take_steps(Muon(together, **SETTINGS), together, 1)
    torch.testing.assert_close(alone[0], together[0], rtol=1e-6, atol=1e-7)


def test_no_arithmetic_below_the_parameters(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "bfloat16", None)
    for dtype in (torch.float32, torch.float64):
        assert orthogonalised(torch.eye(3, dtype=dtype)[None]).dtype == dtype


def test_what_is_no_matrix_is_refused():
    with pytest.raises(ValueError, match="expected matrices, not a parameter of 1 axes"):
        Muon([torch.nn.Parameter(torch.ones(3))], **SETTINGS)
