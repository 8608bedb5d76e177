"""What every task has: sequences with answers, a notion of k, and how it is checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from logdepth.settings import Settings

if TYPE_CHECKING:
    # It takes two seconds, and a configuration is read without.
    import torch


@dataclass(frozen=True)
class Batch:
    """Sequences of a task.

    Attributes:
        tokens: int64 (batch, context).
        targets: int64 (batch, context) token ids; what is no answer of the task is not asked for.
        counted: bool (batch, context), whether a position counts when answers are counted.
        k: int64 (batch,), k of each sequence.
    """

    tokens: torch.Tensor
    targets: torch.Tensor
    counted: torch.Tensor
    k: torch.Tensor


class Task(Settings):
    """A task: settings and behaviour. A file in this folder with a class of this base is one.

    A member has the settings ``name``, ``context`` and ``max_k``, and the properties and methods
    that raise here, but for those that only some tasks have. Importing it must not import torch.
    """

    has_pointers: ClassVar[bool] = False
    """Whether ``pointers`` says where a position looks after j steps."""

    if TYPE_CHECKING:
        # Members have them as settings, in their own order and with their own bounds.
        name: str
        context: int
        max_k: int

    @property
    def ks(self) -> range:
        """Values of k that can be asked for."""
        return range(1, self.max_k + 1)

    @property
    def vocabulary(self) -> int:
        """Number of token ids."""
        raise NotImplementedError

    @property
    def answers(self) -> range:
        """Token ids that are answers; a model with a head has a class for each."""
        raise NotImplementedError

    @property
    def chance(self) -> float:
        """Error of a uniform guess among the answers that count."""
        raise NotImplementedError

    def guess(self, k: int) -> float:  # noqa: ARG002 - a task may know nothing better
        """Return the error of the best guess that does without solving the task."""
        return self.chance

    @property
    def numbers(self) -> int:
        """Random integers that a sequence takes."""
        return self.context

    def sequences(self, bits: torch.Tensor, k: torch.Tensor) -> Batch:
        """Turn random integers into sequences with answers.

        Nothing may wait for the device: no size or branch depends on the integers.

        Args:
            bits: int64 (batch, numbers), from 0 to 2^63 - 1.
            k: int64 (batch,), of each sequence.
        """
        raise NotImplementedError

    def batch(
        self,
        seed: int,
        step: int,
        size: int,
        *,
        stream: str = "train",
        k: int | None = None,
        device: torch.device | None = None,
    ) -> Batch:
        """Return batch number ``step`` of a stream: a function of its arguments, nothing else.

        Args:
            seed: of the run.
            step: number of the batch.
            size: sequences in the batch.
            stream: sequences of different streams are independent.
            k: of every sequence; by default each draws its own.
            device: where to compute; the values are the same everywhere.

        Raises:
            ValueError: ``k`` is not among ``ks``.
        """
        import torch

        from logdepth.random import stream_start

        return self.draw(torch.tensor([stream_start(stream, seed, step)], device=device), size, k)

    def draw(self, starts: torch.Tensor, size: int, k: int | None = None) -> Batch:
        """Return ``size`` sequences of each stream, those of the first stream first.

        Args:
            starts: int64 (streams,), where the random numbers of each start.
            size: sequences of a stream.
            k: of every sequence; by default each draws its own, uniformly.

        Raises:
            ValueError: ``k`` is not among ``ks``.
        """
        import torch

        from logdepth.random import random_bits

        if k is not None and k not in self.ks:
            raise ValueError(f"k is {k}, but {self.name} has {self.ks[0]} to {self.ks[-1]}")
        bits = random_bits(starts, size * (self.numbers + 1)).view(-1, self.numbers + 1)
        first = bits[:, 0]
        drawn = self.ks[0] + first % len(self.ks) if k is None else torch.full_like(first, k)
        return self.sequences(bits[:, 1:], drawn)

    def oracle(self, tokens: list[int], k: int) -> list[int | None]:
        """Return the answer to each position by brute force, for tests; None where none counts."""
        raise NotImplementedError

    def reach(self, depth: int) -> int | None:  # noqa: ARG002 - a task may have none
        """Return the largest k that the theory says a transformer of this depth solves, if any."""
        return None

    def asked(self, tokens: torch.Tensor, k: int) -> torch.Tensor:
        """Return the same sequences, asked for another k; only of a task with pointers."""
        raise NotImplementedError

    def pointers(self, tokens: torch.Tensor, j: int) -> torch.Tensor:
        """Return where each position looks after j steps, int64 (batch, context); -1 for nowhere.

        Only of a task with pointers.
        """
        raise NotImplementedError

    def label(self) -> str:
        """Return what names of runs begin with."""
        return self.name

    def description(self) -> dict[str, Any]:
        """Return the settings by what they are, in words and LaTeX, for the paper's Table 1."""
        return {"tokens of a sequence, $N$": self.context, "largest $k$": self.max_k}


def check_half(task: Task) -> None:
    """Raise a ValueError if the context is not more than twice the largest k."""
    if 2 * task.max_k >= task.context:
        raise ValueError(
            f"context is {task.context}; expected more than twice max_k, which is {task.max_k}"
        )
