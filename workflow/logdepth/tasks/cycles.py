"""One cycle or two: is a permutation one cycle of 2k nodes, or two of k?

Token u is the successor of node u; nodes that are on no cycle are their own. "One cycle versus two"
is the problem whose hardness the conditional lower bounds of massively parallel computation rest on
(paper: Conjecture 2.4). Following single steps takes k, doubling log2 k. The two cases differ in
the sign of the permutation as well, which a model may find instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from logdepth.tasks.base import Batch, Task, check_half

if TYPE_CHECKING:
    import torch


class Cycles(Task):
    """Successors of nodes, and at the last token the question whether there is one cycle."""

    name: Literal["cycles"] = "cycles"
    """One cycle of length 2k, or two of length k."""
    context: int = Field(33, ge=3)
    """Tokens of a sequence: a successor of each node, and the question."""
    max_k: int = Field(16, ge=1)
    """Half of the largest number of nodes on cycles."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        check_half(self)
        return self

    @property
    def vocabulary(self) -> int:
        """Nodes, the question, one, two, and what stands where nothing is asked."""
        return self.context + 3

    @property
    def answers(self) -> range:
        """One and two."""
        return range(self.context, self.context + 2)

    @property
    def chance(self) -> float:
        """Error of a uniform guess."""
        return 0.5

    def sequences(self, bits: torch.Tensor, k: torch.Tensor) -> Batch:
        """Return permutations; the last token is asked for."""
        import torch

        from logdepth.random import shuffled

        question = self.context - 1
        order, two = shuffled(bits[:, :question]), bits[:, question:] % 2
        places = torch.arange(question, device=bits.device).expand_as(order)
        half, whole = k[:, None], 2 * k[:, None]
        # Which place comes after each place: the last one of a cycle is followed by its first.
        after = torch.where(places < whole, places + 1, places)
        after = torch.where(places == whole - 1, two * half, after)
        after = torch.where((places == half - 1) & (two == 1), 0, after)
        successors = torch.empty_like(order).scatter_(1, order, order.gather(1, after))
        tokens = torch.cat([successors, torch.full_like(two, question)], 1)
        targets = torch.full_like(tokens, self.answers.stop)
        targets[:, -1:] = self.answers.start + two
        return Batch(tokens, targets, counted=targets != self.answers.stop, k=k)

    def oracle(self, tokens: list[int], k: int) -> list[int | None]:
        """Return whether there are one or two cycles of more than one node, or of k = 1 node."""
        cycles = set()
        for node in range(len(tokens) - 1):
            cycle = [node]
            while tokens[cycle[-1]] != node:
                cycle.append(tokens[cycle[-1]])
            cycles.add(frozenset(cycle))
        return [None] * (len(tokens) - 1) + [
            self.answers[0 if any(len(cycle) == 2 * k for cycle in cycles) else 1]
        ]
