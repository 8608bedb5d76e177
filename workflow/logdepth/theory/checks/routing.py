"""Protocols as transformers, every message compared (paper: Theorem 3.1, Lemma 3.2)."""

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

import numpy as np
import pandas as pd
import torch

from logdepth.config.theory import Theory
from logdepth.theory.checks.exchanges import CODES, exchange_rows
from logdepth.theory.checks.outcomes import row, table_of, tally
from logdepth.theory.mpc.instances import (
    Case,
    components_case,
    cycles_case,
    hops_case,
    pointers_case,
    sort_case,
    sums_case,
)
from logdepth.theory.mpc.machine import run
from logdepth.theory.mpc.mpc_to_transformer import Compiled

# Most machines with every code and number format; with the explicit code, which is wider, and in
# bfloat16; others are tried with the random table in float32.
_ALL, _SOME = 256, 1024


def table(settings: Theory) -> pd.DataFrame:
    """Compare every machine's inbox after every routing layer with the simulator's, and outputs.

    Returns:
        A row per protocol, code and number format, and rows about single exchanges: theorem, claim,
        case, size, instances, failures. Instances of a whole protocol are its number of layers, its
        inboxes and its output words.
    """
    return table_of([*exchange_rows(settings), *_cycles(settings), *_others(settings)])


def _cycles(settings: Theory) -> Iterator[dict[str, Any]]:
    rng = np.random.default_rng(settings.seed)
    for n in sorted(set(settings.machines)):
        choices = [("table", torch.float32)]
        if n <= _SOME:
            choices += [("table", torch.bfloat16), ("explicit", torch.float32)]
        if n <= _ALL:
            choices += [("table", torch.float64)]
            choices += [("explicit", kind) for kind in (torch.float64, torch.bfloat16)]
        case = cycles_case(n, rng)
        for code, kind in choices:
            yield _row("Theorem 3.1", case, code=code, dtype=kind)


def _others(settings: Theory) -> Iterator[dict[str, Any]]:
    rng = np.random.default_rng(settings.seed)
    n = min(_ALL, max(settings.machines))
    few = min(n, 24)
    hops = min(5, settings.max_hops)
    yield _row("Theorem 3.1", pointers_case(n, n.bit_length() - 1, rng))
    yield _row("Theorem 3.1", sums_case(n, 4, rng))
    yield _row("Theorem 3.1", sort_case(few, 4, rng))
    yield _row("Theorem 3.1", hops_case(few, 3, hops, rng))
    # More machines than words, for which blank tokens stand.
    yield _row("Theorem B.3", sort_case(5, 7, rng))
    yield _row("Lemma B.7", hops_case(8, 2, 1, rng), split="paper")
    yield _row("Corollary 3.3", components_case(8, 2, rng))


def _row(theorem: str, example: Case, **options: Any) -> dict[str, Any]:
    """Compile a protocol for its input and compare it with the simulator and the oracle."""
    protocol, words, right = example
    compiled = Compiled(protocol, len(words), **options)
    execution = run(protocol, words, keep_inboxes=True)
    found = compiled.trace(words)
    counted = tally([len(compiled.layers) == protocol.rounds + 1])
    for inboxes, true_inboxes in zip(found.inboxes, execution.inboxes, strict=True):
        counted.add(a == b for a, b in zip(inboxes, true_inboxes, strict=True))
    outputs = zip_longest(found.answer, execution.answer, right)
    counted.add(a == b == c for a, b, c in outputs)
    kind = str(options.get("dtype", torch.float32)).removeprefix("torch.")
    heads = ", heads by size" * ("split" in options)
    code = CODES[options.get("code", "table")]
    case = f"{type(protocol).__name__}, {code}, {kind}{heads}"
    claim = "R + 1 layers give every machine the inbox of every exchange, and the output"
    size = f"N = {compiled.tokens}, R = {protocol.rounds}"
    return row(theorem, claim, case, size, counted)
