"""Iterations of connected components against the diameter (in place of Corollary 3.3)."""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise

import numpy as np
import pandas as pd

from logdepth.config.theory import Theory
from logdepth.theory.mpc.codes import Ints
from logdepth.theory.mpc.machine import Words, run
from logdepth.theory.mpc.protocols.components import Components, parents_after

Edges = list[tuple[int, int]]

MACHINES = 16
# Namings of the vertices: which one is least decides who is hooked to whom.
NAMINGS = 3


def table(settings: Theory) -> pd.DataFrame:
    """Measure the iterations until every parent is its component's least name.

    A graph has twice as many vertices as the largest diameter, in as many equal components as fit;
    stars have diameter 2 whatever their size.

    Returns:
        A row per family, diameter D and naming: family, diameter, log2_diameter, vertices, edges,
        components, seed (of the names), iterations, bound (D, which is certain) and exchanges (five
        an iteration).
    """
    rows = []
    for family, diameter, vertices, edges, components in graphs(settings.diameters):
        for seed in range(settings.seed, settings.seed + NAMINGS):
            iterations = needed_iterations(vertices, edges, MACHINES, seed)
            rows.append(
                {
                    "family": family,
                    "diameter": diameter,
                    "log2_diameter": math.log2(diameter),
                    "vertices": vertices,
                    "edges": len(edges),
                    "components": components,
                    "seed": seed,
                    "iterations": iterations,
                    "bound": diameter,
                    "exchanges": 5 * iterations,
                }
            )
    return pd.DataFrame(rows)


def needed_iterations(vertices: int, edges: Edges, machines: int, seed: int = 0) -> int:
    """Return the iterations after which ``Components`` changes nothing any more.

    In an iteration without a change all edges agree and all parents are their own, so that every
    parent is the least name of its component.
    """
    inputs = tuple(vertex for edge in edges for vertex in edge)
    iterations = 2 * max(2, vertices).bit_length()
    while True:
        protocol = Components(vertices, len(edges), machines, iterations, seed)
        seen: list[Ints] = []
        run(protocol, inputs, watch=partial(_record_parents, protocol, seen))
        changed = [not np.array_equal(a, b) for a, b in pairwise(seen)]
        if False in changed:
            return changed.index(False)
        iterations *= 2


def _record_parents(
    protocol: Components, seen: list[Ints], turn: int, memories: list[Words]
) -> None:
    if turn % 5 == 0 and turn // 5 <= protocol.iterations:
        seen.append(parents_after(protocol, memories))


def graphs(diameters: Sequence[int]) -> Iterator[tuple[str, int, int, Edges, int]]:
    """Yield family, diameter, vertices, edges and number of components of each graph."""
    vertices = 2 * max(diameters)
    for family in ("paths", "cycles", "ladders"):
        for diameter in diameters:
            size, shape = _component(family, diameter)
            copies = vertices // size
            edges = [(u + c * size, v + c * size) for c in range(copies) for u, v in shape]
            yield family, diameter, size * copies, edges, copies
    star = [(0, leaf) for leaf in range(1, vertices)]
    yield "stars", 2, vertices, star, 1


def _component(family: str, diameter: int) -> tuple[int, Edges]:
    """Return the vertices and edges of one component of the given diameter."""
    if family == "paths":
        return diameter + 1, [(i, i + 1) for i in range(diameter)]
    if family == "cycles":
        return 2 * diameter, [(i, (i + 1) % (2 * diameter)) for i in range(2 * diameter)]
    rails = [(i, i + 2) for i in range(2 * diameter - 2)]
    return 2 * diameter, rails + [(2 * i, 2 * i + 1) for i in range(diameter)]
