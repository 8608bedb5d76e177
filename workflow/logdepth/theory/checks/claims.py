"""All checks in one table: what was tried of each theorem, and how to try it again."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from logdepth.theory.checks import counterexamples
from logdepth.theory.checks.outcomes import COLUMNS

# Cases and sizes that a line of the text version lists one by one.
_LISTED = 8


def merge(tables: Mapping[str, pd.DataFrame], command: Callable[[str], str]) -> pd.DataFrame:
    """Join tables of checks.

    Args:
        tables: by their names in ``logdepth.theory.catalog``.
        command: gives, for a name, how to make the table again.

    Returns:
        The rows of all tables, of ``counterexamples`` those about the repaired claims: theorem,
        claim, case, size, instances, failures, command; in the paper's order of theorems, the main
        text first.
    """
    parts = []
    for name, table in tables.items():
        rows = counterexamples.repaired(table) if name == "counterexamples" else table
        parts.append(rows[COLUMNS].assign(command=command(name)))
    return pd.concat(parts).sort_values(
        "theorem", key=lambda theorems: theorems.map(_place), kind="stable", ignore_index=True
    )


def markdown(claims: pd.DataFrame) -> str:
    """Return the claims as a Markdown table, a line per theorem, claim and command.

    Args:
        claims: as ``merge`` returns them.
    """
    lines = [
        "| Theorem | What was checked | Cases | Sizes | Instances | Failures | Command |",
        "|---|---|---|---|--:|--:|---|",
    ]
    for (theorem, claim, command), rows in claims.groupby(
        ["theorem", "claim", "command"], sort=False
    ):
        failures = int(rows["failures"].sum())
        cells = [
            str(theorem),
            str(claim),
            _listed(rows["case"]),
            _listed(rows["size"]),
            f"{int(rows['instances'].sum()):,}",
            f"**{failures:,}**" if failures else "0",
            f"`{command}`",
        ]
        # A bar would end the cell.
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _place(theorem: str) -> tuple[bool, str, int, int]:
    """Return where the paper has a theorem: appendices, with letters, come last."""
    found = re.search(r"([A-Z]|\d+)(?:\.(\d+))?(?:$| and )", theorem)
    if found is None:
        raise ValueError(f"'{theorem}' has no number")
    section, number = found[1], int(found[2] or 0)
    is_letter = not section.isdigit()
    return is_letter, section if is_letter else "", 0 if is_letter else int(section), number


def _listed(values: pd.Series) -> str:
    different = [str(value) for value in dict.fromkeys(values)]
    if len(different) <= _LISTED:
        return "; ".join(different)
    return f"{different[0]}; …; {different[-1]} ({len(different)} in all)"


def command_for(table: Path) -> str:
    """Return how to make the rows of a table again, in the folder of the clone."""
    return f"snakemake {table} --configfile config/{table.parent.parent.name}.yaml"
