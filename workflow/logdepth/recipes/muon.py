"""The project's own recipe: Muon on the weight matrices of the blocks, AdamW on the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from logdepth.recipes.base import Recipe, check_schedule

if TYPE_CHECKING:
    from logdepth.models.network import Network
    from logdepth.optimizers.base import Optimizer


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
    precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of the matrix products; attention itself is float32 on a CPU."""
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

    @model_validator(mode="after")
    def _schedule(self) -> Self:
        check_schedule(self)
        return self

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
