"""Powers of an injective map by pointer doubling."""

from collections.abc import Sequence

from logdepth.theory.mpc.machine import IntWords, Limits, Message, Protocol, Words


class PointerDoubling(Protocol):
    """Compute f^(2^t) of a map f in which no vertex is the image of two others.

    One machine per vertex, whose input word is f of it. Each doubling takes two exchanges: ask the
    machine that the pointer names, and get its pointer. A fixed point asks nobody. A map that sends
    many vertices to one breaks the limit on received words.
    """

    def __init__(self, vertices: int, doublings: int) -> None:
        self.limits = Limits(vertices, 2, max(1, (vertices - 1).bit_length()))
        self.rounds = 2 * doublings + 1
        self.share = self.output_share = 1
        self.outputs = vertices
        self.messages = self.message_words = 1

    def step(
        self, turn: int, machine: int, memory: Words, inbox: Sequence[Message]
    ) -> tuple[IntWords, list[Message]]:
        """Ask in even rounds, reply in odd ones; memory is the pointer."""
        pointer = int(memory[0])
        if turn % 2:
            return (pointer,), [(source, (pointer,)) for source, _ in inbox]
        if inbox:
            pointer = int(inbox[0][1][0])
        if turn == self.rounds - 1 or pointer == machine:
            return (pointer,), []
        return (pointer,), [(pointer, (0,))]
