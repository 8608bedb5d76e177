"""Metrics of a training: of every step, and by k over intervals."""

from typing import Any

import pandas as pd
import torch

from logdepth.tasks.base import Batch

# Rows by k that a run writes, for each k.
INTERVALS = 100


class Metrics:
    """Metrics of every step, and by k over intervals; its state is part of a checkpoint."""

    def __init__(self, steps: int, kinds: int, device: torch.device) -> None:
        self.ends = {steps * (i + 1) // INTERVALS for i in range(INTERVALS)} - {0}
        # Loss, norm of the gradient and rate factor of every step.
        self.every = torch.zeros(steps, 3, device=device)
        # For each k: summed loss, loss terms, wrong answers, answers.
        self.sums = torch.zeros(kinds, 4, dtype=torch.float64, device=device)
        self.closed: list[tuple[int, torch.Tensor]] = []

    def add(
        self,
        step: int,
        loss: torch.Tensor,
        norm: torch.Tensor,
        factor: float,
        batch: Batch,
        losses: torch.Tensor,
        target: torch.Tensor,
        logits: torch.Tensor,
    ) -> None:
        """Take in one step.

        Args:
            step: its number, from 0.
            loss: mean loss of the batch.
            norm: of its gradient, before clipping.
            factor: learning rate over its peak.
            batch: what was learnt from.
            losses: (batch, n) loss of each position, 0 where no class is right.
            target: (batch, n) right class, -100 for none.
            logits: (batch, n, classes).
        """
        self.every[step, 0] = loss.detach()
        self.every[step, 1] = norm
        self.every[step, 2] = factor
        wrong = (logits.detach().argmax(-1) != target) & batch.counted
        parts = [losses.detach(), target >= 0, wrong, batch.counted]
        sums = torch.stack([part.sum(1, dtype=torch.float64) for part in parts], 1)
        self.sums.index_add_(0, batch.k, sums)

    def close_interval(self, step: int) -> tuple[float, float]:
        """Keep the sums under ``step`` and start again; return the pooled loss and error."""
        sums = self.sums.cpu().clone()
        self.closed.append((step, sums))
        self.sums.zero_()
        loss, terms, wrong, answers = sums.sum(0).tolist()
        return loss / terms, wrong / answers

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must hold."""
        closed_steps = [step for step, _ in self.closed]
        return {
            "every": self.every,
            "sums": self.sums,
            "steps": closed_steps,
            "closed": [sums for _, sums in self.closed],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from the state in a checkpoint."""
        self.every.copy_(state["every"])
        self.sums.copy_(state["sums"])
        self.closed = list(zip(state["steps"], state["closed"], strict=True))

    def tables(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the table of steps and the table by k."""
        every = self.every.cpu().numpy()
        steps = pd.DataFrame(every, columns=["loss", "gradient_norm", "rate_factor"])
        steps.insert(0, "step", range(1, len(every) + 1))
        rows = [
            (step, k, loss / terms, wrong / answers)
            for step, sums in self.closed
            for k, (loss, terms, wrong, answers) in enumerate(sums.tolist())
            if answers
        ]
        return steps, pd.DataFrame(rows, columns=["step", "k", "loss", "error"])
