"""One exchange of messages as one attention head (paper: Lemma 3.2, Proposition B.1, Fact B.2)."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from logdepth.theory.mpc.codes import Code, Ints
from logdepth.theory.mpc.layers import bits_of, words_of
from logdepth.theory.mpc.machine import Message

START_SCORE = 0.75
"""Score of the start token, between 1 of a sender and 1/2, the most of any other token."""


class RoutingError(Exception):
    """Messages that a head cannot carry, or two different ones decoded from one source."""


class Packets(NamedTuple):
    """Messages as arrays.

    Attributes:
        source: int64 (messages,) from 0.
        destination: int64 (messages,) from 0.
        length: int64 (messages,), words of each.
        words: int64 (messages, size), filled up with zeros.
    """

    source: Ints
    destination: Ints
    length: Ints
    words: Ints


class RoutingHead(nn.Module):
    """Sends at most ``fan`` messages of at most ``size`` words from and to every token.

    Sparse propagation: token i has random signs u_i, and a token that sends to the set S has the
    least vector w_S with <u_i, w_S> = 1 for i in S. About 8 fan ln(2 N^2) signs keep all other
    scores near or below 1/2. The start token scores 3/4 with value zero; so i averages the values
    of exactly the tokens that send to it, or receives nothing.

    Multiple hashing: a token writes a packet (1, source, destination, length, words) in the columns
    of each of its messages, except where two of its own meet. The receiver knows the number of
    senders from the least 1 it sees, keeps the columns with one packet and drops what is addressed
    to others. Packets are written in binary: the paper's words as numbers need far more
    precision.
    """

    def __init__(
        self,
        tokens: int,
        fan: int,
        size: int,
        bits: int,
        code: Code,
        *,
        temperature: float,
        signs: int | None = None,
        seed: int = 0,
    ) -> None:
        """Build the head.

        Args:
            tokens: number of tokens N that send and receive; the start token comes on top.
            fan: most messages a token sends or receives, s.
            size: most words of a message.
            bits: bits of a word.
            code: columns of the messages.
            temperature: factor of the scores.
            signs: numbers in u_i; by default ceil(8 fan ln(2 N^2)).
            seed: of the random signs.
        """
        super().__init__()
        self.tokens, self.fan, self.size, self.bits = tokens, fan, size, bits
        self.code, self.temperature = code, temperature
        self.name_bits = max(1, (tokens - 1).bit_length())
        self.length_bits = size.bit_length() if size > 1 else 0
        self.packet = 1 + 2 * self.name_bits + self.length_bits + size * bits
        self.value_width = code.columns * self.packet
        count = signs or math.ceil(8 * fan * math.log(2 * max(2, tokens) ** 2))
        self.query_width = count + 1
        rng = np.random.default_rng(seed)
        # Kept as +-1, exact in any number format; the paper's 1/sqrt(count) is in w_S.
        self.signs: torch.Tensor
        self.register_buffer("signs", torch.from_numpy(rng.choice([-1.0, 1.0], (tokens, count))))

    def queries(self, first: int, count: int) -> torch.Tensor:
        """Return the queries of tokens ``first`` to ``first + count - 1``, float64."""
        ones = torch.ones(count, 1, dtype=torch.float64)
        return self.temperature * torch.cat([self.signs[first : first + count], ones], 1)

    def start(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the key and the value of the start token, float64."""
        key = torch.zeros(self.query_width, dtype=torch.float64)
        key[-1] = START_SCORE
        return key, torch.zeros(self.value_width, dtype=torch.float64)

    def keys(self, first: int, count: int, packets: Packets) -> torch.Tensor:
        """Return the keys (w_S, 0) of ``count`` tokens that send these packets, float64."""
        keys = torch.zeros(count, self.query_width, dtype=torch.float64)
        order = np.argsort(packets.source, kind="stable")
        owner = packets.source[order] - first
        ends = np.flatnonzero(np.diff(owner, append=-1)) + 1
        sizes = np.diff(ends, prepend=0)
        for size in np.unique(sizes):
            chosen = ends[sizes == size]
            sets = packets.destination[order][chosen[:, None] - size + np.arange(size)]
            signs = self.signs[torch.from_numpy(sets)]
            ones = signs.new_ones(len(sets), size, 1)
            dual = signs.transpose(1, 2) @ torch.linalg.solve(signs @ signs.transpose(1, 2), ones)
            keys[torch.from_numpy(owner[chosen - 1]), :-1] = dual[:, :, 0]
        return keys

    def values(self, first: int, count: int, packets: Packets) -> torch.Tensor:
        """Return the packet tables of ``count`` tokens that send these packets, float32."""
        columns = self.code.where(packets.source, packets.destination)
        cell = (packets.source - first)[:, None] * self.code.columns + columns
        used = np.bincount(cell.ravel(), minlength=count * self.code.columns)
        message, slot = np.nonzero(used[cell] == 1)
        parts = [
            torch.ones(len(packets.source), 1, dtype=torch.int64),
            bits_of(torch.from_numpy(packets.source), self.name_bits),
            bits_of(torch.from_numpy(packets.destination), self.name_bits),
            bits_of(torch.from_numpy(packets.length), self.length_bits),
            bits_of(torch.from_numpy(packets.words), self.bits).flatten(1),
        ]
        table = torch.zeros(count * self.code.columns, self.packet)
        coded = torch.cat(parts, 1).float()
        table[torch.from_numpy(cell[message, slot])] = coded[torch.from_numpy(message)]
        return table.view(count, self.value_width)

    def heard(self, mixed: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return how many packets were added up in each column.

        Args:
            mixed: (tokens, value_width), the attention's output.

        Returns:
            Number of senders, (tokens, 1), and of packets, (tokens, columns): near 0 in a blank
            column, near 1 in a clean one, near 2 or more in a corrupted one.
        """
        share = mixed.view(len(mixed), self.code.columns, self.packet)[:, :, 0]
        least = torch.where(share > 0.5 / self.fan, share, torch.inf).min(1, keepdim=True).values
        senders = torch.where(least.isfinite(), least.reciprocal().round(), 0)
        return senders, share * senders

    def clean(self, mixed: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return what is in the columns that hold exactly one packet.

        Args:
            mixed: (tokens, value_width), the attention's output.

        Returns:
            Token and column of each packet, and its binary digits, bool (packets, packet - 1).
        """
        table = mixed.view(len(mixed), self.code.columns, self.packet)
        senders, heard = self.heard(mixed)
        token, column = torch.nonzero((heard - 1).abs() < 0.25, as_tuple=True)
        return token, column, table[token, column, 1:] * senders[token] > 0.5

    def read(self, digits: torch.Tensor) -> Packets:
        """Return packets from their binary digits, bool (packets, packet - 1)."""
        widths = [self.name_bits, self.name_bits, self.length_bits, self.size * self.bits]
        source, destination, length, words = torch.split(digits, widths, 1)
        return Packets(
            words_of(source).numpy(),
            words_of(destination).numpy(),
            # Without length digits, every message has its one word.
            words_of(length).clamp(min=1).numpy(),
            words_of(words.view(-1, self.size, self.bits)).numpy(),
        )

    def decode(self, first: int, mixed: torch.Tensor) -> list[list[Message]]:
        """Return the inboxes of tokens from their attention outputs (tokens, value_width).

        Raises:
            RoutingError: two different messages from one source.
        """
        token, _, digits = self.clean(mixed)
        destination = words_of(digits[:, self.name_bits : 2 * self.name_bits])
        mine = destination == token + first
        packets = self.read(digits[mine])
        found = np.column_stack([token[mine], packets.source, packets.length, packets.words])
        inboxes: list[list[Message]] = [[] for _ in range(len(mixed))]
        for owner, origin, count, *numbers in np.unique(found, axis=0).tolist():
            if inboxes[owner] and inboxes[owner][-1][0] == origin:
                raise RoutingError(f"token {owner + first}: two messages from {origin}")
            inboxes[owner].append((origin, tuple(numbers[:count])))
        return inboxes


def pack(first: int, outboxes: Sequence[Sequence[Message]], size: int) -> Packets:
    """Return messages as arrays.

    Args:
        first: number of the first sender.
        outboxes: of the senders, with destinations.
        size: most words of a message.
    """
    sent = [
        (source, destination, words)
        for source, outbox in enumerate(outboxes, first)
        for destination, words in outbox
    ]
    words = np.zeros((len(sent), size), np.int64)
    for row, (_, _, message) in zip(words, sent, strict=True):
        row[: len(message)] = message
    heads = np.array([(a, b, len(message)) for a, b, message in sent], np.int64).reshape(-1, 3)
    return Packets(heads[:, 0], heads[:, 1], heads[:, 2], words)


def size_classes(words: int) -> list[tuple[int, int]]:
    """Split messages by size so that O(log log s) narrow heads carry them (paper: Lemma B.7).

    Class h holds sizes from beta_(h-1) to beta_h - 1, with beta_0 = 1 and beta_h = min(2
    beta_(h-1)^3, s + 1); the paper bounds the last one inconsistently. A token has at most s /
    beta_(h-1) messages of the class.

    Args:
        words: limit s on the words sent and received.

    Returns:
        (fan, size) of each class: most messages, and most words of one.
    """
    classes = []
    low = 1
    while low <= words:
        high = min(2 * low**3, words + 1)
        classes.append((words // low, high - 1))
        low = high
    return classes
