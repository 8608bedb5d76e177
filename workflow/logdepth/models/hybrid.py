"""Linear attention in most blocks, full attention in the last.

Liao et al. (2026) bound what a few layers of full attention among many linear ones can compose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from logdepth.models.kernel import Kernel, kernel_attention
from logdepth.models.mixing import Mixing

if TYPE_CHECKING:
    import torch
    from torch import nn

    from logdepth.tasks.base import Task


class Hybrid(Mixing):
    """Blocks of linear attention and, at the end, of softmax attention."""

    form: Literal["hybrid"] = "hybrid"
    """Linear attention, and full attention in the last blocks."""
    heads: int = Field(4, ge=1)
    """Attention heads of a block, H; must divide the width."""
    full: int = Field(1, ge=0)
    """Blocks with full attention, the last ones; at most all."""

    def check(self, task: Task) -> None:  # noqa: ARG002 - as every model
        """Raise a ValueError if there are fewer blocks than with full attention."""
        if self.full > self.depth:
            raise ValueError(f"full is {self.full}; expected at most depth, which is {self.depth}")

    def mixer(self, place: int, generator: torch.Generator | None) -> nn.Module:
        """Return linear or softmax attention."""
        from logdepth.models.layers import Attention

        if place >= self.depth - self.full:
            return Attention(self.width, self.heads)
        return kernel_attention(Kernel(width=self.width, heads=self.heads), generator)

    def label(self) -> str:
        """Return form, blocks with full attention, depth, heads and width."""
        return f"{self.form}{self.full}-L{self.depth}-H{self.heads}-m{self.width}"
