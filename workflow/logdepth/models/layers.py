"""The parts of a block: what torch has, but for what is slow there on a CPU, and for dropout.

``gelu_tanh`` takes half of torch's time; on a GPU torch's own is used.
"""

import math
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional as F

from logdepth.random import random_words

# GPT-2's GELU is x * sigmoid(_LINEAR x + _CUBIC x^3).
_LINEAR = 2 * math.sqrt(2 / math.pi)
_CUBIC = 0.044715 * _LINEAR
# Different words of 16 bits, of which dropout takes one an entry.
_WORDS = 2**16


class _GeluTanh(torch.autograd.Function):
    """tanh as a sigmoid, and every operation but the first of a pass in place."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        gate = (x * x).mul_(_CUBIC).add_(_LINEAR).mul_(x).sigmoid_()
        ctx.save_for_backward(x, gate)
        return x * gate

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        x, gate = ctx.saved_tensors
        # Of what the sigmoid is taken of, times x.
        slope = (x * x).mul_(3 * _CUBIC).add_(_LINEAR).mul_(x)
        slope = torch.addcmul(slope, slope, gate, value=-1)
        return slope.add_(1).mul_(gate).mul_(gradient)


def gelu_tanh(x: torch.Tensor) -> torch.Tensor:
    """Return ``F.gelu(x, approximate="tanh")``, GPT-2's activation, but for rounding."""
    if x.device.type != "cpu":
        return F.gelu(x, approximate="tanh")
    result: torch.Tensor = _GeluTanh.apply(x)  # type: ignore[no-untyped-call]
    return result


class Noise:
    """The random numbers of a network's dropout: a function of where its streams start.

    So dropout is the same on every device, and needs no state in a checkpoint.
    """

    def __init__(self) -> None:
        self.begin(torch.zeros(1, dtype=torch.int64))

    def begin(self, starts: torch.Tensor) -> None:
        """Draw from here on from streams, int64 (runs,), each for its part of a batch."""
        self._starts, self._drawn = starts, 0

    def kept(self, x: torch.Tensor, rate: float) -> torch.Tensor:
        """Return 0 with probability ``rate`` for each entry of x, else what keeps the mean.

        An entry takes 16 bits, so that the probability is the nearest multiple of 2^-16: 0.100006
        for 0.1. The scale is that of the probability as it is.

        Args:
            x: (runs * batch, ...), the sequences of the first run first.
            rate: probability of 0.
        """
        dropped = round(rate * _WORDS)
        starts = self._starts.to(x.device)
        each = x.numel() // len(starts)
        words = random_words(starts, math.ceil(each / 4), self._drawn)
        self._drawn += words.shape[1]
        kept = words.view(torch.int16)[:, :each].reshape(x.shape) >= dropped - _WORDS // 2
        return kept.to(x.dtype).mul_(_WORDS / (_WORDS - dropped))


class Dropout(nn.Module):
    """While training, set each entry to 0 with some probability, and scale the others."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        # A network gives all its layers one.
        self.noise = Noise()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map a tensor to one of the same shape."""
        return x * self.noise.kept(x, self.rate) if self.training and self.rate else x


def full(x: torch.Tensor) -> torch.Tensor:
    """Return a tensor in float32, or in what it is in if that is more precise."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def attention_matrix(query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """Return softmax(query key^T / sqrt(d)) over keys that are not later than the query.

    Args:
        query: (batch, heads, n, d).
        key: of the same shape.

    Returns:
        (batch, heads, n, n), a row for each query.
    """
    batch, heads, n, size = query.shape
    future = query.new_full((n, n), -math.inf).triu(1)
    # One product for all heads, with the mask added and the scale in it.
    scores = torch.baddbmm(
        future, query.flatten(0, 1), key.flatten(0, 1).transpose(1, 2), alpha=1 / math.sqrt(size)
    )
    return scores.softmax(-1).view(batch, heads, n, n)


class Attention(nn.Module):
    """Causal multi-head attention; query, key and value are one (3m, m) matrix."""

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads = heads
        self.drop = Dropout(dropout)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def split(self, query_key_value: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Turn (batch, n, 3m) into query, key and value, (batch, heads, n, m / heads) each."""
        batch, n, _ = query_key_value.shape
        parts = query_key_value.view(batch, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        return parts.unbind()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (batch, n, m) to (batch, n, m)."""
        query, key, value = self.split(self.query_key_value(x))
        if self.drop.rate and self.training:
            # There is no autocast for tensors without content.
            with torch.autocast("cpu" if x.is_meta else x.device.type, enabled=False):
                weights = self.drop(attention_matrix(full(query), full(key)))
                mixed = weights @ full(value)
        elif x.device.type == "cpu":
            # The backward pass of bfloat16 attention is ten times slower than float32's on a CPU.
            with torch.autocast("cpu", enabled=False):
                mixed = F.scaled_dot_product_attention(
                    full(query), full(key), full(value), is_causal=True
                )
        else:
            mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        out: torch.Tensor = self.output(mixed.transpose(1, 2).reshape(x.shape))
        return out


class MLP(nn.Module):
    """Two linear layers with a GELU between them; "gelu_tanh" is GPT-2's approximation."""

    def __init__(
        self, width: int, hidden: int, activation: Literal["gelu", "gelu_tanh"] = "gelu"
    ) -> None:
        super().__init__()
        self.activation = F.gelu if activation == "gelu" else gelu_tanh
        self.hidden = nn.Linear(width, hidden)
        self.output = nn.Linear(hidden, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (batch, n, m) to (batch, n, m)."""
        out: torch.Tensor = self.output(self.activation(self.hidden(x)))
        return out
