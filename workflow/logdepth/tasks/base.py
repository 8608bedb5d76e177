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
    that raise here. Importing it must not import torch.
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
        raise NotImplementedError

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
