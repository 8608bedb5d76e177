"""Sorting in five exchanges by regular sampling (Shi and Schaeffer 1992)."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise

from logdepth.theory.mpc.machine import IntWords, Limits, Message, Protocol, Words


class SampleSort(Protocol):
    """Sort n keys on q machines, with nothing left to chance.

    Every machine sorts its keys and sends q regular samples to machine 0, which picks q - 1
    splitters and tells them to all. Keys go to the machine of their interval, at most about twice
    the average; the sizes of the intervals then say where each key belongs. Equal keys are kept
    apart by their positions, so that the order is stable and the bound holds for any input.

    The samples need q^2 words on machine 0: with n^(1/3) machines, s = O(n^(2/3)).
    """

    def __init__(self, keys: int, machines: int, key_bits: int) -> None:
        self.keys = keys
        self.position_bits = max(1, (keys - 1).bit_length())
        self.share = self.output_share = max(1, -(-keys // machines))
        words = max(machines**2, 3 * self.share)
        self.limits = Limits(machines, words, key_bits + self.position_bits)
        self.rounds = 6
        self.outputs = keys
        self.messages, self.message_words = machines, max(machines, 2 * self.share)

    def step(
        self, turn: int, machine: int, memory: Words, inbox: Sequence[Message]
    ) -> tuple[IntWords, list[Message]]:
        """Sample, split, exchange, count, place; memory is the machine's keys with positions."""
        machines = self.limits.machines
        kept = tuple(int(word) for word in memory)
        if turn == 0:
            start = machine * self.share
            kept = tuple(
                sorted(key << self.position_bits | start + i for i, key in enumerate(kept))
            )
            regular = {kept[len(kept) * i // machines] for i in range(machines) if kept}
            return kept, [(0, tuple(sorted(regular)))] if regular else []
        if turn == 1:
            samples = sorted(int(word) for _, words in inbox for word in words)
            step = len(samples) / machines
            splitters = [samples[int((i + 0.5) * step)] for i in range(1, machines) if samples]
            everyone = range(machines) if splitters else ()
            return kept, [(destination, tuple(splitters)) for destination in everyone]
        if turn == 2:
            splitters = [int(word) for _, words in inbox for word in words]
            cuts = [0, *(bisect_left(kept, splitter) for splitter in splitters), len(kept)]
            parts = [kept[a:b] for a, b in pairwise(cuts)]
            return (), [(i, part) for i, part in enumerate(parts) if part]
        if turn == 3:
            kept = tuple(sorted(int(word) for _, words in inbox for word in words))
            return kept, [(destination, (len(kept),)) for destination in range(machines)]
        if turn == 4:
            first = sum(int(words[0]) for source, words in inbox if source < machine)
            parts_by_machine: dict[int, list[int]] = {}
            for i, key in enumerate(kept, first):
                parts_by_machine.setdefault(i // self.share, []).append(key)
            return (), [(i, tuple(part)) for i, part in parts_by_machine.items()]
        return tuple(int(word) for _, words in inbox for word in words), []

    def answer(self, machine: int, memory: Words) -> IntWords:
        """Return the machine's part of the sorted keys, without positions."""
        del machine
        return tuple(int(word) >> self.position_bits for word in memory)
