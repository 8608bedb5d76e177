"""Comparing two studies, two runs or two outputs: which jobs, what differs, in which numbers."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from audit_trail.differences import KINDS, Difference, differences, labels, same_outputs
from audit_trail.records import Record
from audit_trail.study import StudyFolder, is_study, open_study, study_of
from logdepth.errors import UserError
from logdepth.provenance.format import PROVENANCE


@dataclass(frozen=True)
class Side:
    """One side of a comparison.

    Attributes:
        path: as it was given.
        study: that it is or lies in.
        jobs: their records, by a name that the other side may have as well.
    """

    path: Path
    study: StudyFolder
    jobs: dict[str, Record]


@dataclass(frozen=True)
class Cause:
    """A difference, and the jobs that have it.

    Attributes:
        difference: of two jobs.
        jobs: number of them, by stage.
    """

    difference: Difference
    jobs: Counter[str]


@dataclass(frozen=True)
class Comparison:
    """What two sides have in common and what not.

    Attributes:
        before: the one side.
        after: the other.
        pairs: jobs that both have, by their common name.
        causes: what differs between them, the likeliest cause first.
    """

    before: Side
    after: Side
    pairs: dict[str, tuple[Record, Record]]
    causes: list[Cause]

    @property
    def equal(self) -> list[str]:
        """Jobs that wrote the same bytes."""
        return [name for name, pair in self.pairs.items() if same_outputs(*pair)]

    def only(self, side: Side) -> list[str]:
        """Return the jobs that one side alone has."""
        return sorted(set(side.jobs) - set(self.pairs))


def open_side(path: Path) -> Side:
    """Return a study, a run in runs/<run>, or the job of an output, as one side.

    Raises:
        UserError: nothing of that kind.
    """
    if is_study(path):
        study = open_study(path)
        return Side(path, study, _by_label(study.records.values()))
    study = open_study(study_of(path))
    name = study.name_of(path)
    if path.is_dir():
        run = path.resolve().name
        jobs = {r.stage: r for r in study.records.values() if _title(r).partition("/")[2] == run}
        if not jobs:
            raise UserError(
                f"{path}: no record is about it; expected a study, an output, or "
                "results/<study>/runs/<run>"
            )
        return Side(path, study, jobs)
    record = study.record_for(name)
    return Side(path, study, {record.stage: record})


def compare(before: Side, after: Side) -> Comparison:
    """Compare the jobs of two sides, each with the one of the same name on the other side."""
    pairs = {n: (before.jobs[n], after.jobs[n]) for n in before.jobs if n in after.jobs}
    made = {o.name for side in (before, after) for r in side.jobs.values() for o in r.outputs}
    counts: dict[Difference, Counter[str]] = {}
    for one, other in pairs.values():
        for difference in differences(one, other, before.study, after.study):
            # What another job of the comparison made is an effect; its own differences are told.
            if difference.kind == "input" and difference.name in made:
                continue
            counts.setdefault(difference, Counter())[one.stage] += 1
    causes = [Cause(difference, jobs) for difference, jobs in counts.items()]
    causes.sort(key=lambda c: (KINDS.index(c.difference.kind), -c.jobs.total(), c.difference.name))
    return Comparison(before, after, pairs, causes)


def _title(record: Record) -> str:
    return record.name.removeprefix(f"{PROVENANCE}/").removesuffix(".json")


def _by_label(records: Iterable[Record]) -> dict[str, Record]:
    """Return records by stage and label: a run's hash says that it differs, not which it is."""
    titles = {_title(record): record for record in records}
    label_of = dict(zip(titles, labels(list(titles)), strict=True))
    uses = Counter(label_of.values())
    return {
        label_of[title] if uses[label_of[title]] == 1 else title: record
        for title, record in titles.items()
    }
