"""Muon: momentum whose update is orthogonalised, for the weight matrices of the blocks.

The algorithm is Keller Jordan's (https://kellerjordan.github.io/posts/muon, 2024) with the
constants of ``torch.optim.Muon``. Two things differ, both for ordinary CPUs. Matrices of one shape
are orthogonalised together, as one batch. And the arithmetic is that of the parameters, float32, on
every machine: torch's rounds to bfloat16, for which a CPU without bfloat16 units takes 35 times as
long.
"""

import math
from collections.abc import Iterable

import torch

from logdepth.optimizers.base import Optimizer

ITERATIONS = 5
# Of x -> a x + b x^3 + c x^5, which drives singular values towards 1, to between 0.7 and 1.2.
_A, _B, _C = 3.4445, -4.7750, 2.0315
_EPS = 1e-7


class Muon(Optimizer):
    """Muon with Nesterov momentum, decoupled weight decay and rates scaled by shape.

    A matrix of shape (rows, columns) moves at ``lr * sqrt(max(1, rows / columns))``. Matrices of
    one shape are a group.
    """

    def __init__(
        self,
        parameters: Iterable[torch.nn.Parameter],
        *,
        lr: float,
        momentum: float,
        weight_decay: float,
    ) -> None:
        """Group the matrices by shape.

        Raises:
            ValueError: a parameter is not a matrix.
        """
        shapes: dict[torch.Size, list[torch.nn.Parameter]] = {}
        for parameter in parameters:
            if parameter.dim() != 2:
                raise ValueError(f"expected matrices, not a parameter of {parameter.dim()} axes")
            shapes.setdefault(parameter.shape, []).append(parameter)
        super().__init__(shapes.values(), lr, "momentum")
        self.momentum = momentum
        self.weight_decay = weight_decay

    @torch.no_grad()
    def step(self, factor: torch.Tensor | float) -> None:
        """Update every matrix from its gradient; each must have one."""
        for group, states in zip(self.groups, self.state, strict=True):
            parameters, lr = group["params"], group["lr"] * factor
            gradients = [parameter.grad for parameter in parameters]
            averages = [state["momentum"] for state in states]
            torch._foreach_lerp_(averages, gradients, 1 - self.momentum)
            updates = torch.stack(torch._foreach_lerp(gradients, averages, self.momentum))
            rows, columns = updates.shape[1:]
            torch._foreach_mul_(parameters, 1 - lr * self.weight_decay)
            moved = orthogonalised(updates).mul_(lr * math.sqrt(max(1, rows / columns)))
            torch._foreach_sub_(parameters, moved.unbind())


def orthogonalised(matrices: torch.Tensor) -> torch.Tensor:
    """Return about U V^T of each matrix U S V^T, by Newton-Schulz iterations.

    Args:
        matrices: (count, rows, columns).

    Returns:
        The same shape and dtype; singular values lie between 0.7 and 1.2, but for those below
        about 1e-3 of the matrix's norm.
    """
    is_tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if is_tall else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=_EPS)
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=_B, alpha=_C)
        x = torch.baddbmm(x, polynomial, x, beta=_A)
    return x.mT if is_tall else x
