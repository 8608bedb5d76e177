"""Columns for multiple hashing: where a token writes the packets of a message (paper: Fact B.2).

A message belongs to the row (source, destination) of a binary matrix. Where any b rows each own a
private column, all of up to b messages that are averaged together can be read. The paper draws the
matrix at random, with 12 b^2 ln(N^2) columns; here are an explicit one and a much smaller one that
is right for almost every traffic.
"""

from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


class Code(ABC):
    """Maps (source, destination) to columns.

    Attributes:
        columns: number of columns, d.
    """

    columns: int

    @abstractmethod
    def where(self, source: Ints, destination: Ints) -> Ints:
        """Return the columns of messages.

        Args:
            source: int64 (messages,) from 0.
            destination: int64 (messages,) from 0.

        Returns:
            int64 (messages, columns of a message).
        """


class KautzSingleton(Code):
    """The explicit code of Kautz and Singleton (1964), in place of the paper's random matrix.

    The digits of a row's number to the base P, a prime, are a polynomial of degree below t over the
    integers modulo P; the row has the columns (x, polynomial(x)). Two rows share fewer than t
    columns, so that with P > (b - 1)(t - 1) any row among b keeps a private one. d = P^2.
    """

    def __init__(self, tokens: int, together: int) -> None:
        """Choose P and t for ``tokens``^2 rows of which ``together`` can meet."""
        self.tokens = tokens
        self.columns, self.prime, self.digits = min(
            (prime**2, prime, digits)
            for digits in range(2, 2 * tokens.bit_length() + 3)
            for prime in [_prime(tokens, digits, (together - 1) * (digits - 1) + 1)]
        )

    def where(self, source: Ints, destination: Ints) -> Ints:
        """Return the P columns of each message."""
        row = source * self.tokens + destination
        x = np.arange(self.prime)
        y = np.zeros((len(row), self.prime), np.int64)
        for power in reversed(range(self.digits)):
            digit = row // self.prime**power % self.prime
            y = (y * x + digit[:, None]) % self.prime
        return x * self.prime + y


class RandomTable(Code):
    """g groups of 2s^2 buckets; a pseudo-random bucket of each group for every row.

    For one traffic pattern a message is lost with probability at most
    (1 - (1 - 1/w)^(s^2 - 1))^g with w = 2 s^2, about 0.4^g; so O(s^2 log(N s R / eta)) columns
    are right with probability 1 - eta. Only a promise for every input costs the paper's s^4.
    """

    def __init__(
        self, fan: int, groups: int = 20, seed: int = 0, buckets: int | None = None
    ) -> None:
        """Take ``groups`` groups for at most ``fan`` messages in and out of a token."""
        self.buckets = buckets or 2 * fan**2
        self.groups = groups
        self.columns = groups * self.buckets
        rng = np.random.default_rng(seed)
        self.salt = rng.integers(1 << 62, size=groups, dtype=np.uint64)

    def where(self, source: Ints, destination: Ints) -> Ints:
        """Return one column in each group."""
        row = (source << 32 | destination).astype(np.uint64)
        bucket = _mix(_mix(row)[:, None] ^ self.salt) % np.uint64(self.buckets)
        return np.arange(self.groups) * self.buckets + bucket.astype(np.int64)


def paper_columns(tokens: int, together: int) -> int:
    """Return the columns of the paper's random matrix, 12 b^2 ln(N^2) (Fact B.2)."""
    return int(np.ceil(12 * together**2 * np.log(tokens**2)))


def loss_bound(fan: int, groups: int) -> float:
    """Return the bound on the probability that ``RandomTable`` loses a given message."""
    buckets = 2 * fan**2
    return float((1 - (1 - 1 / buckets) ** (fan**2 - 1)) ** groups)


def _prime(tokens: int, digits: int, least: int) -> int:
    """Return the least prime P >= least with P^digits >= tokens^2."""
    prime = max(2, least)
    while prime**digits < tokens**2 or any(
        prime % factor == 0 for factor in range(2, int(prime**0.5) + 1)
    ):
        prime += 1
    return prime


def _mix(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Scramble 64 bits (the finaliser of splitmix64)."""
    x = (x ^ x >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ x >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return x ^ x >> np.uint64(31)
