"""Prefix sums over a tree of machines."""

from collections.abc import Sequence

from logdepth.theory.mpc.machine import IntWords, Limits, Message, Protocol, Words


class PrefixSums(Protocol):
    """Give machine i the sum of the words of machines 0..i-1, modulo 2^p.

    The machine whose number is divisible by b^l leads a block of b^l machines. Sums of blocks climb
    D = ceil(log_b q) levels; what lies before each block comes down again: 2D exchanges.
    """

    def __init__(self, machines: int, fan_in: int, bits: int = 16) -> None:
        if fan_in < 2:
            raise ValueError(f"fan-in {fan_in}: a tree needs at least 2")
        depth = 0
        while fan_in**depth < machines:
            depth += 1
        self.depth, self.fan_in = depth, fan_in
        self.limits = Limits(machines, depth * fan_in + 1, bits)
        self.rounds = 2 * depth + 1
        self.share = self.output_share = 1
        self.outputs = machines
        self.messages, self.message_words = fan_in - 1, 1

    def step(
        self, turn: int, machine: int, memory: Words, inbox: Sequence[Message]
    ) -> tuple[IntWords, list[Message]]:
        """Climb, then descend.

        Going up, memory is the sums of the machine's children, level by level, lowest first, after
        its own word. Going down, it is the same with what lies before the machine in front; the
        levels already told are dropped.
        """
        b, kept = self.fan_in, [int(word) for word in memory]
        if 0 < turn <= self.depth and machine % b**turn == 0:
            children = [0] * b
            children[0] = self._block(kept, turn - 1)
            for source, words in inbox:
                children[(source - machine) // b ** (turn - 1)] = int(words[0])
            kept += children
        if turn < self.depth:
            if machine % b**turn or machine % b ** (turn + 1) == 0:
                return tuple(kept), []
            leader = machine - machine % b ** (turn + 1)
            return tuple(kept), [(leader, (self._block(kept, turn),))]
        before = 0
        if turn == self.depth:
            # Only machine 0 has nothing before it; the others learn it from their leaders.
            kept[0] = 0
        elif inbox:
            before = int(inbox[0][1][0])
            kept[0] = before
        level = 2 * self.depth - turn
        if level == 0 or machine % b**level:
            return tuple(kept), []
        before = kept[0]
        children, kept = kept[-b:], kept[:-b]
        outbox: list[Message] = []
        for child, total in enumerate(children):
            destination = machine + child * b ** (level - 1)
            if child and destination < self.limits.machines:
                outbox.append((destination, (before,)))
            before = (before + total) % (1 << self.limits.bits)
        return tuple(kept), outbox

    def answer(self, machine: int, memory: Words) -> IntWords:
        """Return the sum of what lies before the machine."""
        del machine
        return (int(memory[0]),)

    def _block(self, kept: list[int], level: int) -> int:
        """Sum of the block of the given level that this machine leads."""
        values = kept[-self.fan_in :] if level else kept[:1]
        return sum(values) % (1 << self.limits.bits)
