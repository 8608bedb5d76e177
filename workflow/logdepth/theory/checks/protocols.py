"""The machine model and its protocols, against independent oracles (paper: section 2)."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from logdepth.config.theory import Theory
from logdepth.theory.checks.outcomes import Tally, row, table_of, tally
from logdepth.theory.mpc.instances import (
    Case,
    components_case,
    hops_case,
    pointers_case,
    sort_case,
    sums_case,
)
from logdepth.theory.mpc.machine import IntWords, LimitError, Limits, Message, Protocol, Words, run
from logdepth.theory.mpc.protocols.cycles import CycleMin, random_cycles

MODEL = "Section 2"

# Most input words; larger protocols are tried as transformers.
_WORDS = 1024
_BITS = 16


def table(settings: Theory) -> pd.DataFrame:
    """Run every protocol under enforced limits, and break each limit.

    Returns:
        A row per claim and case: theorem, claim, case, size, instances, failures.
    """
    rng = np.random.default_rng(settings.seed)
    return table_of(
        [
            *_limits(settings, rng),
            *_answers(settings, rng),
            *_one_or_two_cycles(settings, rng),
        ]
    )


Told = dict[int, tuple[IntWords, list[Message]]]
"""What machines keep and what they send."""


class Misbehaving(Protocol):
    """Machines that do what they are told in the first round, and nothing after it."""

    share = outputs = output_share = 1
    rounds = 2

    def __init__(self, limits: Limits, told: Told) -> None:
        self.limits, self.told = limits, told
        self.messages = self.message_words = limits.machines * limits.words

    def step(
        self, turn: int, machine: int, memory: Words, inbox: Sequence[Message]
    ) -> tuple[Words, list[Message]]:
        """Obey."""
        del memory, inbox
        return self.told.get(machine, ((), [])) if turn == 0 else ((), [])


def _limits(settings: Theory, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Break each limit by one word, and reach it without breaking it."""
    counts = [Tally() for _ in range(5)]
    for _ in range(settings.instances):
        machines, s = (int(x) for x in rng.integers(3, 33, 2))
        one, two, three = (int(x) for x in rng.permutation(machines)[:3])
        limits = Limits(machines, s, _BITS)
        some = tuple(int(word) for word in rng.integers(0, 1 << _BITS, s + 1))
        offences: list[tuple[int | None, Told]] = [
            (one, {one: ((), [(two, some[:2]), (three, some[2:])])}),
            (three, {one: ((), [(three, some[:2])]), two: ((), [(three, some[2:])])}),
            (one, {one: (some, [])}),
            (one, {one: ((), [(two, some[:1]), (two, some[1:2])])}),
            (None, {one: (some[1:], [(two, some[1:2]), (three, some[2:])])}),
        ]
        for counted, (machine, told) in zip(counts, offences, strict=True):
            counted.add([_stopped(Misbehaving(limits, told)) == machine])
    broken = "a machine that breaks a limit is stopped, and named"
    claims = (
        (broken, "s + 1 words sent"),
        (broken, "s + 1 words received, from two"),
        (broken, "s + 1 words stored"),
        (broken, "two messages to one destination"),
        ("a machine within the limits is not stopped", "s words stored, s words sent"),
    )
    for (claim, case), counted in zip(claims, counts, strict=True):
        yield row(MODEL, claim, case, "q = 3..32, s = 3..32", counted)


def _stopped(protocol: Protocol) -> int | None:
    """Return the machine whose limit ends the execution, or None."""
    try:
        run(protocol, (0,))
    except LimitError as error:
        return error.machine if error.amount == error.limit + 1 else None
    return None


def _answers(settings: Theory, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    n = min(_WORDS, max(settings.machines))
    few = max(2, round(n ** (1 / 3)))
    doublings = n.bit_length() - 1
    makers: dict[tuple[str, str, str], Callable[[], Case]] = {
        (MODEL, "pointer doubling", f"n = q = {n}, f^(2^{doublings})"): lambda: pointers_case(
            n, doublings, rng
        ),
        (MODEL, "prefix sums, fan-in 4", f"n = q = {n}"): lambda: sums_case(n, 4, rng),
        (MODEL, "sample sort", f"n = {n}, q = {few}"): lambda: sort_case(n, few, rng),
        (
            "Definition 4.1",
            "hop_k by sorting and doubling",
            f"n = {n}, q = {few}, k = 0..{settings.max_hops}",
        ): lambda: hops_case(n, few, int(rng.integers(settings.max_hops + 1)), rng),
        (
            "Corollary 3.3",
            "components by hooking and shortcutting, not the paper's algorithm",
            f"n = {n}, q = {few}",
        ): lambda: components_case(n, few, rng),
    }
    for (theorem, case, size), make in makers.items():
        counted = tally(_is_right(make()) for _ in range(settings.instances))
        yield row(
            theorem,
            "the right output; s words stored, sent and received at most",
            case,
            size,
            counted,
        )


def _is_right(case: Case) -> bool:
    protocol, words, right = case
    return run(protocol, words).answer == right


def _one_or_two_cycles(settings: Theory, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Count cycles by their labels, within the rounds that the conjecture says are needed."""
    for n in sorted({min(n, _WORDS) for n in settings.machines}):
        answers, rounds = Tally(), Tally()
        for index in range(settings.instances):
            lengths = [n // 2, n - n // 2] if index % 2 else [n]
            neighbours, labels = random_cycles(lengths, rng)
            protocol = CycleMin(n)
            execution = run(protocol, protocol.encode(neighbours))
            found = execution.answer
            answers.add([found == labels and len(set(found)) == len(lengths)])
            rounds.add([len(execution.rounds) - 1 == math.ceil(math.log2(n)) - 1])
        for claim, counted in (
            ("a cycle of N is told from two of N/2, by labels of all components", answers),
            ("ceil(log2 N) - 1 exchanges are enough", rounds),
        ):
            yield row("Section 2", claim, "arc doubling", f"N = {n}", counted)
