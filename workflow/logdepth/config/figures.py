"""Figures as data: what each draws, and of which results."""

from pydantic import Field

from logdepth.config.fields import Mode, Name
from logdepth.settings import Settings


class FigureSpec(Settings):
    """One figure: what it draws, and of which results."""

    draws: Name
    """Kind of figure: a file in workflow/logdepth/figures/."""
    experiments: tuple[Name, ...] = ()
    """Experiments to show; all of them if left out."""
    mode: Mode | None = None
    """Mode of evaluation to show; every one that was evaluated if left out."""
    depth: int | None = Field(None, ge=1)
    """Depth of the one model it looks into, trained with the first seed."""
    k: int | None = Field(None, ge=0)
    """Value of k that the model is asked for."""
    heads: tuple[tuple[int, int, int], ...] | None = None
    """Heads of attention_maps as [layer, head, j], with find^j laid over; by default the head of
    each layer that follows the largest j."""
