"""What forms share whose blocks are a layer that mixes tokens, and an MLP."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from logdepth.models.base import Model, check_even, check_heads

if TYPE_CHECKING:
    import torch
    from torch import nn

    from logdepth.models.network import Network
    from logdepth.tasks.base import Task


class Mixing(Model):
    """Pre-norm blocks around the same residual stream as the transformer's.

    A form adds the setting ``form``, settings of its own, and the method ``mixer``.
    """

    form: str
    depth: int = Field(1, ge=1)
    """Number of blocks, L; an experiment sets it from its ``depths``."""
    width: int = Field(64, ge=2)
    """Width of the residual stream, m; an even number where positions are learned."""
    mlp_ratio: int = Field(4, ge=0)
    """Width of a block's MLP over the model's width; 0 leaves the MLP out."""
    init_std: float = Field(0.1, gt=0)
    """Standard deviation of embeddings and weights at the start."""
    positions: Literal["learned", "none"] = "learned"
    """Learned embeddings of positions, or none: such a model reads strings of any length."""

    @model_validator(mode="after")
    def _shapes(self) -> Self:
        if self.positions == "learned":
            check_even(self.width)
        if heads := getattr(self, "heads", None):
            check_heads(heads, self.width)
        return self

    @property
    def different(self) -> int:
        """Number of different blocks, gone through until the depth is reached."""
        return self.depth

    def mixer(self, place: int, generator: torch.Generator | None) -> nn.Module:
        """Return what mixes tokens in a block: from (batch, n, m) to the same, from the past alone.

        Matrices and biases are drawn by the network; Muon takes the matrices. Its last layer is
        named ``output``. What else is drawn comes from ``generator``.

        Args:
            place: of the block, from 0.
            generator: of the starting weights.
        """
        raise NotImplementedError

    def build(self, task: Task, generator: torch.Generator | None = None) -> Network:
        """Return the network for a task."""
        from logdepth.models.layers import MLP
        from logdepth.models.network import Block, Network

        hidden = self.mlp_ratio * self.width
        places = itertools.count()

        def block() -> Block:
            mixer = self.mixer(next(places), generator)
            return Block(self.width, mixer, MLP(self.width, hidden) if hidden else None)

        return Network(
            block,
            vocabulary=task.vocabulary,
            context=task.context,
            depth=self.depth,
            width=self.width,
            answers=task.answers,
            group=self.different,
            positions="sinusoid" if self.positions == "learned" else "none",
            init_std=self.init_std,
            generator=generator,
        )

    def label(self) -> str:
        """Return form, depth, heads if there are any, and width."""
        heads = getattr(self, "heads", None)
        return f"{self.form}-L{self.depth}-{f'H{heads}-' if heads else ''}m{self.width}"
