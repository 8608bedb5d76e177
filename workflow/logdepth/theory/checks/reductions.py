"""The reductions behind the lower bounds (paper: Corollaries 3.5 and 4.3, Proposition E.4)."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import shortest_path

from logdepth.config.theory import Theory
from logdepth.tasks.hop import Hop
from logdepth.theory.checks.outcomes import Tally, row, table_of, tally
from logdepth.theory.construction import HopTransformer
from logdepth.theory.encodings import Bits
from logdepth.theory.hop_to_weights import compile_softmax
from logdepth.theory.mpc.machine import run
from logdepth.theory.mpc.protocols.components import Components
from logdepth.theory.programs import ladder
from logdepth.theory.reductions import (
    Edge,
    chasing_to_hop,
    cycles_to_connectivity,
    cycles_to_hop,
    last_hop,
    random_chasing,
    random_cycles_edges,
)

# k of hop_k, players and vertices of a layer, vertices and copies.
CYCLES = (6, 8, 12, 16, 20)
CHASES = ((1, 2), (2, 3), (4, 8), (7, 8), (12, 4))
COPIES = ((6, 1), (8, 4), (12, 10))
# Strings of 9 k^2 / 2 + 1 symbols for the transformers.
BUILT_CYCLES = (6, 8, 12, 16)
COMPILED_CYCLES = (6, 8, 12)

LastHops = Callable[[Sequence[Sequence[int]], int, int], list[int]]
"""Gives hop_k at the last positions of strings of one length: strings, k, alphabet."""


def table(settings: Theory) -> pd.DataFrame:
    """Run the reductions on random instances, half of each answer, with several solvers.

    Returns:
        A row per reduction, solver and size: theorem, claim, case, size, instances, failures.
    """
    rng = np.random.default_rng(settings.seed)
    rows = []
    for sizes, case, solve in (
        (CYCLES, "by the reference", last_hops),
        (BUILT_CYCLES, "by the hand-written transformer", built_last_hops),
        (COMPILED_CYCLES, "by the compiled weights", compiled_last_hops),
    ):
        rows += [_cycles(k, case, solve, settings.instances, rng) for k in sizes]
    for case, solve in (
        ("by the reference", last_hops),
        ("by the hand-written transformer", built_last_hops),
    ):
        rows += [_chases(*size, case, solve, settings.instances, rng) for size in CHASES]
    rows += [line for size in COPIES for line in _copies(*size, settings.instances, rng)]
    return table_of(rows)


def last_hops(strings: Sequence[Sequence[int]], hops: int, alphabet: int) -> list[int]:
    """Answer by the task's reference."""
    return [last_hop(string, hops, alphabet) for string in strings]


def built_last_hops(strings: Sequence[Sequence[int]], hops: int, alphabet: int) -> list[int]:
    """Answer by the transformer of Theorem 4.2, written down by hand."""
    model = HopTransformer(len(strings[0]), alphabet, ladder(hops), Bits())
    return [int(model(part)[0, -1]) for part in _one_by_one(strings)]


@torch.no_grad()
def compiled_last_hops(strings: Sequence[Sequence[int]], hops: int, alphabet: int) -> list[int]:
    """Answer by the project's own transformer with compiled weights."""
    task = Hop(context=len(strings[0]) + 1, alphabet=alphabet, max_k=hops)
    model = compile_softmax(task).network()
    asked = torch.tensor([hops])
    return [
        int(model(task.encode(part, asked).tokens)[0, -1].argmax()) for part in _one_by_one(strings)
    ]


def _one_by_one(strings: Sequence[Sequence[int]]) -> Iterator[torch.Tensor]:
    """Yield batches of one: attention takes memory with the square of the length."""
    return (torch.tensor([string]) for string in strings)


def _cycles(
    k: int, case: str, solve: LastHops, instances: int, rng: np.random.Generator
) -> dict[str, Any]:
    twos = [bool(index % 2) for index in range(instances)]
    strings = [cycles_to_hop(random_cycles_edges(k, two, rng)) for two in twos]
    found = solve(strings, k, k + 3)
    counted = tally((answer == 0) == two for answer, two in zip(found, twos, strict=True))
    claim = "hop_k is the first vertex if and only if there are two cycles"
    return row("Corollary 4.3", claim, case, f"k = {k}, N = {len(strings[0])}", counted)


def _chases(
    players: int,
    layer: int,
    case: str,
    solve: LastHops,
    instances: int,
    rng: np.random.Generator,
) -> dict[str, Any]:
    drawn = [random_chasing(players, layer, rng) for _ in range(instances)]
    found = solve([chasing_to_hop(*chase) for chase in drawn], players, 2 * layer + 2)
    right = []
    for matchings, half in drawn:
        vertex = 0
        for matching in matchings:
            vertex = matching[vertex]
        right.append(2 * layer + half[vertex])
    counted = tally(a == b for a, b in zip(found, right, strict=True))
    size = f"k = {players}, q = {layer}, N = {2 * players * layer + 1}"
    claim = "hop_k is the half that the pointers lead to"
    return row("Proposition E.4", claim, case, size, counted)


def _copies(
    n: int, copies: int, instances: int, rng: np.random.Generator
) -> Iterator[dict[str, Any]]:
    by_search, by_machines, short = Tally(), Tally(), Tally()
    for index in range(instances):
        two = bool(index % 2)
        graph = cycles_to_connectivity(random_cycles_edges(n, two, rng), copies)
        steps = _distances(n * copies, graph)
        by_search.add([bool(np.isfinite(steps).all()) is not two])
        short.add([bool(steps[np.isfinite(steps)].max() <= n + 2)])
        by_machines.add([(len(set(_labels(n * copies, graph))) == 1) is not two])
    size = f"n = {n}, {copies} copies"
    claim = "the copies are connected if and only if there is one cycle"
    yield row("Corollary 3.5", claim, "by shortest paths", size, by_search)
    yield row("Corollary 3.5", claim, "by the protocol for components", size, by_machines)
    claim = "components have a diameter of n + 2 at most"
    yield row("Corollary 3.5", claim, "by shortest paths", size, short)


def _distances(vertices: int, graph: Sequence[Edge]) -> npt.NDArray[np.float64]:
    """Return the number of edges between every two vertices, infinite between components."""
    ends = np.array(graph)
    matrix = coo_matrix((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), (vertices, vertices))
    steps: npt.NDArray[np.float64] = shortest_path(matrix, directed=False, unweighted=True)
    return steps


def _labels(vertices: int, graph: Sequence[Edge]) -> list[int]:
    protocol = Components(vertices, len(graph), 4, 2 * vertices.bit_length())
    return run(protocol, tuple(vertex for edge in graph for vertex in edge)).answer
