"""The hand-written transformers for hop_k, tried for every k (paper: Theorem 4.2)."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pandas as pd
import torch

from logdepth.config.theory import Theory
from logdepth.theory.checks.outcomes import Tally, extent, row, table_of, tally
from logdepth.theory.construction import (
    HopTransformer,
    answer_together,
    true_answers,
)
from logdepth.theory.encodings import ENCODINGS, Bits, Encoding
from logdepth.theory.heads import BFLOAT16, FLOAT32, FLOAT64, Precision
from logdepth.theory.programs import Program, ladder, search, square_and_multiply
from logdepth.theory.strings import hard_strings

FORMATS = (FLOAT64, FLOAT32, BFLOAT16)

# Random strings of each kind, beside the hard ones.
_RANDOM = 8
# The definition is tried on strings up to this long, which a quadratic search can afford.
_SHORT = 33
# Numbers that a token carries, m, where that does not grow.
_CONSTANT_WIDTHS = {"circle": 11, "quadratic": 12}


def table(settings: Theory) -> pd.DataFrame:
    """Compare the hand-written transformers with the task's reference at every position.

    Returns:
        A row per claim and case: theorem, claim, case, size, instances, failures.
    """
    return table_of(
        [
            *_definition(settings),
            *_answers(settings),
            *_others(settings),
            *_depths(settings),
            *_widths(settings),
            *_weights(settings),
        ]
    )


def hop_by_definition(string: Sequence[int], hops: int, nowhere: int) -> list[int]:
    """Return hop_k at every position, searched for as Definition 4.1 has it.

    Positions count from 1 here, and 0 is "no such position", where the answer is ``nowhere``.
    """
    x = [None, *string]

    def find(i: int) -> int:
        return max([j for j in range(2, i + 1) if x[j - 1] == x[i]], default=0) if i else 0

    once = [find(i) for i in range(len(x))]
    answers = []
    for i in range(1, len(x)):
        position = i
        for _ in range(hops):
            position = once[position]
        answers.append(string[position - 1] if position else nowhere)
    return answers


def _definition(settings: Theory) -> Iterator[dict[str, Any]]:
    lengths = [n for n in settings.lengths if n <= _SHORT] or [min(settings.lengths)]
    hops = range(settings.max_hops + 1)
    counted = Tally()
    for n, s in itertools.product(lengths, settings.alphabets):
        strings = _uniform(settings.instances, n, s, settings.seed)
        for k in hops:
            right = [hop_by_definition(string, k, s) for string in strings.tolist()]
            counted.compare(true_answers(strings, k, s), torch.tensor(right))
    size = f"{extent('N', lengths)}, {extent('|Σ|', settings.alphabets)}, {extent('k', hops)}"
    claim = "the task's hop_k is the definition's, found by search"
    yield row("Definition 4.1", claim, "uniform strings", size, counted)
    letters = torch.tensor([[ord(letter) - ord("a") for letter in "baebcabebdea"]])
    last = [chr(ord("a") + int(true_answers(letters, k, 5)[0, -1])) for k in (1, 2)]
    example = tally([last[0] == "b", last[1] == "c"])
    claim = "the last letter's hop_1 is b, its hop_2 is c"
    yield row("Definition 4.1", claim, "the paper's baebcabebdea", "N = 12, k = 1, 2", example)


def _answers(settings: Theory) -> Iterator[dict[str, Any]]:
    hops = range(settings.max_hops + 1)
    choices = list(itertools.product(ENCODINGS, FORMATS))
    counts: dict[tuple[str, str], Tally] = {}
    skipped = set()
    for n, s in _sizes(settings):
        strings = _strings(n, s, settings.seed)
        right = torch.stack([true_answers(strings, k, s) for k in hops])
        for code, form in choices:
            if not is_claimed(code, form, n, s):
                skipped.add((code.name, form.name))
                continue
            models = [HopTransformer(n, s, ladder(k), code, precision=form) for k in hops]
            found = torch.stack(list(answer_together(models, strings)))
            counts.setdefault((code.name, form.name), Tally()).compare(found, right)
    # A format that resolves no size's margin is claimed nowhere.
    for (code_name, form_name), counted in counts.items():
        limited = (code_name, form_name) in skipped
        case = f"{code_name}, {form_name}{', where it resolves the margin' * limited}"
        claim = "a transformer of ceil(log2 k) + 2 layers gives hop_k at every position"
        yield row("Theorem 4.2", claim, case, _extent(settings), counted)


def _others(settings: Theory) -> Iterator[dict[str, Any]]:
    """Try the other programs, in bits."""
    hops = range(1, settings.max_hops + 1)
    programs: dict[str, tuple[Callable[[int], Program], str, Precision]] = {
        f"{name}, bits, {form.name}": (program, layers, form)
        for name, program, layers, forms in (
            ("square and multiply", square_and_multiply, "floor(log2 k) + 3 layers", (FLOAT64,)),
            ("search", search, "floor(log2 k) + 2 layers and width O(N + |Σ|)", FORMATS),
        )
        for form in forms
    }
    counts = {case: Tally() for case in programs}
    for n, s in _sizes(settings):
        strings = _strings(n, s, settings.seed)
        right = [true_answers(strings, k, s) for k in hops]
        for case, (program, _, form) in programs.items():
            models = [HopTransformer(n, s, program(k), Bits(), precision=form) for k in hops]
            counts[case].compare(
                torch.stack(list(answer_together(models, strings))), torch.stack(right)
            )
    for case, (_, layers, _) in programs.items():
        claim = f"a transformer of {layers} gives hop_k at every position"
        yield row("Theorem 4.2", claim, case, _extent(settings, 1), counts[case])


def _depths(settings: Theory) -> Iterator[dict[str, Any]]:
    hops = range(settings.max_hops + 1)
    # The layers after the second double the hops until there are k, or the next would be too many.
    doublings = {
        "ceil": [next(d for d in itertools.count() if 2**d >= k) for k in hops],
        "floor": [next(d for d in itertools.count() if 2 ** (d + 1) > k) for k in hops],
    }
    for name, program, rounded in (("ladder", ladder, "ceil"), ("search", search, "floor")):
        depths = [len(HopTransformer(2, 2, program(k)).heads) for k in hops]
        right = [2 + doublings[rounded][k] if k else 0 for k in hops]
        claim = f"L = {rounded}(log2 k) + 2 with one head a layer, and 0 for k = 0"
        counted = tally(a == b for a, b in zip(depths, right, strict=True))
        yield row("Theorem 4.2", claim, name, extent("k", hops), counted)


def _widths(settings: Theory) -> Iterator[dict[str, Any]]:
    sizes = list(_sizes(settings))
    hops = max(2, settings.max_hops)
    for code in ENCODINGS:
        if code.name in _CONSTANT_WIDTHS:
            constant = _CONSTANT_WIDTHS[code.name]
            claim, right = f"m = {constant} for all N and |Σ|", [constant for _ in sizes]
        else:
            claim = "m is at most 3 ceil(log2(N + 1)) + 3 ceil(log2(|Σ| + 1)) + 6"
            right = [3 * n.bit_length() + 3 * s.bit_length() + 6 for n, s in sizes]
        widths = [HopTransformer(n, s, ladder(hops), code).width for n, s in sizes]
        counted = tally(a <= b for a, b in zip(widths, right, strict=True))
        yield row("Theorem 4.2", claim, code.name, _extent(settings, hops, hops), counted)


def _weights(settings: Theory) -> Iterator[dict[str, Any]]:
    for code in ENCODINGS:
        counted = Tally()
        for n, s in _sizes(settings):
            model = HopTransformer(n, s, ladder(settings.max_hops), code)
            least = 1 - 1 / (8 * (max(n, s) + 1))
            for stage in model.stages(hard_strings(n, s, settings.seed)):
                counted.check(stage.layer.attention.amax(-1) >= least)
        claim = "one token gets all but 1 / (8 (max(N, |Σ|) + 1)) of the attention"
        k = settings.max_hops
        yield row("Lemma A.2", claim, f"{code.name}, float64", _extent(settings, k, k), counted)


def is_claimed(code: Encoding, form: Precision, length: int, alphabet: int) -> bool:
    """Whether an encoding is claimed to be exact: always in float64; in bfloat16, if it is made so.

    In float32, where rounding a score, a sum of terms, moves it by the margin at most.
    """
    if form == FLOAT64 or code.exact_scale:
        return True
    if form == BFLOAT16:
        return False
    place, symbol = torch.tensor([length]), torch.tensor([alphabet - 1])
    to_query, to_key, lookup_margin = code.lookup(length)
    own = code.position_code(place, length)
    asked, offered = (make(symbol, place, length, alphabet) for make in (code.asked, code.offered))
    terms = ((own @ to_query.T) * (own @ to_key.T), asked * offered)
    margins = (lookup_margin, code.last_margin(length, alphabet))
    return all(
        float(term.abs().sum()) * 2.0**-24 <= margin
        for term, margin in zip(terms, margins, strict=True)
    )


def _sizes(settings: Theory) -> Iterator[tuple[int, int]]:
    """Yield every length with every alphabet, and with as many symbols as positions."""
    for n in settings.lengths:
        yield from ((n, s) for s in sorted({*settings.alphabets, n}))


def _extent(settings: Theory, low: int = 0, high: int | None = None) -> str:
    hops = (low, settings.max_hops if high is None else high)
    symbols = extent("|Σ|", settings.alphabets)
    return f"{extent('N', settings.lengths)}, {symbols} and N, {extent('k', hops)}"


def _strings(length: int, alphabet: int, seed: int) -> torch.Tensor:
    """Return hard strings, uniform ones, and ones without equal neighbours."""
    uniform = _uniform(_RANDOM, length, alphabet, seed)
    generator = torch.Generator().manual_seed(seed)
    steps = torch.randint(max(1, alphabet - 1), (_RANDOM, length), generator=generator) + 1
    return torch.cat([hard_strings(length, alphabet, seed), uniform, steps.cumsum(1) % alphabet])


def _uniform(count: int, length: int, alphabet: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(alphabet, (count, length), generator=generator)
