"""Rows about what a routing head does: whom tokens listen to, what they write and hear."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from logdepth.theory.mpc.machine import Message
from logdepth.theory.mpc.routing import RoutingHead

Row = dict[str, Any]

DIGITS = 6
"""Digits to round to: what lies below is rounding error, other on every machine."""


def scores(head: RoutingHead, first: int, logits: torch.Tensor) -> list[Row]:
    """Return whom tokens listen to.

    Args:
        head: that carries the messages.
        first: number of the first token.
        logits: of these tokens' queries and all keys, (tokens, 1 + N), the start token's key first.

    Returns:
        A row of kind "score" for each token and key: token, source, the score <u, w_S> of its key,
        and weight, its share of the token's attention; source -1 is the start token.
    """
    weights = logits.softmax(1)
    rows: list[Row] = []
    for token, column in np.ndindex(*logits.shape):
        row: Row = {"kind": "score", "token": first + token, "source": column - 1}
        row["score"] = round(float(logits[token, column]) / head.temperature, DIGITS)
        rows.append(row | {"weight": round(float(weights[token, column]), DIGITS)})
    return rows


def packets_written(
    head: RoutingHead, outboxes: Sequence[Sequence[Message]], values: torch.Tensor
) -> list[Row]:
    """Return what tokens write for their messages.

    Args:
        head: that carries the messages.
        outboxes: of the tokens.
        values: of the tokens, (tokens, value_width).

    Returns:
        A row of kind "packet" for each token and column of its messages: source, column, and
        state: "packet", with its destination, or "met", where two of its own meet and none is
        written.
    """
    source, column, digits = head.clean(values)
    places = zip(source.tolist(), column.tolist(), strict=True)
    found = dict(zip(places, head.read(digits).destination.tolist(), strict=True))
    links = [(token, to) for token, outbox in enumerate(outboxes) for to, _ in outbox]
    columns = head.code.where(*np.array(links).T)
    taken = {(link[0], c) for link, own in zip(links, columns.tolist(), strict=True) for c in own}
    rows: list[Row] = []
    for place in sorted(taken):
        row: Row = {"kind": "packet", "source": place[0], "column": place[1]}
        if place in found:
            rows.append(row | {"state": "packet", "destination": found[place]})
        else:
            rows.append(row | {"state": "met"})
    return rows


def packets_heard(head: RoutingHead, first: int, mixed: torch.Tensor) -> list[Row]:
    """Return what tokens hear.

    Args:
        head: that carries the messages.
        first: number of the first token.
        mixed: the attention's output, (tokens, value_width).

    Returns:
        A row of kind "column" for each token and column: token, column, heard, the packets that
        were added up in it, and state: "blank", "clean" or "corrupted"; of a clean one, the
        packet's source, destination and first word, and kept: 1 if it is the token's, 0 if not.
    """
    token, column, digits = head.clean(mixed)
    packets = head.read(digits)
    fields = zip(
        packets.source.tolist(),
        packets.destination.tolist(),
        packets.words[:, 0].tolist(),
        strict=True,
    )
    places = zip(token.tolist(), column.tolist(), strict=True)
    clean = dict(zip(places, fields, strict=True))
    rows: list[Row] = []
    for place, heard in np.ndenumerate(head.heard(mixed)[1].numpy()):
        reader = first + place[0]
        row: Row = {"kind": "column", "token": reader, "column": place[1]}
        row["heard"] = round(float(heard), DIGITS)
        if place in clean:
            source, destination, word = clean[place]
            row |= {"state": "clean", "source": source, "destination": destination, "word": word}
            row["kept"] = int(destination == reader)
        else:
            row["state"] = "corrupted" if heard > 1 else "blank"
        rows.append(row)
    return rows
