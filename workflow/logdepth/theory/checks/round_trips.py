"""From protocols to transformers and back, and what it costs (paper: Theorems 3.1 and 3.4)."""

from typing import Any

import numpy as np
import pandas as pd

from logdepth.config.theory import Theory
from logdepth.theory.checks.outcomes import row, tally
from logdepth.theory.mpc.instances import Case, cycles_case, sums_case
from logdepth.theory.mpc.round_trip import round_trip

# Machines of the first protocol. The second one has about five for every two of them.
CYCLES = (8, 16, 32)
SUMS = 16


def table(settings: Theory) -> pd.DataFrame:
    """Compare the answers of protocols, their transformers, and those as protocols again.

    Returns:
        A row per protocol: theorem, claim, case, size, instances (output words), failures; rounds
        (R), layers (R + 1), final_rounds, machines, final_machines, words and final_words, which
        are of the first and of the second protocol.
    """
    rng = np.random.default_rng(settings.seed)
    largest = max(settings.machines)
    cycles = sorted({min(n, largest) for n in CYCLES})
    cases = [cycles_case(n, rng) for n in cycles] + [sums_case(min(SUMS, largest), 4, rng)]
    return pd.DataFrame([_row(case) for case in cases])


def _row(case: Case) -> dict[str, Any]:
    protocol, inputs, right = case
    trip = round_trip(protocol, inputs)
    first, transformer, second = trip.answers
    answers = zip(first, transformer, second, right, strict=True)
    counted = tally(len(set(words)) == 1 for words in answers)
    claim = "the same output from a protocol, its transformer, and that as a protocol"
    name, size = type(protocol).__name__, f"n = {protocol.outputs}"
    return row("Theorems 3.1 and 3.4", claim, name, size, counted) | {
        "rounds": trip.rounds,
        "layers": trip.layers,
        "final_rounds": trip.final_rounds,
        "machines": trip.machines[0],
        "final_machines": trip.machines[1],
        "words": trip.words[0],
        "final_words": trip.words[1],
    }
