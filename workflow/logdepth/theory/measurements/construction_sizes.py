"""How large the transformer is that computes hop_k (paper: Theorem 4.2)."""

import itertools

import pandas as pd

from logdepth.config.theory import Theory
from logdepth.tasks.hop import Hop
from logdepth.theory.hop_to_weights import compile_softmax


def table(settings: Theory) -> pd.DataFrame:
    """Return the sizes of the compiled models for strings of the measured lengths.

    Returns:
        A row per length, alphabet and largest k (powers of two, and max_hops): length, context (a
        hop token more), alphabet, max_hops, depth, stated_depth (floor(log2 k) + 2, as the paper
        has it), heads, width, parameters.
    """
    # A task needs two symbols at least.
    alphabets = sorted({max(2, alphabet) for alphabet in settings.alphabets})
    powers = {2**power for power in range(settings.max_hops.bit_length())}
    rows = []
    for length, alphabet, k in itertools.product(
        settings.measured_lengths, alphabets, sorted(powers | {settings.max_hops})
    ):
        task = Hop(context=length + 1, alphabet=alphabet, max_k=k)
        built = compile_softmax(task)
        rows.append(
            {
                "length": length,
                "context": task.context,
                "alphabet": alphabet,
                "max_hops": k,
                "depth": built.model.depth,
                "stated_depth": k.bit_length() + 1,
                "heads": built.model.heads,
                "width": built.model.width,
                "parameters": sum(tensor.numel() for tensor in built.weights.values()),
            }
        )
    return pd.DataFrame(rows)
