"""The layers of a compiled protocol: gather the input, route messages, scatter the output."""

import math
from collections.abc import Sequence

import torch
from torch import nn

from logdepth.theory.mpc.layers import Layer, bits_of, words_of
from logdepth.theory.mpc.machine import IntWords, Message, Protocol, Words
from logdepth.theory.mpc.routing import RoutingError, RoutingHead, pack


class _ProtocolLayer(Layer):
    def __init__(self, protocol: Protocol, tokens: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.protocol, self.tokens, self.dtype = protocol, tokens, dtype
        self.name_bits = max(1, (tokens - 1).bit_length())
        self.bits = protocol.limits.bits
        self.state_width = 2 + 2 * (protocol.limits.words + protocol.messages)

    def _states(
        self, turn: int, first: int, rows: torch.Tensor
    ) -> list[tuple[Words, list[Message]]]:
        """Run local computation ``turn`` on rows; tokens that are no machine hold nothing."""
        states: list[tuple[Words, list[Message]]] = []
        for machine, row in enumerate(rows.tolist(), first - 1):
            if 0 <= machine < self.protocol.limits.machines:
                memory, inbox = unpack_row(row)
                states.append(self.protocol.step(turn, machine, memory, inbox))
            else:
                states.append(((), []))
        return states

    def _pack(self, states: Sequence[tuple[Words, Sequence[Message]]]) -> torch.Tensor:
        rows = torch.zeros(len(states), self.state_width, dtype=torch.int64)
        for row, state in zip(rows, states, strict=True):
            numbers = pack_row(*state)
            row[: len(numbers)] = torch.tensor(numbers)
        return rows

    def _signs(self, names: torch.Tensor) -> torch.Tensor:
        """Code names as +-1 digits: the inner product of two is largest, by 2, when they agree."""
        return bits_of(names, self.name_bits).to(torch.float64) * 2 - 1

    def _typed(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return query.to(self.dtype), key.to(self.dtype), value.to(self.dtype)


class _LookUpLayer(_ProtocolLayer):
    """A head whose scores compare names in binary, in place of the paper's angles.

    The paper's circle has margin 2 pi^2 / N^2 and needs float64 from N = 1000 or so; binary names
    have margin 2 whatever N is.
    """

    heads = 1
    temperature = 16.0

    def _scores(self, wanted: torch.Tensor, own: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        query, key = self.temperature * self._signs(wanted), self._signs(own)
        # The start token has no name: its key is zero, below every match.
        key[own < 0] = 0
        return query[None], key[None]


class GatherLayer(_LookUpLayer):
    """Layer 1: machine i averages the tokens of its input words (paper: Lemma B.4, repaired)."""

    def __init__(
        self, protocol: Protocol, tokens: int, input_words: int, dtype: torch.dtype
    ) -> None:
        super().__init__(protocol, tokens, dtype)
        self.input_words = input_words
        self.row_width, self.out_width = 1, self.state_width
        self.query_width, self.value_width = self.name_bits, protocol.share * self.bits

    def project(
        self, first: int, rows: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Ask for one's own name, offer the name of the machine; blanks offer none."""
        token = torch.arange(first - 1, first - 1 + len(rows))
        owner = torch.where(token < self.input_words, token // self.protocol.share, -1)
        query, key = self._scores(token.clamp(min=0), owner)
        slot = torch.arange(self.protocol.share) == (token % self.protocol.share)[:, None]
        held = slot & (owner >= 0)[:, None]
        value = held[:, :, None] * bits_of(rows[:, :1].expand(-1, self.protocol.share), self.bits)
        return self._typed(query, key, value.flatten(1)[None])

    def update(self, first: int, rows: torch.Tensor, mixed: torch.Tensor) -> torch.Tensor:
        """Multiply the average by the number of words, which the position tells."""
        share = self.protocol.share
        machine = torch.arange(first - 1, first - 1 + len(rows))
        count = (self.input_words - machine * share).clamp(0, share) * (machine >= 0)
        digits = mixed[0].view(len(rows), share, self.bits) * count[:, None, None] > 0.5
        words = words_of(digits).tolist()
        held = zip(words, count.tolist(), strict=True)
        return self._pack([(tuple(row[:number]), []) for row, number in held])


class RoutingLayer(_ProtocolLayer):
    """Layers 2 to R: compute locally, then deliver the messages (paper: Lemma B.5)."""

    def __init__(
        self,
        protocol: Protocol,
        tokens: int,
        turn: int,
        routers: Sequence[RoutingHead],
        dtype: torch.dtype,
    ) -> None:
        super().__init__(protocol, tokens, dtype)
        self.turn = turn
        self.routers = nn.ModuleList(routers)
        self.heads = len(routers)
        self.query_width = max(router.query_width for router in routers)
        self.value_width = max(router.value_width for router in routers)
        self.row_width = self.out_width = self.state_width

    def project(
        self, first: int, rows: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Encode the messages of the local computation."""
        outboxes = [outbox for _, outbox in self._states(self.turn, first, rows)]
        starts = first == 0
        heads: list[list[torch.Tensor]] = [[], [], []]
        sender = max(0, first - 1)
        low = 0
        self._check(sender, outboxes[starts:])
        for router in self._routers():
            mail = [
                [message for message in outbox if low < len(message[1]) <= router.size]
                for outbox in outboxes[starts:]
            ]
            low = router.size if self.heads > 1 else 0
            packets = pack(sender, mail, router.size)
            query = router.queries(sender, len(mail))
            key = router.keys(sender, len(mail), packets)
            value = router.values(sender, len(mail), packets)
            if starts:
                start_key, start_value = router.start()
                query = torch.cat([torch.zeros(1, query.shape[1], dtype=query.dtype), query])
                key = torch.cat([start_key[None], key])
                value = torch.cat([start_value[None].to(value.dtype), value])
            widths = self.query_width, self.query_width, self.value_width
            for parts, part, width in zip(heads, (query, key, value), widths, strict=True):
                parts.append(nn.functional.pad(part.to(self.dtype), (0, width - part.shape[1])))
        return torch.stack(heads[0]), torch.stack(heads[1]), torch.stack(heads[2])

    def update(self, first: int, rows: torch.Tensor, mixed: torch.Tensor) -> torch.Tensor:
        """Keep the memory of the local computation, and decode the inbox."""
        memories = [memory for memory, _ in self._states(self.turn, first, rows)]
        starts = first == 0
        inboxes: list[list[Message]] = [[] for _ in memories]
        for router, output in zip(self._routers(), mixed, strict=True):
            received = router.decode(max(0, first - 1), output[starts:, : router.value_width])
            for inbox, more in zip(inboxes[starts:], received, strict=True):
                inbox += more
        for inbox in inboxes:
            inbox.sort()
        return self._pack(list(zip(memories, inboxes, strict=True)))

    def _check(self, first: int, outboxes: Sequence[Sequence[Message]]) -> None:
        """Refuse messages that no head carries, which would be lost without a trace."""
        largest, most = self._routers()[-1].size, self.protocol.messages
        for sender, outbox in enumerate(outboxes, first):
            for destination, words in outbox:
                if len(words) > largest:
                    raise RoutingError(
                        f"round {self.turn}: {len(words)} words from {sender} to {destination}, "
                        f"but messages have at most {largest}"
                    )
            if len(outbox) > most:
                raise RoutingError(
                    f"round {self.turn}: {len(outbox)} messages from {sender}, but at most {most}"
                )

    def _routers(self) -> list[RoutingHead]:
        return [router for router in self.routers if isinstance(router, RoutingHead)]


class ScatterLayer(_LookUpLayer):
    """Layer R + 1: compute locally; token i fetches output word i (paper: Lemma B.6)."""

    def __init__(self, protocol: Protocol, tokens: int, dtype: torch.dtype) -> None:
        super().__init__(protocol, tokens, dtype)
        self.row_width, self.out_width = self.state_width, 1
        self.query_width, self.value_width = self.name_bits, protocol.output_share * self.bits

    def project(
        self, first: int, rows: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Ask for the machine of one's output word, offer one's own name and output words."""
        share = self.protocol.output_share
        token = torch.arange(first - 1, first - 1 + len(rows))
        query, key = self._scores(token.clamp(min=0) // share, token)
        words = torch.zeros(len(rows), share, dtype=torch.int64)
        holders = math.ceil(self.protocol.outputs / share)
        states = self._states(self.protocol.rounds - 1, first, rows)
        for machine, (row, (memory, _)) in enumerate(zip(words, states, strict=True), first - 1):
            if 0 <= machine < holders:
                answer = [int(word) for word in self.protocol.answer(machine, memory)]
                row[: len(answer)] = torch.tensor(answer)
        return self._typed(query, key, bits_of(words, self.bits).flatten(1)[None])

    def update(self, first: int, rows: torch.Tensor, mixed: torch.Tensor) -> torch.Tensor:
        """Pick one's own word of the machine's."""
        share = self.protocol.output_share
        token = torch.arange(first - 1, first - 1 + len(rows))
        words = words_of(mixed[0].view(len(rows), share, self.bits) > 0.5)
        own = words.gather(1, (token % share)[:, None])
        return torch.where((token >= 0) & (token < self.protocol.outputs), own.T, 0).T


def pack_row(memory: Words, inbox: Sequence[Message]) -> list[int]:
    """Write a machine's memory and inbox as one list of integers."""
    numbers = [len(memory), *(int(word) for word in memory), len(inbox)]
    for source, words in inbox:
        numbers += [source, len(words), *(int(word) for word in words)]
    return numbers


def unpack_row(row: Sequence[int]) -> tuple[IntWords, list[Message]]:
    """Read what ``pack_row`` wrote; numbers after it are ignored."""
    at = row[0] + 1
    memory = tuple(row[1:at])
    inbox: list[Message] = []
    for _ in range(row[at]):
        source, length = row[at + 1], row[at + 2]
        inbox.append((source, tuple(row[at + 3 : at + 3 + length])))
        at += 2 + length
    return memory, inbox
