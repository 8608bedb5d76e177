"""Recurrent networks in place of attention: all that is remembered passes through one state.

Gated recurrent units (Cho et al., 2014) and long short-term memory (Hochreiter and Schmidhuber,
1997). The paper bounds them: k hops take k layers or a state of order N / k^6 (Corollary 4.4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from logdepth.models.mixing import Mixing

if TYPE_CHECKING:
    import torch
    from torch import nn


class Recurrent(Mixing):
    """Blocks of a recurrent layer, whose state is as wide as the residual stream, and an MLP."""

    form: Literal["recurrent"] = "recurrent"
    """A recurrent layer."""
    cell: Literal["gru", "lstm"] = "gru"
    """Gated recurrent units, or long short-term memory."""

    def mixer(self, place: int, generator: torch.Generator | None) -> nn.Module:  # noqa: ARG002
        """Return the recurrent layer, and a linear one behind it."""
        from torch import nn

        kind = {"gru": nn.GRU, "lstm": nn.LSTM}[self.cell]
        width = self.width

        class RecurrentLayer(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.recurrent = kind(width, width, batch_first=True)
                self.output = nn.Linear(width, width)

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                mixed: torch.Tensor = self.output(self.recurrent(x)[0])
                return mixed

        return RecurrentLayer()

    def label(self) -> str:
        """Return cell, depth and width."""
        return f"{self.cell}-L{self.depth}-m{self.width}"
