"""Dyck words of bounded depth: which bracket is to be closed next?

k is the largest depth of a word. A word walks between depth 0 and k, with a pull towards k; asked
is the kind of the innermost open bracket, after a closing one, where it has to be found. Two layers
are enough for a transformer whatever the depth, and k log2 k bits of state for a recurrent network
(Yao et al., 2021; Hewitt et al., 2020).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from logdepth.tasks.base import Batch, Task

if TYPE_CHECKING:
    import torch


class Dyck(Task):
    """Words of brackets of a few kinds, never deeper than k."""

    name: Literal["dyck"] = "dyck"
    """Brackets of bounded depth."""
    context: int = Field(64, ge=4)
    """Length of a word."""
    alphabet: int = Field(3, ge=2)
    """Kinds of brackets."""
    max_k: int = Field(16, ge=2)
    """Largest depth; the smallest is 2."""

    @property
    def ks(self) -> range:
        """Depths; with one, there is nothing to be found after a closing bracket."""
        return range(2, self.max_k + 1)

    @property
    def vocabulary(self) -> int:
        """Opening brackets, closing ones, and what stands where nothing is asked."""
        return 2 * self.alphabet + 1

    @property
    def answers(self) -> range:
        """Kinds of brackets."""
        return range(self.alphabet)

    @property
    def chance(self) -> float:
        """Error of a uniform guess."""
        return 1 - 1 / self.alphabet

    def sequences(self, bits: torch.Tensor, k: torch.Tensor) -> Batch:
        """Return words; asked is after each closing bracket within another."""
        import torch

        tokens, targets = torch.empty_like(bits), torch.empty_like(bits)
        open_kinds = bits.new_zeros(len(bits), self.max_k + 1)
        depth = torch.zeros_like(k)
        for place, drawn in enumerate(bits.unbind(1)):
            opens = (depth == 0) | ((depth < k) & (drawn % 3 > 0))
            top = open_kinds.gather(1, depth[:, None])[:, 0]
            kind = torch.where(opens, drawn // 3 % self.alphabet, top)
            tokens[:, place] = torch.where(opens, kind, kind + self.alphabet)
            depth = torch.where(opens, depth + 1, depth - 1)
            # Place d is the kind of the bracket at depth d; what lies deeper is forgotten.
            there = open_kinds.gather(1, depth[:, None])[:, 0]
            now = torch.where(opens, kind, there)
            open_kinds = open_kinds.scatter(1, depth[:, None], now[:, None])
            asked = ~opens & (depth > 0)
            targets[:, place] = torch.where(asked, now, self.vocabulary - 1)
        return Batch(tokens, targets, counted=targets < self.alphabet, k=k)

    def oracle(self, tokens: list[int], k: int) -> list[int | None]:
        """Return the innermost open bracket, after each closing one within another."""
        answers: list[int | None] = []
        open_kinds: list[int] = []
        for token in tokens:
            if token < self.alphabet:
                open_kinds.append(token)
                answers.append(None)
            else:
                if open_kinds.pop() != token - self.alphabet or len(open_kinds) >= k:
                    raise ValueError(f"{tokens} is no Dyck word of depth {k}")
                answers.append(open_kinds[-1] if open_kinds else None)
        return answers
