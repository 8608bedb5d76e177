"""Attention whose matrix is a product of features: linear attention and Performer's FAVOR+.

The weight of a key is phi(q) . phi(k) in place of exp(q . k), so that a state of as many rows as
there are features replaces the past. With elu(x) + 1 (Katharopoulos et al., 2020) there are as many
as a head is wide; FAVOR+ (Choromanski et al., 2021) draws positive random ones, whose product is
exp(q . k) on average. The paper bounds both: k hops take k layers, or a number of features times
width of order N / k^6 (Corollary 4.5).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from logdepth.models.mixing import Mixing

if TYPE_CHECKING:
    import torch
    from torch import nn

_LEAST = 1e-6
"""Added to a feature of FAVOR+, so that no row of weights is nothing but zeros."""


class Kernel(Mixing):
    """Causal attention by features of queries and keys."""

    form: Literal["kernel"] = "kernel"
    """Attention by features: a state of fixed size."""
    heads: int = Field(4, ge=1)
    """Attention heads of a block, H; must divide the width."""
    features: Literal["elu", "favor"] = "elu"
    """elu(x) + 1, or positive random features (Performer)."""
    count: int = Field(64, ge=1)
    """Number of random features of a head, m'; elu has as many as a head is wide."""

    def mixer(self, place: int, generator: torch.Generator | None) -> nn.Module:  # noqa: ARG002
        """Return attention by features; random ones are fixed when they are drawn."""
        return kernel_attention(self, generator)

    def label(self) -> str:
        """Return form, features, depth, heads and width."""
        kind = "linear" if self.features == "elu" else f"performer{self.count}"
        return f"{kind}-L{self.depth}-H{self.heads}-m{self.width}"


def kernel_attention(model: Kernel, generator: torch.Generator | None) -> nn.Module:
    """Return a layer of attention by features."""
    from torch.nn import functional as F

    from logdepth.models.layers import Attention

    size = model.width // model.heads

    class ByFeatures(Attention):
        directions: torch.Tensor

        def __init__(self) -> None:
            super().__init__(model.width, model.heads)
            if model.features == "favor":
                self.register_buffer("directions", random_directions(model.count, size, generator))

        def features(self, x: torch.Tensor) -> torch.Tensor:
            positive: torch.Tensor
            if model.features == "elu":
                positive = F.elu(x) + 1
            else:
                # Queries and keys take half of the scale of softmax attention each.
                x = x / size**0.25
                exponent = x @ self.directions.T - x.square().sum(-1, keepdim=True) / 2
                positive = exponent.exp() + _LEAST
            return positive

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            query, key, value = self.split(self.query_key_value(x))
            # A position at a time this is a state of size features times head; the strings here are
            # short, and products of whole matrices faster.
            weights = (self.features(query) @ self.features(key).transpose(-1, -2)).tril()
            mixed = weights @ value / weights.sum(-1, keepdim=True)
            out: torch.Tensor = self.output(mixed.transpose(1, 2).reshape(x.shape))
            return out

    return ByFeatures()


def random_directions(
    count: int, size: int, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Return directions of FAVOR+, float32 (count, size): orthogonal by blocks, lengths of normals.

    Each row has the distribution of a standard normal vector.
    """
    import torch

    blocks = [
        torch.linalg.qr(torch.randn(size, size, generator=generator))[0].T
        for _ in range(math.ceil(count / size))
    ]
    lengths = torch.randn(count, size, generator=generator).norm(dim=1, keepdim=True)
    directions: torch.Tensor = torch.cat(blocks)[:count] * lengths
    return directions
