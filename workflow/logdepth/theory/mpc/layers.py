"""A transformer layer as the paper defines it: attention, and maps of one token at a time.

The paper's heads have arbitrary row-wise query, key and value functions that may depend on the
position (section 2.1), but its residual stream only adds. Here a layer is attention followed by an
arbitrary map of each token's row, so that parts of a row can be overwritten.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable

import torch
from torch import nn


class Layer(nn.Module, ABC):
    """Attention and token-wise maps.

    Attributes:
        heads: number of heads, H.
        query_width: numbers in a query and in a key.
        value_width: numbers in a value.
        row_width: numbers in a row that goes in.
        out_width: numbers in a row that comes out.
        visible: bool (n, n), whether token i sees token j; None for all.
    """

    heads: int
    query_width: int
    value_width: int
    row_width: int
    out_width: int
    visible: torch.Tensor | None = None

    @abstractmethod
    def project(
        self, first: int, rows: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return queries, keys and values of some tokens, each from its own row.

        Args:
            first: position of the first of them.
            rows: (tokens, row_width).

        Returns:
            Queries and keys (heads, tokens, query_width), values (heads, tokens, value_width); the
            logits are their inner products, without any scaling.
        """

    @abstractmethod
    def update(self, first: int, rows: torch.Tensor, mixed: torch.Tensor) -> torch.Tensor:
        """Return the new rows of some tokens, each from its own row and attention output.

        Args:
            first: position of the first of them.
            rows: (tokens, row_width), as they went in.
            mixed: (heads, tokens, value_width), outputs of the heads.
        """

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Map all rows (n, row_width) to (n, out_width)."""
        query, key, value = self.project(0, rows)
        return self.update(0, rows, attend(query, key, value, self.visible))


class GivenAttention(Layer):
    """Attention alone: a row is the token's queries, keys and values of all heads."""

    def __init__(
        self,
        heads: int,
        query_width: int,
        value_width: int,
        visible: torch.Tensor | None = None,
    ) -> None:
        super().__init__()
        self.heads, self.query_width, self.value_width = heads, query_width, value_width
        self.row_width = heads * (2 * query_width + value_width)
        self.out_width = heads * value_width
        self.visible = visible

    def project(
        self, first: int, rows: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Cut rows into queries, keys and values."""
        del first
        widths = [self.query_width, self.query_width, self.value_width]
        per_head = rows.view(len(rows), self.heads, sum(widths)).transpose(0, 1)
        query, key, value = torch.split(per_head, widths, dim=2)
        return query, key, value

    def update(self, first: int, rows: torch.Tensor, mixed: torch.Tensor) -> torch.Tensor:
        """Return the outputs of all heads, one after another."""
        del first, rows
        return mixed.transpose(0, 1).reshape(mixed.shape[1], self.out_width)


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    visible: torch.Tensor | None = None,
    block: int = 512,
) -> torch.Tensor:
    """Return softmax(Q K^T + mask) V, ``block`` queries at a time.

    In bfloat16, queries, keys, values and attention weights are rounded to it, while logits and
    sums are float32, as matrix units compute them.

    Args:
        query: (heads, n, query_width).
        key: (heads, n, query_width).
        value: (heads, n, value_width).
        visible: bool (n, n), whether token i sees token j.
        block: queries whose logits are in memory together.

    Returns:
        (heads, n, value_width); float32 for bfloat16 inputs, otherwise of the inputs' type.
    """
    kind = query.dtype
    wide = torch.float32 if kind == torch.bfloat16 else kind
    key, value = key.to(wide).transpose(1, 2), value.to(wide)
    mixed = []
    for start in range(0, query.shape[1], block):
        logits = query[:, start : start + block].to(wide) @ key
        if visible is not None:
            logits.masked_fill_(~visible[start : start + block], -torch.inf)
        mixed.append(logits.softmax(2).to(kind).to(wide) @ value)
    return torch.cat(mixed, 1)


def bits_of(words: torch.Tensor, bits: int) -> torch.Tensor:
    """Return the binary digits of int64 words, lowest first: (..., bits) from (...)."""
    return words[..., None] >> torch.arange(bits) & 1


def words_of(digits: torch.Tensor) -> torch.Tensor:
    """Return the int64 words with these binary digits, lowest first: (...) from (..., bits)."""
    return (digits.to(torch.int64) << torch.arange(digits.shape[-1])).sum(-1)


def apply(layers: Iterable[Layer], rows: torch.Tensor) -> torch.Tensor:
    """Apply layers one after another."""
    for layer in layers:
        rows = layer(rows)
    return rows
