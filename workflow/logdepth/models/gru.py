"""Gated recurrent units (Cho et al., 2014) in place of attention: all passes through a state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from logdepth.models.base import Model, check_even

if TYPE_CHECKING:
    import torch
    from torch import nn

    from logdepth.models.network import Network
    from logdepth.tasks.base import Task


class Gru(Model):
    """Pre-norm blocks of a GRU and an MLP, around the same residual stream as the transformer's."""

    form: Literal["gru"] = "gru"
    """Gated recurrent units."""
    depth: int = Field(1, ge=1)
    """Number of blocks, L; an experiment sets it from its ``depths``."""
    width: int = Field(64, ge=2)
    """Width of the residual stream and of the recurrent state, m; an even number."""
    mlp_ratio: int = Field(4, ge=0)
    """Width of a block's MLP over the model's width; 0 leaves the MLP out."""
    init_std: float = Field(0.1, gt=0)
    """Standard deviation of embeddings and weights at the start."""

    @model_validator(mode="after")
    def _shapes(self) -> Self:
        check_even(self.width)
        return self

    def build(self, task: Task, generator: torch.Generator | None = None) -> Network:
        """Return the network for a task."""
        from logdepth.models.layers import MLP
        from logdepth.models.network import Block, Network

        hidden = self.mlp_ratio * self.width

        def block() -> Block:
            return Block(
                self.width, _mixer(self.width), MLP(self.width, hidden) if hidden else None
            )

        return Network(
            block,
            vocabulary=task.vocabulary,
            context=task.context,
            depth=self.depth,
            width=self.width,
            answers=task.answers,
            init_std=self.init_std,
            generator=generator,
        )


def _mixer(width: int) -> nn.Module:
    """Return a layer that maps (batch, n, m) to (batch, n, m), from the past alone."""
    from torch import nn

    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.recurrent = nn.GRU(width, width, batch_first=True)
            self.output = nn.Linear(width, width)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            mixed: torch.Tensor = self.output(self.recurrent(x)[0])
            return mixed

    return Recurrent()
