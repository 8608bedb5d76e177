"""One run of a protocol: do these edges form one cycle or two? (paper: Figure 1)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from logdepth.config.theory import Theory
from logdepth.theory.mpc.machine import Words, run
from logdepth.theory.mpc.protocols.cycles import CycleMin, random_cycles

# An arc of 9 vertices, the most that the third round knows, does not cover the first one.
LENGTHS = (11, 5)


def table(settings: Theory) -> pd.DataFrame:
    """Run the protocol of Conjecture 2.4's problem on two cycles, one vertex a machine.

    Returns:
        Rows of five kinds, each with the columns it needs.

        - "limits": words (s) and bits (p).
        - "machine": machine, and where its vertex lies, which the machine does not know: cycle from
          1 and place, the steps from the least vertex of the cycle.
        - "memory": round from 1, machine, words kept after the local computation, and least, the
          least vertex it knows of on its cycle.
        - "message": round of the local computation that sends it, machine, peer (the destination),
          words, and what it says: vertex, where the arc that it tells of ends, and least, the least
          vertex of that arc.
        - "answer": machine and least, its output word.
    """
    neighbours, _ = random_cycles(LENGTHS, np.random.default_rng(settings.seed))
    protocol = CycleMin(len(neighbours))
    rows: list[dict[str, Any]] = [
        {"kind": "limits", "words": protocol.limits.words, "bits": protocol.limits.bits},
        *_places(neighbours),
    ]

    def keep(turn: int, memories: list[Words]) -> None:
        for machine, memory in enumerate(memories):
            (least,) = protocol.answer(machine, memory)
            about = {"kind": "memory", "round": turn + 1, "machine": machine}
            rows.append(about | {"words": len(memory), "least": least})

    execution = run(protocol, protocol.encode(neighbours), keep_inboxes=True, watch=keep)
    for turn, inboxes in enumerate(execution.inboxes):
        for machine, inbox in enumerate(inboxes):
            for source, words in inbox:
                vertex, least = divmod(int(words[0]), 1 << protocol.width)
                about = {"kind": "message", "round": turn + 1, "machine": source, "peer": machine}
                rows.append(about | {"words": len(words), "vertex": vertex, "least": least})
    for machine, least in enumerate(execution.answer):
        rows.append({"kind": "answer", "machine": machine, "least": least})
    return pd.DataFrame(rows)


def _places(neighbours: Sequence[tuple[int, int]]) -> list[dict[str, Any]]:
    """Walk along each cycle from its least vertex."""
    rows: list[dict[str, Any]] = []
    left = set(range(len(neighbours)))
    cycle = 0
    while left:
        cycle += 1
        vertex: int | None = min(left)
        place = 0
        while vertex is not None:
            rows.append({"kind": "machine", "machine": vertex, "cycle": cycle, "place": place})
            left.remove(vertex)
            place += 1
            vertex = next((other for other in neighbours[vertex] if other in left), None)
    return rows
