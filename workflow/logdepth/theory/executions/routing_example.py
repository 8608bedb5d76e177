"""What one token receives from a routing head, column by column (paper: Figure 3)."""

import numpy as np
import pandas as pd
import torch

from logdepth.config.theory import Theory
from logdepth.theory.executions.packets import Row, packets_heard, packets_written, scores
from logdepth.theory.mpc.codes import Code, Ints, KautzSingleton
from logdepth.theory.mpc.layers import attend
from logdepth.theory.mpc.machine import Message
from logdepth.theory.mpc.routing import RoutingHead, pack
from logdepth.theory.mpc.traffic import full_load

TOKENS, FAN, BITS = 4, 2, 8
RECEIVER = 0


def table(settings: Theory) -> pd.DataFrame:
    """Route messages at full load, two from and two to every token, and watch what token 0 hears.

    The messages are the first ones drawn that show every kind of column.

    Returns:
        Rows of five kinds, each with the columns it needs. Tokens count from 0.

        - "message": source, destination, word.
        - "score", "packet" and "column": whom the receiver listens to, what its two senders write
          and what it hears; see ``packets``.
        - "inbox": token, source and word of each message that the receiver decodes.
    """
    rng = np.random.default_rng(settings.seed)
    code = KautzSingleton(TOKENS, FAN**2)
    head = RoutingHead(TOKENS, FAN, 1, BITS, code, temperature=32.0, seed=settings.seed)
    source, destination = full_load(TOKENS, FAN, rng)
    while not _telling(code, source, destination):
        source, destination = full_load(TOKENS, FAN, rng)
    outboxes: list[list[Message]] = [[] for _ in range(TOKENS)]
    for a, b in sorted(zip(source.tolist(), destination.tolist(), strict=True)):
        outboxes[a].append((b, (int(rng.integers(1 << BITS)),)))
    rows: list[Row] = [
        {"kind": "message", "source": a, "destination": b, "word": word}
        for a, outbox in enumerate(outboxes)
        for b, (word,) in outbox
    ]
    return pd.DataFrame(rows + _routed(head, outboxes)).fillna({"state": ""})


def _telling(code: Code, source: Ints, destination: Ints) -> bool:
    """Whether packets meet at the receiver and before it, and no token sends to itself."""
    heard = np.isin(source, source[destination == RECEIVER])
    columns = code.where(source[heard], destination[heard])
    used = np.zeros((TOKENS, code.columns), np.int64)
    np.add.at(used, (source[heard][:, None], columns), 1)
    corrupted = (used == 1).sum(0) > 1
    return bool((used > 1).any() and corrupted.any() and (source != destination).all())


def _routed(head: RoutingHead, outboxes: list[list[Message]]) -> list[Row]:
    """Run the head; say whom the receiver listens to, what it hears and what it decodes."""
    packets = pack(0, outboxes, head.size)
    start_key, start_value = head.start()
    query = head.queries(RECEIVER, 1)
    key = torch.cat([start_key[None], head.keys(0, TOKENS, packets)])
    values = head.values(0, TOKENS, packets).double()
    mixed = attend(query[None], key[None], torch.cat([start_value[None], values])[None])[0]
    (inbox,) = head.decode(RECEIVER, mixed)
    senders = {source for source, _ in inbox}
    rows = scores(head, RECEIVER, query @ key.T)
    rows += [row for row in packets_written(head, outboxes, values) if row["source"] in senders]
    rows += packets_heard(head, RECEIVER, mixed)
    for source, (word,) in inbox:
        rows.append({"kind": "inbox", "token": RECEIVER, "source": source, "word": int(word)})
    return rows
