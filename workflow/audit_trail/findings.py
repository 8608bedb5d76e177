"""What an audit says of an artefact."""

from dataclasses import dataclass, field
from enum import StrEnum


class State(StrEnum):
    """The state of an artefact, from the best to the worst."""

    VERIFIED = "verified"
    STALE = "stale"
    FOREIGN = "foreign"
    MISSING = "missing"
    BROKEN_CHAIN = "broken chain"
    RECORD_MISSING = "record missing"
    RECORD_ALTERED = "record altered"
    MODIFIED = "modified"


# Why an artefact is in its state.
REASONS = (
    *("bytes", "link"),
    *("edited", "copied", "rollback", "malformed", "claimed"),
    *("record", "output", "foreign"),
    *("history", "signature"),
    *("input", "source", "packages", "study", "lock", "image", "commit", "uncommitted"),
    *("code", "configuration", "external"),
)
# 1 and 2 say that the command itself could not do its work.
EXIT_CODES = {state: 0 if i == 0 else i + 2 for i, state in enumerate(State)}


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

    def counts(self) -> dict[State, int]:
        """Return how many artefacts are in each state, the best first."""
        states = [worst(problems) for problems in self.problems.values()]
        return {state: states.count(state) for state in State if state in states}


def worst(problems: list[Problem], allowed: frozenset[str] = frozenset()) -> State:
    """Return the worst state among problems, those aside whose state or reason is allowed."""
    order = list(State)
    counted = [p.state for p in problems if not {p.state.value, p.reason} & allowed]
    return max(counted, key=order.index, default=State.VERIFIED)
