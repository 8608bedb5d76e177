"""Groups: which runs of a study are trained together as one network."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from logdepth.canonical import canonical_json
from logdepth.config.run import Run
from logdepth.planning.measured import measured_on
from logdepth.planning.site import Site


def most_together(runs: Mapping[str, Run], site: Site) -> dict[str, int]:
    """Return how many runs train as one network with each, at most, by the keys of ``runs``."""
    if site.together != "fastest":
        return dict.fromkeys(runs, site.together)
    known = measured_on(site)
    choices = {key: known and known.choice(run) for key, run in runs.items()}
    return {key: choice.together if choice else 1 for key, choice in choices.items()}


def groups(runs: Iterable[Run], most: Callable[[Run], int]) -> list[list[Run]]:
    """Return runs in the groups that are trained together.

    Those of a group differ in seed, samples and rates alone, and are ordered by their identifiers.

    Args:
        runs: of a study.
        most: how many train as one network with a run, the same for all that may be in its group.
    """
    alike: dict[str, dict[str, Run]] = {}
    for run in runs:
        alike.setdefault(canonical_json(_shape(run)), {})[run.identifier] = run
    found = []
    for same in alike.values():
        ordered = [same[name] for name in sorted(same)]
        size = most(ordered[0])
        found += [ordered[start : start + size] for start in range(0, len(ordered), size)]
    return found


def group_of(run: Run, runs: Iterable[Run], most: int) -> list[Run]:
    """Return the group of one of the runs, of so many at most; see ``groups``."""
    return next(group for group in groups(runs, lambda _: most) if run in group)


def _shape(run: Run) -> dict[str, Any]:
    """Return what runs of one group have in common."""
    content = run.content
    training = content.pop("training")
    del content["seed"]
    common = {k: v for k, v in training.items() if k != "samples" and not k.endswith("_rate")}
    return content | {"training": common}
