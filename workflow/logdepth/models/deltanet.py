"""Gated DeltaNet (Yang, Kautz and Hatamizadeh, 2025): a linear memory that overwrites.

A head remembers a matrix and, at each token, lets it decay and replaces what it holds under a key:
S_t = a_t S_(t-1) (1 - b_t k_t k_t^T) + b_t v_t k_t^T, and answers S_t q_t. What is written at t is
u_t = b_t (v_t - a_t S_(t-1) k_t), so that all of them solve one triangular system; with them the
layer is attention with the weights (k_s . q_t) a_(s+1) ... a_t. That form is computed here, with
the whole string as one chunk.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from logdepth.models.mixing import Mixing

if TYPE_CHECKING:
    import torch
    from torch import nn


class Deltanet(Mixing):
    """Blocks of a gated DeltaNet layer and an MLP."""

    form: Literal["deltanet"] = "deltanet"
    """A linear memory that overwrites, gated DeltaNet."""
    heads: int = Field(4, ge=1)
    """Heads of a block, H; must divide the width."""
    convolution: int = Field(4, ge=1)
    """Tokens that are mixed before, itself and those just before it; 1 for none. Two are a layer of
    hop_k for free."""

    def mixer(self, place: int, generator: torch.Generator | None) -> nn.Module:  # noqa: ARG002
        """Return the layer."""
        import torch
        from torch import nn
        from torch.nn import functional as F

        from logdepth.models.recurrences import ShortConvolution, decays

        width, heads, taps = self.width, self.heads, self.convolution

        class GatedDelta(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.input = nn.Linear(width, 4 * width + 2 * heads, bias=False)
                self.convolution = ShortConvolution(3 * width, taps)
                steps = torch.linspace(math.log(1e-3), math.log(1e-1), heads).exp()
                self.shift = nn.Parameter(steps.expm1().log())
                self.log_decay = nn.Parameter(torch.linspace(1, 16, heads).log())
                self.norm = nn.RMSNorm(width // heads)
                self.output = nn.Linear(width, width, bias=False)

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                parts = torch.split(self.input(x), [3 * width, width, heads, heads], -1)
                mixed, gate = F.silu(self.convolution(parts[0])), parts[1]
                strength, step = parts[2].sigmoid(), F.softplus(parts[3] + self.shift)
                shape = (*x.shape[:2], 3, heads, width // heads)
                query, key, value = mixed.view(shape).permute(2, 0, 3, 1, 4)
                decay = decays(-step.transpose(1, 2) * self.log_decay.exp()[:, None])
                answer = delta_rule(
                    F.normalize(query, dim=-1),
                    F.normalize(key, dim=-1),
                    value,
                    strength.transpose(1, 2),
                    decay,
                )
                answer = self.norm(answer).transpose(1, 2).flatten(2)
                out: torch.Tensor = self.output(answer * F.silu(gate))
                return out

        return GatedDelta()


def delta_rule(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    strength: torch.Tensor,
    decay: torch.Tensor,
) -> torch.Tensor:
    """Return what a memory answers that overwrites, for all positions at once.

    Args:
        query: (..., n, d).
        key: (..., n, d), of length 1.
        value: (..., n, e).
        strength: (..., n), how much of what a key held is replaced, b.
        decay: (..., n, n), as of ``recurrences.decays``.

    Returns:
        (..., n, e).
    """
    import torch

    held = (key @ key.transpose(-1, -2) * decay).tril(-1)
    system = held * strength[..., None] + torch.eye(key.shape[-2], device=key.device)
    # Solved in the arithmetic of the decay, whatever products are computed in.
    replaced = (value * strength[..., None]).to(system.dtype)
    written = torch.linalg.solve_triangular(system, replaced, upper=False, unitriangular=True)
    weights = (query @ key.transpose(-1, -2) * decay).to(system.dtype)
    answer: torch.Tensor = (weights @ written).to(value.dtype)
    return answer
