"""One layer of attention as a protocol (paper: Theorems 3.4 and C.1)."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
import torch

from logdepth.config.theory import Theory
from logdepth.theory.checks.outcomes import Tally, extent, row, table_of
from logdepth.theory.mpc.layers import GivenAttention
from logdepth.theory.mpc.machine import run
from logdepth.theory.mpc.transformer_to_mpc import AttentionProtocol

# Most tokens; B = 1 has a machine for every two of them.
_TOKENS = 64
WIDTH = 4
# Heads, tokens of a block B, and branching b.
SHAPES = ((1, 1, 2), (2, 1, 4), (1, 4, 2), (2, 8, 3))


def table(settings: Theory) -> pd.DataFrame:
    """Run attention layers under enforced memory, and compare with softmax in float64.

    Returns:
        A row per mask for outputs, rounds and machines: theorem, claim, case, size, instances
        (outputs are rows of tokens), failures.
    """
    return table_of([line for mask in MASKS for line in _rows(mask, settings)])


MASKS = ("causal", "full", "random")


def _visible(mask: str, tokens: int, generator: torch.Generator) -> torch.Tensor | None:
    if mask == "full":
        return None
    if mask == "causal":
        return torch.ones(tokens, tokens, dtype=torch.bool).tril()
    # A fifth of all pairs, and itself: softmax over nothing is undefined.
    some = torch.rand(tokens, tokens, generator=generator) < 0.2
    return some | torch.eye(tokens, dtype=torch.bool)


def _rows(mask: str, settings: Theory) -> Iterator[dict[str, Any]]:
    generator = torch.Generator().manual_seed(settings.seed)
    sizes = sorted({min(tokens, _TOKENS) for tokens in settings.tokens})
    outputs, rounds, machines = Tally(), Tally(), Tally()
    for n in sizes:
        visible = _visible(mask, n, generator)
        for heads, tile, branching in SHAPES:
            layer = GivenAttention(heads, WIDTH, WIDTH, visible)
            # Logits in the hundreds, which only a running maximum survives.
            numbers = torch.randn(n, layer.row_width, generator=generator, dtype=torch.float64)
            rows = 10 * numbers
            protocol = AttentionProtocol([layer], n, 4 * WIDTH * heads * tile * branching, tile)
            execution = run(protocol, rows.numpy().ravel())
            found = torch.cat([torch.as_tensor(part) for part in execution.outputs])
            wrong = (found.reshape(n, layer.out_width) - _softmax(layer, rows)).abs()
            outputs.check(wrong.amax(-1) < 1e-10)
            depth = next(d for d in range(1, 64) if branching**d * tile >= n)
            rounds.add([len(execution.rounds) == 2 * depth + 3])
            blocks = -(-n // tile)
            nodes = sum(branching**level for level in range(1, depth))
            machines.add([execution.machines <= blocks + blocks**2 + 2 * blocks * nodes])
    case, size = f"{mask} mask, float64", f"{extent('N', sizes)}, H = 1, 2, B = 1, 4, 8"
    yield row("Theorem 3.4", "outputs of attention to 1e-10, s words enforced", case, size, outputs)
    yield row("Theorem C.1", "2D + 3 local computations", case, size, rounds)
    claim = "at most T + T^2 + 2T (b + ... + b^(D-1)) machines, T = N/B"
    yield row("Theorem C.1", claim, case, size, machines)


def _softmax(layer: GivenAttention, rows: torch.Tensor) -> torch.Tensor:
    """Return softmax(Q K^T + mask) V of all heads, by torch's own attention."""
    query, key, value = layer.project(0, rows)
    mixed = torch.nn.functional.scaled_dot_product_attention(
        query, key, value, layer.visible, scale=1.0
    )
    return layer.update(0, rows, mixed)
