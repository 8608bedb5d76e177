"""Random instances of the protocols, each with the answer of an independent oracle."""

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from logdepth.tasks.hop import hop_positions
from logdepth.theory.mpc.machine import IntWords, Protocol
from logdepth.theory.mpc.protocols.components import Components
from logdepth.theory.mpc.protocols.cycles import CycleMin, random_cycles
from logdepth.theory.mpc.protocols.hops import HopK
from logdepth.theory.mpc.protocols.pointers import PointerDoubling
from logdepth.theory.mpc.protocols.sorting import SampleSort
from logdepth.theory.mpc.protocols.sums import PrefixSums

Case = tuple[Protocol, IntWords, list[int]]
"""A protocol, its input words and the right output words."""


def cycles_case(n: int, rng: np.random.Generator) -> Case:
    """Draw one cycle of n vertices, or two of half the length."""
    lengths = [n] if rng.integers(2) else [n // 2, n - n // 2]
    neighbours, labels = random_cycles(lengths, rng)
    protocol = CycleMin(n)
    return protocol, protocol.encode(neighbours), labels


def pointers_case(n: int, doublings: int, rng: np.random.Generator) -> Case:
    """Draw a permutation of n vertices, to be raised to the power 2^doublings."""
    pointers = rng.permutation(n)
    power = np.arange(n)
    for _ in range(2**doublings):
        power = pointers[power]
    return PointerDoubling(n, doublings), _words(pointers), power.tolist()


def sums_case(n: int, fan_in: int, rng: np.random.Generator) -> Case:
    """Draw n words to be summed over a tree."""
    values = rng.integers(0, 2**16, n)
    before = (np.cumsum(values) - values) % 2**16
    return PrefixSums(n, fan_in), _words(values), before.tolist()


def sort_case(n: int, machines: int, rng: np.random.Generator) -> Case:
    """Draw n keys below 64."""
    keys = rng.integers(0, 64, n)
    return SampleSort(n, machines, 6), _words(keys), np.sort(keys).tolist()


def hops_case(n: int, machines: int, hops: int, rng: np.random.Generator) -> Case:
    """Draw a string of n symbols, four of them different."""
    string = rng.integers(0, 4, n)
    (positions,) = hop_positions(torch.tensor(string)[None], torch.tensor([hops]), 4, hops).tolist()
    symbols = [*string.tolist(), 4]
    return HopK(n, 4, hops, machines), _words(string), [symbols[p] for p in positions]


def components_case(n: int, machines: int, rng: np.random.Generator) -> Case:
    """Draw a graph of n vertices and n/2 to 3n/2 edges."""
    edges = rng.integers(0, n, (n // 2 + int(rng.integers(n)), 2))
    labels = component_labels(n, edges)
    protocol = Components(n, len(edges), machines, 2 * n.bit_length(), int(rng.integers(1000)))
    # A label is the least name in the component.
    names = np.array([protocol.names(vertex) for vertex in range(n)])
    least = np.full(labels.max() + 1, protocol.names.prime)
    np.minimum.at(least, labels, names)
    return protocol, _words(edges.ravel()), least[labels].tolist()


def component_labels(n: int, edges: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """Return a number for the component of each vertex.

    Args:
        n: number of vertices.
        edges: int64 (edges, 2).
    """
    matrix = coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), (n, n))
    labels: npt.NDArray[np.int32] = connected_components(matrix)[1]
    return labels


def _words(values: npt.NDArray[np.int64]) -> IntWords:
    return tuple(int(value) for value in values)
