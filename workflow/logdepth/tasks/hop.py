"""The k-hop induction heads task, hop_k (paper: Definition 4.1 and section 4.2).

Positions count from 0 here; the paper counts from 1 and uses 0 for "no such position", for which
this module uses n, the length of the string. Token ids are the authors': hop token k has id k, then
come the symbols, then "no such position" (the paper's bottom) and blank.
"""

from dataclasses import dataclass

import torch

from logdepth.tasks.random import random_bits

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Batch:
    """Sequences of the task.

    Attributes:
        tokens: int64 (batch, context); the hop token, then the string.
        targets: int64 (batch, context); blank, then the token at find^k(i) for each position i.
        hops: int64 (batch,); k of each sequence.
    """

    tokens: torch.Tensor
    targets: torch.Tensor
    hops: torch.Tensor


@dataclass(frozen=True)
class HopTask:
    """hop_k with k in 0..max_hops on strings over ``alphabet`` symbols, no two neighbours equal."""

    context: int
    alphabet: int
    max_hops: int

    @property
    def first_symbol(self) -> int:
        """Token id of symbol 0."""
        return self.max_hops + 1

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
        """Number of token ids."""
        return self.blank + 1

    def batch(
        self,
        seed: int,
        step: int,
        size: int,
        *,
        stream: str = "train",
        hops: int | None = None,
        device: torch.device = CPU,
    ) -> Batch:
        """Return batch number ``step`` of the stream: a function of its arguments, nothing else.

        Args:
            seed: of the run.
            step: number of the batch.
            size: sequences in the batch.
            stream: sequences of different streams are independent.
            hops: k for every sequence; by default each draws its own, uniformly from 0..max_hops.
            device: where to compute; the values are the same everywhere.

        Raises:
            ValueError: ``hops`` is outside 0..max_hops, so that it has no hop token.
        """
        if hops is not None and not 0 <= hops <= self.max_hops:
            raise ValueError(f"hops is {hops}, but the hop tokens reach from 0 to {self.max_hops}")
        bits = random_bits((stream, seed, step), size * (self.context + 1), device)
        bits = bits.view(size, self.context + 1)
        if hops is None:
            drawn = bits[:, 0] % (self.max_hops + 1)
        else:
            drawn = torch.full((size,), hops, dtype=torch.int64, device=device)
        # A string without equal neighbours is a first symbol and n - 1 differences other than 0.
        steps = bits[:, 2:] % (self.alphabet - 1) + 1
        steps[:, 0] = bits[:, 1] % self.alphabet
        strings = steps.cumsum(1) % self.alphabet
        return self.encode(strings, drawn)

    def encode(self, strings: torch.Tensor, hops: torch.Tensor) -> Batch:
        """Turn strings of symbols into tokens and targets.

        Args:
            strings: int64 (batch, n) of symbols 0..alphabet-1; equal neighbours are allowed.
            hops: int64 (batch,), k of each string.
        """
        size = len(strings)
        positions = hop_positions(strings, hops, self.alphabet)
        symbols = strings + self.first_symbol
        answers = torch.cat([symbols, symbols.new_full((size, 1), self.bottom)], 1)
        return Batch(
            tokens=torch.cat([hops[:, None], symbols], 1),
            targets=torch.cat(
                [symbols.new_full((size, 1), self.blank), answers.gather(1, positions)], 1
            ),
            hops=hops,
        )


def find(strings: torch.Tensor, alphabet: int) -> torch.Tensor:
    """Return find^1: just after the latest earlier occurrence of the symbol at each position.

    Args:
        strings: int64 (batch, n) of symbols 0..alphabet-1.
        alphabet: number of symbols.

    Returns:
        int64 (batch, n); n where the symbol has not occurred before.
    """
    n = strings.shape[1]
    after = torch.arange(1, n, device=strings.device)
    found = torch.zeros_like(strings)
    for symbol in range(alphabet):
        here = strings == symbol
        latest = torch.where(here[:, :-1], after, 0).cummax(1).values
        found[:, 1:] += latest * here[:, 1:]
    # Position 0 follows no occurrence, so that 0 is free to say "none" until here.
    return torch.where(found == 0, n, found)


def hop_positions(strings: torch.Tensor, hops: torch.Tensor, alphabet: int) -> torch.Tensor:
    """Return find^k(i) for every position i, each string with its own k.

    Args:
        strings: int64 (batch, n) of symbols 0..alphabet-1.
        hops: int64 (batch,), k >= 0 of each string.
        alphabet: number of symbols.

    Returns:
        int64 (batch, n); n where a hop leads nowhere.
    """
    size, n = strings.shape
    jump = torch.cat([find(strings, alphabet), strings.new_full((size, 1), n)], 1)
    positions = torch.arange(n, device=strings.device).expand(size, n)
    # Square and multiply over the bits of k: about 2 log2 k gathers instead of k.
    remaining = hops.clone()
    longest = int(hops.max()) if size else 0
    while longest:
        odd = (remaining & 1).bool()[:, None]
        positions = torch.where(odd, jump.gather(1, positions), positions)
        longest >>= 1
        if longest:
            jump = jump.gather(1, jump)
            remaining >>= 1
    return positions
