"""The reductions behind the lower bounds, as functions from instances to instances.

Symbols count from 0 and hop_k is that of ``logdepth.tasks.hop``.
"""

from collections.abc import Sequence

import numpy as np
import torch

from logdepth.tasks.hop import hop_positions

Edge = tuple[int, int]


def last_hop(string: Sequence[int], hops: int, alphabet: int) -> int:
    """Return the symbol at find^k of the last position, or ``alphabet`` if there is none."""
    (positions,) = hop_positions(
        torch.tensor([string]), torch.tensor([hops]), alphabet, hops
    ).tolist()
    position: int = positions[-1]
    return [*string, alphabet][position]


def cycles_to_hop(edges: Sequence[Edge], length: int | None = None) -> list[int]:
    """Turn one cycle of k vertices, or two of k/2, into a string (paper: Corollary 4.3).

    An edge {u, v} becomes the nine tokens ``* u + v u + v * _``, and the list of edges is repeated
    k/2 times and followed by vertex 0. From a vertex, two hops walk one edge, towards the end that
    they did not come from, so that k hops walk k/2 edges: back to vertex 0 in a cycle of length
    k/2, to the opposite vertex in one of length k. So hop_k at the end is vertex 0 iff there are
    *two* cycles. (The paper says once "one" and once "two".)

    Args:
        edges: the k edges on vertices 0..k-1, k even and at least 6, in any order and direction.
        length: of the string, filled up with blanks on the left; by default 9 k^2 / 2 + 1.

    Returns:
        Symbols below k + 3: vertices, then ``*``, ``+`` and blank.

    Raises:
        ValueError: the instance is too small, odd, or does not fit.
    """
    k = len(edges)
    if k % 2 or k < 6:
        raise ValueError(f"{k} edges; two cycles of k/2 vertices need an even k of at least 6")
    star, dagger, blank = k, k + 1, k + 2
    once = [token for u, v in edges for token in (star, u, dagger, v, u, dagger, v, star, blank)]
    string = [*once * (k // 2), 0]
    padding = 0 if length is None else length - len(string)
    if padding < 0:
        raise ValueError(f"{len(string)} tokens do not fit into {length}")
    return [blank] * padding + string


def chasing_to_hop(matchings: Sequence[Sequence[int]], half: Sequence[bool]) -> list[int]:
    """Turn pointer chasing into a string (paper: Proposition E.4).

    Player j holds the matching from layer j - 1 to layer j, both of q vertices; the question is in
    which half of the last layer the path from vertex 0 of the first one ends. The block of player k
    comes first and that of player 1 last; a block lists each vertex and, after it, its match.
    Vertices of even layers are the symbols 0..q-1, of odd layers q..2q-1; in the first block the
    match is 2q or 2q + 1 instead, as the half says. Each hop follows one matching, and hop_k at the
    end is 2q or 2q + 1.

    Args:
        matchings: k permutations of q vertices; matchings[j][u] is the match of vertex u of layer
            j.
        half: of each vertex of the last layer, whether it lies in the second half.

    Returns:
        2 k q + 1 symbols below 2q + 2.
    """
    k, q = len(matchings), len(half)
    string = []
    for layer in reversed(range(k)):
        for vertex, match in enumerate(matchings[layer]):
            last = 2 * q + half[match]
            string += [
                vertex + q * (layer % 2),
                last if layer == k - 1 else match + q * ((layer + 1) % 2),
            ]
    return [*string, 0]


def cycles_to_connectivity(edges: Sequence[Edge], copies: int) -> list[Edge]:
    """Turn one or two cycles into a graph that is connected iff it is one (paper: Corollary 3.5).

    Vertex 0 of every further copy of the cycles is joined to vertex 0 of the first copy. Components
    have diameter at most n + 2, however many copies fill the N edges, which is how a bound in the
    diameter D follows from one in n.

    Args:
        edges: of the cycles, on vertices 0..n-1, n of them.
        copies: how many, k.

    Returns:
        Edges on vertices 0..k n - 1.
    """
    n = len(edges)
    graph = [(u + copy * n, v + copy * n) for copy in range(copies) for u, v in edges]
    return graph + [(0, copy * n) for copy in range(1, copies)]


def random_cycles_edges(vertices: int, two: bool, rng: np.random.Generator) -> list[Edge]:
    """Draw one cycle, or two of half the length: shuffled vertices, edges and directions."""
    order = rng.permutation(vertices).tolist()
    half = vertices // 2
    cycles = [order[:half], order[half:]] if two else [order]
    edges = [(cycle[i - 1], cycle[i]) for cycle in cycles for i in range(len(cycle))]
    return [edges[i] if rng.integers(2) else edges[i][::-1] for i in rng.permutation(len(edges))]


def random_chasing(
    players: int, layer: int, rng: np.random.Generator
) -> tuple[list[list[int]], list[bool]]:
    """Draw ``players`` perfect matchings of layers of ``layer`` vertices, and a random half."""
    matchings = [rng.permutation(layer).tolist() for _ in range(players)]
    second = set(rng.permutation(layer)[: layer // 2].tolist())
    return matchings, [vertex in second for vertex in range(layer)]
