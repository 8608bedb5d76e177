"""One exchange of messages as attention: the lemmas behind the table ``routing``."""

import itertools
import math
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from logdepth.config.theory import Theory
from logdepth.theory.checks.outcomes import Tally, extent, row, tally
from logdepth.theory.mpc.codes import Code, Ints, KautzSingleton, RandomTable, paper_columns
from logdepth.theory.mpc.layers import attend
from logdepth.theory.mpc.machine import Message
from logdepth.theory.mpc.mpc_to_transformer import routing_temperature
from logdepth.theory.mpc.routing import RoutingHead, pack, size_classes
from logdepth.theory.mpc.traffic import full_load

Outboxes = list[list[Message]]

# Most tokens where all pairs are scored, and where tables of packets are written.
_SCORED, _DELIVERED = 1024, 256
# Most messages to and from a token of the explicit code's tables.
_FAN = 4
_BITS = 10
CODES: dict[Literal["table", "explicit"], str] = {
    "table": "random table",
    "explicit": "explicit code",
}
"""The codes of ``Compiled``, as the tables call them."""
_WORDS = 3


def exchange_rows(settings: Theory) -> Iterator[dict[str, Any]]:
    """Yield rows about sparse propagation, multiple hashing and the head made of both."""
    rng = np.random.default_rng(settings.seed)
    yield from _deliveries(settings, rng)
    yield from scores(settings, rng)
    yield from private_columns(settings, rng)
    yield from _size_classes(settings)


def _deliveries(settings: Theory, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    tokens = sorted({min(n, _DELIVERED) for n in settings.machines})
    fans = sorted({min(fan, _FAN) for fan in settings.fans})
    for kind, name in itertools.product((torch.float64, torch.float32, torch.bfloat16), CODES):
        counted = Tally()
        for n, fan in itertools.product(tokens, fans):
            code = RandomTable(fan) if name == "table" else KautzSingleton(n, fan**2)
            temperature = routing_temperature(kind, fan)
            head = RoutingHead(n, fan, _WORDS, _BITS, code, temperature=temperature)
            outboxes = _loaded(n, fan, rng)
            found = deliver(head, outboxes, kind)
            counted.add(a == b for a, b in zip(found, _inboxes(outboxes), strict=True))
        case = f"{CODES[name]}, {str(kind).removeprefix('torch.')}"
        size = f"{extent('N', tokens)}, {extent('s', fans)}"
        claim = "every inbox when every token sends and receives s messages"
        yield row("Lemma 3.2", claim, case, size, counted)


def deliver(head: RoutingHead, outboxes: Outboxes, kind: torch.dtype) -> list[list[Message]]:
    """Return the inboxes that a head gives to the tokens with these outboxes."""
    n = len(outboxes)
    packets = pack(0, outboxes, head.size)
    key, value = head.start()
    query = torch.cat([torch.zeros(1, head.query_width), head.queries(0, n)])
    keys = torch.cat([key[None], head.keys(0, n, packets)])
    values = torch.cat([value[None].float(), head.values(0, n, packets)])
    mixed = attend(query.to(kind)[None], keys.to(kind)[None], values.to(kind)[None])
    return head.decode(0, mixed[0, 1:])


def _loaded(tokens: int, fan: int, rng: np.random.Generator) -> Outboxes:
    outboxes: Outboxes = [[] for _ in range(tokens)]
    for source, destination in zip(*full_load(tokens, fan, rng), strict=True):
        length = int(rng.integers(1, _WORDS + 1))
        words = tuple(int(word) for word in rng.integers(0, 1 << _BITS, length))
        outboxes[source].append((int(destination), words))
    return outboxes


def _inboxes(outboxes: Outboxes) -> list[list[Message]]:
    inboxes: list[list[Message]] = [[] for _ in outboxes]
    for source, outbox in enumerate(outboxes):
        for destination, words in outbox:
            inboxes[destination].append((source, words))
    return inboxes


def scores(settings: Theory, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Yield rows about the vectors by which tokens find those that send to them."""
    tokens = sorted({min(n, _SCORED) for n in settings.machines})
    # Fewer than there are tokens, so that of each some are no sender.
    fans = sorted({min(fan, min(tokens) - 1) for fan in settings.fans})
    senders, others, norms = Tally(), Tally(), Tally()
    for n, fan in itertools.product(tokens, fans):
        # Half as many again as the heads have, which are content with a little more than 1/2.
        signs = math.ceil(12 * fan * math.log(2 * n**2))
        code = RandomTable(fan)
        head = RoutingHead(n, fan, 1, _BITS, code, temperature=1.0, signs=signs, seed=settings.seed)
        source, destination = full_load(n, fan, rng)
        outboxes: Outboxes = [[] for _ in range(n)]
        for one, other in zip(source.tolist(), destination.tolist(), strict=True):
            outboxes[one].append((other, (0,)))
        keys = head.keys(0, n, pack(0, outboxes, 1))
        scores = head.queries(0, n) @ keys.T
        sends = torch.zeros(n, n, dtype=torch.bool)
        sends[destination, source] = True
        senders.check((scores[sends] - 1).abs() < 1e-9)
        others.check(scores[~sends] <= 0.5)
        # The head keeps u_i as signs, so that w_S is smaller by the root of their number.
        norms.check(keys.norm(dim=1) * math.sqrt(signs) <= 2 * math.sqrt(fan))
    size = f"{extent('N', tokens)}, {extent('s', fans)}"
    case = "least vectors, ceil(12 s ln(2 N^2)) signs"
    yield row("Proposition B.1", "u_i · w_S = 1 for i in S", case, size, senders)
    yield row("Proposition B.1", "u_i · w_S is at most 1/2 for i not in S", case, size, others)
    yield row("Proposition B.1", "the norm of w_S is at most 2 sqrt(s)", case, size, norms)


def private_columns(settings: Theory, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Yield rows about codes in which messages averaged together can be told apart."""
    claim = "each of any b = s^2 rows has a column to itself"
    source, destination = np.divmod(np.arange(16), 4)
    columns = KautzSingleton(4, 4).where(source, destination)
    every = tally(
        holds
        for rows in itertools.combinations(range(16), 4)
        for holds in has_private(columns[list(rows)])
    )
    yield row("Fact B.2", claim, "explicit code, all sets of rows", "N = 4, s = 2", every)
    # There are N^2 rows.
    some, fans = Tally(), sorted({min(fan, min(settings.machines)) for fan in settings.fans})
    for n, fan in itertools.product(settings.machines, fans):
        code = KautzSingleton(n, fan**2)
        for _ in range(settings.instances):
            some.add(has_private(_rows_of(code, n, fan**2, rng)))
    size = f"{extent('N', settings.machines)}, {extent('s', fans)}"
    yield row("Fact B.2", claim, "explicit code, random sets of rows", size, some)
    n, b = min(*settings.machines, 64), 4
    matrix = rng.random((n**2, paper_columns(n, b))) < 1 / (b + 1)
    drawn = Tally()
    for _ in range(settings.instances):
        rows = matrix[rng.choice(n**2, b, replace=False)]
        drawn.add((rows & (rows.sum(0) == 1)).any(1).tolist())
    yield row("Fact B.2", claim, "the paper's random matrix", f"N = {n}, s = 2", drawn)


def _rows_of(code: Code, tokens: int, count: int, rng: np.random.Generator) -> Ints:
    source, destination = np.divmod(rng.choice(tokens**2, count, replace=False), tokens)
    return code.where(source, destination)


def has_private(columns: npt.NDArray[np.int64]) -> list[bool]:
    """Whether each of some rows has a column that no other has; int64 (rows, columns of a row)."""
    used = np.bincount(columns.ravel())
    held: list[bool] = (used[columns] == 1).any(1).tolist()
    return held


def _size_classes(settings: Theory) -> Iterator[dict[str, Any]]:
    words = range(1, max(settings.machines) + 1)
    covered, heads = Tally(), Tally()
    for s in words:
        classes = size_classes(s)
        lows = [1, *(size + 1 for _, size in classes[:-1])]
        fits = (
            fan * low <= s < (fan + 1) * low for (fan, _), low in zip(classes, lows, strict=True)
        )
        covered.add([classes[-1][1] == s and all(fits)])
        # beta_h is at least beta_(h-1)^3, from 2 on.
        heads.add([len(classes) <= 2 + math.log(max(1, math.log2(s)), 3)])
    size = extent("s", words)
    claim = "classes of sizes cover 1..s, and one has at most s / beta messages"
    yield row("Lemma B.7", claim, "by size", size, covered)
    yield row("Lemma B.7", "H is at most log3(log2 s) + 2", "by size", size, heads)
