"""Mamba-2 (Dao and Gu, 2024): a linear recurrence whose decay, input and output are read off.

A head remembers a matrix, h_t = a_t h_(t-1) + B_t (s_t x_t)^T, and answers C_t h_t; a_t, B_t, C_t
and the step s_t depend on the token. Over whole strings that is attention with the weights
(C_t . B_s) a_(s+1) ... a_t, the form that is computed here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from logdepth.models.mixing import Mixing

if TYPE_CHECKING:
    import torch
    from torch import nn


class Mamba2(Mixing):
    """Blocks of a Mamba-2 layer and an MLP; the authors' own have none (``mlp_ratio: 0``)."""

    form: Literal["mamba2"] = "mamba2"
    """A selective state-space layer, Mamba-2."""
    heads: int = Field(4, ge=1)
    """Heads of a block, H; must divide the width."""
    expand: int = Field(2, ge=1)
    """Width within the layer over the model's width."""
    state: int = Field(32, ge=1)
    """Rows of the matrix that a head remembers."""
    convolution: int = Field(4, ge=1)
    """Tokens that are mixed before, itself and those just before it; 1 for none. Two are a layer of
    hop_k for free."""

    def mixer(self, place: int, generator: torch.Generator | None) -> nn.Module:  # noqa: ARG002
        """Return the layer."""
        import torch
        from torch import nn
        from torch.nn import functional as F

        from logdepth.models.recurrences import ShortConvolution, decays

        width, heads, state = self.width, self.heads, self.state
        inner, taps = self.expand * width, self.convolution

        class SelectiveStateSpace(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.input = nn.Linear(width, 2 * inner + 2 * state + heads, bias=False)
                self.convolution = ShortConvolution(inner + 2 * state, taps)
                # As the authors draw them, but evenly spread.
                steps = torch.linspace(math.log(1e-3), math.log(1e-1), heads).exp()
                self.shift = nn.Parameter(steps.expm1().log())
                self.log_decay = nn.Parameter(torch.linspace(1, 16, heads).log())
                self.through = nn.Parameter(torch.ones(heads))
                self.norm = nn.RMSNorm(inner)
                self.output = nn.Linear(inner, width, bias=False)

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                sizes = [inner, inner + 2 * state, heads]
                gate, mixed, step = torch.split(self.input(x), sizes, -1)
                mixed = F.silu(self.convolution(mixed))
                value, write, read = torch.split(mixed, [inner, state, state], -1)
                value = value.view(*x.shape[:2], heads, -1).transpose(1, 2)
                step = F.softplus(step + self.shift).transpose(1, 2)
                decay = decays(-step * self.log_decay.exp()[:, None])
                weights = (read @ write.transpose(1, 2))[:, None] * decay
                answer = weights @ (value * step[..., None])
                answer = answer + value * self.through[:, None, None]
                answer = answer.transpose(1, 2).flatten(2)
                out: torch.Tensor = self.output(self.norm(answer * F.silu(gate)))
                return out

        return SelectiveStateSpace()
