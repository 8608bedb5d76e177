"""How a transformer for hop_k composes pointers, a layer at a time (paper: Theorem 4.2)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One composing layer: fetch the pair of pointers from a position that the token knows.

    Attributes:
        follows_upper: look up the position in the upper pointer, else that in the lower one.
        takes_lower: take over the lower pointer found there, else keep one's own.
        searches: look one hop beyond the upper pointer instead: at the latest position up to it
            whose symbol before is the symbol at the pointer. Such a head is wide, see
            ``logdepth.theory.construction``.
    """

    follows_upper: bool = True
    takes_lower: bool = True
    searches: bool = False


@dataclass(frozen=True)
class Program:
    """What the layers after the second do with the pair (lower, upper) = (i, find^1(i)).

    Attributes:
        steps: one a layer.
        lower_is_find: start from (find^1(i), find^1(i)) instead.
        answers_upper: the answer is the symbol at the upper pointer, else at the lower one.
        layers_before: layers that provide the pair; 0 for the identity.
    """

    steps: tuple[Step, ...]
    lower_is_find: bool = False
    answers_upper: bool = True
    layers_before: int = 2

    @property
    def depth(self) -> int:
        """Number of layers."""
        return self.layers_before + len(self.steps)

    @property
    def searches(self) -> bool:
        """Whether any layer searches."""
        return any(step.searches for step in self.steps)


def ladder(hops: int) -> Program:
    """Return the program of hop_k with ceil(log2 k) + 2 layers, 2 for k = 1 and none for k = 0.

    The pair is (find^c, find^(c+1)), from c = 0. Looking up find^b, b in {c, c + 1}, makes it
    (find^(c+b), find^(c+b+1)): c doubles, plus one if b = c + 1. The bits of k - 1, most
    significant first, end at c = k - 1. The printed recursion is one layer shorter between powers
    of two, but does not compute hop_k (see ``logdepth.theory.printed``).
    """
    if hops == 0:
        return Program((), answers_upper=False, layers_before=0)
    return Program(tuple(Step(bit) for bit in binary(hops - 1)))


def hops_by_layer(hops: int) -> list[int]:
    """Return the number of hops of the upper pointer of ``ladder`` from layer 2 on, c + 1.

    1, 2, 4, ..., k where k is a power of two: one transformer then answers for all of them.
    """
    steps = max(hops - 1, 0).bit_length()
    return [((hops - 1) >> (steps - step)) + 1 for step in range(steps + 1)]


def square_and_multiply(hops: int) -> Program:
    """Return the program that takes the bits of k from the least significant, k >= 1.

    The upper pointer doubles in every layer; the lower one is moved on by it where the bit is 1. It
    needs floor(log2 k) + 3 layers, one more than the paper's recursion of the same kind.
    """
    return Program(
        tuple(Step(True, takes_lower=bit) for bit in reversed(binary(hops))), answers_upper=False
    )


def search(hops: int) -> Program:
    """Return the program of hop_k with floor(log2 k) + 2 layers, as many as Theorem 4.2 states.

    One pointer find^c, from c = 1, and the bits of k after the leading one, most significant first:
    a look-up at the pointer makes c hops 2c, a search one hop beyond it 2c + 1. The price is the
    width of the search, about N + S, where the ladder has O(log N) and a layer more between powers
    of two.
    """
    if hops == 0:
        return ladder(0)
    return Program(tuple(Step(searches=bit) for bit in binary(hops)[1:]))


def hops_of_search(hops: int) -> list[int]:
    """Return how far each head of ``search`` looks, find^j, from layer 2 on; k >= 1.

    For k = 2^n - 1 these are 1, 2, 4, ...: one hop beyond a pointer of 1, 3, 7, ... hops.
    """
    bits = binary(hops)[1:]
    return [1, *((hops >> len(bits) - i) + bit for i, bit in enumerate(bits))]


def binary(number: int) -> tuple[bool, ...]:
    """Return the bits of a number from the most significant; none for 0."""
    return tuple(digit == "1" for digit in f"{number:b}") if number else ()
