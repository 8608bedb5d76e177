"""The smallest inverse temperature at which each head is exact (paper: Lemma A.2)."""

import itertools
import math
from collections.abc import Callable, Sequence

import pandas as pd
import torch

from logdepth.config.theory import Theory
from logdepth.theory.construction import (
    HopTransformer,
    Pointer,
    Temperatures,
    safe_product,
    safe_temperatures,
    true_pointer,
)
from logdepth.theory.encodings import ENCODINGS, Encoding
from logdepth.theory.programs import hops_by_layer, ladder
from logdepth.theory.strings import hard_strings

HEADS = ("look-up", "last occurrence")

# Steps of a bisection over this many octaves below the safe temperature: 2 % is told apart.
_OCTAVES, _STEPS = 8, 8


def table(settings: Theory) -> pd.DataFrame:
    """Measure both kinds of head for every encoding, length and the two largest alphabets.

    In float64. The outcome is a property of ``hard_strings``; the safe temperature holds for all.

    Returns:
        A row per encoding, length, alphabet and head: margin that the encoding promises and
        observed_margin (at inverse temperature 1), temperature (the smallest without a mistake),
        scaled (its product with the promised margin), bound (on that product) and
        safe_temperature.
    """
    alphabets = sorted(set(settings.alphabets))[-2:]
    return smallest_temperatures(
        settings.measured_lengths, alphabets, hops=settings.max_hops, seed=settings.seed
    )


def smallest_temperatures(
    lengths: Sequence[int],
    alphabets: Sequence[int],
    encodings: Sequence[Encoding] = ENCODINGS,
    *,
    hops: int = 32,
    seed: int = 0,
) -> pd.DataFrame:
    """Find the smallest inverse temperature of each kind of head at which no pointer is wrong.

    By bisection down from the safe temperature, at which the other kind of head stays.

    Args:
        lengths: N.
        alphabets: numbers of symbols S.
        encodings: of positions and symbols.
        hops: k of the transformer whose look-ups are tried.
        seed: of the strings.

    Returns:
        As ``table``.
    """
    rows = []
    for encoding, length, alphabet in itertools.product(encodings, lengths, alphabets):
        strings = hard_strings(length, alphabet, seed)
        promised = encoding.lookup(length)[2], encoding.last_margin(length, alphabet)
        safe = safe_temperatures(encoding, length, alphabet)
        observed = observed_margins(strings, alphabet, encoding)
        exact = _exactness(strings, alphabet, encoding, safe, hops)
        for head, is_exact, margin, seen, scale in zip(
            HEADS, exact, promised, observed, (safe.lookup, safe.last), strict=True
        ):
            temperature = scale * _least_share(is_exact)
            rows.append(
                {
                    "encoding": encoding.name,
                    "length": length,
                    "alphabet": alphabet,
                    "head": head,
                    "margin": margin,
                    "observed_margin": seen,
                    "temperature": temperature,
                    "scaled": temperature * margin,
                    "bound": safe_product(length, alphabet),
                    "safe_temperature": scale,
                }
            )
    return pd.DataFrame(rows)


def observed_margins(
    strings: torch.Tensor, alphabet: int, encoding: Encoding
) -> tuple[float, float]:
    """Return the least margins that occur at inverse temperature 1: of a look-up, of layer 2.

    Args:
        strings: int64 (batch, n).
        alphabet: number of symbols.
        encoding: of positions and symbols.
    """
    length = strings.shape[1]
    scales = safe_temperatures(encoding, length, alphabet)
    model = HopTransformer(length, alphabet, ladder(1), encoding)
    unseen = torch.ones(length + 1, length + 1, dtype=torch.bool).triu(1)
    gaps = []
    for stage, scale in zip(model.stages(strings), (scales.lookup, scales.last), strict=True):
        best, _ = stage.layer.logits.masked_fill(unseen, -torch.inf)[:, 1:].topk(2)
        gaps.append(float((best[..., 0] - best[..., 1]).min()) / scale)
    return gaps[0], gaps[1]


def _exactness(
    strings: torch.Tensor, alphabet: int, encoding: Encoding, safe: Temperatures, hops: int
) -> list[Callable[[float], bool]]:
    """Return, for each head, whether no pointer is wrong at a share of its safe temperature."""
    length = strings.shape[1]
    # One string at a time: their attention matrices stay in the cache.
    cases = [(string, _right(string, alphabet, hops)) for string in strings[:, None]]

    def is_exact(scales: Temperatures, hops: int) -> bool:
        model = HopTransformer(length, alphabet, ladder(hops), encoding, temperatures=scales)
        return all(_is_right(model, string, pairs) for string, pairs in cases)

    return [
        lambda share: is_exact(Temperatures(share * safe.lookup, safe.last), hops),
        # No later layer depends on this temperature.
        lambda share: is_exact(Temperatures(safe.lookup, share * safe.last), 1),
    ]


def _right(string: torch.Tensor, alphabet: int, hops: int) -> list[tuple[Pointer, Pointer]]:
    """Return the pair of pointers that each layer from the second on is to find."""
    return [
        (true_pointer(string, k - 1, alphabet), true_pointer(string, k, alphabet))
        for k in hops_by_layer(hops)
    ]


def _is_right(
    model: HopTransformer, string: torch.Tensor, pairs: list[tuple[Pointer, Pointer]]
) -> bool:
    # Layer 1 gives no pointer; what it gets wrong shows in layer 2.
    stages = itertools.islice(model.stages(string), 1, None)
    return all(
        _are_equal(stage.lower, lower) and _are_equal(stage.upper, upper)
        for stage, (lower, upper) in zip(stages, pairs, strict=False)
    )


def _are_equal(found: Pointer, right: Pointer) -> bool:
    return torch.equal(found.position, right.position) and torch.equal(found.symbol, right.symbol)


def _least_share(is_enough: Callable[[float], bool]) -> float:
    """Return the least share 2^-x, 0 <= x <= ``_OCTAVES``, that is enough; 1 is."""
    enough, too_little = 0.0, float(_OCTAVES)
    for _ in range(_STEPS):
        middle = (enough + too_little) / 2
        if is_enough(math.exp2(-middle)):
            enough = middle
        else:
            too_little = middle
    return math.exp2(-enough)
