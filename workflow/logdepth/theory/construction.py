"""The transformer for hop_k written down by hand (paper: Theorem 4.2, with a repaired recursion).

One causal head a layer and a token-wise map after it. Layer 1 fetches the symbol before each
position, layer 2 finds find^1, and every further layer composes pointers by one look-up. Queries,
keys and values are linear in the token's state; the token-wise map rounds what the head returns to
the nearest code. (As printed, a transformer has no such map; constant width needs one.)
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from logdepth.tasks.hop import hop_positions
from logdepth.theory.encodings import Bits, Encoding
from logdepth.theory.heads import FLOAT64, Head, Layer, Precision
from logdepth.theory.programs import Program


@dataclass(frozen=True)
class Temperatures:
    """Inverse temperatures, folded into the queries.

    Attributes:
        lookup: of layer 1 and the composing layers.
        last: of layer 2.
    """

    lookup: float
    last: float


def safe_temperatures(encoding: Encoding, length: int, alphabet: int) -> Temperatures:
    """Return ln(8 (N+1) (max(N, S) + 1)) over the margin: always enough in exact arithmetic.

    All wrong tokens together weigh N exp(-temperature * margin) at most, and values, positions and
    symbols, differ by max(N, S) at most: each is off by less than 1/8 (paper: Lemma A.2).
    """
    wanted = math.log(8 * (length + 1) * (max(length, alphabet) + 1))
    margins = encoding.lookup(length)[2], encoding.last_margin(length, alphabet)
    scales = [wanted / margin for margin in margins]
    if encoding.exact_scale:
        scales = [2.0 ** math.ceil(math.log2(scale)) for scale in scales]
    return Temperatures(*scales)


@dataclass(frozen=True)
class Pointer:
    """A position that each token knows, and the symbol there; int64 (batch, n + 1) both."""

    position: torch.Tensor
    symbol: torch.Tensor


@dataclass(frozen=True)
class Stage:
    """A layer, and the pair of pointers after its token-wise map.

    Attributes:
        layer: what the head did.
        lower, upper: the pair; each token's own position until layer 2.
    """

    layer: Layer
    lower: Pointer
    upper: Pointer


class HopTransformer(nn.Module):
    """hop_k for one k, on strings of up to ``length`` symbols.

    Attributes:
        width: of the widest state, m: constant for the circle and the quadratic encoding,
            O(log N + log S) for bits.
    """

    def __init__(
        self,
        length: int,
        alphabet: int,
        program: Program,
        encoding: Encoding | None = None,
        *,
        precision: Precision = FLOAT64,
        temperatures: Temperatures | None = None,
        sees_itself: bool = True,
    ) -> None:
        """Write down the weights.

        Args:
            length: longest string, N.
            alphabet: number of symbols.
            program: what to compute; ``ladder(k)`` for hop_k.
            encoding: bits by default.
            precision: number formats.
            temperatures: ``safe_temperatures`` by default.
            sees_itself: whether a token of layer 2 may find itself, see ``Head``.
        """
        super().__init__()
        self.length, self.alphabet, self.program = length, alphabet, program
        self.encoding = encoding or Bits()
        scale = temperatures or safe_temperatures(self.encoding, length, alphabet)
        zero = torch.zeros(1, dtype=torch.int64)
        place = self.encoding.position_code(zero, length).shape[-1]
        symbol = self.encoding.symbol_code(zero, alphabet).shape[-1]
        asked = self.encoding.asked(zero, zero, length, alphabet).shape[-1]
        to_query, to_key, _ = self.encoding.lookup(length)
        # Fields of the state before layer 1, before layer 2 and before a composing layer.
        first = _fields(place=place, before=place, symbol=symbol)
        second = _fields(asked=asked, offered=asked, pointer=place + symbol)
        later = _fields(lower=place, at_lower=symbol, upper=place, at_upper=symbol, place=place)
        pair = torch.cat([later[name] for name in ("lower", "at_lower", "upper", "at_upper")])
        heads = [
            Head(
                scale.lookup * to_query @ first["before"],
                to_key @ first["place"],
                first["symbol"],
                precision,
            ),
            Head(
                scale.last * second["asked"],
                second["offered"],
                second["pointer"],
                precision,
                sees_itself=sees_itself,
            ),
        ][: program.layers_before]
        heads += [
            Head(
                scale.lookup * to_query @ later["upper" if step.follows_upper else "lower"],
                to_key @ later["place"],
                pair,
                precision,
            )
            for step in program.steps
        ]
        self.heads = nn.ModuleList(heads)
        self.width = max((head.query.shape[1] for head in heads), default=symbol)
        self._place = place

    def forward(self, strings: torch.Tensor) -> torch.Tensor:
        """Answer at every position.

        Args:
            strings: int64 (batch, n), n <= length, of symbols 0..alphabet-1.

        Returns:
            int64 (batch, n) of symbols; ``alphabet`` where there is no k-th hop.
        """
        pointer = None
        for stage in self._stages(strings):
            pointer = stage.upper if self.program.answers_upper else stage.lower
        return strings if pointer is None else pointer.symbol[:, 1:]

    def trace(self, strings: torch.Tensor) -> list[Stage]:
        """Return what every layer did to strings (batch, n); token 0 is the start token."""
        return list(self._stages(strings))

    def _stages(self, strings: torch.Tensor) -> Iterator[Stage]:
        code, n, s = self.encoding, self.length, self.alphabet
        size, count = strings.shape
        positions = torch.arange(count + 1).expand(size, -1)
        own = Pointer(positions, torch.cat([strings.new_full((size, 1), s), strings], 1))
        lower = upper = own
        place, symbol = code.position_code(positions, n), code.symbol_code(own.symbol, s)
        state = torch.cat([place, code.position_code((positions - 1).clamp(min=0), n), symbol], -1)
        for number, head in enumerate(self.heads, 1):
            layer: Layer = head(state)
            if number == 1:
                previous = code.symbols_of(layer.output, s)
                # What the start token asks for does not matter: it sees itself alone.
                asked = code.asked(own.symbol, positions, n, s)
                state = torch.cat(
                    [asked, code.offered(previous, positions, n, s), place, symbol], 2
                )
            else:
                half = self._place + symbol.shape[-1]
                upper = self._pointer(layer.output[..., -half:])
                if number == 2:
                    lower = upper if self.program.lower_is_find else own
                elif self.program.steps[number - 3].takes_lower:
                    lower = self._pointer(layer.output[..., :half])
                state = torch.cat([self._code(lower), self._code(upper), place], -1)
            yield Stage(layer, lower, upper)

    def _code(self, pointer: Pointer) -> torch.Tensor:
        place = self.encoding.position_code(pointer.position, self.length)
        return torch.cat([place, self.encoding.symbol_code(pointer.symbol, self.alphabet)], -1)

    def _pointer(self, code: torch.Tensor) -> Pointer:
        place, symbol = code[..., : self._place], code[..., self._place :]
        return Pointer(
            self.encoding.positions_of(place, self.length),
            self.encoding.symbols_of(symbol, self.alphabet),
        )


def true_answers(strings: torch.Tensor, hops: int, alphabet: int) -> torch.Tensor:
    """Return hop_k at every position by the task's reference.

    Args:
        strings: int64 (batch, n) of symbols.
        hops: k.
        alphabet: number of symbols, which also stands for "no such position".

    Returns:
        int64 (batch, n).
    """
    reached = hop_positions(strings, strings.new_full((len(strings),), hops), alphabet)
    return torch.cat([strings, strings.new_full((len(strings), 1), alphabet)], 1).gather(1, reached)


def _fields(**sizes: int) -> dict[str, torch.Tensor]:
    """Return, for each field of a state, the matrix that takes it out."""
    rows = torch.eye(sum(sizes.values()), dtype=torch.float64)
    ends = torch.tensor(list(sizes.values())).cumsum(0).tolist()
    return {
        name: rows[end - size : end] for (name, size), end in zip(sizes.items(), ends, strict=True)
    }
