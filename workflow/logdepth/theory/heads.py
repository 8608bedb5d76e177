"""A causal softmax head whose queries, keys and values are linear, in a chosen precision."""

from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Precision:
    """Number formats of a head.

    Attributes:
        name: in tables.
        stored: of states, weights, queries, keys, values, attention weights and outputs.
        logits: of the scores.
        sums: in which products are summed.
    """

    name: str
    stored: torch.dtype
    logits: torch.dtype
    sums: torch.dtype


FLOAT64 = Precision("float64", torch.float64, torch.float64, torch.float64)
FLOAT32 = Precision("float32", torch.float32, torch.float32, torch.float32)
BFLOAT16 = Precision("bfloat16", torch.bfloat16, torch.float32, torch.float32)
BFLOAT16_LOGITS = Precision("bfloat16 logits", torch.bfloat16, torch.bfloat16, torch.float32)


@dataclass(frozen=True)
class Layer:
    """What one layer did to a batch; token 0 is the start token.

    Attributes:
        state: (batch, n + 1, m), the input.
        queries, keys: (batch, n + 1, d); the inverse temperature is in the queries.
        values: (batch, n + 1, v).
        logits, attention: (batch, n + 1, n + 1), a row for each query.
        output: (batch, n + 1, v).
    """

    state: torch.Tensor
    queries: torch.Tensor
    keys: torch.Tensor
    values: torch.Tensor
    logits: torch.Tensor
    attention: torch.Tensor
    output: torch.Tensor


class Head(nn.Module):
    """A causal softmax head with queries, keys and values linear in the state."""

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor

    def __init__(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        precision: Precision,
        *,
        sees_itself: bool = True,
    ) -> None:
        """Keep the matrices (d, m), (d, m) and (v, m).

        With ``sees_itself`` off a token attends to earlier ones only, as Lemma D.2 is worded; the
        start token still sees itself.
        """
        super().__init__()
        self.precision = precision
        self.sees_itself = sees_itself
        for name, matrix in (("query", query), ("key", key), ("value", value)):
            self.register_buffer(name, matrix.to(precision.stored))

    def forward(self, state: torch.Tensor) -> Layer:
        """Apply the head to states (batch, n + 1, m)."""
        form = self.precision
        state = state.to(form.stored)
        queries, keys, values = (
            self._product(state, matrix.T) for matrix in (self.query, self.key, self.value)
        )
        logits = queries.to(form.sums) @ keys.to(form.sums).mT
        logits = logits.to(form.logits).to(form.sums)
        unseen = torch.ones(logits.shape[-2:], dtype=torch.bool).triu(int(self.sees_itself))
        unseen[0, 0] = False
        attention = logits.masked_fill(unseen, -torch.inf).softmax(-1).to(form.stored)
        output = self._product(attention, values)
        return Layer(state, queries, keys, values, logits, attention, output)

    def _product(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        form = self.precision
        return (left.to(form.sums) @ right.to(form.sums)).to(form.stored)
