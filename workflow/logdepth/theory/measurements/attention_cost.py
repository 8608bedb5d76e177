"""Rounds and machines of attention as a protocol (paper: Theorems 3.4 and C.1)."""

import itertools
import math

import numpy as np
import pandas as pd
import torch

from logdepth.config.theory import Theory
from logdepth.theory.mpc.layers import GivenAttention
from logdepth.theory.mpc.machine import run
from logdepth.theory.mpc.plan import Plan, plan
from logdepth.theory.mpc.transformer_to_mpc import AttentionProtocol

# Branching grows as M^e; tokens of a block, B, of which 1 is the paper's.
EXPONENTS = (0.0, 0.25, 0.5)
TILES = (1, 8)
WIDTH = 4

# Protocols with at most so many machines are run as well as planned.
_AFFORDABLE = 60_000


def table(settings: Theory) -> pd.DataFrame:
    """Plan, and where it is affordable run, one causal layer with one head of width m = 4.

    Branching is b = max(2, ceil(M^e)), so that s = 4 B m b words and D = 1/e.

    Returns:
        A row per M, e and B: tokens, exponent, tile, words, branching, depth (D), rounds (2D + 3)
        and machines as the formulas have them; executed (0 or 1), and where it is 1 also
        machines_used, rounds_run and difference, the largest from softmax attention in float64.
    """
    generator = torch.Generator().manual_seed(settings.seed)
    rows = []
    for tokens, exponent, tile in itertools.product(settings.tokens, EXPONENTS, TILES):
        words = 4 * tile * WIDTH * _branching(tokens, exponent)
        layer = GivenAttention(1, WIDTH, WIDTH, torch.ones(tokens, tokens, dtype=torch.bool).tril())
        sizes = plan([layer], tokens, words, tile)
        is_run = sizes.machines <= _AFFORDABLE
        cost = _executed(layer, sizes, generator) if is_run else {}
        rows.append(
            {
                "tokens": tokens,
                "exponent": exponent,
                "tile": tile,
                "words": words,
                "branching": sizes.branching,
                "depth": sizes.depth,
                "rounds": 2 * sizes.depth + 3,
                "machines": sizes.machines,
                "executed": int(is_run),
                "machines_used": np.nan,
                "rounds_run": np.nan,
                "difference": np.nan,
            }
            | cost
        )
    return pd.DataFrame(rows)


def _branching(tokens: int, exponent: float) -> int:
    # A power that is a whole number may come out a little above it.
    return max(2, math.ceil(math.pow(tokens, exponent) - 1e-9))


def _executed(layer: GivenAttention, sizes: Plan, generator: torch.Generator) -> dict[str, float]:
    rows = torch.randn(sizes.tokens, layer.row_width, generator=generator, dtype=torch.float64)
    protocol = AttentionProtocol([layer], sizes.tokens, sizes.words, sizes.tile)
    execution = run(protocol, rows.numpy().ravel())
    found = np.concatenate([np.asarray(part) for part in execution.outputs])
    return {
        "machines_used": execution.machines,
        "rounds_run": len(execution.rounds),
        "difference": float(np.abs(found - layer(rows).numpy().ravel()).max()),
    }
