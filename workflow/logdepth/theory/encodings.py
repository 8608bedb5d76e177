"""Codes of positions and symbols, and the scores of the two kinds of head (paper: Appendix D).

A look-up head retrieves a token whose position is known; a last-occurrence head retrieves the
latest token that offers the symbol asked for. Three encodings provide both. Positions run from 1 to
N, as in the paper; position 0 is the start token. Symbols run from 0 to S - 1, and S is "no such
position" (the paper's bottom).
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch

from logdepth.recipes.compiled import bits_for
from logdepth.theory.bits import DIGIT, number, signs


class Encoding(Protocol):
    """Codes and scores; margins are for temperature 1.

    The margin of a head is the least difference between the score of the token that it is to
    retrieve and the score of any other token that it may see.
    """

    @property
    def name(self) -> str:
        """Name in tables."""

    @property
    def exact_scale(self) -> bool:
        """Whether a power of two as inverse temperature keeps queries exact in short formats."""

    def position_code(self, positions: torch.Tensor, length: int) -> torch.Tensor:
        """Return float64 (..., d) for positions 0..length."""

    def positions_of(self, code: torch.Tensor, length: int) -> torch.Tensor:
        """Return the position nearest to a code."""

    def symbol_code(self, symbols: torch.Tensor, alphabet: int) -> torch.Tensor:
        """Return float64 (..., d) for symbols 0..alphabet."""

    def symbols_of(self, code: torch.Tensor, alphabet: int) -> torch.Tensor:
        """Return the symbol nearest to a code."""

    def lookup(self, length: int) -> tuple[torch.Tensor, torch.Tensor, float]:
        """Return the matrices that turn position codes into queries and keys, and the margin."""

    def asked(
        self, symbols: torch.Tensor, positions: torch.Tensor, length: int, alphabet: int
    ) -> torch.Tensor:
        """Return the query of the last-occurrence head, float64 (..., d)."""

    def offered(
        self, symbols: torch.Tensor, positions: torch.Tensor, length: int, alphabet: int
    ) -> torch.Tensor:
        """Return the key of the last-occurrence head, float64 (..., d)."""

    def last_margin(self, length: int, alphabet: int) -> float:
        """Return the margin of the last-occurrence head."""


class _Integers:
    """Values carried as integers: a code's last number is the number itself."""

    def positions_of(self, code: torch.Tensor, length: int) -> torch.Tensor:
        """Return the position nearest to a code."""
        return _nearest(code[..., -1], length)

    def symbol_code(self, symbols: torch.Tensor, alphabet: int) -> torch.Tensor:  # noqa: ARG002
        """Return float64 (..., 1)."""
        return symbols[..., None].double()

    def symbols_of(self, code: torch.Tensor, alphabet: int) -> torch.Tensor:
        """Return the symbol nearest to a code."""
        return _nearest(code[..., -1], alphabet)


@dataclass(frozen=True)
class Circle(_Integers):
    """Points on a circle, the paper's encoding with its two periods repaired (Lemmas D.1, D.2).

    Attributes:
        spare_positions: period of the look-up circle beyond N. As printed, 0: positions 0 and N
            coincide. One more position separates them.
        spacing: distance between neighbouring symbols on the circle of the last-occurrence head,
            in units of N. As printed, 1: a key of the next symbol at distance N - a scores as well
            as a match at distance a. With 2 every mismatch is further away than every match.
    """

    spare_positions: int = 1
    spacing: int = 2
    exact_scale: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """Name in tables."""
        return "circle"

    def position_code(self, positions: torch.Tensor, length: int) -> torch.Tensor:
        """Return the point for the look-up, and the position as a number."""
        point = _circle(positions, length + self.spare_positions)
        return torch.cat([point, positions[..., None].double()], -1)

    def lookup(self, length: int) -> tuple[torch.Tensor, torch.Tensor, float]:
        """Score cos(2 pi (wanted - position) / period)."""
        point = torch.eye(2, 3, dtype=torch.float64)
        return point, point, _drop(1, length + self.spare_positions)

    def asked(
        self, symbols: torch.Tensor, positions: torch.Tensor, length: int, alphabet: int
    ) -> torch.Tensor:
        """Return the point of symbol and position, and 1 for the start token's threshold."""
        point = self._point(symbols, positions, length, alphabet)
        return torch.cat([point, torch.ones_like(point[..., :1])], -1)

    def offered(
        self, symbols: torch.Tensor, positions: torch.Tensor, length: int, alphabet: int
    ) -> torch.Tensor:
        """Return the point of symbol and position, or for the start token a threshold.

        The threshold lies half a step beyond the oldest match that there can be.
        """
        point = self._point(symbols, positions, length, alphabet)
        oldest = 2 * math.pi * (length - 0.5) / self._period(length, alphabet)
        start = point.new_tensor([0.0, 0.0, math.cos(oldest)])
        code = torch.cat([point, torch.zeros_like(point[..., :1])], -1)
        return torch.where(positions[..., None] == 0, start, code)

    def last_margin(self, length: int, alphabet: int) -> float:
        """Return the least gap between the newest and the next match, the start token, a mismatch.

        With spacing 1 a mismatch may win; the gaps that exist are counted.
        """
        period = self._period(length, alphabet)
        threshold = _drop(length - 0.5, period)
        gaps = [
            _drop(1, period),
            threshold - _drop(length - 1, period),
            _drop((self.spacing - 1) * length + 1, period) - threshold,
        ]
        return min(gap for gap in gaps if gap > 0)

    def _period(self, length: int, alphabet: int) -> int:
        return self.spacing * length * (alphabet + 1)

    def _point(
        self, symbols: torch.Tensor, positions: torch.Tensor, length: int, alphabet: int
    ) -> torch.Tensor:
        steps = self.spacing * length * symbols + positions
        return _circle(steps, self._period(length, alphabet))


@dataclass(frozen=True)
class Quadratic(_Integers):
    """Scores that are squares of differences; the margin is 1 at every length."""

    exact_scale: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """Name in tables."""
        return "quadratic"

    def position_code(self, positions: torch.Tensor, length: int) -> torch.Tensor:  # noqa: ARG002
        """Return (1, i^2, i)."""
        i = positions.double()
        return torch.stack([torch.ones_like(i), i * i, i], -1)

    def lookup(self, length: int) -> tuple[torch.Tensor, torch.Tensor, float]:  # noqa: ARG002
        """Score wanted^2 - (wanted - position)^2."""
        query = torch.tensor([[0.0, 0.0, 2.0], [-1.0, 0.0, 0.0]], dtype=torch.float64)
        key = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]], dtype=torch.float64)
        return query, key, 1.0

    def asked(
        self,
        symbols: torch.Tensor,
        positions: torch.Tensor,  # noqa: ARG002
        length: int,
        alphabet: int,  # noqa: ARG002
    ) -> torch.Tensor:
        """Return the query for the score i' - (N + 1)(asked - offered)^2; the start's is 0."""
        s, weight = symbols.double(), float(length + 1)
        one = torch.ones_like(s)
        return torch.stack([2 * weight * s, -weight * one, one, weight * s * s], -1)

    def offered(
        self,
        symbols: torch.Tensor,
        positions: torch.Tensor,
        length: int,  # noqa: ARG002
        alphabet: int,  # noqa: ARG002
    ) -> torch.Tensor:
        """Return the key for that score."""
        s = symbols.double()
        code = torch.stack([s, s * s, positions.double(), -torch.ones_like(s)], -1)
        return torch.where(positions[..., None] == 0, 0.0, code)

    def last_margin(self, length: int, alphabet: int) -> float:  # noqa: ARG002
        """Return 1: matches score i' >= 1, the start token 0, mismatches -1 at most."""
        return 1.0


@dataclass(frozen=True)
class Bits:
    """Binary codes of -1 and 1; everything is exact in bfloat16 if the temperature is."""

    exact_scale: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """Name in tables."""
        return "bits"

    def position_code(self, positions: torch.Tensor, length: int) -> torch.Tensor:
        """Return the signs of ceil(log2(N + 1)) bits."""
        return signs(positions, bits_for(length + 1)).double()

    def positions_of(self, code: torch.Tensor, length: int) -> torch.Tensor:
        """Return the position with the nearest code."""
        return number(code).clamp(0, length)

    def symbol_code(self, symbols: torch.Tensor, alphabet: int) -> torch.Tensor:
        """Return the signs of ceil(log2(S + 1)) bits."""
        return signs(symbols, bits_for(alphabet + 1)).double()

    def symbols_of(self, code: torch.Tensor, alphabet: int) -> torch.Tensor:
        """Return the symbol with the nearest code."""
        return number(code).clamp(0, alphabet)

    def lookup(self, length: int) -> tuple[torch.Tensor, torch.Tensor, float]:
        """Score the bits that agree minus those that differ."""
        code = torch.eye(bits_for(length + 1), dtype=torch.float64)
        return code, code, 2.0

    def asked(
        self,
        symbols: torch.Tensor,
        positions: torch.Tensor,  # noqa: ARG002
        length: int,
        alphabet: int,
    ) -> torch.Tensor:
        """Return the query for the score i' - 2B (bits that differ), B > N; the start's is 0."""
        code = self.symbol_code(symbols, alphabet)
        weight = 2.0 ** bits_for(length + 1)
        ones = torch.ones_like(code[..., :1])
        return torch.cat([weight * code, ones, ones, -weight * code.shape[-1] * ones], -1)

    def offered(
        self,
        symbols: torch.Tensor,
        positions: torch.Tensor,
        length: int,  # noqa: ARG002
        alphabet: int,
    ) -> torch.Tensor:
        """Return the key for that score; a position is two digits, each short enough."""
        low = (positions % DIGIT)[..., None].double()
        high = positions[..., None].double() - low
        code = self.symbol_code(symbols, alphabet)
        code = torch.cat([code, high, low, torch.ones_like(low)], -1)
        return torch.where(positions[..., None] == 0, 0.0, code)

    def last_margin(self, length: int, alphabet: int) -> float:  # noqa: ARG002
        """Return 1: matches score i' >= 1, the start token 0, mismatches less."""
        return 1.0


ENCODINGS: tuple[Encoding, ...] = (Circle(), Quadratic(), Bits())


def _nearest(values: torch.Tensor, last: int) -> torch.Tensor:
    return values.double().round().clamp(0, last).long()


def _circle(steps: torch.Tensor, period: int) -> torch.Tensor:
    angle = 2 * math.pi / period * steps.double()
    return torch.stack([angle.cos(), angle.sin()], -1)


def _drop(distance: float, period: int) -> float:
    """Return 1 - cos(2 pi distance / period), without cancellation."""
    return 2 * math.sin(math.pi * distance / period) ** 2
