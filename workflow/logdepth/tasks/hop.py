"""The k-hop induction heads task, hop_k (paper: Definition 4.1 and section 4.2).

Positions count from 0 here; the paper counts from 1 and uses 0 for "no such position", for which
this module uses n, the length of the string. Token ids are the authors': hop token k has id k, then
come the symbols, then "no such position" (the paper's bottom) and blank.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from logdepth.tasks.base import Batch, Task

if TYPE_CHECKING:
    import torch


class Hop(Task):
    """hop_k, k from 0 to max_k: a hop token, then a string without equal neighbours."""

    has_pointers: ClassVar[bool] = True

    name: Literal["hop"] = "hop"
    """k-hop induction heads, the paper's section 4.2."""
    context: int = Field(99, ge=2)
    """Tokens in a sequence: the hop token and context - 1 symbols."""
    alphabet: int = Field(4, ge=2)
    """Number of symbols; neighbouring symbols of a string always differ."""
    max_k: int = Field(16, ge=1)
    """Largest number of hops; each k from 0 to this has a hop token and is drawn equally often."""

    @property
    def ks(self) -> range:
        """Numbers of hops."""
        return range(self.max_k + 1)

    @property
    def first_symbol(self) -> int:
        """Token id of symbol 0."""
        return self.max_k + 1

    @property
    def bottom(self) -> int:
        """Token id of "no such position"."""
        return self.first_symbol + self.alphabet

    @property
    def blank(self) -> int:
        """Token id of the target of the hop token itself."""
        return self.bottom + 1

    @property
    def vocabulary(self) -> int:
        """Number of token ids: hop tokens, symbols, "no such position" and blank."""
        return self.blank + 1

    @property
    def answers(self) -> range:
        """The symbols and "no such position"."""
        return range(self.first_symbol, self.bottom + 1)

    @property
    def chance(self) -> float:
        """Error of a uniform guess among the symbols."""
        return 1 - 1 / self.alphabet

    def guess(self, k: int) -> float:
        """Return the error of the best guess from the symbol at a position, without hopping.

        The string after a position is a fresh random walk backwards, so that the symbols that hops
        meet are a chain: a hop never meets the symbol of the last one, since neighbours differ; the
        one before that has probability 2/S of S symbols, and each other 1/S. Hence the probability
        p(k) of coming back to the first symbol is (1 + p(k - 2) - p(k - 1)) / S. Exact for long
        strings.
        """
        back, last = 1.0, 0.0
        for _ in range(k):
            back, last = (1 + last - back) / self.alphabet, back
        return 1 - max(back, (1 - back) / (self.alphabet - 1))

    def sequences(self, bits: torch.Tensor, k: torch.Tensor) -> Batch:
        """Return strings without equal neighbours: a first symbol, and differences other than 0."""
        steps = bits[:, 1:] % (self.alphabet - 1) + 1
        steps[:, 0] = bits[:, 0] % self.alphabet
        return self.encode(steps.cumsum(1) % self.alphabet, k)

    def encode(self, strings: torch.Tensor, k: torch.Tensor) -> Batch:
        """Turn strings of symbols into tokens and targets.

        A symbol is an answer that counts: the hop token's own position and those with no k-th hop
        do not (paper: section 4.2, err_k).

        Args:
            strings: int64 (batch, n) of symbols 0..alphabet-1; equal neighbours are allowed.
            k: int64 (batch,), of each string.
        """
        import torch

        size = len(strings)
        positions = hop_positions(strings, k, self.alphabet, self.max_k)
        symbols = strings + self.first_symbol
        answers = torch.cat([symbols, symbols.new_full((size, 1), self.bottom)], 1)
        targets = torch.cat(
            [symbols.new_full((size, 1), self.blank), answers.gather(1, positions)], 1
        )
        return Batch(
            tokens=torch.cat([k[:, None], symbols], 1),
            targets=targets,
            counted=(targets >= self.first_symbol) & (targets < self.bottom),
            k=k,
        )

    def oracle(self, tokens: list[int], k: int) -> list[int | None]:
        """Return the symbol that k single hops lead to, from each position."""
        string = tokens[1:]
        answers: list[int | None] = [None]
        for place in range(len(string)):
            for _ in range(k):
                earlier = [j for j in range(place) if string[j] == string[place]]
                if not earlier:
                    answers.append(None)
                    break
                place = earlier[-1] + 1
            else:
                answers.append(string[place])
        return answers

    def reach(self, depth: int) -> int | None:
        """Return the largest k with floor(log2 k) + 2 <= depth (paper: Theorem 4.2)."""
        return 2 ** (depth - 1) - 1 if depth > 1 else None

    def strings(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the strings of symbols in sequences, int64 (batch, context - 1)."""
        return tokens[:, 1:].long() - self.first_symbol

    def asked(self, tokens: torch.Tensor, k: int) -> torch.Tensor:
        """Return the same strings behind the hop token of k."""
        import torch

        return torch.cat([torch.full_like(tokens[:, :1], k), tokens[:, 1:]], 1)

    def pointers(self, tokens: torch.Tensor, j: int) -> torch.Tensor:
        """Return the token at find^j of each position; -1 where there is no j-th hop."""
        import torch

        strings = self.strings(tokens)
        reached = hop_positions(strings, strings.new_full((len(strings),), j), self.alphabet, j)
        reached = torch.where(reached < strings.shape[1], reached + 1, -1)
        return torch.cat([reached.new_full((len(strings), 1), -1), reached], 1)

    def description(self) -> dict[str, Any]:
        """Return the settings, as in the paper's Table 1."""
        return {
            "tokens of a sequence, $N$": self.context,
            "symbols, $\\lvert\\Sigma\\rvert$": self.alphabet,
            "largest number of hops, $k$": self.max_k,
        }


def find(strings: torch.Tensor, alphabet: int) -> torch.Tensor:
    """Return find^1: just after the latest earlier occurrence of the symbol at each position.

    Args:
        strings: int64 (batch, n) of symbols 0..alphabet-1.
        alphabet: number of symbols.

    Returns:
        int64 (batch, n); n where the symbol has not occurred before.
    """
    import torch

    n = strings.shape[1]
    after = torch.arange(1, n, device=strings.device)
    found = torch.zeros_like(strings)
    for symbol in range(alphabet):
        here = strings == symbol
        latest = torch.where(here[:, :-1], after, 0).cummax(1).values
        found[:, 1:] += latest * here[:, 1:]
    # Position 0 follows no occurrence, so that 0 is free to say "none" until here.
    return torch.where(found == 0, n, found)


def hop_positions(
    strings: torch.Tensor, k: torch.Tensor, alphabet: int, max_k: int
) -> torch.Tensor:
    """Return find^k(i) for every position i, each string with its own k.

    Args:
        strings: int64 (batch, n) of symbols 0..alphabet-1.
        k: int64 (batch,), from 0 to max_k, of each string.
        alphabet: number of symbols.
        max_k: largest number of hops that there may be; taken from k, a GPU would have to wait.

    Returns:
        int64 (batch, n); n where a hop leads nowhere.
    """
    import torch

    size, n = strings.shape
    jump = torch.cat([find(strings, alphabet), strings.new_full((size, 1), n)], 1)
    positions = torch.arange(n, device=strings.device).expand(size, n)
    # Square and multiply over the bits of k: about 2 log2 k gathers instead of k.
    remaining = k.clone()
    for bit in range(max_k.bit_length()):
        if bit:
            jump = jump.gather(1, jump)
            remaining >>= 1
        odd = (remaining & 1).bool()[:, None]
        positions = torch.where(odd, jump.gather(1, positions), positions)
    return positions
