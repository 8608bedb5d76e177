"""Connected components of disjoint cycles by doubling arcs (the problem of Conjecture 2.4)."""

from collections.abc import Sequence

import numpy as np

from logdepth.theory.mpc.machine import IntWords, Limits, Message, Protocol, Words


class CycleMin(Protocol):
    """Label each vertex of a union of disjoint cycles with the least vertex of its cycle.

    One machine per vertex. Its input word is its pair of neighbours, u 2^w + v with w = ceil(log2
    n), so that p = 2w bits. After t exchanges it knows the vertices at distance 2^t on either side
    and the least vertex of both arcs; it tells each end what lies beyond, so that arcs double. All
    vertices of a cycle of length L stop together: when the ends meet or return, that is when L
    divides 2^(t+1). Arcs of length n/2 on both sides cover every cycle, so that ceil(log2 n) - 1
    exchanges suffice.
    """

    def __init__(self, vertices: int) -> None:
        self.width = max(1, (vertices - 1).bit_length())
        self.limits = Limits(vertices, 4, 2 * self.width)
        self.rounds = max(1, (vertices - 1).bit_length())
        self.share = self.output_share = 1
        self.outputs = vertices
        self.messages, self.message_words = 2, 1

    def encode(self, neighbours: Sequence[tuple[int, int]]) -> IntWords:
        """Return the input words of the graph given by both neighbours of each vertex."""
        return tuple(self._pair(u, v) for u, v in neighbours)

    def step(
        self, turn: int, machine: int, memory: Words, inbox: Sequence[Message]
    ) -> tuple[IntWords, list[Message]]:
        """Double both arcs; memory is (left end, its arc's least vertex, right end, the same)."""
        if turn == 0:
            left, right = self._both(int(memory[0]))
            left_least, right_least = left, right
        else:
            left, left_least, right, right_least = (int(word) for word in memory)
            told = {source: self._both(int(words[0])) for source, words in inbox}
            if told:
                (left, beyond_left), (right, beyond_right) = told[left], told[right]
                left_least = min(left_least, beyond_left)
                right_least = min(right_least, beyond_right)
        kept = (left, left_least, right, right_least)
        if turn == self.rounds - 1 or left == right or machine in (left, right):
            return kept, []
        return kept, [
            (left, (self._pair(right, right_least),)),
            (right, (self._pair(left, left_least),)),
        ]

    def answer(self, machine: int, memory: Words) -> IntWords:
        """Return the least vertex of the machine's cycle."""
        return (min(machine, int(memory[1]), int(memory[3])),)

    def _pair(self, first: int, second: int) -> int:
        return first << self.width | second

    def _both(self, word: int) -> tuple[int, int]:
        return word >> self.width, word & ((1 << self.width) - 1)


def random_cycles(
    lengths: Sequence[int], rng: np.random.Generator
) -> tuple[list[tuple[int, int]], list[int]]:
    """Draw disjoint cycles with shuffled vertices.

    Args:
        lengths: of the cycles; their sum is the number of vertices. A cycle of length 1 is a loop.
        rng: random numbers.

    Returns:
        Both neighbours of each vertex in random order, and the least vertex of its cycle.
    """
    order = rng.permutation(sum(lengths)).tolist()
    neighbours = [(0, 0)] * len(order)
    labels = [0] * len(order)
    start = 0
    for length in lengths:
        cycle = order[start : start + length]
        start += length
        for index, vertex in enumerate(cycle):
            pair = cycle[index - 1], cycle[(index + 1) % length]
            neighbours[vertex] = pair if rng.integers(2) else pair[::-1]
            labels[vertex] = min(cycle)
    return neighbours, labels
