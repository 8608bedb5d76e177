"""Constructions as printed, which fail, beside the repaired ones (see ``logdepth.theory.printed``).

Every other table of checks says how often a claim failed; this one shows that what is printed does.
"""

import itertools
import re
from collections.abc import Iterator
from typing import Any

import pandas as pd
import torch

from logdepth.config.theory import Theory
from logdepth.theory.checks.outcomes import COLUMNS, extent
from logdepth.theory.printed import CLAIMS, Claim, failure_rate, smallest_failure

# Lengths and k on which both forms are measured, as far as the settings allow.
LENGTHS = (16, 64, 128)
HOPS = (1, 2, 3, 4, 16)

# Strings of at most so many symbols, of at most so many kinds, are all tried, for k up to the last.
_SHORT, _FEW, _SMALL = 6, 3, 3


def table(settings: Theory) -> pd.DataFrame:
    """Measure how often each claim fails, as printed and as repaired, equal neighbours included.

    Returns:
        A row per claim, form ("printed" or "repaired") and set of strings: claim, source, form,
        inputs, length, alphabet, hops, depth, strings, wrong (a share of all positions); string,
        position, answer, right.
        Inputs are "uniform" (drawn), "all" (of that length and alphabet), or, as printed alone,
        "smallest failure": one string, spelt in letters, with the position of its first wrong
        answer, from 1, and ⊥ for "no such position". These four columns are empty otherwise.
    """
    rows = [
        row
        for claim in CLAIMS
        for row in (*_smallest(claim), *_all(claim), *_drawn(claim, settings))
    ]
    return pd.DataFrame(rows)


def repaired(counterexamples: pd.DataFrame) -> pd.DataFrame:
    """Return what the table says about the repaired claims, as a table of claims.

    Args:
        counterexamples: as ``table`` returns it.

    Returns:
        A row per claim: theorem, claim, case, size, instances (answers), failures.
    """
    rows = []
    for claim in CLAIMS:
        tried = counterexamples.query("claim == @claim.name and form == 'repaired'")
        answers = tried["strings"] * tried["length"]
        found = re.search(r"[A-Z]\w+ [A-Z0-9]+\.[0-9]+", claim.source)
        assert found is not None
        rows.append(
            {
                "theorem": found[0],
                "claim": f"hop_k at every position, without '{claim.name}' as printed",
                "case": claim.repair,
                "size": ", ".join(
                    extent(name, tried[column])
                    for name, column in (("N", "length"), ("|Σ|", "alphabet"), ("k", "hops"))
                ),
                "instances": int(answers.sum()),
                "failures": int((tried["wrong"] * answers).round().sum()),
            }
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def _smallest(claim: Claim) -> Iterator[dict[str, Any]]:
    failure = smallest_failure(claim.printed)
    if failure is None:
        return
    letters = [*"abcdefghijklmnopqrstuvwxyz"[: failure.alphabet], "⊥"]
    strings = torch.tensor([failure.string])
    row = _row(claim, "printed", "smallest failure", strings, failure.alphabet, failure.hops)
    yield row | {
        "string": "".join(letters[symbol] for symbol in failure.string),
        "position": failure.position,
        "answer": letters[failure.answer],
        "right": letters[failure.right],
    }


def _all(claim: Claim) -> Iterator[dict[str, Any]]:
    strings = torch.tensor(list(itertools.product(range(_FEW), repeat=_SHORT)))
    for form, k in itertools.product(("printed", "repaired"), range(1, _SMALL + 1)):
        yield _row(claim, form, "all", strings, _FEW, k)


def _drawn(claim: Claim, settings: Theory) -> Iterator[dict[str, Any]]:
    longest = max(settings.lengths)
    lengths = dict.fromkeys(min(n, longest) for n in LENGTHS)
    hops = dict.fromkeys(min(k, settings.max_hops) for k in HOPS)
    for n, s in itertools.product(lengths, settings.alphabets):
        generator = torch.Generator().manual_seed(settings.seed)
        strings = torch.randint(s, (settings.instances, n), generator=generator)
        for k, form in itertools.product(hops, ("printed", "repaired")):
            yield _row(claim, form, "uniform", strings, s, k)


def _row(
    claim: Claim, form: str, inputs: str, strings: torch.Tensor, alphabet: int, hops: int
) -> dict[str, Any]:
    make = claim.printed if form == "printed" else claim.repaired
    count, length = strings.shape
    return {
        "claim": claim.name,
        "source": claim.source,
        "form": form,
        "inputs": inputs,
        "length": length,
        "alphabet": alphabet,
        "hops": hops,
        "depth": make(length, alphabet, hops).program.depth,
        "strings": count,
        "wrong": failure_rate(make, strings, alphabet, hops),
        "string": "",
        "position": None,
        "answer": "",
        "right": "",
    }
