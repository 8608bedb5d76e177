"""Reachability: does a path lead from one node to another, k steps away?

The graph is two paths of max_k + 1 nodes each, in random order: token u is the successor of node u,
or "none" at an end. Behind it stand questions of two nodes x and y: y lies k steps after x, or at
the same place of the other path, each with probability 1/2. So that an answer takes k single steps,
or log2 k by doubling.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from logdepth.tasks.base import Batch, Task

if TYPE_CHECKING:
    import torch


class Reachability(Task):
    """Two paths, and questions whether one node is reached from another."""

    name: Literal["reachability"] = "reachability"
    """Whether a path leads from a node to another."""
    context: int = Field(64, ge=1)
    """Tokens of a sequence: a successor of each node, and two for a question."""
    max_k: int = Field(16, ge=1)
    """Most steps; each path has a node more."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.questions < 1 or self.context % 2:
            raise ValueError(
                f"context is {self.context}; expected an even number, {self.nodes + 2} or more "
                f"for max_k {self.max_k}"
            )
        return self

    @property
    def nodes(self) -> int:
        """Nodes of both paths."""
        return 2 * (self.max_k + 1)

    @property
    def questions(self) -> int:
        """Questions of a sequence."""
        return (self.context - self.nodes) // 2

    @property
    def vocabulary(self) -> int:
        """Nodes, "none", no, yes, and what stands where nothing is asked."""
        return self.nodes + 4

    @property
    def answers(self) -> range:
        """No and yes."""
        return range(self.nodes + 1, self.nodes + 3)

    @property
    def chance(self) -> float:
        """Error of a uniform guess."""
        return 0.5

    @property
    def numbers(self) -> int:
        """Two for a question, besides one for each node."""
        return self.nodes + 2 * self.questions

    def sequences(self, bits: torch.Tensor, k: torch.Tensor) -> Batch:
        """Return graphs and questions; the second node of each question is asked for."""
        import torch

        from logdepth.random import shuffled

        size, length = len(bits), self.max_k + 1
        # The node at each place of the two paths, one behind the other.
        order = shuffled(bits[:, : self.nodes])
        following = torch.cat([order[:, 1:], order[:, :1]], 1)
        following[:, length - 1 :: length].fill_(self.nodes)
        successors = torch.empty_like(order).scatter_(1, order, following)
        starts, turns = bits[:, self.nodes :].view(size, 2, -1).unbind(1)
        # On either path, where k steps are left.
        start = starts % (length - k[:, None]) + length * (turns % 2)
        reached = turns // 2 % 2
        end = (start + k[:, None] + length * (1 - reached)) % self.nodes
        questions = torch.stack([order.gather(1, start), order.gather(1, end)], 2)
        tokens = torch.cat([successors, questions.flatten(1)], 1)
        targets = torch.full_like(tokens, self.answers.stop)
        targets[:, self.nodes + 1 :: 2] = self.answers.start + reached
        return Batch(tokens, targets, counted=targets != self.answers.stop, k=k)

    def oracle(self, tokens: list[int], k: int) -> list[int | None]:
        """Return whether up to k steps lead from x to y, at the second node of each question."""
        answers: list[int | None] = [None] * self.nodes
        for x, y in zip(tokens[self.nodes :: 2], tokens[self.nodes + 1 :: 2], strict=True):
            seen = [x]
            while len(seen) <= k and tokens[seen[-1]] != self.nodes:
                seen.append(tokens[seen[-1]])
            answers += [None, self.answers[int(y in seen)]]
        return answers
