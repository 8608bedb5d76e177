"""hop_k with a planted chain, asked at the last token alone (Saunshi et al., 2025).

The k hops from the last token exist in every string, at random distances: pairs of neighbours are
planted, each of which a hop goes to, and what lies between them breaks none of the hops. So k is
not tied to how far back the answer lies, as it is in random strings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from logdepth.tasks.base import Batch, Task

if TYPE_CHECKING:
    import torch


class Planted(Task):
    """A token for k, then a string without equal neighbours in which k hops lead back."""

    name: Literal["planted"] = "planted"
    """k-hop induction heads, a chain of k hops planted before the last token."""
    context: int = Field(257, ge=5)
    """Tokens in a sequence: the one for k and context - 1 symbols."""
    alphabet: int = Field(4, ge=3)
    """Number of symbols; neighbouring symbols of a string always differ."""
    max_k: int = Field(32, ge=1)
    """Largest number of hops."""
    learn_all: bool = False
    """Whether the answer is learnt at every position that has one; the last alone counts."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.context < 2 * self.max_k + 3:
            raise ValueError(
                f"context is {self.context}; expected {2 * self.max_k + 3} or more for max_k "
                f"{self.max_k}"
            )
        return self

    @property
    def vocabulary(self) -> int:
        """Symbols, tokens for each k, and what stands where nothing is asked."""
        return self.alphabet + self.max_k + 1

    @property
    def answers(self) -> range:
        """The symbols."""
        return range(self.alphabet)

    @property
    def chance(self) -> float:
        """Error of a uniform guess."""
        return 1 - 1 / self.alphabet

    @property
    def numbers(self) -> int:
        """One for each symbol, and one for each place of a chain."""
        return 2 * (self.context - 1)

    def guess(self, k: int) -> float:
        """Return the error of the best guess from the last symbol, without hopping.

        A hop never leads to the symbol that it comes from, and to each other about equally often.
        """
        back = 1.0
        for _ in range(k):
            back = (1 - back) / (self.alphabet - 1)
        return 1 - max(back, (1 - back) / (self.alphabet - 1))

    def reach(self, depth: int) -> int | None:
        """Return the largest k with floor(log2 k) + 2 <= depth (paper: Theorem 4.2)."""
        return 2 ** (depth - 1) - 1 if depth > 1 else None

    def sequences(self, bits: torch.Tensor, k: torch.Tensor) -> Batch:
        """Return strings, made from the last symbol back to the first."""
        import torch

        from logdepth.tasks.hop import hop_positions

        n = self.context - 1
        first = planted(bits[:, n:], k)
        last = first.cumsum(1)  # pairs that begin here or before
        symbols = torch.empty_like(bits[:, :n])
        symbols[:, -1] = bits[:, n - 1] % self.alphabet
        sought = symbols[:, -1]
        for place in range(n - 2, -1, -1):
            right = symbols[:, place + 1]
            # A symbol that a hop looks for must not come before the pair that it goes to.
            waits = last[:, place] > 0
            other = _another(
                bits[:, place], self.alphabet, right, torch.where(waits, sought, right)
            )
            here = first[:, place]
            symbols[:, place] = torch.where(here, sought, other)
            sought = torch.where(here, right, sought)
        tokens = torch.cat([self.alphabet + k[:, None] - 1, symbols], 1)
        targets = torch.full_like(tokens, self.vocabulary - 1)
        if self.learn_all:
            reached = hop_positions(symbols, k, self.alphabet, self.max_k)
            blanks = targets[:, :1]
            targets[:, 1:] = torch.cat([symbols, blanks], 1).gather(1, reached)
        targets[:, -1] = sought
        counted = torch.zeros_like(targets, dtype=torch.bool)
        counted[:, -1].fill_(True)
        return Batch(tokens, targets, counted=counted, k=k)

    def oracle(self, tokens: list[int], k: int) -> list[int | None]:
        """Return the symbol that k single hops lead to, from the last token."""
        string = tokens[1:]
        place = len(string) - 1
        for _ in range(k):
            place = max(j for j in range(place) if string[j] == string[place]) + 1
        return [None] * len(string) + [string[place]]


def planted(bits: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    """Return where k pairs of neighbours begin that do not touch each other or the last place.

    Args:
        bits: int64 (batch, n), random.
        k: int64 (batch,), pairs of each row, at most (n - 2) / 2.

    Returns:
        bool (batch, n); every choice is equally probable.
    """
    import torch

    from logdepth.random import shuffled

    n = bits.shape[1]
    places = torch.arange(n, device=bits.device)
    # k of n - 1 - k places, in each of which a place is put for the second of its pair.
    bits = bits.masked_fill(places >= n - 1 - k[:, None], 2**63 - 1)
    chosen = shuffled(bits).argsort(dim=1) < k[:, None]
    spread = places + chosen.cumsum(1) - 1
    spread = torch.where(chosen, spread, n)
    first = torch.zeros(len(bits), n + 1, dtype=torch.bool, device=bits.device)
    return first.scatter(1, spread, value=True)[:, :n]


def _another(
    bits: torch.Tensor, alphabet: int, one: torch.Tensor, other: torch.Tensor
) -> torch.Tensor:
    """Return a random symbol that is neither of two, which may be the same."""
    low, high = one.minimum(other), one.maximum(other)
    differ = (low != high).long()
    drawn = bits % (alphabet - 1 - differ)
    drawn = drawn + (drawn >= low)
    return drawn + differ * (drawn >= high)
