"""Groups: which runs of a study are trained together as one network."""

from collections.abc import Iterable
from typing import Any

from logdepth.config.run import Run


def group_of(run: Run, runs: Iterable[Run], most: int) -> list[Run]:
    """Return the runs that are trained together with one, itself among them.

    They differ in seed, samples and rates alone, and are in the same order for each of them.

    Args:
        run: one of ``runs``.
        runs: of a study.
        most: runs of a group.
    """
    shape = _shape(run)
    alike = {other.identifier: other for other in runs if _shape(other) == shape}
    names = sorted(alike)
    start = names.index(run.identifier) // most * most
    return [alike[name] for name in names[start : start + most]]


def _shape(run: Run) -> dict[str, Any]:
    """Return what runs of one group have in common."""
    content = run.content
    training = content.pop("training")
    del content["seed"]
    common = {k: v for k, v in training.items() if k != "samples" and not k.endswith("_rate")}
    return content | {"training": common}
