"""Sliding-window attention, with and without global tokens: the mask of Longformer.

A token attends to the last few, to each global token before it, and from a global token to all
before it (Beltagy, Peters and Cohan, 2020; Child et al., 2019). The paper bounds it: k hops take k
layers, or a window or a number of global tokens of order N / k^6 (Corollary E.8).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from logdepth.models.mixing import Mixing

if TYPE_CHECKING:
    import torch
    from torch import nn


class Window(Mixing):
    """Softmax attention to a window and to global tokens."""

    form: Literal["window"] = "window"
    """Softmax attention, each token to a window before it and to global tokens."""
    heads: int = Field(4, ge=1)
    """Attention heads of a block, H; must divide the width."""
    window: int = Field(16, ge=1)
    """Tokens that a token attends to, itself and those just before it, w."""
    global_every: int = Field(0, ge=0)
    """Every g-th token is global, from the first on; 0 for none."""

    def mixer(self, place: int, generator: torch.Generator | None) -> nn.Module:  # noqa: ARG002
        """Return attention under the mask."""
        from torch.nn import functional as F

        from logdepth.models.layers import Attention

        window, every = self.window, self.global_every

        class Masked(Attention):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                query, key, value = self.split(self.query_key_value(x))
                mask = attended(x.shape[1], window, every, x.device)
                mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
                out: torch.Tensor = self.output(mixed.transpose(1, 2).reshape(x.shape))
                return out

        return Masked(self.width, self.heads)


def attended(
    n: int, window: int, global_every: int, device: torch.device | None = None
) -> torch.Tensor:
    """Return which tokens a token attends to, bool (n, n), a row for each token."""
    import torch

    places = torch.arange(n, device=device)
    back = places[:, None] - places
    seen = back < window
    if global_every:
        is_global = places % global_every == 0
        seen = seen | is_global | is_global[:, None]
    return seen & (back >= 0)
