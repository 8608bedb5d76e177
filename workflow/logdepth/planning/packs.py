"""Packs: which jobs of a study share a Slurm job, so that no GPU is given to one tiny model.

Standard library alone: the executor imports this.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from logdepth.planning.makespan import SLURM_START, schedule

# Jobs follow one another in a Slurm job for so long; its start-up is then below 1 %.
PACKED_SECONDS = 600.0
# What one more Slurm job costs: start-up, and its part of submitting, waiting and polling; assumed.
QUEUE_SECONDS = 15.0
# Sums of shares such as 1/3 miss 1 by a rounding error.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class JobRequest:
    """One job to be packed.

    Attributes:
        key: its name, unique among the members.
        seconds: that it takes at most, its own start-up included.
        share: part of a GPU, or of the cores of a job, that it keeps busy; in (0, 1].
        mem_mb: memory of the host that it needs, in MB.
        group: number of the runs that train as one network with it; 0 for none. The first of them
            that starts trains all.

    Raises:
        ValueError: a share that is not in (0, 1], or no time.
    """

    key: str
    seconds: float
    share: float
    mem_mb: int
    group: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(f"{self.key}: share is {self.share}, expected in (0, 1]")
        if not 0 < self.seconds < math.inf:
            raise ValueError(f"{self.key}: seconds is {self.seconds}, expected above 0")


@dataclass(frozen=True)
class SlurmJob:
    """Members that share one Slurm job.

    Attributes:
        members: keys, the longest first: the order to start them in; the others of a group last.
        at_once: processes to run at once, each on its own core.
        mem_mb: of the job: of the ``at_once`` members that need most, in MB.
        seconds: until the last member ends, at most.
        minutes: time limit of the job.
    """

    members: tuple[str, ...]
    at_once: int
    mem_mb: int
    seconds: float
    minutes: int


def make_packs(
    members: Iterable[JobRequest], *, most_at_once: int, max_minutes: int
) -> list[SlurmJob]:
    """Pack members into Slurm jobs; each is in exactly one pack, the longest pack comes first.

    What runs at once never has shares above 1 in sum, nor more than ``most_at_once`` members, each
    on a core of its own. Beyond that:

    - Short members follow one another in a job, until it takes PACKED_SECONDS at most. But not
      always so long: with W seconds of work in J jobs, a study waits W / J seconds and pays J times
      QUEUE_SECONDS, least in sum with J = sqrt(W / QUEUE_SECONDS). So 500 runs of a second are
      neither one job nor 500. Where a member takes longer anyway, the others lose nothing by
      sharing jobs up to that time.
    - No member waits for others in its job longer than that; so long ones start at once.
    - A pack's members take about equally long, lest its GPU waits for one of them; but where a
      pack leaves time idle, others fill it, since that costs nothing and saves a job.
    - Packs of like members are about equally full: what shares a GPU with less is faster.
    - A group is one member, as long as all of it: one process trains it, and the others that it
      is for find that nothing is left to do, so that none holds a GPU and waits.

    The result does not depend on the order of ``members``.

    Args:
        members: what to pack.
        most_at_once: most members that may run at once, at least 1.
        max_minutes: longest time limit that the cluster allows.

    Raises:
        ValueError: two members have the same key.
    """
    each = sorted(members, key=lambda member: (-member.seconds, member.key))
    if len({member.key for member in each}) < len(each):
        raise ValueError("two members have the same key")
    waiting, others = _joined(each)
    if not waiting:
        return []
    chain = _chain_seconds(waiting, most_at_once, max_minutes)
    chunks: list[list[JobRequest]] = []
    for alike in _alike(waiting, most_at_once, chain):
        chunks += _even(alike, most_at_once, chain)
    packs = [
        _pack(chunk, most_at_once, chain, max_minutes)
        for chunk in _filled(chunks, most_at_once, chain)
    ]
    if others:
        packs = [_with(pack, others) for pack in packs]
    return sorted(packs, key=lambda pack: (-pack.seconds, pack.members))


def _joined(members: list[JobRequest]) -> tuple[list[JobRequest], dict[str, list[str]]]:
    """Return groups as one member each, and the keys of its others by that of its first."""
    joined = [member for member in members if not member.group]
    groups: dict[int, list[JobRequest]] = {}
    for member in members:
        if member.group:
            groups.setdefault(member.group, []).append(member)
    for group in groups.values():
        seconds = sum(member.seconds for member in group)
        share = max(member.share for member in group)
        memory = max(member.mem_mb for member in group)
        joined.append(replace(group[0], seconds=seconds, share=share, mem_mb=memory))
    joined.sort(key=lambda member: (-member.seconds, member.key))
    return joined, {first.key: [other.key for other in rest] for first, *rest in groups.values()}


def _with(pack: SlurmJob, others: dict[str, list[str]]) -> SlurmJob:
    """Return a pack with the others of its groups, after the first ones of all."""
    rest = [other for key in pack.members for other in others.get(key, ())]
    return replace(pack, members=(*pack.members, *rest))


def _chain_seconds(members: list[JobRequest], most_at_once: int, max_minutes: int) -> float:
    """Return how long short members may follow one another in a job."""
    work = sum(member.seconds * _slot(member, most_at_once) for member in members)
    wanted = max(math.sqrt(work * QUEUE_SECONDS), max(member.seconds for member in members))
    # The time limit is twice the time.
    allowed = max(30.0 * max_minutes - SLURM_START, 1.0)
    return min(wanted, PACKED_SECONDS, allowed)


def _slot(member: JobRequest, most_at_once: int) -> float:
    """Return the part of a job that a member takes: its share, or one of ``most_at_once``."""
    return max(member.share, 1 / most_at_once)


def _width(members: list[JobRequest], most_at_once: int) -> int:
    """Return how many of the members may run at once, whichever they are."""
    width, total = 0, 0.0
    for share in sorted((member.share for member in members), reverse=True)[:most_at_once]:
        total += share
        if total > 1 + _ROUNDING:
            break
        width += 1
    return max(width, 1)


def _fits(members: list[JobRequest], most_at_once: int, chain: float) -> bool:
    """Whether members, the longest first, may share a job, and none waits too long for others."""
    longest = max(members[0].seconds, chain) * (1 + _ROUNDING)
    # A bound that is quick to see: whatever runs at once has shares of 1 in sum.
    if sum(m.seconds * _slot(m, most_at_once) for m in members) > longest:
        return False
    start, end = schedule((m.seconds for m in members), _width(members, most_at_once))
    return start <= chain and end <= longest


def _alike(members: list[JobRequest], most_at_once: int, chain: float) -> list[list[JobRequest]]:
    """Group members of which as many may run at once and which take about equally long."""
    groups: dict[int, list[list[JobRequest]]] = {}
    for member in members:
        width = min(most_at_once, int(1 / member.share + _ROUNDING))
        same = groups.setdefault(width, [])
        if not same or 2 * max(member.seconds, chain) < same[-1][0].seconds:
            same.append([])
        same[-1].append(member)
    return [group for same in groups.values() for group in same]


def _even(members: list[JobRequest], most_at_once: int, chain: float) -> list[list[JobRequest]]:
    """Cut a group into as few packs as fit, all about equally full."""
    loads = [_slot(m, most_at_once) * min(1.0, m.seconds / chain) for m in members]
    fewest = max(1, math.ceil(sum(loads) - _ROUNDING))
    for count in range(fewest, len(members)):
        chunks = _cut(members, loads, count)
        if all(_fits(chunk, most_at_once, chain) for chunk in chunks):
            return chunks
    return [[member] for member in members]


def _cut(members: list[JobRequest], loads: list[float], count: int) -> list[list[JobRequest]]:
    """Cut members, in order, into ``count`` parts of about the same load, none empty."""
    chunks = []
    start, left = 0, sum(loads)
    for chunks_left in range(count, 0, -1):
        end, load = start + 1, loads[start]
        last = len(members) - (chunks_left - 1)
        while end < last and (chunks_left == 1 or load < left / chunks_left - _ROUNDING):
            load += loads[end]
            end += 1
        chunks.append(members[start:end])
        start, left = end, left - load
    return chunks


def _filled(
    chunks: list[list[JobRequest]], most_at_once: int, chain: float
) -> list[list[JobRequest]]:
    """Join packs as long as the joint one still fits: it then takes less than the two."""
    joint: list[list[JobRequest]] = []
    for chunk in sorted(chunks, key=lambda chunk: (-chunk[0].seconds, chunk[0].key)):
        for i, other in enumerate(joint):
            both = sorted(other + chunk, key=lambda member: (-member.seconds, member.key))
            if _fits(both, most_at_once, chain):
                joint[i] = both
                break
        else:
            joint.append(chunk)
    return joint


def _pack(members: list[JobRequest], most_at_once: int, chain: float, max_minutes: int) -> SlurmJob:
    times = [member.seconds for member in members]
    width = _width(members, most_at_once)
    soonest = schedule(times, width)[1] * (1 + _ROUNDING)
    # Where a long member decides when the job ends, fewer processes may end as soon.
    for at_once in range(1, width + 1):
        start, seconds = schedule(times, at_once)
        if start <= chain and seconds <= soonest:
            break
    return SlurmJob(
        members=tuple(member.key for member in members),
        at_once=at_once,
        mem_mb=sum(sorted((member.mem_mb for member in members), reverse=True)[:at_once]),
        seconds=seconds,
        minutes=min(max_minutes, 10 * math.ceil(2 * (seconds + SLURM_START) / 600)),
    )
