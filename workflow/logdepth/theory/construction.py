"""The transformer for hop_k written down by hand (paper: Theorem 4.2, with a repaired recursion).

One causal head a layer and a token-wise map after it. Layer 1 fetches the symbol before each
position, layer 2 finds find^1, and every further layer composes pointers by one look-up. Queries,
keys and values are linear in the token's state; the token-wise map rounds what the head returns to
the nearest code. (As printed, a transformer has no such map; constant width needs one.)

A layer may also search by content: the latest position j up to the pointer p whose symbol before is
the symbol at p, which is one hop beyond p. Its score has a margin of 1 at every length, and a
dimension for each position and symbol:

    j             where j <= p and the symbols differ
    j + B         where j <= p and they are the same; B is a power of two beyond N
    B             for the start token, which is retrieved where there is no such j
    B - 1 or -1   where j > p, the symbols being the same or not
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import one_hot

from logdepth.recipes.compiled import bits_for
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
    """Return ``safe_product`` over the margins: always enough in exact arithmetic."""
    wanted = safe_product(length, alphabet)
    margins = encoding.lookup(length)[2], encoding.last_margin(length, alphabet)
    scales = [wanted / margin for margin in margins]
    if encoding.exact_scale:
        scales = [2.0 ** math.ceil(math.log2(scale)) for scale in scales]
    return Temperatures(*scales)


def safe_product(length: int, alphabet: int) -> float:
    """Return ln(8 (N+1) (max(N, S) + 1)), enough for temperature times margin.

    All wrong tokens together weigh N exp(-temperature * margin) at most, and values, positions and
    symbols, differ by max(N, S) at most: each is off by less than 1/8 (paper: Lemma A.2).
    """
    return math.log(8 * (length + 1) * (max(length, alphabet) + 1))


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


@dataclass(frozen=True)
class Tokens:
    """What the tokens of a batch hold between two layers.

    Attributes:
        own: each token's position and symbol.
        before: symbol before each token, int64 (batch, n + 1); its own symbol until layer 1.
        lower, upper: the pair of pointers; ``own`` until layer 2.
        state: float64 (batch, n + 1, m), what the next head reads.
    """

    own: Pointer
    before: torch.Tensor
    lower: Pointer
    upper: Pointer
    state: torch.Tensor


class HopTransformer(nn.Module):
    """hop_k for one k, on strings of up to ``length`` symbols.

    Attributes:
        width: of the widest state, m: constant for the circle and the quadratic encoding,
            O(log N + log S) for bits, and about 2 (N + S) more for a program that searches.
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
        sizes = {"lower": place, "at_lower": symbol, "upper": place, "at_upper": symbol}
        sizes["place"] = place
        if program.searches:
            sizes |= dict.fromkeys(("here", "there"), length + 1)
            sizes |= dict.fromkeys(("before", "at"), alphabet + 1)
        later = _fields(**sizes)
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
        for step in program.steps:
            if step.searches:
                query, key = _search(later, length, alphabet)
            else:
                query = scale.lookup * to_query @ later["upper" if step.follows_upper else "lower"]
                key = to_key @ later["place"]
            heads.append(Head(query, key, pair, precision))
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
        tokens = self.begin(strings)
        for number in range(1, self.program.depth + 1):
            _, tokens = self.apply_layer(number, tokens)
        return self.answer(tokens)

    def trace(self, strings: torch.Tensor) -> list[Stage]:
        """Return what every layer did to strings (batch, n); token 0 is the start token."""
        return list(self.stages(strings))

    def stages(self, strings: torch.Tensor) -> Iterator[Stage]:
        """Yield what ``trace`` returns, so that one may stop after any layer."""
        tokens = self.begin(strings)
        for number in range(1, self.program.depth + 1):
            layer, tokens = self.apply_layer(number, tokens)
            yield Stage(layer, tokens.lower, tokens.upper)

    def begin(self, strings: torch.Tensor) -> Tokens:
        """Return what the tokens of strings (batch, n) hold before layer 1."""
        size, count = strings.shape
        positions = torch.arange(count + 1).expand(size, -1)
        nowhere = strings.new_full((size, 1), self.alphabet)
        own = Pointer(positions, torch.cat([nowhere, strings], 1))
        before = self.encoding.position_code((positions - 1).clamp(min=0), self.length)
        code = self._code(own)
        state = torch.cat([code[..., : self._place], before, code[..., self._place :]], -1)
        return Tokens(own, own.symbol, own, own, state)

    def apply_layer(self, number: int, tokens: Tokens) -> tuple[Layer, Tokens]:
        """Apply layer ``number``, from 1: its head and the token-wise map after it."""
        code, n, s = self.encoding, self.length, self.alphabet
        own, lower, upper = tokens.own, tokens.lower, tokens.upper
        layer: Layer = self.heads[number - 1](tokens.state)
        if number == 1:
            previous = code.symbols_of(layer.output, s)
            # What the start token asks for does not matter: it sees itself alone.
            asked = code.asked(own.symbol, own.position, n, s)
            offered = code.offered(previous, own.position, n, s)
            state = torch.cat([asked, offered, self._code(own)], -1)
            return layer, Tokens(own, previous, lower, upper, state)
        half = layer.output.shape[-1] if number == 2 else layer.output.shape[-1] // 2
        upper = self._pointer(layer.output[..., -half:])
        if number == 2:
            lower = upper if self.program.lower_is_find else own
        elif self.program.steps[number - 3].takes_lower:
            lower = self._pointer(layer.output[..., :half])
        parts = [self._code(lower), self._code(upper), code.position_code(own.position, n)]
        if self.program.searches:
            parts += [one_hot(p.position, n + 1).double() for p in (own, upper)]
            parts += [one_hot(symbols, s + 1).double() for symbols in (tokens.before, upper.symbol)]
            # The start token offers no symbol.
            parts[-2][:, 0] = 0
        return layer, Tokens(own, tokens.before, lower, upper, torch.cat(parts, -1))

    def answer(self, tokens: Tokens) -> torch.Tensor:
        """Return the answers that the tokens hold after the last layer, int64 (batch, n)."""
        pointer = tokens.upper if self.program.answers_upper else tokens.lower
        return pointer.symbol[:, 1:]

    def _code(self, pointer: Pointer) -> torch.Tensor:
        place = self.encoding.position_code(pointer.position, self.length)
        return torch.cat([place, self.encoding.symbol_code(pointer.symbol, self.alphabet)], -1)

    def _pointer(self, code: torch.Tensor) -> Pointer:
        place, symbol = code[..., : self._place], code[..., self._place :]
        return Pointer(
            self.encoding.positions_of(place, self.length),
            self.encoding.symbols_of(symbol, self.alphabet),
        )


def answer_together(
    models: Sequence[HopTransformer], strings: torch.Tensor
) -> Iterator[torch.Tensor]:
    """Yield the answers of models that differ in their programs alone.

    What programs begin with runs once: K + 1 layers for the ladders of k = 0..K, not K log K.

    Args:
        models: of one length, alphabet, encoding, precision and temperature.
        strings: int64 (batch, n) of symbols.
    """
    start = models[0].begin(strings)
    begun: dict[tuple[object, ...], Tokens] = {}
    for model in models:
        program, tokens = model.program, start
        for number in range(1, program.depth + 1):
            steps = program.steps[: max(0, number - 2)]
            prefix = (number, program.lower_is_find, program.searches, steps)
            if prefix not in begun:
                _, begun[prefix] = model.apply_layer(number, tokens)
            tokens = begun[prefix]
        yield model.answer(tokens)


def true_answers(strings: torch.Tensor, hops: int, alphabet: int) -> torch.Tensor:
    """Return hop_k at every position by the task's reference.

    Args:
        strings: int64 (batch, n) of symbols.
        hops: k.
        alphabet: number of symbols, which also stands for "no such position".

    Returns:
        int64 (batch, n).
    """
    return true_pointer(strings, hops, alphabet).symbol[:, 1:]


def true_pointer(strings: torch.Tensor, hops: int, alphabet: int) -> Pointer:
    """Return find^k of every token by the task's reference, with the symbol there.

    Args:
        strings: int64 (batch, n) of symbols.
        hops: k.
        alphabet: number of symbols, which also stands for "no such position".
    """
    n = strings.shape[1]
    reached = hop_positions(strings, strings.new_full((len(strings),), hops), alphabet, hops)
    # The task counts from 0, with n for "no such position"; the paper from 1, with 0.
    position = torch.where(reached == n, 0, reached + 1)
    position = torch.cat([position.new_zeros((len(strings), 1)), position], 1)
    symbols = torch.cat([strings.new_full((len(strings), 1), alphabet), strings], 1)
    return Pointer(position, symbols.gather(1, position))


def _search(
    later: dict[str, torch.Tensor], length: int, alphabet: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return query and key of a head that searches; the module says how it scores."""
    above = 2.0 ** bits_for(length + 1)
    places = torch.arange(length + 1.0, dtype=torch.float64)
    # A row for each place looked at, a column for each place pointed to.
    scores = torch.where(places[:, None] <= places, places[:, None], -1.0)
    scores[0] = above
    # A power of two keeps whole numbers exact in short formats.
    scale = 2.0 ** math.ceil(math.log2(safe_product(length, alphabet)))
    query = torch.cat([scores @ later["there"], above * later["at"]])
    return scale * query, torch.cat([later["here"], later["before"]])


def _fields(**sizes: int) -> dict[str, torch.Tensor]:
    """Return, for each field of a state, the matrix that takes it out."""
    rows = torch.eye(sum(sizes.values()), dtype=torch.float64)
    ends = torch.tensor(list(sizes.values())).cumsum(0).tolist()
    return {
        name: rows[end - size : end] for (name, size), end in zip(sizes.items(), ends, strict=True)
    }
