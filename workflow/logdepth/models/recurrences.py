"""What layers share that are linear recurrences with a decay that depends on the token."""

import math

import torch
from torch import nn


class ShortConvolution(nn.Module):
    """A causal filter of each channel over the last few tokens; at the start it does nothing."""

    def __init__(self, channels: int, taps: int) -> None:
        super().__init__()
        # Three axes: no matrix for Muon.
        start = torch.zeros(1, taps, channels)
        start[0, 0] = 1
        self.taps = nn.Parameter(start)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (batch, n, channels) to the same; tap j is of the token j places before."""
        n = x.shape[1]
        out = x * self.taps[0, 0]
        for back in range(1, min(self.taps.shape[1], n)):
            out = out + nn.functional.pad(x[:, : n - back] * self.taps[0, back], (0, 0, back, 0))
        return out


def decays(logs: torch.Tensor) -> torch.Tensor:
    """Return the product of what is kept from each position to each later one; 0 to earlier ones.

    Args:
        logs: (..., n), the logarithm of what a position keeps of the past.

    Returns:
        (..., n, n), exp(logs[s + 1] + ... + logs[t]) at (t, s).
    """
    total = logs.cumsum(-1)
    later = torch.ones(logs.shape[-1], logs.shape[-1], dtype=torch.bool, device=logs.device).tril()
    between = total[..., :, None] - total[..., None, :]
    # Masked before it is exponentiated: what is never used must not overflow.
    return between.masked_fill(~later, -math.inf).exp()
