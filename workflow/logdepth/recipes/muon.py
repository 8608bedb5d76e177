"""The project's own recipe: Muon on the weight matrices of the blocks, AdamW on the rest.

Blocks may join one after another: a shallow network learns few hops, then a block that writes
nothing yet is added to what it knows (progressive stacking: Gong et al., 2019).
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from logdepth.recipes.base import Recipe, check_schedule

if TYPE_CHECKING:
    from logdepth.models.base import Model
    from logdepth.models.network import Network
    from logdepth.optimizers.base import Optimizer
    from logdepth.tasks.base import Task


class MuonRecipe(Recipe):
    """Muon on the weight matrices of the blocks, AdamW on the rest, linear decay to zero."""

    recipe: Literal["muon"] = "muon"
    """The project's own recipe."""
    steps: int = Field(2000, ge=1)
    """Optimiser steps."""
    batch: int = Field(64, ge=1)
    """Sequences of a step; every batch is fresh unless ``samples`` is set."""
    samples: int | None = Field(None, ge=1)
    """Sequences of a finite training set; its whole batches are repeated in a fixed order."""
    warmup: int = Field(100, ge=0)
    """Steps of linear warm-up."""
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    """Arithmetic of the matrix products: tf32 is float32 on a CPU, and rounds their factors to 10
    bits on a GPU; bfloat16 rounds factors and results to 7, but on a CPU not those of attention."""
    muon_rate: float = Field(0.02, gt=0)
    """Learning rate of Muon."""
    momentum: float = Field(0.95, ge=0, lt=1)
    """Momentum of Muon."""
    adamw_rate: float = Field(3e-3, gt=0)
    """Learning rate of AdamW."""
    betas: tuple[float, float] = (0.9, 0.99)
    """Averaging factors of AdamW."""
    weight_decay: float = Field(0.01, ge=0)
    """Weight decay of both optimisers."""
    clip: float = Field(1.0, gt=0)
    """Largest norm of the gradient."""
    grow: tuple[Annotated[int, Field(gt=0)], ...] = ()
    """Steps at which the third block joins, the fourth and so on, each without effect at first; all
    blocks are there from the first step if left out."""

    @model_validator(mode="after")
    def _schedule(self) -> Self:
        check_schedule(self)
        if list(self.grow) != sorted(set(self.grow)):
            raise ValueError(f"grow is {list(self.grow)}; expected steps in ascending order")
        return self

    def check(self, task: Task, model: Model) -> None:  # noqa: ARG002 - as every recipe
        """Raise a ValueError if blocks of a model would never be used."""
        if (used := self.blocks(self.steps - 1, model.depth)) < model.depth:
            raise ValueError(
                f"grow is {list(self.grow)}, so that {self.steps} steps end with {used} of "
                f"{model.depth} blocks; expected a step below for each after the second"
            )

    def cut(self, steps: int) -> Self:
        """Return the recipe with so many steps, all at full cost: every block is there."""
        return super().cut(steps).changed({"grow": ()})

    def blocks(self, step: int, depth: int) -> int:
        """Return how many blocks of a network of some depth are used at a step."""
        return min(depth, 2 + bisect_right(self.grow, step)) if self.grow else depth

    def full_steps(self, depth: int) -> float:
        """Return how many steps of a whole network of some depth cost as much as the training."""
        ends = (*(start for start in self.grow if start < self.steps), self.steps)
        spans = itertools.pairwise((0, *ends))
        return sum((end - start) * self.blocks(start, depth) for start, end in spans) / depth

    @property
    def clipped_norm(self) -> float:
        """Largest norm of the gradient."""
        return self.clip

    def optimizers(self, network: Network) -> list[Optimizer]:
        """Return Muon for the matrices of the blocks, and AdamW for all else."""
        from logdepth.optimizers.base import AdamW
        from logdepth.optimizers.muon import Muon

        matrices = [p for p in network.blocks.parameters() if p.dim() == 2]
        taken = {id(p) for p in matrices}
        muon = Muon(
            matrices, lr=self.muon_rate, momentum=self.momentum, weight_decay=self.weight_decay
        )
        adamw = AdamW(
            [p for p in network.parameters() if id(p) not in taken],
            lr=self.adamw_rate,
            betas=self.betas,
            weight_decay=self.weight_decay,
        )
        return [muon, adamw]
