"""What every architecture has: settings, and how a network is built from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from logdepth.settings import Settings

if TYPE_CHECKING:
    # It takes two seconds, and a configuration is read without.
    import torch

    from logdepth.models.network import Network
    from logdepth.tasks.base import Task


class Model(Settings):
    """An architecture: a file in this folder with a class of this base is one.

    A member has the settings ``form``, ``depth`` and ``width``, and the method ``build``. Importing
    it must not import torch.
    """

    has_attention: ClassVar[bool] = False
    """Whether its blocks have attention matrices that can be looked at."""

    if TYPE_CHECKING:
        # Members have them as settings, in their own order and with their own bounds.
        form: str
        depth: int
        width: int

    def build(self, task: Task, generator: torch.Generator | None = None) -> Network:
        """Return the network for a task, its starting weights drawn from ``generator``."""
        raise NotImplementedError

    def check(self, task: Task) -> None:
        """Raise a ValueError if it cannot be built for a task."""

    def label(self) -> str:
        """Return what the names of its runs say of it."""
        return f"{self.form}-L{self.depth}-m{self.width}"

    def parameters(self, task: Task) -> int:
        """Return the number of trained parameters."""
        import torch

        with torch.device("meta"):
            return sum(parameter.numel() for parameter in self.build(task).parameters())


def check_heads(heads: int, width: int) -> None:
    """Raise a ValueError if heads do not divide a width."""
    if width % heads:
        fitting = [h for h in range(1, width + 1) if width % h == 0]
        raise ValueError(
            f"heads is {heads}, which does not divide width {width}; "
            f"expected one of {', '.join(map(str, fitting[:12]))}"
        )


def check_even(width: int) -> None:
    """Raise a ValueError if a width is odd."""
    if width % 2:
        raise ValueError(f"width is {width}, but sinusoidal positions need an even one")
