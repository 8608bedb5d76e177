"""S4D, a diagonal state-space layer (Gu, Goel, Gupta and Ré, 2022): fixed linear recurrences.

Each channel of width m is filtered by a sum of damped oscillations. Nothing that is remembered
depends on what is read, which sets it apart from Mamba-2.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from logdepth.models.mixing import Mixing

if TYPE_CHECKING:
    import torch
    from torch import nn


class S4d(Mixing):
    """Blocks of a diagonal state-space layer and an MLP."""

    form: Literal["s4d"] = "s4d"
    """A diagonal state-space layer, S4D-Lin."""
    state: int = Field(32, ge=1)
    """Complex numbers that a channel remembers."""

    def mixer(self, place: int, generator: torch.Generator | None) -> nn.Module:  # noqa: ARG002
        """Return the filter of each channel, a GELU and a linear layer."""
        import torch
        from torch import nn
        from torch.nn import functional as F

        width, state = self.width, self.state

        class DiagonalStateSpace(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                # What is no matrix has another number of axes, by which Muon knows it.
                steps = torch.linspace(math.log(1e-3), math.log(1e-1), width)
                self.log_step = nn.Parameter(steps)
                self.log_decay = nn.Parameter(torch.full((1, width, state), math.log(0.5)))
                frequencies = math.pi * torch.arange(state)
                self.frequency = nn.Parameter(frequencies.expand(1, width, state).clone())
                drawn = torch.randn(2, width, state, generator=generator)
                self.read = nn.Parameter(drawn / math.sqrt(2))
                self.through = nn.Parameter(torch.ones(width))
                self.output = nn.Linear(width, width)

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                kernel = self.kernel(x.shape[1]).to(x.dtype)
                # Not by a Fourier transform, whose rounding lets the future be seen.
                filtered = torch.einsum("cts,bsc->btc", toeplitz(kernel), x)
                out: torch.Tensor = self.output(F.gelu(filtered + x * self.through))
                return out

            def kernel(self, n: int) -> torch.Tensor:
                """Return the answer of each channel to an impulse, (m, n)."""
                # There are no complex numbers of half precision.
                kind = torch.promote_types(self.log_step.dtype, torch.float32)
                rate = torch.complex(-self.log_decay[0].to(kind).exp(), self.frequency[0].to(kind))
                step = self.log_step.to(kind).exp()[:, None]
                read = torch.complex(*self.read.to(kind))
                # Held constant within a step, as the authors discretise.
                scale = read * ((rate * step).exp() - 1) / rate
                times = step * torch.arange(n, device=step.device)
                powers = (rate[:, :, None] * times[:, None, :]).exp()
                return 2 * torch.einsum("cs,csn->cn", scale, powers).real

        return DiagonalStateSpace()


def toeplitz(kernel: torch.Tensor) -> torch.Tensor:
    """Return the matrices of causal filters, (m, n, n), from answers to an impulse, (m, n)."""
    import torch

    n = kernel.shape[1]
    places = torch.arange(n, device=kernel.device)
    return kernel[:, (places[:, None] - places).clamp(min=0)].tril()
