"""A round of a protocol as a layer of a transformer (paper: Figure 4)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from logdepth.config.theory import Theory
from logdepth.theory.executions.packets import Row, packets_heard, packets_written, scores
from logdepth.theory.mpc.layers import apply, attend
from logdepth.theory.mpc.machine import Message, run
from logdepth.theory.mpc.mpc_to_transformer import Compiled
from logdepth.theory.mpc.protocol_layers import unpack_row
from logdepth.theory.mpc.protocols.cycles import CycleMin, random_cycles
from logdepth.theory.mpc.routing import RoutingHead

# After one exchange a cycle of four knows all of itself, so that its machines send no more.
LENGTHS = (5, 4)
ROUND = 2


def table(settings: Theory) -> pd.DataFrame:
    """Run the compiled protocol for one or two cycles, and look into the layer of its second round.

    Returns:
        Rows of six kinds, each with the columns it needs. Token i is machine i, from 0.

        - "layer": layer from 1, of layers in all, and the round from 1 whose messages it carries.
        - "message": source, destination and word, as the simulator of machines delivers them.
        - "score", "packet" and "column": whom tokens listen to, what they write and what they
          hear; see ``packets``.
        - "inbox": token, source and word of each message in the rows that leave the layer.
    """
    neighbours, _ = random_cycles(LENGTHS, np.random.default_rng(settings.seed))
    protocol = CycleMin(len(neighbours))
    inputs = protocol.encode(neighbours)
    compiled = Compiled(
        protocol, len(inputs), code="explicit", dtype=torch.float64, seed=settings.seed
    )
    # The first layer brings the input to the machines.
    *before, layer = compiled.stack()[: ROUND + 1]  # noqa: PD013 - no table
    (head,) = [part for part in layer.modules() if isinstance(part, RoutingHead)]
    rows = apply(before, compiled.rows(inputs))
    query, key, value = layer.project(0, rows)
    mixed = attend(query, key, value)[0, 1:]
    delivered = run(protocol, inputs, keep_inboxes=True).inboxes[ROUND - 1]
    outboxes = _outboxes(delivered)
    found: list[Row] = [
        {"kind": "layer", "layer": ROUND + 1, "layers": len(compiled.layers), "round": ROUND}
    ]
    for source, outbox in enumerate(outboxes):
        for to, (word,) in outbox:
            about = {"kind": "message", "source": source, "destination": to}
            found.append(about | {"word": int(word)})
    found += scores(head, 0, query[0, 1:] @ key[0].T)
    found += packets_written(head, outboxes, value[0, 1:])
    found += packets_heard(head, 0, mixed)
    for token, row in enumerate(layer(rows)[1:].tolist()):
        for source, (word,) in unpack_row(row)[1]:
            found.append({"kind": "inbox", "token": token, "source": source, "word": word})
    return pd.DataFrame(found).fillna({"state": ""})


def _outboxes(inboxes: Sequence[Sequence[Message]]) -> list[list[Message]]:
    outboxes: list[list[Message]] = [[] for _ in inboxes]
    for machine, inbox in enumerate(inboxes):
        for source, words in inbox:
            outboxes[source].append((machine, words))
    return outboxes
