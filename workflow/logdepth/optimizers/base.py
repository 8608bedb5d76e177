"""What the training loop needs of an optimiser, and AdamW.

``torch.optim.Optimizer`` would do, but its first call imports torch's compiler: 1.6 s and 80 MB of
every training, which compiles nothing.
"""

import copy
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

import torch
from torch.optim.adamw import adamw


class Optimizer:
    """Parameters in groups, and tensors of state for each of them.

    Attributes:
        groups: each with ``params`` and the peak ``lr`` of their learning rate.
        state: for each group and each of its parameters, its tensors by name.
    """

    def __init__(self, groups: Iterable[list[torch.nn.Parameter]], lr: float, *names: str) -> None:
        """Start with a state of zeros under each of the names."""
        self.groups: list[dict[str, Any]] = [{"params": group, "lr": lr} for group in groups]
        self.state = [
            [{name: torch.zeros_like(p) for name in names} for p in group["params"]]
            for group in self.groups
        ]

    def tensors(self) -> Iterator[torch.Tensor]:
        """Yield every tensor of the state."""
        for group in self.state:
            for tensors in group:
                yield from tensors.values()

    def step(self, factor: torch.Tensor | float) -> None:
        """Update every parameter from its gradient; each must have one.

        Args:
            factor: learning rate over its peak: a number, or float32 without axes on the
                parameters' device, so that nothing waits for it.
        """
        raise NotImplementedError

    @classmethod
    def joined(cls, optimizers: Sequence[Self]) -> Self:
        """Return one that takes the steps of several, which differ in parameters and rates alone.

        Groups of one place and one rate are one; the state is that of the several.
        """
        if len(optimizers) == 1:
            return optimizers[0]
        whole = copy.copy(optimizers[0])
        merged: dict[tuple[int, float], tuple[list[Any], list[Any]]] = {}
        for optimizer in optimizers:
            for place, (group, state) in enumerate(
                zip(optimizer.groups, optimizer.state, strict=True)
            ):
                params, states = merged.setdefault((place, group["lr"]), ([], []))
                params += group["params"]
                states += state
        whole.groups = [{"params": params, "lr": lr} for (_, lr), (params, _) in merged.items()]
        whole.state = [states for _, states in merged.values()]
        return whole

    def state_dict(self) -> list[list[dict[str, torch.Tensor]]]:
        """Return what a checkpoint must hold besides the parameters."""
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
    def step(self, factor: torch.Tensor | float) -> None:
        """Update every parameter from its gradient; each must have one."""
        for group, states in zip(self.groups, self.state, strict=True):
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
                lr=group["lr"] * factor,
                weight_decay=self.weight_decay,
                eps=1e-8,
                maximize=False,
            )
