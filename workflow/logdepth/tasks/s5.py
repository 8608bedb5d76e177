"""Words in S_5: the product of the first t permutations, at each position t.

k is the length so far. It is the measure of difficulty because the group is not solvable: no
circuits of constant depth are known for its word problem, which is complete for NC^1 (Barrington,
1989), while the product of k factors takes depth log2 k by associativity.
"""

from __future__ import annotations

from functools import cache
from itertools import permutations
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from logdepth.tasks.prefix import Prefix

if TYPE_CHECKING:
    import torch

ELEMENTS = tuple(permutations(range(5)))
"""The group; the token id of an element is its place here."""


class S5(Prefix):
    """Random words in S_5; the answer to position k is the product of the first k elements."""

    name: Literal["s5"] = "s5"
    """Products in the symmetric group S_5."""
    context: int = Field(16, ge=1)
    """Length of a word."""
    max_k: int = Field(16, ge=1)
    """Longest product that counts; at most the length of a word."""

    @property
    def answers(self) -> range:
        """All elements."""
        return range(len(ELEMENTS))

    def products(self, elements: torch.Tensor) -> torch.Tensor:
        """Return the product of the first t elements at each position t, int64 (batch, context)."""
        table = _table(elements.device)
        found = elements.clone()
        for place in range(1, self.context):
            found[:, place] = table[found[:, place - 1], elements[:, place]]
        return found

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


@cache
def _table(device: torch.device) -> torch.Tensor:
    """Return ``products`` on a device, where it stays: a step must not wait for a copy."""
    import torch

    return torch.tensor(products(), device=device)
