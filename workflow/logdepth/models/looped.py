"""A group of softmax blocks gone through several times: depth without parameters.

As the looped transformers of Saunshi et al. (2025), with the blocks of form softmax.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from logdepth.models.base import Model, check_even, check_heads

if TYPE_CHECKING:
    import torch

    from logdepth.models.network import Network
    from logdepth.tasks.base import Task


class Looped(Model):
    """Pre-norm causal transformer whose blocks are a group of them, again and again."""

    has_attention: ClassVar[bool] = True

    form: Literal["looped"] = "looped"
    """Softmax attention, a group of blocks gone through several times."""
    depth: int = Field(1, ge=1)
    """Blocks that a token goes through, L; an experiment sets it from its ``depths``."""
    group: int = Field(1, ge=1)
    """Different blocks; must divide the depth."""
    heads: int = Field(4, ge=1)
    """Attention heads of a block, H; must divide the width."""
    width: int = Field(64, ge=2)
    """Width of the residual stream, m; an even number."""
    mlp_ratio: int = Field(4, ge=0)
    """Width of a block's MLP over the model's width; 0 leaves the MLP out."""
    init_std: float = Field(0.1, gt=0)
    """Standard deviation of embeddings and weights at the start."""

    @model_validator(mode="after")
    def _shapes(self) -> Self:
        check_heads(self.heads, self.width)
        check_even(self.width)
        return self

    def check(self, task: Task) -> None:  # noqa: ARG002 - as every model
        """Raise a ValueError if the depth is no multiple of the group."""
        if self.depth % self.group:
            raise ValueError(
                f"depth is {self.depth}; expected a multiple of group, which is {self.group}"
            )

    def build(self, task: Task, generator: torch.Generator | None = None) -> Network:
        """Return the network for a task."""
        from logdepth.models.layers import MLP, Attention
        from logdepth.models.network import Block, Network

        hidden = self.mlp_ratio * self.width

        def block() -> Block:
            attention = Attention(self.width, self.heads)
            return Block(self.width, attention, MLP(self.width, hidden) if hidden else None)

        return Network(
            block,
            vocabulary=task.vocabulary,
            context=task.context,
            depth=self.depth,
            width=self.width,
            answers=task.answers,
            group=self.group,
            init_std=self.init_std,
            generator=generator,
        )

    def label(self) -> str:
        """Return form, depth, different blocks, heads, width; "attention" where there is no MLP."""
        kind = self.form if self.mlp_ratio else f"{self.form}_attention"
        return f"{kind}-L{self.depth}-G{self.group}-H{self.heads}-m{self.width}"
