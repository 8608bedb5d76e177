"""Associative recall of many pairs (Arora et al., 2023): what stood behind this key?

k is the number of pairs of a key and a value; the rest of a sequence asks for them again. Two
layers of attention are enough whatever k, so that it is a control that needs no depth, while a
state of fixed size holds only so many pairs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from logdepth.tasks.base import Batch, Task, check_half

if TYPE_CHECKING:
    import torch


class Recall(Task):
    """k pairs of a key and a value, then keys that are asked for."""

    name: Literal["recall"] = "recall"
    """Associative recall of many pairs."""
    context: int = Field(64, ge=3)
    """Tokens of a sequence: two for a pair, one for a question."""
    alphabet: int = Field(8, ge=2)
    """Values."""
    max_k: int = Field(16, ge=1)
    """Most pairs; there are twice as many keys."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        check_half(self)
        return self

    @property
    def keys(self) -> int:
        """Number of keys."""
        return 2 * self.max_k

    @property
    def vocabulary(self) -> int:
        """Keys, values, and what stands where nothing is asked."""
        return self.keys + self.alphabet + 1

    @property
    def answers(self) -> range:
        """Values."""
        return range(self.keys, self.keys + self.alphabet)

    @property
    def chance(self) -> float:
        """Error of a uniform guess."""
        return 1 - 1 / self.alphabet

    @property
    def numbers(self) -> int:
        """One for each key, and one for each token."""
        return self.keys + self.context

    def sequences(self, bits: torch.Tensor, k: torch.Tensor) -> Batch:
        """Return pairs and questions; every question is asked for."""
        import torch

        from logdepth.random import shuffled

        keys, rest = shuffled(bits[:, : self.keys]), bits[:, self.keys :]
        values = rest[:, : self.max_k] % self.alphabet + self.keys
        places = torch.arange(self.context, device=bits.device).expand_as(rest)
        asked = places >= 2 * k[:, None]
        pair = torch.where(asked, rest // self.alphabet % k[:, None], places // 2)
        value = values.gather(1, pair)
        tokens = torch.where(asked | (places % 2 == 0), keys.gather(1, pair), value)
        targets = torch.where(asked, value, self.vocabulary - 1)
        return Batch(tokens, targets, counted=asked, k=k)

    def oracle(self, tokens: list[int], k: int) -> list[int | None]:
        """Return the value behind each key that is asked for."""
        pairs = dict(zip(tokens[: 2 * k : 2], tokens[1 : 2 * k : 2], strict=True))
        return [None] * (2 * k) + [pairs[key] for key in tokens[2 * k :]]
