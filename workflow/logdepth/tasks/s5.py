"""Words in S_5: the product of the first t permutations, at each position t.

k is the length so far. It is the measure of difficulty because the group is not solvable: no
circuits of constant depth are known for its word problem, which is complete for NC^1 (Barrington,
1989), while the product of k factors takes depth log2 k by associativity.
"""

from __future__ import annotations

from functools import cache
from itertools import permutations
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from logdepth.tasks.base import Batch, Task

if TYPE_CHECKING:
    import torch

ELEMENTS = tuple(permutations(range(5)))
"""The group; the token id of an element is its place here."""


class S5(Task):
    """Random words in S_5; the answer to position k is the product of the first k elements."""

    name: Literal["s5"] = "s5"
    """Products in the symmetric group S_5."""
    context: int = Field(16, ge=1)
    """Length of a word."""
    max_k: int = Field(16, ge=1)
    """Longest product that counts; at most the length of a word."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.max_k > self.context:
            raise ValueError(f"max_k is {self.max_k}, but a word has {self.context} elements")
        return self

    @property
    def vocabulary(self) -> int:
        """Number of elements."""
        return len(ELEMENTS)

    @property
    def answers(self) -> range:
        """All elements."""
        return range(len(ELEMENTS))

    @property
    def chance(self) -> float:
        """Error of a uniform guess."""
        return 1 - 1 / len(ELEMENTS)

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
        """Return a batch; every product is asked for, the one of k elements counts."""
        import torch

        from logdepth.tasks.random import random_bits

        if k is not None and k not in self.ks:
            raise ValueError(f"k is {k}, but products are counted from 1 to {self.max_k}")
        bits = random_bits((stream, seed, step), size * (self.context + 1), device)
        bits = bits.view(size, self.context + 1)
        drawn = bits[:, 0] % self.max_k + 1 if k is None else torch.full_like(bits[:, 0], k)
        tokens = bits[:, 1:] % len(ELEMENTS)
        table = torch.tensor(products(), device=device)
        targets = tokens.clone()
        for place in range(1, self.context):
            targets[:, place] = table[targets[:, place - 1], tokens[:, place]]
        places = torch.arange(1, self.context + 1, device=device)
        return Batch(tokens, targets, counted=places == drawn[:, None], k=drawn)

    def oracle(self, tokens: list[int], k: int) -> list[int | None]:
        """Return the product of the first k elements, at position k alone."""
        images = list(range(5))
        for token in tokens[:k]:
            images = [ELEMENTS[token][image] for image in images]
        return [
            ELEMENTS.index(tuple(images)) if t == k else None for t in range(1, len(tokens) + 1)
        ]


@cache
def products() -> list[list[int]]:
    """Return the token id of "first a, then b", for all a and b."""
    number = {element: i for i, element in enumerate(ELEMENTS)}
    return [[number[tuple(b[image] for image in a)] for b in ELEMENTS] for a in ELEMENTS]
