"""Massively parallel computation with its limits enforced (paper: section 2, the MPC model).

q machines hold s words of p bits each. In a round every machine computes anything it likes from
what it holds and what it received, and then sends words to other machines. Three rules make the
paper's definition precise: a machine sends at most one message to another in a round (parts are
concatenated); memory, words sent and words received are each limited to s; what a machine keeps
costs memory, but no message to itself, as the residual stream of a transformer keeps it for free.

R counts local computations, as in the paper. Between them lie R - 1 exchanges of messages.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

IntWords = tuple[int, ...]
Words = IntWords | npt.NDArray[Any]
"""Integers 0 <= w < 2^p, or an array whose elements have at most p bits."""
Message = tuple[int, Words]
"""The machine at the other end, and the words."""


@dataclass(frozen=True)
class Limits:
    """What a system of machines can hold.

    Attributes:
        machines: number of machines, q.
        words: words a machine may hold, send in a round and receive in a round, s.
        bits: bits of a word, p.
    """

    machines: int
    words: int
    bits: int


class LimitError(Exception):
    """A machine went beyond a limit.

    Attributes:
        machine: its number.
        turn: the local computation, from 0.
        amount: what it used.
        limit: what it may use.
    """

    def __init__(self, turn: int, machine: int, action: str, amount: int, limit: int) -> None:
        super().__init__(f"round {turn}: machine {machine} {action} {amount}, limit {limit}")
        self.turn = turn
        self.machine = machine
        self.amount = amount
        self.limit = limit


class Protocol(ABC):
    """A protocol: one function for every machine and round.

    Attributes:
        limits: of the system.
        rounds: number of local computations, R.
        share: input words of a machine; the first machines hold the input in order.
        outputs: number of output words, n_out.
        output_share: output words of a machine; the first machines hold the output in order.
        messages: most messages a machine sends or receives in one exchange; at most s.
        message_words: most words of a message; at most s.
    """

    limits: Limits
    rounds: int
    share: int
    outputs: int
    output_share: int
    messages: int
    message_words: int

    @abstractmethod
    def step(
        self, turn: int, machine: int, memory: Words, inbox: Sequence[Message]
    ) -> tuple[Words, list[Message]]:
        """Compute Local_{turn, machine}; a function of its arguments alone.

        Args:
            turn: number of the local computation, 0 to R - 1.
            machine: number of the machine, from 0.
            memory: what it kept; its input words when turn is 0.
            inbox: messages of the last exchange with their sources, in order of the sources.

        Returns:
            What to keep, and the messages to send with their destinations (none when turn is
            R - 1).
        """

    def answer(self, machine: int, memory: Words) -> Words:
        """Return the output words of a machine after round R; by default all its memory."""
        del machine
        return memory


@dataclass(frozen=True)
class Round:
    """What a round used: a local computation and the exchange after it.

    Attributes:
        memory: words kept by each machine, int64 (q,).
        sent: words sent by each machine, int64 (q,).
        received: words received by each machine, int64 (q,).
        messages: (source, destination, words) of each message.
    """

    memory: npt.NDArray[np.int64]
    sent: npt.NDArray[np.int64]
    received: npt.NDArray[np.int64]
    messages: list[tuple[int, int, int]]


@dataclass
class Execution:
    """A protocol run on one input.

    Attributes:
        outputs: output words, machine by machine.
        rounds: what each used; the last one sends nothing.
        inboxes: of every machine after each exchange, where ``run`` was asked to keep them.
    """

    outputs: list[Words] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)
    inboxes: list[list[list[Message]]] = field(default_factory=list)

    @property
    def answer(self) -> list[int]:
        """Output words of a protocol on integers."""
        return [int(word) for words in self.outputs for word in words]

    @property
    def machines(self) -> int:
        """Number of machines that ever held or received a word."""
        used = [(x.memory > 0) | (x.received > 0) | (x.sent > 0) for x in self.rounds]
        return int(np.any(used, axis=0).sum())

    def table(self) -> pd.DataFrame:
        """Return a row per round: messages, words in all, and the words of the busiest machine."""
        return pd.DataFrame(
            [
                {
                    "round": turn,
                    "messages": len(x.messages),
                    "words": int(x.sent.sum()),
                    "most_memory": int(x.memory.max()),
                    "most_sent": int(x.sent.max()),
                    "most_received": int(x.received.max()),
                }
                for turn, x in enumerate(self.rounds)
            ]
        )


def run(
    protocol: Protocol,
    inputs: Words,
    *,
    keep_inboxes: bool = False,
    watch: Callable[[int, list[Words]], None] | None = None,
) -> Execution:
    """Execute a protocol.

    Args:
        protocol: what to execute.
        inputs: input words, n_in of them.
        keep_inboxes: whether to keep every message.
        watch: called with the number and the memories after each local computation.

    Raises:
        LimitError: a machine breaks a limit.
        ValueError: the input does not fit, or a word is none.
    """
    limits = protocol.limits
    share = protocol.share
    if len(inputs) > share * limits.machines:
        raise ValueError(f"{len(inputs)} input words on {limits.machines} machines of {share}")
    memories = [inputs[i * share : (i + 1) * share] for i in range(limits.machines)]
    inboxes: list[list[Message]] = [[] for _ in memories]
    result = Execution()
    for turn in range(protocol.rounds):
        outboxes = []
        for machine, inbox in enumerate(inboxes):
            memories[machine], outbox = protocol.step(turn, machine, memories[machine], inbox)
            outboxes.append(outbox)
        if watch is not None:
            watch(turn, memories)
        inboxes, used = _deliver(protocol, turn, memories, outboxes)
        result.rounds.append(used)
        if keep_inboxes and turn < protocol.rounds - 1:
            result.inboxes.append(inboxes)
    if result.rounds[-1].messages:
        raise ValueError("a message was sent after the last local computation")
    holders = -(-protocol.outputs // protocol.output_share)
    result.outputs = [protocol.answer(i, memories[i]) for i in range(holders)]
    for machine, words in enumerate(result.outputs):
        if len(words) > protocol.output_share:
            last = protocol.rounds - 1
            raise LimitError(last, machine, "outputs", len(words), protocol.output_share)
    return result


def _deliver(
    protocol: Protocol, turn: int, memories: list[Words], outboxes: list[list[Message]]
) -> tuple[list[list[Message]], Round]:
    limits, machines = protocol.limits, protocol.limits.machines
    inboxes: list[list[Message]] = [[] for _ in range(machines)]
    memory, sent, received = (np.zeros(machines, np.int64) for _ in range(3))
    messages = []
    for source, outbox in enumerate(outboxes):
        _check_words(limits, memories[source])
        memory[source] = len(memories[source])
        reached = set()
        for destination, words in outbox:
            _check_words(limits, words)
            if len(words) > protocol.message_words:
                action = f"message to machine {destination} has words:"
                raise LimitError(turn, source, action, len(words), protocol.message_words)
            if not 0 <= destination < machines or not len(words):
                raise ValueError(
                    f"round {turn}: machine {source} sends {len(words)} words to {destination}"
                )
            if destination in reached:
                action = f"messages to machine {destination}:"
                raise LimitError(turn, source, action, 2, 1)
            reached.add(destination)
            sent[source] += len(words)
            received[destination] += len(words)
            messages.append((source, destination, len(words)))
            inboxes[destination].append((source, words))
    for action, used in (("stores", memory), ("sends", sent), ("receives", received)):
        if used.max() > limits.words:
            machine = int(used.argmax())
            raise LimitError(turn, machine, f"{action} words:", int(used[machine]), limits.words)
    for action, boxes in (("sends", outboxes), ("receives", inboxes)):
        counts = [len(box) for box in boxes]
        if max(counts) > protocol.messages:
            machine = counts.index(max(counts))
            raise LimitError(
                turn, machine, f"{action} messages:", counts[machine], protocol.messages
            )
    return inboxes, Round(memory, sent, received, messages)


def _check_words(limits: Limits, words: Words) -> None:
    if isinstance(words, np.ndarray):
        if words.ndim != 1 or words.dtype.itemsize * 8 > limits.bits:
            raise ValueError(
                f"{words.ndim}-d {words.dtype} array is no list of {limits.bits}-bit words"
            )
    elif words and not (min(words) >= 0 and max(words) < 1 << limits.bits):
        raise ValueError(f"{words} has a word outside 0..2^{limits.bits}-1")
