"""Counting one training step with torch's own counters, on tensors without content."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from logdepth.models.fused import fuse
from logdepth.models.network import Network
from logdepth.planning.cost import Cost, Shape


def count(shape: Shape) -> Cost:
    """Return what one training step of a shape costs.

    Of a shape without steps, one of a compiled model, what one without optimisers would.
    """
    with torch.device("meta"):
        network = shape.model.build(shape.task).train()
        tokens = torch.zeros(shape.batch, shape.task.context, dtype=torch.int64)
        optimizers = shape.recipe.optimizers(network) if shape.recipe.is_trained else []
    parameters = list(network.parameters())
    kernels = _Kernels()
    with kernels:
        with _saved(parameters) as saved, FlopCounterMode(display=False) as forward:
            losses = _losses(network, tokens)
        with FlopCounterMode(display=False) as backward:
            losses.mean().backward()  # type: ignore[no-untyped-call]
            for optimizer in optimizers:
                optimizer.step(1.0)
    if shape.recipe.is_trained and shape.recipe.precision == "bfloat16":
        halves = copy.deepcopy(network).to(torch.bfloat16)
        with _saved(list(halves.parameters())) as saved:
            _losses(halves, tokens)
    flops = forward.get_total_flops()
    return Cost(
        parameters=sum(parameter.numel() for parameter in parameters),
        forward_flops=flops,
        step_flops=flops + backward.get_total_flops(),
        optimizer_bytes=sum(_bytes(tensor) for part in optimizers for tensor in part.tensors()),
        activation_bytes=sum(saved.values()),
        kernels=kernels.launched + _AROUND,
        fuses=_fuses(network),
    )


def _fuses(network: Network) -> bool:
    try:
        fuse([network, copy.deepcopy(network)])
    except ValueError:
        return False
    return True


def _losses(network: Network, tokens: torch.Tensor) -> torch.Tensor:
    logits = network(tokens)
    return F.cross_entropy(logits.float().transpose(1, 2), tokens, reduction="none")


# Making the batch, clipping and metrics; counted from what the CPU dispatches in a step.
_AROUND = 130


class _Kernels(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the operations that are dispatched, but for those that give a view."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.launched = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        is_view = any(
            argument.alias_info and not argument.alias_info.is_write
            for argument in func._schema.returns
        )
        self.launched += not is_view
        return func(*args, **(kwargs or {}))


@contextmanager
def _saved(parameters: list[torch.nn.Parameter]) -> Iterator[dict[int, int]]:
    """Collect the bytes of what autograd keeps, by storage; parameters are kept anyway."""
    kept: dict[int, int] = {}
    alive = []
    own = {parameter.untyped_storage()._cdata for parameter in parameters}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage.nbytes()
            alive.append(storage)  # so that no other gets its place
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield kept


def _bytes(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()
