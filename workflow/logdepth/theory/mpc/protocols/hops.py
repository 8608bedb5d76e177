"""hop_k as a protocol: sort once, then square and multiply (paper: Definition 4.1)."""

from collections.abc import Sequence

from logdepth.theory.mpc.machine import IntWords, Limits, Message, Protocol, Words
from logdepth.theory.mpc.protocols.requests import ask, look_up, reply
from logdepth.theory.mpc.protocols.sorting import SampleSort


class HopK(Protocol):
    """Compute hop_k at every position of a string, in 9 + 2 bits(k) exchanges.

    Sorted by (symbol, position), neighbours of equal symbol are an occurrence and the one before
    it, which gives find^1 in seven exchanges. find^1 is injective wherever it is defined, and so
    are its powers: no machine is asked for more than it holds. Then each bit of k composes
    find^(2^t) with itself and, if it is one, with the result.

    Positions count from 0 and n stands for "no such position", as in ``logdepth.tasks.hop``; the
    answer is the symbol there, or ``alphabet`` for none.
    """

    def __init__(self, length: int, alphabet: int, hops: int, machines: int) -> None:
        self.length, self.alphabet, self.hops = length, alphabet, hops
        self.sort = SampleSort(length, machines, (alphabet - 1).bit_length())
        self.share = self.output_share = self.sort.share
        bits = max(self.sort.limits.bits, alphabet.bit_length(), length.bit_length())
        self.limits = Limits(machines, max(machines**2, 4 * self.share), bits)
        self.doublings = hops.bit_length()
        self.start = self.sort.rounds + 1
        self.rounds = self.start + 2 * self.doublings + 3
        self.outputs = length
        self.messages, self.message_words = machines, max(machines, 3 * self.share)

    def step(
        self, turn: int, machine: int, memory: Words, inbox: Sequence[Message]
    ) -> tuple[IntWords, list[Message]]:
        """Sort, link, double; memory is then symbols, find^(2^t) and the pointer so far."""
        if turn < self.sort.rounds - 1:
            return self.sort.step(turn, machine, memory, inbox)
        if turn == self.sort.rounds - 1:
            kept, _ = self.sort.step(turn, machine, memory, inbox)
            follower = kept and (machine + 1) * self.share < self.length
            return kept, [(machine + 1, kept[-1:])] if follower else []
        if turn == self.sort.rounds:
            return (), self._links([int(word) for _, words in inbox for word in words], memory)
        if turn == self.start:
            kept = self._table(machine, inbox)
        else:
            kept = tuple(int(word) for word in memory)
        bit, replying = divmod(turn - self.start, 2)
        size = len(kept) // 3
        symbols, jump, at = kept[:size], kept[size : 2 * size], kept[2 * size :]
        if replying:
            values = jump if bit < self.doublings else symbols
            return kept, reply(machine, values, self.share, inbox)
        if bit > self.doublings:
            found = look_up(self._some(at), self.share, inbox)
            return tuple(found.get(i, self.alphabet) for i in at), []
        if bit > 0:
            multiply = self.hops >> (bit - 1) & 1
            found = look_up(self._some(jump + at * multiply), self.share, inbox)
            jump = tuple(found.get(i, self.length) for i in jump)
            if multiply:
                at = tuple(found.get(i, self.length) for i in at)
        wanted = at if bit == self.doublings else jump + at * (self.hops >> bit & 1)
        return symbols + jump + at, ask(self._some(wanted), self.share)

    def _some(self, positions: IntWords) -> list[int]:
        return [i for i in positions if i < self.length]

    def _links(self, before: list[int], memory: Words) -> list[Message]:
        """Tell each position its symbol and find^1, three words."""
        told: dict[int, list[int]] = {}
        keys = before + [int(word) for word in memory]
        bits = self.sort.position_bits
        pairs = zip([None, *keys], keys, strict=False)
        for previous, key in list(pairs)[len(before) :]:
            symbol, position = key >> bits, key & ((1 << bits) - 1)
            found = self.length
            if previous is not None and previous >> bits == symbol:
                found = (previous & ((1 << bits) - 1)) + 1
            told.setdefault(position // self.share, []).extend((position, symbol, found))
        return [(home, tuple(words)) for home, words in told.items()]

    def _table(self, machine: int, inbox: Sequence[Message]) -> IntWords:
        """Return symbols, find^1 and the identity for the machine's positions."""
        rows = []
        for _, words in inbox:
            numbers = [int(word) for word in words]
            rows += [tuple(numbers[i : i + 3]) for i in range(0, len(numbers), 3)]
        rows.sort()
        start = machine * self.share
        identity = tuple(range(start, start + len(rows)))
        return tuple(row[1] for row in rows) + tuple(row[2] for row in rows) + identity
