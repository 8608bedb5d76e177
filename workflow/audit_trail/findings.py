"""What an audit says of an artefact."""

from dataclasses import dataclass, field
from enum import StrEnum


class State(StrEnum):
    """The state of an artefact, from the best to the worst."""

    VERIFIED = "verified"
    STALE = "stale"
    NOT_CHECKED = "not checked"
    FOREIGN = "foreign"
    MISSING = "missing"
    BROKEN_CHAIN = "broken chain"
    RECORD_MISSING = "record missing"
    RECORD_ALTERED = "record altered"
    MODIFIED = "modified"


_RANKS = {state: rank for rank, state in enumerate(State)}
# Why an artefact is in its state.
REASONS = (
    *("bytes", "link", "unreadable"),
    *("edited", "copied", "rollback", "malformed", "claimed"),
    *("record", "output", "foreign", "gone"),
    *("history", "signature", "time"),
    *("input", "source", "packages", "study", "lock", "image", "commit", "uncommitted"),
    *("code", "configuration", "external", "repository"),
)
# 1 and 2 say that the command itself could not do its work.
EXIT_CODES = {
    State.VERIFIED: 0,
    State.STALE: 3,
    State.NOT_CHECKED: 10,
    State.FOREIGN: 4,
    State.MISSING: 5,
    State.BROKEN_CHAIN: 6,
    State.RECORD_MISSING: 7,
    State.RECORD_ALTERED: 8,
    State.MODIFIED: 9,
}


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with an artefact.

    Attributes:
        state: that it puts the artefact in.
        reason: one of REASONS, which ``--allow`` takes as well.
        detail: a sentence about the artefact, without its name.
    """

    state: State
    reason: str
    detail: str


@dataclass
class Findings:
    """What was found in one study.

    Attributes:
        folder: of the study.
        problems: of each artefact, by its name; none where it is verified.
        notes: what was not looked at, and why.
        entries: lines of the history.
        head: hash of the last one.
    """

    folder: str
    problems: dict[str, list[Problem]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    entries: int = 0
    head: str | None = None

    def add(self, name: str, *problems: Problem) -> None:
        """Add an artefact, or problems of one."""
        self.problems.setdefault(name, []).extend(problems)

    def by_state(self) -> dict[State, list[str]]:
        """Return the names of the artefacts in each state, the best state first."""
        found: dict[State, list[str]] = {state: [] for state in State}
        for name in sorted(self.problems):
            found[worst(self.problems[name])].append(name)
        return {state: names for state, names in found.items() if names}

    def counts(self) -> dict[State, int]:
        """Return how many artefacts are in each state, the best first."""
        return {state: len(names) for state, names in self.by_state().items()}


def worst(problems: list[Problem], allowed: frozenset[str] = frozenset()) -> State:
    """Return the worst state among problems, those aside whose state or reason is allowed."""
    counted = [p.state for p in problems if p.state not in allowed and p.reason not in allowed]
    return max(counted, key=_RANKS.__getitem__, default=State.VERIFIED)
