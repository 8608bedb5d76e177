"""Trained models as protocols (paper: Theorems 3.4 and C.1)."""

import copy
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from logdepth.config.run import Run
from logdepth.config.theory import Theory
from logdepth.models.network import Network
from logdepth.theory.checks.outcomes import row, tally
from logdepth.theory.mpc.machine import Execution, run
from logdepth.theory.mpc.model_layers import forward_in_double, layers_of
from logdepth.theory.mpc.plan import Plan
from logdepth.theory.mpc.transformer_to_mpc import AttentionProtocol
from logdepth.training.store import load_model

# Tokens of a block, B; 1 is the paper's protocol.
TILES = (1, 4)


class AsProtocol(NamedTuple):
    """A model run as a protocol.

    Attributes:
        execution: what each round used.
        logits: (n, classes), in the model's number format.
        plan: the sizes that the formulas give.
    """

    execution: Execution
    logits: torch.Tensor
    plan: Plan


def table(settings: Theory, models: Sequence[Path]) -> pd.DataFrame:
    """Run models as protocols under enforced memory, and compare with ordinary passes.

    Each answers one sequence of its own task. Float64 must agree to 1e-10; float32 to 1e-5 of the
    largest logit, as an ordinary pass in float32 is itself that far from one in float64. Rounds
    must be those of the formula, and machines at most those.

    Args:
        settings: of which only the seed matters here.
        models: safetensors files of this project.

    Returns:
        A row per model and block: theorem, claim, case, size, instances, failures; words (s),
        rounds (R), machines as the formula has them and machines_used, and the largest
        difference_float32 (over the largest logit) and difference_float64.
    """
    rows = []
    for path in models:
        model, trained = load_model(path, torch.device("cpu"))
        task = trained.task
        tokens = task.batch(settings.seed, 0, 1, stream="theory", k=task.max_k).tokens[0]
        rows += [_row(model, trained, tokens, tile) for tile in TILES]
    return pd.DataFrame(rows)


def as_protocol(model: Network, tokens: torch.Tensor, words: int, tile: int) -> AsProtocol:
    """Run a model as a protocol.

    Args:
        model: in evaluation mode.
        tokens: int64 (n,).
        words: limit of the machines, s.
        tile: tokens of a block, B.
    """
    layers = layers_of(model, len(tokens))
    protocol = AttentionProtocol(layers, len(tokens), words, tile)
    execution = run(protocol, tokens.numpy())
    found = np.concatenate([np.asarray(part) for part in execution.outputs])
    logits = torch.from_numpy(found.reshape(len(tokens), layers[-1].out_width))
    return AsProtocol(execution, logits, protocol.plan)


def _row(model: Network, trained: Run, tokens: torch.Tensor, tile: int) -> dict[str, Any]:
    with torch.no_grad():
        ordinary = model(tokens[None])[0]
    exact = forward_in_double(model, tokens[None])[0]
    double = copy.deepcopy(model).to(torch.float64).eval()
    # Trees of depth 2.
    branching = max(2, math.ceil(math.sqrt(len(tokens) / tile)))
    words = 4 * branching * tile * model.width
    single, wide = (as_protocol(kind, tokens, words, tile) for kind in (model, double))
    difference_32 = float((single.logits - ordinary).abs().max() / ordinary.abs().max().clamp(1))
    difference_64 = float((wide.logits - exact).abs().max())
    rounds = model.depth * single.plan.layer_exchanges + 1
    counted = tally(
        [
            difference_32 < 1e-5,
            difference_64 < 1e-10,
            len(single.execution.rounds) == rounds,
            single.execution.machines <= single.plan.machines,
        ]
    )
    claim = (
        "a model's logits in float32 and float64, L (2D + 2) exchanges and no more machines than "
        "stated; s words enforced"
    )
    size = f"N = {len(tokens)}, L = {model.depth}, B = {tile}"
    return row("Theorem 3.4", claim, trained.identifier, size, counted) | {
        "words": words,
        "rounds": rounds,
        "machines": single.plan.machines,
        "machines_used": single.execution.machines,
        "difference_float32": difference_32,
        "difference_float64": difference_64,
    }
