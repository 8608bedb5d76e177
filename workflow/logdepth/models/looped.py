"""A group of softmax blocks gone through several times: depth without parameters.

As the looped transformers of Saunshi et al. (2025), with the blocks of form softmax.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from logdepth.models.mixing import Mixing

if TYPE_CHECKING:
    import torch
    from torch import nn

    from logdepth.tasks.base import Task


class Looped(Mixing):
    """Pre-norm causal transformer whose blocks are a group of them, again and again."""

    has_attention: ClassVar[bool] = True

    form: Literal["looped"] = "looped"
    """Softmax attention, a group of blocks gone through several times."""
    group: int = Field(1, ge=1)
    """Different blocks; must divide the depth."""
    heads: int = Field(4, ge=1)
    """Attention heads of a block, H; must divide the width."""

    @property
    def different(self) -> int:
        """Number of different blocks."""
        return self.group

    def check(self, task: Task) -> None:  # noqa: ARG002 - as every model
        """Raise a ValueError if the depth is no multiple of the group."""
        if self.depth % self.group:
            raise ValueError(
                f"depth is {self.depth}; expected a multiple of group, which is {self.group}"
            )

    def mixer(self, place: int, generator: torch.Generator | None) -> nn.Module:  # noqa: ARG002
        """Return full attention."""
        from logdepth.models.layers import Attention

        return Attention(self.width, self.heads)

    def label(self) -> str:
        """Return form, depth, different blocks, heads, width; "attention" where there is no MLP."""
        kind = self.form if self.mlp_ratio else f"{self.form}_attention"
        return f"{kind}-L{self.depth}-G{self.group}-H{self.heads}-m{self.width}"
