"""What the paper prints and what fails about it, kept as counter-examples.

Each pair below is a construction as printed and the repaired one. Nothing here says that a printed
theorem is false: Lemmas D.1 and D.2 hold with other periods, and Theorem 4.2 with one layer more
unless k is a power of two. Whether floor(log2 k) + 2 layers of constant width are enough between
powers of two is open as far as this project knows.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch

from logdepth.theory.construction import HopTransformer, true_answers
from logdepth.theory.encodings import Circle, Quadratic
from logdepth.theory.programs import Program, Step, binary, ladder

Make = Callable[[int, int, int], HopTransformer]
"""Builds a transformer for a length, an alphabet and k."""


def printed_recursion(hops: int) -> Program:
    """Return the recursion over the bits of k as the proof of Theorem 4.2 prints it, k >= 1.

    Layer l + 1 reads from find^(2^(l-2)), so that taking over its result adds 2^(l-2) hops where
    the proof counts 2^(l-1). The answer is find^(floor(k/2) + k mod 2): wrong for every k >= 2.
    """
    lowest, *others = reversed(binary(hops))
    steps = tuple(Step(True, takes_lower=bit) for bit in others)
    return Program(steps, lower_is_find=lowest, answers_upper=False)


def doubled_pointer(hops: int) -> Program:
    """Return the printed recursion with the doubled pointer as answer: find^(2^floor(log2 k)).

    It has floor(log2 k) + 2 layers, and is right where k is a power of two.
    """
    return Program(printed_recursion(hops).steps)


def printed_hops(hops: int) -> int:
    """Return the number of hops that the printed recursion makes in place of k."""
    return hops // 2 + hops % 2


@dataclass(frozen=True)
class Claim:
    """A printed construction beside its repair.

    Attributes:
        name: of the claim.
        source: where it is printed.
        repair: what is put in its place.
        printed: as printed.
        repaired: with the repair, and nothing else, changed.
    """

    name: str
    source: str
    repair: str
    printed: Make
    repaired: Make


CLAIMS = (
    Claim(
        "recursion over bits",
        "proof of Theorem 4.2",
        "a ladder of pairs of pointers",
        lambda n, s, k: HopTransformer(n, s, printed_recursion(k), Quadratic()),
        lambda n, s, k: HopTransformer(n, s, ladder(k), Quadratic()),
    ),
    Claim(
        "symbols N apart",
        "Lemma D.2",
        "symbols 2N apart",
        lambda n, s, k: HopTransformer(n, s, ladder(k), Circle(spacing=1)),
        lambda n, s, k: HopTransformer(n, s, ladder(k), Circle()),
    ),
    Claim(
        "look-up with period N",
        "Lemma D.1",
        "period N + 1",
        lambda n, s, k: HopTransformer(n, s, ladder(k), Circle(spare_positions=0)),
        lambda n, s, k: HopTransformer(n, s, ladder(k), Circle()),
    ),
    Claim(
        "earlier positions only",
        "Lemma D.2, its proof says otherwise",
        "a position may find itself",
        lambda n, s, k: HopTransformer(n, s, ladder(k), Quadratic(), sees_itself=False),
        lambda n, s, k: HopTransformer(n, s, ladder(k), Quadratic()),
    ),
)


@dataclass(frozen=True)
class Failure:
    """The smallest input that a construction gets wrong.

    Attributes:
        length: N.
        alphabet: number of symbols.
        hops: k.
        string: the first such string in alphabetical order.
        position: of the first wrong answer, from 1 as in the paper.
        answer: what it answers there; ``alphabet`` for "no such position".
        right: what is right.
    """

    length: int
    alphabet: int
    hops: int
    string: tuple[int, ...]
    position: int
    answer: int
    right: int


def smallest_failure(
    make: Make, *, lengths: range = range(1, 8), alphabets: range = range(1, 4), hops: int = 3
) -> Failure | None:
    """Try all strings, by length, then alphabet, then k from 1 to ``hops``; None if all are right.

    Args:
        make: what to try.
        lengths: of the strings; time grows exponentially with the longest.
        alphabets: sizes of the alphabet.
        hops: largest k.
    """
    for length, alphabet in itertools.product(lengths, alphabets):
        strings = torch.tensor(list(itertools.product(range(alphabet), repeat=length)))
        for k in range(1, hops + 1):
            answers = make(length, alphabet, k)(strings)
            right = true_answers(strings, k, alphabet)
            wrong = (answers != right).nonzero()
            if len(wrong):
                row, column = wrong[0].tolist()
                return Failure(
                    length,
                    alphabet,
                    k,
                    tuple(strings[row].tolist()),
                    column + 1,
                    int(answers[row, column]),
                    int(right[row, column]),
                )
    return None


def failure_rate(make: Make, strings: torch.Tensor, alphabet: int, hops: int) -> float:
    """Return the share of positions answered wrongly, on strings (batch, n)."""
    answers = make(strings.shape[1], alphabet, hops)(strings)
    return float((answers != true_answers(strings, hops, alphabet)).double().mean())
