"""Rounds, words and messages of the protocols, from executions under enforced limits."""

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from logdepth.config.theory import Theory
from logdepth.theory.mpc.instances import (
    Case,
    cycles_case,
    hops_case,
    pointers_case,
    sort_case,
    sums_case,
)
from logdepth.theory.mpc.machine import run


def table(settings: Theory) -> pd.DataFrame:
    """Run every protocol on inputs of as many words as settings.machines says.

    Sorting and hop_k run on about n^(1/3) machines, the others on one for each word; hop_k for
    powers of two k up to settings.max_hops.

    Returns:
        A row per protocol and n, and for hop_k per k: protocol, size (n), hops (k, for hop_k),
        machines (q), words (s), most_words (the most that a machine held, sent or received in a
        round), bits (p), rounds (R, local computations), formula (for R), messages and words_sent
        (in all), most_messages (of one exchange) and wrong (output words that are not an
        independent oracle's).
    """
    rng = np.random.default_rng(settings.seed)
    rows = []
    for n in sorted(set(settings.machines)):
        for name, hops, formula, (protocol, words, right) in _cases(n, settings.max_hops, rng):
            execution = run(protocol, words)
            used = execution.table()
            rows.append(
                {
                    "protocol": name,
                    "size": n,
                    "hops": hops,
                    "machines": protocol.limits.machines,
                    "words": protocol.limits.words,
                    "most_words": used[["most_memory", "most_sent", "most_received"]].max().max(),
                    "bits": protocol.limits.bits,
                    "rounds": len(execution.rounds),
                    "formula": formula,
                    "messages": used["messages"].sum(),
                    "most_messages": used["messages"].max(),
                    "words_sent": used["words"].sum(),
                    "wrong": sum(a != b for a, b in zip(execution.answer, right, strict=True)),
                }
            )
    return pd.DataFrame(rows).sort_values(["protocol", "size", "hops"], ignore_index=True)


def _cases(
    n: int, max_hops: int, rng: np.random.Generator
) -> Iterator[tuple[str, float, int, Case]]:
    """Yield name, k, formula for R, and an instance."""
    doublings = math.ceil(math.log2(n))
    few, root = max(2, round(n ** (1 / 3))), max(2, math.isqrt(n))
    yield "cycle components", math.nan, doublings, cycles_case(n, rng)
    yield "pointer doubling", math.nan, 2 * doublings + 1, pointers_case(n, doublings, rng)
    for name, fan_in in (("prefix sums, fan-in 4", 4), ("prefix sums, fan-in n^(1/2)", root)):
        yield name, math.nan, 2 * _levels(n, fan_in) + 1, sums_case(n, fan_in, rng)
    yield "sample sort", math.nan, 6, sort_case(n, few, rng)
    for power in range(max_hops.bit_length()):
        # Sorting and linking, two exchanges for each of the power + 1 bits of k, and the answers.
        yield "hop_k", 2**power, 10 + 2 * (power + 1), hops_case(n, few, 2**power, rng)


def _levels(n: int, fan_in: int) -> int:
    """Return the levels of a tree with n leaves, ceil(log n) to the base of its fan-in."""
    return next(level for level in range(n) if fan_in**level >= n)
