"""A training that is interrupted and goes on, and what must be the same as without."""

import os
import signal
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from logdepth.config.run import Run
from logdepth.training.checkpoint import CheckpointStore
from logdepth.training.interrupts import InterruptedTraining
from logdepth.training.loop import Trained, train
from logdepth.training.metrics import Metrics

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Store(CheckpointStore):
    """A store that remembers the state after each step it was given one, and may write none."""

    writes: bool = True
    states: dict[int, dict[str, Any]] = field(default_factory=dict)

    def save(self, step: int, state: dict[str, Any]) -> Path:
        self.states[step] = deepcopy(state)
        return super().save(step, state) if self.writes else self.folder


def store(folder: Path, *, writes: bool = True) -> Store:
    return Store(folder, "a" * 64, writes=writes)


def equal(state: Any, other: Any) -> None:
    """Every tensor and number in it, to the bit."""
    torch.testing.assert_close(state, other, rtol=0, atol=0)


def same(a: Trained, b: Trained) -> None:
    equal(a.model.state_dict(), b.model.state_dict())
    assert a.steps.equals(b.steps)
    assert a.by_k.equals(b.by_k)


def at_step(patch: pytest.MonkeyPatch, step: int, act: Callable[[], object]) -> None:
    """Let this process, and its forks, do something while they compute the given step."""
    add = Metrics.add

    def acting(self: Metrics, number: torch.Tensor, *rest: Any) -> None:
        if int(number) + 1 == step:
            act()
        add(self, number, *rest)

    patch.setattr(Metrics, "add", acting)


def resumed(run: Run, checkpoints: CheckpointStore, *cuts: int) -> Trained:
    """Train a run that is interrupted after each of these steps."""
    for cut in cuts:
        with pytest.MonkeyPatch.context() as patch:
            at_step(patch, cut, lambda: os.kill(os.getpid(), signal.SIGTERM))
            with pytest.raises(InterruptedTraining, match=f"SIGTERM after step {cut}"):
                train(run, device=CPU, checkpoints=checkpoints)
        torch.rand(5)  # a resumed process is in another random state
    return train(run, device=CPU, checkpoints=checkpoints)
