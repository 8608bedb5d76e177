"""What a training computes on its device: one step of one run, or of several of one shape."""

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional as F

from logdepth.config.run import Run
from logdepth.models.fused import fuse
from logdepth.models.layers import full
from logdepth.random import random_words, stream_start
from logdepth.training.metrics import Metrics


class Steps:
    """The steps of runs of one shape, taken together.

    Nothing in a step waits for the device, and all that lasts stays where it is in memory, so that
    a step can be recorded as a CUDA graph.

    Attributes:
        networks: of each run.
        optimizers: of each run.
        model: all networks, fused if there are several.
        metrics: of all.
    """

    def __init__(self, runs: Sequence[Run], device: torch.device) -> None:
        """Build networks and optimisers of runs that differ in seed, samples and rates alone."""
        self._task, self._recipe = runs[0].task, runs[0].training
        self._device = device
        # What other precision the products of float32 have on a GPU.
        torch.backends.cuda.matmul.allow_tf32 = self._recipe.precision == "tf32"
        self.networks = [
            run.model.build(run.task, torch.Generator().manual_seed(run.seed)).to(device).train()
            for run in runs
        ]
        for network in self.networks:
            network.silence(self._recipe.blocks(0, network.depth))
        self.model = fuse(self.networks) if len(runs) > 1 else self.networks[0]
        self.optimizers = [
            run.training.optimizers(network)
            for run, network in zip(runs, self.networks, strict=True)
        ]
        self._optimizers = [
            type(same[0]).joined(same) for same in zip(*self.optimizers, strict=True)
        ]
        steps = self._recipe.trained_steps
        self.metrics = Metrics(len(runs), steps, self._task.max_k + 1, device)
        factors = [self._recipe.rate_factor(step) for step in range(steps)]
        self._factors = torch.tensor(factors, device=device)
        self._batches = torch.tensor([_batches(run) for run in runs], device=device)
        noise = [stream_start("dropout", run.seed) for run in runs]
        self._noise = torch.tensor(noise, device=device)
        self._step = torch.zeros(1, dtype=torch.int64, device=device)

    @property
    def used(self) -> int:
        """How many blocks of each network are used."""
        return self.model.used

    @used.setter
    def used(self, blocks: int) -> None:
        for network in (self.model, *self.networks):
            network.used = blocks

    def take(self) -> None:
        """Take one step."""
        step, recipe = self._step, self._recipe
        factor = self._factors.index_select(0, step)[0]
        batch = self._task.draw(self._batches.index_select(1, step)[:, 0], recipe.batch)
        target = self.model.labels(batch.targets)
        self.model.noise.begin(random_words(self._noise, 1, first=step)[:, 0])
        with torch.autocast(
            self._device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"
        ):
            logits = self.model(batch.tokens)
        losses = F.cross_entropy(full(logits).transpose(1, 2), target, reduction="none")
        runs = len(self.networks)
        terms = (target >= 0).view(runs, -1).sum(1)
        loss = losses.view(runs, -1).sum(1) / terms

        self._forget_gradients()
        loss.sum().backward()  # type: ignore[no-untyped-call]
        for parameter in self.model.parameters():
            if parameter.grad is None:  # of a block that is not used yet
                parameter.grad = torch.zeros_like(parameter)
        norms = [
            torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.clipped_norm)
            for network in self.networks
        ]
        for optimizer in self._optimizers:
            optimizer.step(factor)
        norm = torch.stack(norms)
        self.metrics.add(step, loss, norm, factor, batch, losses, target, logits)
        step.add_(1)

    def _forget_gradients(self) -> None:
        parameters = list(self.model.parameters())
        if len(self.networks) > 1:
            # Those of each network are views of them.
            torch._foreach_zero_([p.grad for p in parameters if p.grad is not None])
        else:
            # New ones cost less than to add to old ones.
            for parameter in parameters:
                parameter.grad = None

    def state(self, run: int) -> dict[str, Any]:
        """Return what a checkpoint of a run must hold; alone or with others, it is the same."""
        model = {name: tensor.clone() for name, tensor in self.networks[run].state_dict().items()}
        return {
            "model": model,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers[run]],
            "metrics": self.metrics.state(run),
        }

    def load(self, step: int, states: Sequence[dict[str, Any]]) -> None:
        """Go on from the states of all runs after the same step."""
        for network, own, state in zip(self.networks, self.optimizers, states, strict=True):
            network.load_state_dict(state["model"])
            for optimizer, its in zip(own, state["optimizers"], strict=True):
                optimizer.load_state_dict(its)
        self.metrics.load([state["metrics"] for state in states])
        self._step.fill_(step)


def _batches(run: Run) -> list[int]:
    """Return where the random numbers of the batch of each step start."""
    recipe = run.training
    # A finite training set is the first batches of the stream, again and again.
    period = recipe.samples // recipe.batch if recipe.samples else recipe.trained_steps
    period = min(period, recipe.trained_steps)
    starts = [stream_start("train", run.seed, step) for step in range(period)]
    return [starts[step % period] for step in range(recipe.trained_steps)]
