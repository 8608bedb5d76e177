"""What tasks share that are drawn from random integers, so many a sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import model_validator

from logdepth.tasks.base import Batch, Task

if TYPE_CHECKING:
    import torch


class Drawn(Task):
    """A task adds its settings, the properties of every task, ``numbers`` and ``sequences``."""

    @property
    def numbers(self) -> int:
        """Random integers that a sequence takes."""
        return self.context

    def sequences(self, bits: torch.Tensor, k: torch.Tensor) -> Batch:
        """Turn random integers into sequences with answers.

        Args:
            bits: int64 (batch, numbers), from 0 to 2^63 - 1.
            k: int64 (batch,), of each sequence.
        """
        raise NotImplementedError

    def batch(
        self,
        seed: int,
        step: int,
        size: int,
        *,
        stream: str = "train",
        k: int | None = None,
        device: torch.device | None = None,
    ) -> Batch:
        """Return a batch; by default each sequence draws k uniformly from all."""
        import torch

        from logdepth.tasks.random import random_bits

        if k is not None and k not in self.ks:
            raise ValueError(f"k is {k}, but {self.name} has {self.ks[0]} to {self.ks[-1]}")
        bits = random_bits((stream, seed, step), size * (self.numbers + 1), device)
        bits = bits.view(size, self.numbers + 1)
        first = bits[:, 0]
        drawn = self.ks[0] + first % len(self.ks) if k is None else torch.full_like(first, k)
        return self.sequences(bits[:, 1:], drawn)


class Prefix(Drawn):
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


def check_half(task: Drawn) -> None:
    """Raise a ValueError if the context is not more than twice the largest k."""
    if 2 * task.max_k >= task.context:
        raise ValueError(
            f"context is {task.context}; expected more than twice max_k, which is {task.max_k}"
        )


def shuffled(bits: torch.Tensor) -> torch.Tensor:
    """Return a permutation of the places of each row, int64, every one equally probable."""
    return bits.argsort(dim=-1, stable=True)
