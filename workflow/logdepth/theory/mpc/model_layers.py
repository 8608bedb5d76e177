"""The project's trained transformers as layers of the paper's definition.

Embedding, normalisation, MLP and head act on one token at a time: they belong to the token-wise
maps. Only public modules of the class are used, and the tests compare with the class's own forward
pass, so that a change there cannot go unnoticed.
"""

import copy
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from logdepth.models.layers import Attention
from logdepth.models.network import Block, Network
from logdepth.theory.mpc.layers import Layer


class BlockLayer(Layer):
    """A block of the transformer; the first one embeds tokens, the last one ends with the head.

    A row is the token's residual stream, or its id before the first block, or its logits after the
    last.
    """

    def __init__(self, model: Network, block: Block, tokens: int) -> None:
        super().__init__()
        attention = block.mixer
        if not isinstance(attention, Attention):
            raise TypeError(
                f"expected a block of softmax attention, not {type(attention).__name__}"
            )
        self.model, self.block, self.attention = model, block, attention
        self.is_first, self.is_last = block is model.blocks[0], block is model.blocks[-1]
        self.heads = attention.heads
        self.query_width = self.value_width = model.width // attention.heads
        self.row_width = 1 if self.is_first else model.width
        self.out_width = model.width
        if self.is_last and model.head is not None:
            self.out_width = model.head.out_features
        self.visible = torch.ones(tokens, tokens, dtype=torch.bool).tril()

    def project(
        self, first: int, rows: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return queries, divided by the root of their width, keys and values."""
        stream = self.block.mixer_norm(self._stream(first, rows))
        joint = self.attention.query_key_value(stream)
        shape = len(rows), 3, self.heads, self.query_width
        query, key, value = joint.view(shape).permute(1, 2, 0, 3)
        return query / math.sqrt(self.query_width), key, value

    def update(self, first: int, rows: torch.Tensor, mixed: torch.Tensor) -> torch.Tensor:
        """Add the attention's output and the MLP's to the stream."""
        heads = mixed.transpose(0, 1).reshape(len(rows), -1)
        stream = self._stream(first, rows) + self.attention.output(heads)
        if self.block.mlp is not None and self.block.mlp_norm is not None:
            stream = stream + self.block.mlp(self.block.mlp_norm(stream))
        if self.is_last:
            stream = self.model.norm(stream)
            if self.model.head is not None:
                stream = self.model.head(stream)
        result: torch.Tensor = stream
        return result

    def _stream(self, first: int, rows: torch.Tensor) -> torch.Tensor:
        if not self.is_first:
            return rows
        return self.model.embed(rows[:, 0], first)


def layers_of(model: Network, tokens: int) -> list[Layer]:
    """Return the layers of a model for contexts of ``tokens`` tokens.

    Their rows begin as int64 token ids, (tokens, 1).

    Raises:
        ValueError: the model is in training mode, so that dropout makes it no function.
    """
    if model.training:
        raise ValueError("the model is in training mode; call eval() first")
    return [BlockLayer(model, block, tokens) for block in _blocks(model.blocks)]


def forward_in_double(model: Network, tokens: torch.Tensor) -> torch.Tensor:
    """Return the model's own forward pass in float64 throughout.

    On a CPU the class casts queries, keys and values to float32 for the attention, so that a
    float64 model does not run there; here that cast is left out.

    Args:
        model: of any floating type; a float64 copy is used.
        tokens: int64 (batch, n).
    """
    double = copy.deepcopy(model).to(torch.float64).eval()
    with torch.no_grad(), _WithoutFloatCasts():
        result: torch.Tensor = double(tokens)
    return result


class _WithoutFloatCasts(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is torch.Tensor.float:
            return args[0]
        return func(*args, **(kwargs or {}))


def _blocks(modules: nn.ModuleList) -> Iterable[Block]:
    for module in modules:
        if not isinstance(module, Block):
            raise TypeError(f"{type(module).__name__} is not a Block")
        yield module
