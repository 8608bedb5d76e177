"""Metrics of a training: of every step, and by k over intervals."""

from typing import Any

import pandas as pd
import torch

from logdepth.tasks.base import Batch

# Rows by k that a run writes, for each k.
INTERVALS = 100


class Metrics:
    """Metrics of every step, and by k over intervals, of one run or several trained together.

    The state of a run is part of its checkpoints.
    """

    def __init__(self, runs: int, steps: int, kinds: int, device: torch.device) -> None:
        self.ends = {steps * (i + 1) // INTERVALS for i in range(INTERVALS)} - {0}
        # Loss, norm of the gradient and rate factor of every step.
        self.every = torch.zeros(steps, runs, 3, device=device)
        # For each k: summed loss, loss terms, wrong answers, answers.
        self.sums = torch.zeros(runs, kinds, 4, dtype=torch.float64, device=device)
        self.closed: list[tuple[int, torch.Tensor]] = []

    def add(
        self,
        step: torch.Tensor,
        loss: torch.Tensor,
        norm: torch.Tensor,
        factor: torch.Tensor,
        batch: Batch,
        losses: torch.Tensor,
        target: torch.Tensor,
        logits: torch.Tensor,
    ) -> None:
        """Take in one step.

        Args:
            step: its number, from 0, int64 (1,).
            loss: (runs,) mean loss of the batch.
            norm: (runs,) of its gradient, before clipping.
            factor: learning rate over its peak.
            batch: what was learnt from, the sequences of the first run first.
            losses: (runs * batch, n) loss of each position, 0 where no class is right.
            target: (runs * batch, n) right class, -100 for none.
            logits: (runs * batch, n, classes).
        """
        row = torch.stack([loss.detach(), norm, factor.expand_as(norm)], 1)
        self.every.index_copy_(0, step, row[None])
        wrong = (logits.detach().argmax(-1) != target) & batch.counted
        parts = [losses.detach(), target >= 0, wrong, batch.counted]
        sums = torch.stack([part.sum(1, dtype=torch.float64) for part in parts], 1)
        runs, kinds, _ = self.sums.shape
        of_k = batch.k[:, None] == torch.arange(kinds, device=batch.k.device)
        self.sums.baddbmm_(of_k.double().view(runs, -1, kinds).mT, sums.view(runs, -1, 4))

    def close_interval(self, step: int) -> tuple[list[float], list[float]]:
        """Keep the sums under ``step`` and start again; return loss and error of each run."""
        sums = self.sums.cpu().clone()
        self.closed.append((step, sums))
        self.sums.zero_()
        loss, terms, wrong, answers = sums.sum(1).unbind(1)
        return (loss / terms).tolist(), (wrong / answers).tolist()

    def state(self, run: int) -> dict[str, Any]:
        """Return what a checkpoint of a run must hold."""
        closed_steps = [step for step, _ in self.closed]
        return {
            "every": self.every[:, run].clone(),
            "sums": self.sums[run].clone(),
            "steps": closed_steps,
            "closed": [sums[run].clone() for _, sums in self.closed],
        }

    def load(self, states: list[dict[str, Any]]) -> None:
        """Go on from the states in checkpoints of all runs, after the same step."""
        self.every.copy_(torch.stack([state["every"] for state in states], 1))
        self.sums.copy_(torch.stack([state["sums"] for state in states]))
        closed = zip(*(state["closed"] for state in states), strict=True)
        self.closed = [
            (step, torch.stack(sums)) for step, sums in zip(states[0]["steps"], closed, strict=True)
        ]

    def tables(self, run: int) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the table of steps of a run, and its table by k."""
        every = self.every[:, run].cpu().numpy()
        steps = pd.DataFrame(every, columns=["loss", "gradient_norm", "rate_factor"])
        steps.insert(0, "step", range(1, len(every) + 1))
        rows = [
            (step, k, loss / terms, wrong / answers)
            for step, sums in self.closed
            for k, (loss, terms, wrong, answers) in enumerate(sums[run].tolist())
            if answers
        ]
        return steps, pd.DataFrame(rows, columns=["step", "k", "loss", "error"])
