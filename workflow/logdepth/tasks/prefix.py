"""Tasks that ask for the product of all elements so far, at each position."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import model_validator

from logdepth.tasks.base import Batch, Task

if TYPE_CHECKING:
    import torch


class Prefix(Task):
    """Products of all elements so far, at each position; k is their number.

    A task adds ``products``, and its elements have the token ids of its answers.
    """

    context: int
    max_k: int

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.max_k > self.context:
            raise ValueError(f"max_k is {self.max_k}, but a word has {self.context} elements")
        return self

    @property
    def vocabulary(self) -> int:
        """Number of elements."""
        return len(self.answers)

    @property
    def chance(self) -> float:
        """Error of a uniform guess."""
        return 1 - 1 / len(self.answers)

    def products(self, elements: torch.Tensor) -> torch.Tensor:
        """Return the product of the first t elements at each position t, int64 (batch, context)."""
        raise NotImplementedError

    def sequences(self, bits: torch.Tensor, k: torch.Tensor) -> Batch:
        """Return words; every product is asked for, the one of k elements counts."""
        import torch

        elements = bits % len(self.answers)
        lengths = torch.arange(1, self.context + 1, device=bits.device)
        return Batch(elements, self.products(elements), counted=lengths == k[:, None], k=k)
