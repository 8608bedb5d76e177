"""The authors' recipe: AdamW, linear warm-up, linear decay (paper: section 4.2 and Table 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from logdepth.recipes.base import Recipe, check_schedule

if TYPE_CHECKING:
    from logdepth.models.network import Network
    from logdepth.optimizers.base import Optimizer


class PaperRecipe(Recipe):
    """The authors' recipe: AdamW, linear warm-up, linear decay to zero."""

    recipe: Literal["paper"] = "paper"
    """The authors' recipe, to the letter."""
    steps: int = Field(100_001, ge=1)
    """Optimiser steps of the schedule."""
    stop_after: int | None = Field(None, ge=1)
    """Steps to train if the schedule is cut short, while its rate is still above zero."""
    batch: int = Field(32, ge=1)
    """Sequences of a step; every batch is fresh unless ``samples`` is set."""
    samples: int | None = Field(None, ge=1)
    """Sequences of a finite training set; its whole batches are repeated in a fixed order."""
    warmup: int = Field(1000, ge=0)
    """Steps of linear warm-up."""
    precision: Literal["float32"] = "float32"
    """Arithmetic of the matrix products."""
    adamw_rate: float = Field(1e-4, gt=0)
    """Learning rate of AdamW."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Averaging factors of AdamW."""
    weight_decay: float = Field(0.01, ge=0)
    """Weight decay of AdamW."""

    @model_validator(mode="after")
    def _schedule(self) -> Self:
        check_schedule(self)
        if self.stop_after and self.stop_after > self.steps:
            raise ValueError(
                f"stop_after is {self.stop_after}, but the schedule ends at steps, {self.steps}"
            )
        return self

    @property
    def trained_steps(self) -> int:
        """Steps that are trained."""
        return self.stop_after or self.steps

    def optimizers(self, network: Network) -> list[Optimizer]:
        """Return AdamW for all parameters."""
        from logdepth.optimizers.base import AdamW

        adamw = AdamW(
            network.parameters(),
            lr=self.adamw_rate,
            betas=self.betas,
            weight_decay=self.weight_decay,
        )
        return [adamw]

    def cut(self, steps: int) -> Self:
        """Return the recipe with so many steps."""
        return self.changed({"steps": steps, "warmup": 0, "samples": None, "stop_after": None})
