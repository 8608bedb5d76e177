"""From a protocol to a transformer (paper: Theorems 3.1 and B.3).

An R-round protocol becomes R + 1 layers: one brings the input words to their machines, R - 1 route
the messages, one brings the output words to their tokens. Token 0 is the start token, token i + 1
is machine i; blank tokens are appended when there are more machines than words. A row of the
residual stream holds the integers that a token knows: an input or output word, or a machine's
memory and inbox. Local computations are part of the token-wise maps, as the paper's definition
allows.
"""

from typing import Literal, NamedTuple

import torch
from torch import nn

from logdepth.theory.mpc.codes import KautzSingleton, RandomTable
from logdepth.theory.mpc.layers import Layer, apply
from logdepth.theory.mpc.machine import Message, Protocol, Words
from logdepth.theory.mpc.protocol_layers import (
    GatherLayer,
    RoutingLayer,
    ScatterLayer,
    unpack_row,
)
from logdepth.theory.mpc.routing import RoutingHead, size_classes

Split = Literal["protocol", "paper"]


class Trace(NamedTuple):
    """What a compiled protocol does on an input.

    Attributes:
        answer: the output words.
        inboxes: of all machines after each of the R - 1 routing layers.
    """

    answer: list[int]
    inboxes: list[list[list[Message]]]


class Compiled(nn.Module):
    """The transformer of a protocol.

    Attributes:
        tokens: length of the context without the start token, M = max(n_in, n_out, q).
        layers: the R + 1 layers.
    """

    def __init__(
        self,
        protocol: Protocol,
        input_words: int,
        *,
        code: Literal["explicit", "table"] = "table",
        groups: int = 20,
        split: Split = "protocol",
        dtype: torch.dtype = torch.float32,
        temperature: float | None = None,
        seed: int = 0,
    ) -> None:
        """Compile a protocol.

        Args:
            protocol: on integer words.
            input_words: number of input words, n_in.
            code: columns of the packets, the explicit code or the random table.
            groups: of the random table.
            split: "protocol" for one head that carries every message within the protocol's own
                bounds; "paper" for one head per size class of Lemma B.7.
            dtype: of queries, keys, values and attention weights.
            temperature: factor of the routing scores.
            seed: of the random signs and the random table.
        """
        super().__init__()
        self.tokens = max(input_words, protocol.outputs, protocol.limits.machines)
        self.input_words, self.protocol = input_words, protocol
        limit = protocol.limits
        if split == "paper":
            classes = size_classes(limit.words)
        else:
            classes = [(protocol.messages, protocol.message_words)]
        if temperature is None:
            temperature = routing_temperature(dtype, max(fan for fan, _ in classes))
        heads = [
            RoutingHead(
                self.tokens,
                fan,
                size,
                limit.bits,
                RandomTable(fan, groups, seed=seed + index)
                if code == "table"
                else KautzSingleton(self.tokens, fan**2),
                temperature=temperature,
                seed=seed + index,
            )
            for index, (fan, size) in enumerate(classes)
        ]
        self.layers = nn.ModuleList(
            [
                GatherLayer(protocol, self.tokens, input_words, dtype),
                *(
                    RoutingLayer(protocol, self.tokens, turn, heads, dtype)
                    for turn in range(protocol.rounds - 1)
                ),
                ScatterLayer(protocol, self.tokens, dtype),
            ]
        )

    def stack(self) -> list[Layer]:
        """Return the layers in order."""
        return [layer for layer in self.layers if isinstance(layer, Layer)]

    def rows(self, inputs: Words) -> torch.Tensor:
        """Return the rows that go in: a word on each of the first tokens, blanks after them.

        Raises:
            ValueError: not the number of words that the protocol was compiled for.
        """
        if len(inputs) != self.input_words:
            raise ValueError(f"{len(inputs)} input words, but compiled for {self.input_words}")
        rows = torch.zeros(self.tokens + 1, 1, dtype=torch.int64)
        rows[1 : len(inputs) + 1, 0] = torch.tensor([int(word) for word in inputs])
        return rows

    def read(self, rows: torch.Tensor) -> list[int]:
        """Return the output words of the rows that come out."""
        return [int(word) for word in rows[1 : self.protocol.outputs + 1, 0].tolist()]

    def forward(self, inputs: Words) -> list[int]:
        """Return the output words for input words."""
        return self.read(apply(self.stack(), self.rows(inputs)))

    def trace(self, inputs: Words) -> Trace:
        """Return the output words, and the inboxes of all machines after each routing layer."""
        rows = self.rows(inputs)
        machines = self.protocol.limits.machines
        inboxes = []
        for layer in self.stack():
            rows = layer(rows)
            if isinstance(layer, RoutingLayer):
                inboxes.append([unpack_row(row)[1] for row in rows[1 : machines + 1].tolist()])
        return Trace(self.read(rows), inboxes)


def routing_temperature(dtype: torch.dtype, fan: int) -> float:
    """Return a factor of the routing scores for up to ``fan`` messages to and from a token.

    Powers of two, exact in bfloat16, whose rounded keys bear less when sets are larger.
    """
    return 16.0 if dtype == torch.bfloat16 and fan > 2 else 32.0
