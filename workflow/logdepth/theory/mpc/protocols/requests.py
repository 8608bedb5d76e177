"""Reading a table that is spread over the machines: ask, reply, look up.

Entry x of the table lies on machine x // share. A machine asks each other machine once, for
distinct entries in increasing order; the reply has the values in the same order. So the reply needs
no names, and an entry that everybody wants costs its holder one word per machine.
"""

from collections.abc import Iterable, Sequence

from logdepth.theory.mpc.machine import Message


def ask(entries: Iterable[int], share: int) -> list[Message]:
    """Return the requests for some entries.

    Args:
        entries: of the table, in any order, also more than once.
        share: entries on a machine.
    """
    wanted: dict[int, list[int]] = {}
    for entry in sorted(set(entries)):
        wanted.setdefault(entry // share, []).append(entry)
    return [(machine, tuple(names)) for machine, names in wanted.items()]


def reply(
    machine: int, values: Sequence[int], share: int, inbox: Sequence[Message]
) -> list[Message]:
    """Return the replies to requests.

    Args:
        machine: that replies.
        values: its part of the table.
        share: entries on a machine.
        inbox: the requests.
    """
    start = machine * share
    return [(source, tuple(values[int(name) - start] for name in names)) for source, names in inbox]


def look_up(entries: Iterable[int], share: int, inbox: Sequence[Message]) -> dict[int, int]:
    """Return the values of the entries that ``ask`` asked for, from the replies."""
    replies = dict(inbox)
    return {
        int(name): int(value)
        for machine, names in ask(entries, share)
        for name, value in zip(names, replies[machine], strict=True)
    }
