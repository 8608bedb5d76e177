"""A layer of a transformer as rounds of a protocol (paper: Figure 5)."""

import math

import numpy as np
import pandas as pd
import torch

from logdepth.config.theory import Theory
from logdepth.theory.executions.packets import DIGITS, Row
from logdepth.theory.mpc.layers import GivenAttention
from logdepth.theory.mpc.machine import Execution, run
from logdepth.theory.mpc.transformer_to_mpc import AttentionProtocol

TOKENS, WIDTH = 4, 2
# s = 4 b m, for trees with two branches.
WORDS = 16


def table(settings: Theory) -> pd.DataFrame:
    """Run a causal attention head of width m = 2 on four random tokens as a protocol.

    Returns:
        Rows of five kinds, each with the columns it needs.

        - "limits": words (s), tokens (M), branching (b) and depth (D).
        - "machine": machine and role: "tokens", "pair", "query tree" or "key tree"; token, the root
          of its tree or the query of the pair; key of a pair; level and node in a tree.
        - "message": round of the local computation that sends it, from 1, machine, peer (the
          destination), words, and content: "row", "query", "key and value", "part" or "output".
        - "part": round, machine that sends this part of a softmax, its largest logit, normaliser,
          and share of the token's attention; without a largest logit if the mask hides all of it.
        - "output": token, slot, output of the protocol, and direct, the same from softmax.
    """
    generator = torch.Generator().manual_seed(settings.seed)
    layer = GivenAttention(1, WIDTH, WIDTH, torch.ones(TOKENS, TOKENS, dtype=torch.bool).tril())
    inputs = torch.randn(TOKENS, layer.row_width, generator=generator, dtype=torch.float64)
    protocol = AttentionProtocol([layer], TOKENS, WORDS)
    execution = run(protocol, inputs.numpy().ravel(), keep_inboxes=True)
    plan = protocol.plan
    rows: list[Row] = [
        {"kind": "limits", "words": WORDS, "tokens": TOKENS}
        | {"branching": plan.branching, "depth": plan.depth}
    ]
    for machine in range(plan.machines):
        role, token, *place = protocol.role(machine)
        names = ("key",) if role == "pair" else ("level", "node") if "tree" in role else ()
        about = {"kind": "machine", "machine": machine, "role": role, "token": token}
        rows.append(about | dict(zip(names, place, strict=False)))
    rows += _messages(protocol, execution) + _parts(protocol, execution)
    outputs = np.concatenate([np.asarray(words) for words in execution.outputs])
    direct = layer(inputs).numpy().ravel()
    for index, numbers in enumerate(np.round(np.stack([outputs, direct], 1), DIGITS).tolist()):
        token, slot = divmod(index, layer.out_width)
        about = {"kind": "output", "token": token, "slot": slot}
        rows.append(about | dict(zip(("output", "direct"), numbers, strict=True)))
    return pd.DataFrame(rows).fillna({"role": "", "content": ""})


def _messages(protocol: AttentionProtocol, execution: Execution) -> list[Row]:
    rows = []
    for turn, used in enumerate(execution.rounds, 1):
        for source, destination, words in used.messages:
            about = {"kind": "message", "round": turn, "machine": source, "peer": destination}
            content = _content(protocol, turn, {protocol.role(m)[0] for m in (source, destination)})
            rows.append(about | {"words": words, "content": content})
    return rows


def _content(protocol: AttentionProtocol, turn: int, roles: set[str]) -> str:
    """Say what a message has, from its round and the roles of its ends."""
    depth = protocol.plan.depth
    if turn == 1:
        return "row"
    if turn == 2 * depth + 2:
        return "output"
    if turn > depth + 1:
        return "part"
    return "query" if "query tree" in roles else "key and value"


def _parts(protocol: AttentionProtocol, execution: Execution) -> list[Row]:
    """Read the parts of the softmax from the messages that climb the query trees."""
    depth = protocol.plan.depth
    rows: list[Row] = []
    totals = [0.0] * TOKENS
    for turn in range(depth + 2, 2 * depth + 2):
        for inbox in execution.inboxes[turn - 1]:
            for machine, words in inbox:
                largest, normaliser = (float(word) for word in words[:2])
                weight = normaliser * math.exp(largest)
                role, token, _, _ = protocol.role(machine)
                totals[token] += weight * (role == "pair")
                row: Row = {"kind": "part", "round": turn, "machine": machine}
                if weight > 0:
                    row["largest"] = round(largest, DIGITS)
                rows.append(row | {"normaliser": round(normaliser, DIGITS), "share": weight})
    for row in rows:
        row["share"] = round(row["share"] / totals[protocol.role(row["machine"])[1]], DIGITS)
    return rows
