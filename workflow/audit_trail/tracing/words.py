"""Facts in a few words."""

from typing import Any

from audit_trail.tracing.nodes import Node

# What a line about a job leaves to the page and to JSON, for it stands elsewhere in the tree.
_ELSEWHERE = ("record", "started", "finished", "seconds", "command", "definition", "device")
_LONGEST = 60


def moment(job: Node) -> str:
    """Return when a job ran, how long, and where."""
    facts = job.facts
    words = str(facts.get("started", ""))[:19].replace("T", " ") + " UTC"
    if taken := took(facts, 1):
        words += f", {taken}"
    if facts.get("device"):
        words += f", {facts['device']}"
    if "SLURM_JOB_ID" in facts:
        words += f", Slurm job {facts['SLURM_JOB_ID']}"
    return words


def took(facts: dict[str, Any], digits: int = 0) -> str:
    """Return how long a job took; empty where that is unknown."""
    seconds = facts.get("seconds")
    return f"{seconds:.{digits}f} s" if isinstance(seconds, int | float) else ""


def facts_line(job: Node) -> list[str]:
    """Return the parameters and seeds of a job as lines, without the long ones."""
    facts = {k: v for k, v in job.facts.items() if k not in _ELSEWHERE}
    row = facts.pop("for this row", None)
    lines = [line] if (line := brief(by_own_names(facts))) else []
    return [*lines, f"for this row: {row}"] if row else lines


def by_own_names(facts: dict[str, Any]) -> dict[str, Any]:
    """Return facts with the settings of a run or a figure by their own names."""
    return {name.removeprefix("run.").removeprefix("figure."): v for name, v in facts.items()}


def aside(node: Node) -> str:
    """Return the facts of a file that was given by hand."""
    return " · ".join(f"{name} {text(value)}" for name, value in node.facts.items())


def brief(facts: dict[str, Any]) -> str:
    """Return facts that say something as one line; lists of runs are counted."""
    words = []
    for name, value in facts.items():
        if value is None or value == [] or value == {} or name.startswith(("torch.", "titles.")):
            continue
        plain = text(value)
        if name.startswith("experiments.") and isinstance(value, list):
            plain = f"{len(value)} runs"
        elif len(plain) > _LONGEST and name not in ("commit", "uncommitted changes"):
            continue
        words.append(f"{name} {plain}")
    return " · ".join(words)


def text(value: Any) -> str:
    """Return a plain JSON value in the way people write it."""
    if isinstance(value, list):
        return ", ".join(text(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{name} {text(item)}" for name, item in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
