"""How often something was tried and failed, and the row of a table of claims that says so."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch

from logdepth.errors import UserError

COLUMNS = ["theorem", "claim", "case", "size", "instances", "failures"]


@dataclass
class Tally:
    """A count of what was tried.

    Attributes:
        instances: how often something was tried.
        failures: how often it was not as claimed.
    """

    instances: int = 0
    failures: int = 0

    def add(self, outcomes: Iterable[bool]) -> None:
        """Count outcomes, true where the claim held."""
        for holds in outcomes:
            self.instances += 1
            self.failures += not holds

    def check(self, holds: torch.Tensor) -> None:
        """Count each element of a bool tensor, true where the claim held."""
        self.instances += holds.numel()
        self.failures += int((~holds).sum())

    def compare(self, found: torch.Tensor, right: torch.Tensor) -> None:
        """Count each element of a tensor that is to equal another of the same shape."""
        if found.shape != right.shape:
            raise ValueError(f"shapes {tuple(found.shape)} and {tuple(right.shape)} differ")
        self.check(found == right)


def tally(outcomes: Iterable[bool]) -> Tally:
    """Return a count of outcomes."""
    counted = Tally()
    counted.add(outcomes)
    return counted


def row(theorem: str, claim: str, case: str, size: str, counted: Tally) -> dict[str, Any]:
    """Return a row of a table of claims.

    Args:
        theorem: of the paper, or its section.
        claim: what was checked.
        case: which form of it.
        size: of the instances.
        counted: what came out.
    """
    return {
        "theorem": theorem,
        "claim": claim,
        "case": case,
        "size": size,
        "instances": counted.instances,
        "failures": counted.failures,
    }


def table_of(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return rows as a table.

    Raises:
        UserError: of some row nothing was tried, so that it says nothing of its claim.
    """
    for line in rows:
        if not line["instances"]:
            raise UserError(
                f"{line['theorem']}, {line['claim']}, {line['case']} ({line['size']}): "
                "nothing was tried; expected settings with at least one instance"
            )
    return pd.DataFrame(rows)


def extent(name: str, values: Iterable[int]) -> str:
    """Return "N = 64" or, of several values, "N = 1..256"."""
    low, *others = sorted(set(values))
    return f"{name} = {low}..{others[-1]}" if others else f"{name} = {low}"
