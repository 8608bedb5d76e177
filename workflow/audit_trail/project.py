"""What the audit needs to know of the project that it audits."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_trail.errors import AuditError

if TYPE_CHECKING:
    from audit_trail.records import Record
    from audit_trail.repository import Repository
    from audit_trail.study import StudyFolder

    Expected = Callable[[StudyFolder, Repository], Callable[[Record], str | None]]
    Narrow = Callable[[StudyFolder, Record, Sequence[Mapping[str, str]]], "Narrowed"]


@dataclass(frozen=True)
class Narrowed:
    """What chosen rows of a table come from."""

    # Whether an input of a job, by its name, is behind these rows.
    keeps: "Callable[[Record, str], bool]"
    note: str = ""  # what of the rows rests on more than that; empty for nothing


@dataclass(frozen=True)
class Rebuilding:
    """How the recorded commands of a project are run again."""

    stages: frozenset[str] = frozenset()  # commands that make outputs; no other is ever run
    reads: frozenset[str] = frozenset()  # options that name files, or folders of files, to read
    # Options that are given what the record keeps elsewhere, such as the device; one whose value
    # is None is left out, as that of a folder for scratch files must be.
    instead: Mapping[str, "Callable[[Record], object]"] = field(default_factory=dict)
    # Gives the arguments of a stage for a record and the folder of its study, where these do not
    # follow from the command.
    build: Mapping[str, "Callable[[Record, str], list[str]]"] = field(default_factory=dict)
    locks: frozenset[str] = frozenset()  # lock files of a checkout that decide about results


def _expect_nothing(*_: object) -> "Callable[[Record], None]":
    raise AuditError("nobody has said how the configuration is read")


@dataclass(frozen=True)
class Project:
    """A project whose results are audited; one that nobody described is only verified."""

    name: str = "logdepth"  # of its command and of its package
    sources: str = "workflow"  # folder of a checkout that holds the package
    # Gives for a study, in a checkout, what gives the definition that a job should have now: ""
    # for one that is no longer wanted, None where that is unknown. An AuditError says why not.
    expected: "Expected" = _expect_nothing
    # Of a study, one of which makes a folder one; no stage is named so.
    folders: tuple[str, ...] = ("runs", "tables", "figures")
    # What lies in the folder of a study and is no result, by its name there; the second line is
    # what the workflow hands to commands, who keep a copy, and what it counted.
    unrecorded: tuple[str, ...] = (
        *("benchmarks", "checkpoints", "logs", "report.html", "report.zip", "traces"),
        *("study.json", "costs.json", "captions"),
    )
    # Columns by the letters that are used for them in print.
    letters: Mapping[str, str] = field(default_factory=dict)
    withheld: tuple[str, ...] = ()  # patterns of outputs that are too large to publish
    # Gives for rows, by column, of a table that a job of a study made, what they come from; by
    # default every row comes from all inputs.
    narrow: "Narrow | None" = None
    # How far apart two numbers may be that are nearly the same, as a share of the larger one.
    tolerance: float = 1e-3
    rebuilding: Rebuilding = Rebuilding()


_used = [Project()]


def use(project: Project) -> None:
    """Make a project the one that commands are about."""
    _used[0] = project


def current() -> Project:
    """Return the project that commands are about; one that knows nothing by default."""
    return _used[0]
