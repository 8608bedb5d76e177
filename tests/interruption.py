"""A training that is interrupted and goes on, and what must be the same as without."""

import os
import signal
from pathlib import Path

import pytest
import torch

from logdepth.config.run import Run
from logdepth.training.checkpoint import CheckpointStore
from logdepth.training.interrupts import InterruptedTraining
from logdepth.training.loop import Trained, train
from logdepth.training.metrics import Metrics

CPU = torch.device("cpu")


def store(folder: Path, definition: str = "a" * 64) -> CheckpointStore:
    return CheckpointStore(folder, definition)


def same(a: Trained, b: Trained) -> None:
    weights, others = a.model.state_dict(), b.model.state_dict()
    assert weights.keys() == others.keys()
    for name, tensor in weights.items():
        assert torch.equal(tensor, others[name]), name
    assert a.steps.equals(b.steps)
    assert a.by_k.equals(b.by_k)


def interrupt_after(patch: pytest.MonkeyPatch, step: int) -> None:
    """Send this process a SIGTERM while it computes the given step (counted over all runs)."""
    add = Metrics.add

    def signalling(self, number, *rest):
        if number + 1 == step:
            os.kill(os.getpid(), signal.SIGTERM)
        add(self, number, *rest)

    patch.setattr(Metrics, "add", signalling)


def resumed(run: Run, folder: Path, *cuts: int) -> Trained:
    """Train a run that is interrupted after each of these steps."""
    checkpoints = store(folder)
    for cut in cuts:
        with pytest.MonkeyPatch.context() as patch:
            interrupt_after(patch, cut)
            with pytest.raises(InterruptedTraining, match=f"SIGTERM after step {cut}"):
                train(run, device=CPU, checkpoints=checkpoints)
        torch.rand(5)  # a resumed process is in another random state
    return train(run, device=CPU, checkpoints=checkpoints)
