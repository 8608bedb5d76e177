"""Connected components of any graph: hook to the least neighbouring label, then shortcut."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from logdepth.theory.mpc.machine import IntWords, Limits, Message, Protocol, Words
from logdepth.theory.mpc.protocols.requests import ask, look_up, reply


class Components(Protocol):
    """Label the vertices of a graph so that two labels agree iff the vertices are connected.

    Edges lie anywhere, a few per machine; vertex x, under a pseudo-random name, has its parent on
    machine x // vertex_share. In an iteration every edge compares the parents of its ends and
    lowers the parent of the larger one to the smaller; then each vertex takes its parent's parent.
    Parents are names of the same component and only fall. Five exchanges an iteration; one
    request-and-reply at the end brings labels into the order of the vertices.

    It belongs to the family of simple algorithms of Liu and Tarjan (2022), who bound relatives of
    it by O(log n) and O(log^2 n) iterations; it is not the O(log D) algorithm of Coy and Czumaj
    that the paper's Corollary 3.3 uses. What is certain is at most D iterations for components of
    diameter D; ``measurements.component_rounds`` finds about log2 D. The limits hold with high
    probability over the names, with s = O(|E|/q + n/q + q).
    """

    def __init__(
        self, vertices: int, edges: int, machines: int, iterations: int, seed: int = 0
    ) -> None:
        self.vertices, self.iterations = vertices, iterations
        self.names = Renaming(vertices, seed)
        self.vertex_share = -(-self.names.prime // machines)
        self.share = max(2, 2 * -(-edges // machines))
        self.output_share = -(-vertices // machines)
        self.outputs = vertices
        words = 6 * (self.share + self.vertex_share + 2 * machines)
        self.limits = Limits(machines, words, (machines * self.vertex_share - 1).bit_length())
        self.rounds = 5 * iterations + 3
        self.messages, self.message_words = machines, words

    def step(
        self, turn: int, machine: int, memory: Words, inbox: Sequence[Message]
    ) -> tuple[IntWords, list[Message]]:
        """Run a fifth of an iteration; memory is the parents, then both ends of each edge."""
        share = self.vertex_share
        start = machine * share
        kept = [int(word) for word in memory]
        if turn == 0:
            kept = [*range(start, start + share), *(self.names(vertex) for vertex in kept)]
        parents, ends = kept[:share], kept[share:]
        iteration, phase = divmod(turn, 5)
        if phase in (1, 4):
            return tuple(kept), reply(machine, parents, share, inbox)
        if phase == 0:
            if turn:
                grand = look_up(self._others(parents, start), share, inbox)
                parents = [grand.get(parent, parent) for parent in parents]
            wanted = ends
            if iteration == self.iterations:
                # Edges are done with; what is wanted now is the machine's part of the output.
                ends, wanted = [], self._mine(machine)
            return tuple(parents + ends), ask(wanted, share)
        if iteration == self.iterations:
            labels = look_up(self._mine(machine), share, inbox)
            return tuple(labels[name] for name in self._mine(machine)), []
        if phase == 2:
            return tuple(kept), self._proposals(ends, look_up(ends, share, inbox))
        for _, words in inbox:
            for name, value in zip(words[::2], words[1::2], strict=True):
                parents[name - start] = min(parents[name - start], int(value))
        return tuple(parents + ends), ask(self._others(parents, start), share)

    def _mine(self, machine: int) -> list[int]:
        first = machine * self.output_share
        last = min(first + self.output_share, self.vertices)
        return [self.names(vertex) for vertex in range(first, last)]

    def _others(self, parents: list[int], start: int) -> list[int]:
        """Parents that are not their own children here, whose parents we know already."""
        return [parent for i, parent in enumerate(parents, start) if parent != i]

    def _proposals(self, ends: list[int], labels: dict[int, int]) -> list[Message]:
        lowest: dict[int, int] = {}
        for u, v in zip(ends[::2], ends[1::2], strict=True):
            low, high = sorted((labels[u], labels[v]))
            if low < high:
                lowest[high] = min(low, lowest.get(high, low))
        grouped: dict[int, list[int]] = {}
        for name, value in lowest.items():
            grouped.setdefault(name // self.vertex_share, []).extend((name, value))
        return [(home, tuple(words)) for home, words in grouped.items()]


class Renaming:
    """A pseudo-random one-to-one map of vertices to names below a prime, kept in O(1) words.

    a (c x + d)^3 + b modulo a prime P with P = 2 mod 3, where cubing is one to one.
    """

    def __init__(self, vertices: int, seed: int) -> None:
        self.prime = max(5, vertices)
        while self.prime % 3 != 2 or any(
            self.prime % factor == 0 for factor in range(2, int(self.prime**0.5) + 1)
        ):
            self.prime += 1
        rng = np.random.default_rng(seed)
        self.a, self.c = (int(x) for x in rng.integers(1, self.prime, 2))
        self.b, self.d = (int(x) for x in rng.integers(0, self.prime, 2))

    def __call__(self, vertex: int) -> int:
        """Return the name of a vertex."""
        return (self.a * pow(self.c * vertex + self.d, 3, self.prime) + self.b) % self.prime


def parents_after(protocol: Components, memories: Sequence[Words]) -> npt.NDArray[np.int64]:
    """Return the parents of all names from the memories after a whole number of iterations."""
    share = protocol.vertex_share
    return np.concatenate([np.asarray(words[:share], dtype=np.int64) for words in memories])
