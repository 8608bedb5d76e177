"""Prefix parity: whether the number of ones so far is odd, at each position.

k is the number of bits so far. One layer that counts is enough for a transformer, but to learn it
is hard (Hahn, 2020); one state of one bit is enough for a recurrent network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from logdepth.tasks.prefix import Prefix

if TYPE_CHECKING:
    import torch


class Parity(Prefix):
    """Random bits; the answer to position k is the parity of the first k."""

    name: Literal["parity"] = "parity"
    """Parity of all bits so far."""
    context: int = Field(32, ge=1)
    """Bits of a word."""
    max_k: int = Field(32, ge=1)
    """Most bits whose parity counts; at most those of a word."""

    @property
    def answers(self) -> range:
        """Even and odd."""
        return range(2)

    def products(self, elements: torch.Tensor) -> torch.Tensor:
        """Return the parity of the first t bits at each position t, int64 (batch, context)."""
        return elements.cumsum(1) % 2

    def oracle(self, tokens: list[int], k: int) -> list[int | None]:
        """Return the parity of the first k bits, at position k alone."""
        odd = tokens[:k].count(1) % 2
        return [odd if t == k else None for t in range(1, len(tokens) + 1)]
