"""What the training loop needs of an optimiser, and AdamW.

``torch.optim.Optimizer`` would do, but its first call imports torch's compiler: 1.6 s and 80 MB of
every training, which compiles nothing.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch.optim.adamw import adamw


class Optimizer:
    """Parameters in groups, and tensors of state for each of them.

    Attributes:
        param_groups: each with ``params`` and the rate ``lr``.
        state: for each group and each of its parameters, its tensors by name.
    """

    def __init__(self, groups: Iterable[list[torch.nn.Parameter]], lr: float, *names: str) -> None:
        """Start with a state of zeros under each of the names."""
        self.param_groups: list[dict[str, Any]] = [{"params": g, "lr": lr} for g in groups]
        self.state = [
            [{name: torch.zeros_like(p) for name in names} for p in group["params"]]
            for group in self.param_groups
        ]

    def tensors(self) -> Iterator[torch.Tensor]:
        """Yield every tensor of the state."""
        for group in self.state:
            for tensors in group:
                yield from tensors.values()

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def step(self) -> None:
        """Update every parameter from its gradient; each must have one."""
        raise NotImplementedError

    def state_dict(self) -> list[list[dict[str, torch.Tensor]]]:
        """Return what a checkpoint must hold besides the parameters; rates are the schedule's."""
        return self.state

    def load_state_dict(self, state: list[list[dict[str, torch.Tensor]]]) -> None:
        """Go on from what ``state_dict`` returned.

        Raises:
            ValueError: another number of groups or parameters.
        """
        for ours, theirs in zip(self.state, state, strict=True):
            for mine, other in zip(ours, theirs, strict=True):
                for name, tensor in mine.items():
                    tensor.copy_(other[name])


class AdamW(Optimizer):
    """AdamW (Loshchilov and Hutter, 2019) by torch's fused kernel; as ``torch.optim.AdamW``."""

    def __init__(
        self,
        parameters: Iterable[torch.nn.Parameter],
        *,
        lr: float,
        betas: tuple[float, float],
        weight_decay: float,
    ) -> None:
        super().__init__([list(parameters)], lr, "average", "square")
        self.betas = betas
        self.weight_decay = weight_decay
        for state in self.state[0]:
            state["steps"] = torch.zeros((), device=state["average"].device)

    @torch.no_grad()
    def step(self) -> None:
        """Update every parameter from its gradient; each must have one."""
        (group,), (states,) = self.param_groups, self.state
        adamw(
            group["params"],
            [parameter.grad for parameter in group["params"]],
            [state["average"] for state in states],
            [state["square"] for state in states],
            [],
            [state["steps"] for state in states],
            fused=True,
            amsgrad=False,
            beta1=self.betas[0],
            beta2=self.betas[1],
            lr=group["lr"],
            weight_decay=self.weight_decay,
            eps=1e-8,
            maximize=False,
        )
