"""Pointer chasing: where k functions, one after the other, lead from 0.

Each function is a random permutation of a few elements, written as the table of its values. The
last token of the k-th table is asked where 0 went. Single steps take k rounds; since functions
compose associatively, depth log2 k is enough. That many rounds of communication are needed in the
order k, ..., 1 is what the paper's bounds rest on (Assadi and N, 2021).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from logdepth.tasks.base import Batch, Task

if TYPE_CHECKING:
    import torch


class Composition(Task):
    """Tables of random permutations; asked behind each for the image of 0 under all so far."""

    name: Literal["composition"] = "composition"
    """Composition of functions that the sequence gives."""
    context: int = Field(64, ge=2)
    """Tokens of a sequence: whole tables."""
    alphabet: int = Field(4, ge=2)
    """Elements that the functions permute; must divide the context."""
    max_k: int = Field(16, ge=1)
    """Most functions that count; at most those of a sequence."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.context % self.alphabet or self.max_k * self.alphabet > self.context:
            raise ValueError(
                f"context is {self.context}; expected a multiple of alphabet, {self.alphabet}, "
                f"and {self.max_k * self.alphabet} or more for max_k {self.max_k}"
            )
        return self

    @property
    def vocabulary(self) -> int:
        """Elements, and what stands where nothing is asked."""
        return self.alphabet + 1

    @property
    def answers(self) -> range:
        """All elements."""
        return range(self.alphabet)

    @property
    def chance(self) -> float:
        """Error of a uniform guess."""
        return 1 - 1 / self.alphabet

    def sequences(self, bits: torch.Tensor, k: torch.Tensor) -> Batch:
        """Return tables; each end of one is asked for, the one of the k-th table counts."""
        import torch

        from logdepth.random import shuffled

        tables = shuffled(bits.view(len(bits), -1, self.alphabet))
        targets = torch.full_like(tables, self.alphabet)
        image = torch.zeros_like(k)
        for place in range(tables.shape[1]):
            image = tables[:, place].gather(1, image[:, None])[:, 0]
            targets[:, place, -1] = image
        lengths = torch.arange(1, self.context + 1, device=bits.device)
        counted = lengths == self.alphabet * k[:, None]
        return Batch(tables.flatten(1), targets.flatten(1), counted=counted, k=k)

    def oracle(self, tokens: list[int], k: int) -> list[int | None]:
        """Return where 0 goes, at the end of the k-th table alone."""
        image = 0
        for start in range(0, k * self.alphabet, self.alphabet):
            image = tokens[start + image]
        return [image if t == k * self.alphabet else None for t in range(1, len(tokens) + 1)]
