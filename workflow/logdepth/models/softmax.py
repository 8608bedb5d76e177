"""Causal transformer with softmax attention, pre-norm, and a head over the answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from logdepth.models.mixing import Mixing

if TYPE_CHECKING:
    import torch
    from torch import nn


class Softmax(Mixing):
    """Pre-norm causal transformer with softmax attention."""

    has_attention: ClassVar[bool] = True

    form: Literal["softmax"] = "softmax"
    """Softmax attention, sinusoidal start of the positions, a head over the answers."""
    heads: int = Field(4, ge=1)
    """Attention heads of a block, H; must divide the width."""

    def mixer(self, place: int, generator: torch.Generator | None) -> nn.Module:  # noqa: ARG002
        """Return full attention."""
        from logdepth.models.layers import Attention

        return Attention(self.width, self.heads)

    def label(self) -> str:
        """Return form, depth, heads and width; "attention" where there is no MLP."""
        kind = self.form if self.mlp_ratio else "attention"
        return f"{kind}-L{self.depth}-H{self.heads}-m{self.width}"
