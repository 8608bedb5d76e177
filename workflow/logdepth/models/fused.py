"""Networks of one shape as one: every layer computes for all of them at once.

Horizontal fusion (Wang et al., HFTA, 2021): the sequences of all runs are one batch, those of the
first run first; layers with weights multiply each part by its own run's, one batched product for
all, and everything else, such as attention, does not know that there are several runs. Many small
networks then cost a GPU little more than one.
"""

import copy
from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn import functional as F

from logdepth.models.network import Network


def fuse(networks: Sequence[Network]) -> Network:
    """Return networks of one shape as one, on the device where they are.

    It takes (runs * batch, n) tokens and returns as many logits. From then on the parameters of
    the networks, and their gradients, are views of its own.

    Raises:
        ValueError: their shapes differ, or a layer has weights and no fused form.
    """
    shapes = [[(name, p.shape) for name, p in net.named_parameters()] for net in networks]
    if any(other != shapes[0] for other in shapes):
        raise ValueError("expected networks of one shape")
    whole = copy.deepcopy(networks[0])
    for name, layer in list(whole.named_modules()):
        if type(layer) in _FUSED:
            fused = _FUSED[type(layer)]([network.get_submodule(name) for network in networks])
            whole.set_submodule(name, fused)
        elif [*layer.parameters(recurse=False), *layer.buffers(recurse=False)]:
            raise ValueError(f"{type(layer).__name__} has weights and no fused form")
    return whole


class _Fused(nn.Module):
    """A layer of several runs: its parameters have an axis for the run in front."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.runs = len(layers)
        for name, _ in layers[0].named_parameters():
            own = [layer.get_parameter(name) for layer in layers]
            stacked = nn.Parameter(torch.stack([parameter.detach() for parameter in own]))
            stacked.grad = torch.zeros_like(stacked)
            for run, parameter in enumerate(own):
                parameter.data = stacked.data[run]
                parameter.grad = stacked.grad[run]
            self.register_parameter(name, stacked)

    def split(self, x: torch.Tensor) -> torch.Tensor:
        """Turn (runs * batch, ..., m) into (runs, positions, m)."""
        return x.reshape(self.runs, -1, x.shape[-1])


class _Linear(_Fused):
    weight: nn.Parameter
    bias: nn.Parameter

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights = self.weight.mT
        if "bias" in self._parameters:
            y = torch.baddbmm(self.bias[:, None], self.split(x), weights)
        else:
            y = torch.bmm(self.split(x), weights)
        return y.view(*x.shape[:-1], -1)


class _LayerNorm(_Fused):
    weight: nn.Parameter
    bias: nn.Parameter

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        normal = self.split(F.layer_norm(x, x.shape[-1:]))
        return torch.addcmul(self.bias[:, None], normal, self.weight[:, None]).view(x.shape)


class _Embedding(_Fused):
    weight: nn.Parameter

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        runs, vocabulary, width = self.weight.shape
        first = vocabulary * torch.arange(runs, device=tokens.device)
        moved = tokens.reshape(runs, -1) + first[:, None]
        return F.embedding(moved.view(tokens.shape), self.weight.view(-1, width))


_FUSED: dict[type[nn.Module], Callable[[list[nn.Module]], nn.Module]] = {
    nn.Linear: _Linear,
    nn.LayerNorm: _LayerNorm,
    nn.Embedding: _Embedding,
}
