"""What every recipe has: a schedule, and the optimisers of a network."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, Self

from logdepth.settings import Settings, changed

if TYPE_CHECKING:
    # It takes two seconds, and a configuration is read without.
    from logdepth.models.base import Model
    from logdepth.models.network import Network
    from logdepth.optimizers.base import Optimizer
    from logdepth.tasks.base import Task


class Recipe(Settings):
    """How a model gets its weights. A file in this folder with a class of this base is a recipe.

    One that trains has the settings ``steps``, ``batch``, ``samples``, ``warmup`` and
    ``precision`` besides ``recipe``, and the method ``optimizers``. Importing it must not import
    torch.
    """

    is_trained: ClassVar[bool] = True
    """Whether there are steps; without, the weights are written down by ``logdepth compile``."""

    if TYPE_CHECKING:
        # Members have them as settings, in their own order and with their own bounds.
        recipe: str
        steps: int = 0
        batch: int = 0
        samples: int | None = None
        warmup: int = 0
        precision: str = ""

    @property
    def trained_steps(self) -> int:
        """Steps that are trained."""
        return self.steps if self.is_trained else 0

    @property
    def train_samples(self) -> int | None:
        """Sequences of a finite training set; None for fresh data, or where nothing is trained."""
        return self.samples if self.is_trained else None

    @property
    def clipped_norm(self) -> float:
        """Largest norm of the gradient."""
        return math.inf

    def rate_factor(self, step: int) -> float:
        """Return the learning rate of a step over its peak: linear warm-up, then decay to 0.

        The formula of HuggingFace's ``get_linear_schedule_with_warmup``, which the authors used.
        """
        if step < self.warmup:
            return step / self.warmup
        return max(0.0, (self.steps - step) / (self.steps - self.warmup))

    def blocks(self, step: int, depth: int) -> int:  # noqa: ARG002 - some may grow
        """Return how many blocks of a network of some depth are used at a step."""
        return depth

    def full_steps(self, depth: int) -> float:  # noqa: ARG002 - some may grow
        """Return how many steps of a whole network of some depth cost as much as the training."""
        return self.trained_steps

    def optimizers(self, network: Network) -> list[Optimizer]:
        """Return the optimisers; together they hold every parameter once."""
        raise NotImplementedError

    def cut(self, steps: int) -> Self:
        """Return the recipe with so many steps, all at full cost, to be timed."""
        return self.changed({"steps": steps, "warmup": 0, "samples": None})

    def changed(self, values: dict[str, Any]) -> Self:
        """Return the recipe with other values."""
        return changed(self, values)

    def check(self, task: Task, model: Model) -> None:
        """Raise a ValueError if it does not suit a task and a model."""


def check_schedule(recipe: Recipe) -> None:
    """Raise a ValueError if warm-up, steps, samples and batch do not fit together."""
    if recipe.warmup >= recipe.steps:
        raise ValueError(
            f"warmup is {recipe.warmup}, but must be below steps, which is {recipe.steps}"
        )
    if recipe.samples is not None and recipe.samples < recipe.batch:
        raise ValueError(
            f"samples is {recipe.samples}, but must be at least one batch, which is {recipe.batch}"
        )
