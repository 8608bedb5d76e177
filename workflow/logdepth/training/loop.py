"""The training loop: runs from their definitions to their weights, resumable to the bit."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import torch

from logdepth.config.run import Run
from logdepth.errors import UserError
from logdepth.models.network import Network
from logdepth.training.checkpoint import CheckpointStore
from logdepth.training.interrupts import InterruptedTraining, stop_requests
from logdepth.training.progress import progress
from logdepth.training.replay import MOST, Replayed
from logdepth.training.steps import Steps


@dataclass(frozen=True)
class Trained:
    """A finished run.

    Attributes:
        model: with its final weights, in evaluation mode.
        steps: a row a step: step, loss, gradient_norm, rate_factor.
        by_k: a row an interval and k: step, hops, loss, error, measured on the training batches
            before that step learnt from them; error is that of evaluation, over answers that count.
    """

    model: Network
    steps: pd.DataFrame
    by_k: pd.DataFrame


def train(
    run: Run,
    *,
    device: torch.device,
    checkpoints: CheckpointStore,
    checkpoint_seconds: float = 60.0,
    deterministic: bool = True,
) -> Trained:
    """Train one run, from its newest checkpoint if it has one; see ``train_together``.

    Raises:
        UserError: besides what it says there, the loss is not finite.
    """
    (trained,) = train_together(
        [run],
        device=device,
        checkpoints=[checkpoints],
        checkpoint_seconds=checkpoint_seconds,
        deterministic=deterministic,
    )
    if isinstance(trained, UserError):
        raise trained
    return trained


def train_together(
    runs: Sequence[Run],
    *,
    device: torch.device,
    checkpoints: Sequence[CheckpointStore],
    checkpoint_seconds: float = 60.0,
    deterministic: bool = True,
) -> list[Trained | UserError]:
    """Train runs that differ in seed, samples and rates alone, from their newest checkpoints.

    Several are trained as one network, each to what it comes to alone but for rounding; those whose
    checkpoints are of different steps, one after the other. A checkpoint of a run is the same
    whether it was trained alone or with others. Interrupted anywhere and started again on the same
    device class with the same others, a run ends in the same bits as one never interrupted.

    Args:
        runs: the definitions.
        device: where to train.
        checkpoints: of each run, where to resume from and save to.
        checkpoint_seconds: least time between two checkpoints.
        deterministic: refuse operations whose result varies from run to run.

    Returns:
        For each run what was trained, and of several a checkpoint of it after the last step; or the
        error that its loss, or its gradient, is not finite, which keeps no other from its end.

    Raises:
        InterruptedTraining: SIGTERM or SIGINT arrived; the states are saved.
        UserError: nothing is to be trained.
        ValueError: they cannot be trained together.
        OSError: a checkpoint could not be written.
    """
    for run in runs:
        if not run.training.is_trained:
            raise UserError(f"{run.identifier}: nothing to train; expected 'logdepth compile'")
    # As use_deterministic_algorithms, which would import the compiler.
    torch.set_deterministic_debug_mode("error" if deterministic else "default")
    # Filling fresh memory costs 9 % of a step, and no tensor is read here before it is written.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    saved = [store.latest() or {"step": 0} for store in checkpoints]
    results: dict[int, Trained | UserError] = {}
    for start in sorted({checkpoint["step"] for checkpoint in saved}):
        same = [place for place, checkpoint in enumerate(saved) if checkpoint["step"] == start]
        group = _Group([runs[i] for i in same], [checkpoints[i] for i in same], device)
        if start:
            group.load(start, [saved[i]["state"] for i in same])
        results |= zip(same, group.train(checkpoint_seconds), strict=True)
    return [results[place] for place in range(len(runs))]


class _Group:
    """Runs that are trained together, after the same step."""

    def __init__(
        self, runs: Sequence[Run], stores: Sequence[CheckpointStore], device: torch.device
    ) -> None:
        self._runs, self._stores = runs, stores
        self._recipe, self._depth = runs[0].training, runs[0].model.depth
        self._steps = Steps(runs, device)
        self._replayed = Replayed(self._steps.take) if device.type == "cuda" else None
        self._errors: dict[int, UserError] = {}
        self._step = 0

    def load(self, step: int, states: Sequence[dict[str, object]]) -> None:
        """Go on from the states of checkpoints."""
        self._step = step
        self._steps.load(step, states)

    def train(self, checkpoint_seconds: float) -> list[Trained | UserError]:
        """Take the steps that are left, and return what came of each run."""
        total, metrics = self._recipe.trained_steps, self._steps.metrics
        label = self._runs[0].identifier
        if len(self._runs) > 1:
            label += f" and {len(self._runs) - 1} more"
        saved_at = time.monotonic()
        with stop_requests() as stop, progress(label, total, self._step) as report:
            while self._step < total and len(self._errors) < len(self._runs):
                self._advance()
                if self._step in metrics.ends:
                    losses, errors = metrics.close_interval(self._step)
                    self._check(losses)
                    left = [i for i in range(len(self._runs)) if i not in self._errors]
                    if left:
                        pooled = [sum(row[i] for i in left) / len(left) for row in (losses, errors)]
                        report(self._step, *pooled)
                if self._step < total:
                    if stop.signum:
                        self._save()
                        raise InterruptedTraining(stop.signum, self._step)
                    if time.monotonic() - saved_at >= checkpoint_seconds:
                        self._save()
                        saved_at = time.monotonic()
        if len(self._runs) > 1:
            # Each is finished by itself, from here.
            self._save()
        return [
            self._errors.get(i) or Trained(network.eval(), *metrics.tables(i))
            for i, network in enumerate(self._steps.networks)
        ]

    def _advance(self) -> None:
        """Take a step; on a GPU several, up to one after which there is something to be done."""
        used = self._recipe.blocks(self._step, self._depth)
        if used != self._steps.used:
            self._steps.used = used
            if self._replayed:
                self._replayed.forget()
        if self._replayed is None:
            self._steps.take()
            self._step += 1
            return
        last = self._step + 1
        while (
            last < self._recipe.trained_steps
            and last - self._step < MOST
            and last not in self._steps.metrics.ends
            and self._recipe.blocks(last, self._depth) == used
        ):
            last += 1
        self._replayed(last - self._step)
        self._step = last

    def _save(self) -> None:
        # What is kept to go on from must not be what training has to stop at.
        self._check(self._steps.metrics.every[self._step - 1, :, :2].sum(1).tolist())
        for place, store in enumerate(self._stores):
            if place not in self._errors:
                store.save(self._step, self._steps.state(place))

    def _check(self, values: Sequence[float]) -> None:
        """Note the runs whose loss, or its gradient, is not finite."""
        for place, value in enumerate(values):
            if not math.isfinite(value) and place not in self._errors:
                self._errors[place] = UserError(
                    f"{self._runs[place].identifier}: the loss, or its gradient, is {value} at "
                    f"step {self._step}; expected lower learning rates in its recipe (its "
                    "checkpoint from before is kept)"
                )
