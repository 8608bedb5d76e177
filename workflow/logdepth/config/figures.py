"""Figures as data: what each draws, and of which results."""

from typing import Literal, Self, get_args

from pydantic import Field, model_validator

from logdepth.config.fields import Name, Switch
from logdepth.config.run import Settings

# Figures of what the theory's tables say.
TheoryDrawing = Literal[
    "temperature",
    "precision",
    "routing_width",
    "attention_cost",
    "protocol_rounds",
    "mpc_execution",
    "routing_example",
    "mpc_as_attention",
    "attention_as_mpc",
]
OF_THEORY: tuple[str, ...] = get_args(TheoryDrawing)
ResultDrawing = Literal[
    "depth_law",
    "error_by_hops",
    "error_by_depth",
    "error_heatmap",
    "error_contrast",
    "training_curves",
    "comparison",
    "alignment",
    "best_alignment",
    "attention_maps",
    "construction_depth",
]
Drawing = Literal[ResultDrawing, TheoryDrawing]
# Figures of a single model, and the settings that say which and what of it.
NEEDS: dict[str, tuple[str, ...]] = {
    "alignment": ("depth", "hops"),
    "best_alignment": ("depth",),
    "attention_maps": ("depth", "hops", "heads"),
}


class FigureSpec(Settings):
    """One figure: what it draws, and of which results."""

    draws: Drawing
    """Kind of figure."""
    experiments: tuple[Name, ...] = ()
    """Experiments to show; all of them if left out."""
    dropout: Switch | None = None
    """Dropout setting to show; every one that was evaluated if left out."""
    depth: int | None = Field(None, ge=1)
    """Depth of the one model it looks into, trained with the first seed."""
    hops: int | None = Field(None, ge=0)
    """Value of k that the model is asked for."""
    heads: tuple[tuple[int, int, int], ...] | None = None
    """Heads of attention_maps as [layer, head, j], with find^j laid over; by default the head of
    each layer that follows the largest j."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        needed = NEEDS.get(self.draws, ())
        for key in ("depth", "hops", "heads"):
            given = getattr(self, key) is not None
            if key in needed and not given and key != "heads":
                raise ValueError(f"{key}: a figure that draws {self.draws} needs it")
            if given and key not in needed:
                raise ValueError(f"{key}: a figure that draws {self.draws} takes none")
        if needed and len(self.experiments) != 1:
            raise ValueError(f"experiments: a figure that draws {self.draws} shows exactly one")
        if self.draws == "error_contrast" and len(self.experiments) != 2:
            raise ValueError("experiments: error_contrast shows two, the first in solid lines")
        return self
