"""What the audit needs to know of the project that it audits."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audit_trail.records import Record
    from audit_trail.study import StudyFolder

    Row = Mapping[str, str]
    Keeps = Callable[[Record, str], bool]


@dataclass(frozen=True)
class Project:
    """A project whose results are audited; one that nobody described is only verified."""

    name: str = "logdepth"  # of its command and of its package
    sources: str = "workflow"  # folder of a checkout that holds the package
    locks: tuple[str, ...] = ("envs/cpu.txt", "envs/cuda.txt")  # those that decide about results
    # Of a study, one of which makes a folder one; no stage is named so.
    folders: tuple[str, ...] = ("runs", "tables", "figures")
    # What lies in the folder of a study and is no result; last, what the workflow hands to commands
    # (who keep a copy), and what it counted.
    unrecorded: tuple[str, ...] = (
        *("benchmarks", "checkpoints", "logs", "report.html", "report.zip", "traces"),
        *("study.json", "costs.json", "captions"),
    )
    # Columns by the letters that are used for them in print.
    letters: Mapping[str, str] = field(default_factory=dict)
    withheld: tuple[str, ...] = ()  # patterns of outputs that are too large to publish
    # Gives for rows of a table that a job made, whether an input of a job is behind them, and what
    # of the rows rests on more; by default every row comes from all inputs.
    narrow: "Callable[[StudyFolder, Record, Sequence[Row]], tuple[Keeps, str]] | None" = None
    # How far apart two numbers may be that are nearly the same, as a share of the larger one.
    tolerance: float = 1e-3


_used = [Project()]


def use(project: Project) -> None:
    """Make a project the one that commands are about."""
    _used[0] = project


def current() -> Project:
    """Return the project that commands are about; one that knows nothing by default."""
    return _used[0]
