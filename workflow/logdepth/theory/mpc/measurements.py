"""What the translations cost, measured; each function takes under a minute on one core."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from logdepth.theory.mpc.attention import AttentionProtocol
from logdepth.theory.mpc.codes import (
    Code,
    Ints,
    KautzSingleton,
    RandomTable,
    loss_bound,
    paper_columns,
)
from logdepth.theory.mpc.layers import GivenAttention
from logdepth.theory.mpc.machine import Words, run
from logdepth.theory.mpc.plan import plan
from logdepth.theory.mpc.protocols.components import Components, parents_after
from logdepth.theory.mpc.routing import RoutingHead

Family = Literal["paths", "cycles", "ladders", "stars"]


def routing_width(
    tokens: int = 1024, fans: Sequence[int] = (1, 2, 3, 4, 6, 8), bits: int = 16, groups: int = 20
) -> pd.DataFrame:
    """Compare the width of a routing head for the codes (paper: Lemma 3.2).

    Args:
        tokens: N.
        fans: messages of one word that a token sends and receives, s.
        bits: of a word, p.
        groups: of the random table.

    Returns:
        A row per fan and code: fan, code ("paper", "explicit", "table"), columns d, query_width,
        numbers_width d(3 + 1) + query_width with words as numbers, as the paper has them, and
        bits_width, the same with packets in binary. Constants of the paper's row are those of its
        proof: d = 24 s^4 ln N.
    """
    rows = []
    for fan in fans:
        table = RandomTable(fan, groups)
        head = RoutingHead(tokens, fan, 1, bits, table, temperature=1.0)
        columns = {
            "paper": paper_columns(tokens, fan**2),
            "explicit": KautzSingleton(tokens, fan**2).columns,
            "table": table.columns,
        }
        rows += [
            {
                "tokens": tokens,
                "fan": fan,
                "code": code,
                "columns": count,
                "query_width": head.query_width,
                "numbers_width": 4 * count + head.query_width,
                "bits_width": head.packet * count + head.query_width,
            }
            for code, count in columns.items()
        ]
    return pd.DataFrame(rows)


def simulation_cost(
    tokens: Sequence[int] = (8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096),
    exponents: Sequence[float] = (0.25, 0.5),
    tiles: Sequence[int] = (1, 8),
    executed: int = 64,
    width: int = 4,
    seed: int = 0,
) -> pd.DataFrame:
    """Count rounds and machines of attention as a protocol (paper: Theorem 3.4).

    Branching is max(2, round(M^e)), so that s = 4 B m b; the layer is causal with one head.

    Args:
        tokens: M.
        exponents: e.
        tiles: tokens of a block, B.
        executed: largest M for which the protocol is run, in float64.
        width: m.
        seed: of queries, keys and values.

    Returns:
        A row per M, e and B: words s, branching, depth D, rounds 2D + 3 and machines as the
        formulas have them; where it was run, also the machines that took part, the rounds, and the
        largest difference from softmax attention (NaN where it was not).
    """
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for count in tokens:
        for exponent in exponents:
            for tile in tiles:
                words = 4 * tile * width * max(2, round(count**exponent))
                layer = GivenAttention(
                    1, width, width, torch.ones(count, count, dtype=torch.bool).tril()
                )
                sizes = plan([layer], count, words, tile)
                row = {
                    "tokens": count,
                    "exponent": exponent,
                    "tile": tile,
                    "words": words,
                    "branching": sizes.branching,
                    "depth": sizes.depth,
                    "rounds": 2 * sizes.depth + 3,
                    "machines": sizes.machines,
                    "machines_used": np.nan,
                    "rounds_run": np.nan,
                    "difference": np.nan,
                }
                if count <= executed:
                    given = torch.randn(
                        count, layer.row_width, generator=generator, dtype=torch.float64
                    )
                    protocol = AttentionProtocol([layer], count, words, tile)
                    execution = run(protocol, given.numpy().ravel())
                    found = np.concatenate([np.asarray(part) for part in execution.outputs])
                    row |= {
                        "machines_used": execution.machines,
                        "rounds_run": len(execution.rounds),
                        "difference": float(np.abs(found - layer(given).numpy().ravel()).max()),
                    }
                rows.append(row)
    return pd.DataFrame(rows)


def table_loss(
    tokens: int = 256,
    fans: Sequence[int] = (2, 3, 4),
    groups: Sequence[int] = (1, 2, 3, 4, 6, 8, 10, 12),
    trials: int = 20,
    seed: int = 0,
) -> pd.DataFrame:
    """Count the messages that the random table loses under full load.

    Args:
        tokens: N; each sends ``fan`` messages to different tokens and receives as many.
        fans: s.
        groups: g.
        trials: traffic patterns, each with a table of its own.
        seed: of patterns and tables.

    Returns:
        A row per s and g: columns d, messages, lost, loss = lost / messages, and the bound
        (1 - (1 - 1/w)^(s^2 - 1))^g.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for fan in fans:
        traffic = [full_load(tokens, fan, rng) for _ in range(trials)]
        for count in groups:
            lost = sum(
                int(lost_messages(RandomTable(fan, count, seed=seed + trial), *pattern).sum())
                for trial, pattern in enumerate(traffic)
            )
            messages = trials * tokens * fan
            rows.append(
                {
                    "tokens": tokens,
                    "fan": fan,
                    "groups": count,
                    "columns": count * 2 * fan**2,
                    "messages": messages,
                    "lost": lost,
                    "loss": lost / messages,
                    "bound": loss_bound(fan, count),
                }
            )
    return pd.DataFrame(rows)


def full_load(tokens: int, fan: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Draw sources and destinations: ``fan`` different messages from and to every token."""
    shifts = rng.choice(tokens, fan, replace=False)
    order, names = rng.permutation(tokens), rng.permutation(tokens)
    source = np.tile(names, fan)
    destination = order[(np.arange(tokens)[None, :] + shifts[:, None]) % tokens].ravel()
    return source, destination


def lost_messages(code: Code, source: Ints, destination: Ints) -> npt.NDArray[np.bool_]:
    """Return which messages have no column of their own among all that their receiver averages.

    Args:
        code: columns of the messages.
        source: int64 (messages,).
        destination: int64 (messages,).
    """
    columns = code.where(source, destination)
    lost = np.zeros(len(source), bool)
    for receiver in np.unique(destination):
        heard = np.flatnonzero(np.isin(source, source[destination == receiver]))
        used = np.bincount(columns[heard].ravel(), minlength=code.columns)
        private = (used[columns[heard]] == 1).max(1)
        mine = destination[heard] == receiver
        lost[heard[mine]] = ~private[mine]
    return lost


def component_rounds(
    diameters: Sequence[int] = (2, 4, 8, 16, 32, 64, 128, 256, 512),
    vertices: int = 1024,
    families: Sequence[Family] = ("paths", "cycles", "ladders", "stars"),
    seeds: Sequence[int] = (0, 1, 2),
    machines: int = 16,
) -> pd.DataFrame:
    """Measure the iterations of ``Components`` against the diameter of the components.

    Args:
        diameters: D of every component; stars are measured once, at D = 2.
        vertices: at most as many, in as many equal components as fit.
        families: of graphs.
        seeds: of the vertices' names.
        machines: q.

    Returns:
        A row per family, D and seed: vertices, edges, components, iterations until every parent is
        its component's least name, exchanges (5 an iteration) and log2 of D.
    """
    rows = []
    for family in families:
        for diameter in diameters if family != "stars" else [2]:
            size, shape = _component(family, diameter, vertices)
            copies = max(1, vertices // size)
            edges = [(u + c * size, v + c * size) for c in range(copies) for u, v in shape]
            for seed in seeds:
                iterations = needed_iterations(size * copies, edges, machines, seed)
                rows.append(
                    {
                        "family": family,
                        "diameter": diameter,
                        "log2_diameter": float(np.log2(diameter)),
                        "vertices": size * copies,
                        "edges": len(edges),
                        "components": copies,
                        "seed": seed,
                        "iterations": iterations,
                        "exchanges": 5 * iterations,
                    }
                )
    return pd.DataFrame(rows)


def needed_iterations(
    vertices: int, edges: Sequence[tuple[int, int]], machines: int, seed: int = 0
) -> int:
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


def _component(family: Family, diameter: int, vertices: int) -> tuple[int, list[tuple[int, int]]]:
    """Return the vertices and edges of one component of the given diameter."""
    if family == "stars":
        return vertices, [(0, leaf) for leaf in range(1, vertices)]
    if family == "paths":
        return diameter + 1, [(i, i + 1) for i in range(diameter)]
    if family == "cycles":
        return 2 * diameter, [(i, (i + 1) % (2 * diameter)) for i in range(2 * diameter)]
    rails = [(i, i + 2) for i in range(2 * diameter - 2)]
    return 2 * diameter, rails + [(2 * i, 2 * i + 1) for i in range(diameter)]
