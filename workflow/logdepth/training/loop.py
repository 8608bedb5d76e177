"""The training loop: one run from its definition to its weights, resumable to the bit."""

import math
import time
from dataclasses import dataclass

import pandas as pd
import torch
from torch.nn import functional as F

from logdepth.config.run import Run
from logdepth.errors import UserError
from logdepth.models.network import Network
from logdepth.training.checkpoint import CheckpointStore
from logdepth.training.interrupts import InterruptedTraining, stop_requests
from logdepth.training.metrics import Metrics
from logdepth.training.progress import progress


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
    """Train one run, from its newest checkpoint if it has one.

    Interrupted anywhere and started again on the same device class, a run ends in the same bits as
    one never interrupted. On a GPU the code path is the same, but has not been run by the authors
    of this project.

    Args:
        run: the definition.
        device: where to train.
        checkpoints: where to resume from and save to.
        checkpoint_seconds: least time between two checkpoints.
        deterministic: refuse operations whose result varies from run to run.

    Raises:
        InterruptedTraining: SIGTERM or SIGINT arrived; the state is saved.
        UserError: nothing is to be trained, or the loss is not finite.
        OSError: a checkpoint could not be written.
    """
    task, recipe = run.task, run.training
    if not recipe.is_trained:
        raise UserError(f"{run.identifier}: nothing to train; expected 'logdepth compile'")
    # As use_deterministic_algorithms, which would import the compiler.
    torch.set_deterministic_debug_mode("error" if deterministic else "default")
    # Filling fresh memory costs 9 % of a step, and no tensor is read here before it is written.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.manual_seed(run.seed)
    generator = torch.Generator().manual_seed(run.seed)
    model = run.model.build(task, generator).to(device).train()
    model.silence(recipe.blocks(0, model.depth))
    optims = recipe.optimizers(model)
    peaks = [[group["lr"] for group in optim.param_groups] for optim in optims]
    metrics = Metrics(recipe.trained_steps, task.max_k + 1, device)

    # A finite training set is the first batches of the stream, again and again.
    period = recipe.samples // recipe.batch if recipe.samples else recipe.trained_steps

    step = 0
    if saved := checkpoints.latest():
        step, state = saved
        model.load_state_dict(state["model"])
        for optim, optim_state in zip(optims, state["optimizers"], strict=True):
            optim.load_state_dict(optim_state)
        _set_random_state(state["random"], device)
        metrics.load(state["metrics"])

    def save() -> None:
        # What is kept to go on from must not be what training has to stop at.
        _check_finite(run, step, (loss + norm).item())
        checkpoints.save(
            step,
            {
                "model": model.state_dict(),
                "optimizers": [optim.state_dict() for optim in optims],
                "random": _random_state(device),
                "metrics": metrics.state(),
            },
        )

    saved_at = time.monotonic()
    with stop_requests() as stop, progress(run.identifier, recipe.trained_steps, step) as report:
        while step < recipe.trained_steps:
            factor = recipe.rate_factor(step)
            for optim, rates in zip(optims, peaks, strict=True):
                for group, peak in zip(optim.param_groups, rates, strict=True):
                    group["lr"] = peak * factor

            model.used = recipe.blocks(step, model.depth)
            batch = task.batch(run.seed, step % period, recipe.batch, device=device)
            target = model.labels(batch.targets)
            with torch.autocast(
                device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"
            ):
                logits = model(batch.tokens)
            losses = F.cross_entropy(logits.float().transpose(1, 2), target, reduction="none")
            loss = losses.sum() / (target >= 0).sum()

            for optim in optims:
                optim.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            for parameter in model.parameters():
                if parameter.grad is None:  # of a block that is not used yet
                    parameter.grad = torch.zeros_like(parameter)
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clipped_norm)
            for optim in optims:
                optim.step()

            metrics.add(step, loss, norm, factor, batch, losses, target, logits)
            step += 1
            if step in metrics.ends:
                mean_loss, error = metrics.close_interval(step)
                _check_finite(run, step, mean_loss)
                report(step, mean_loss, error)
            if step < recipe.trained_steps:
                if stop.signum:
                    save()
                    raise InterruptedTraining(stop.signum, step)
                if time.monotonic() - saved_at >= checkpoint_seconds:
                    save()
                    saved_at = time.monotonic()

    return Trained(model.eval(), *metrics.tables())


def _check_finite(run: Run, step: int, value: float) -> None:
    if not math.isfinite(value):
        raise UserError(
            f"{run.identifier}: the loss, or its gradient, is {value} at step {step}; expected "
            "lower learning rates in its recipe (its checkpoint from before is kept)"
        )


def _random_state(device: torch.device) -> dict[str, torch.Tensor]:
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def _set_random_state(state: dict[str, torch.Tensor], device: torch.device) -> None:
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)
