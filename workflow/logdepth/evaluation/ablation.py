"""What a model still answers with one head switched off, or with its positions shuffled."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import pandas as pd
import torch
from torch import nn

from logdepth.evaluation.error_rates import count_errors
from logdepth.models.layers import Attention
from logdepth.models.network import Network


@contextmanager
def head_off(layer: Attention, head: int) -> Iterator[None]:
    """Let one head, from 0, write nothing to the stream."""
    size = layer.output.in_features // layer.heads

    def silence(_module: object, inputs: tuple[torch.Tensor]) -> torch.Tensor:
        mixed = inputs[0].clone()
        mixed[..., head * size : (head + 1) * size] = 0
        return mixed

    handle = layer.output.register_forward_pre_hook(silence)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def positions_shuffled(positions: nn.Embedding, seed: int) -> Iterator[None]:
    """Give each position the embedding of another, drawn once for all sequences."""
    weight = positions.weight.data
    kept, order = weight.clone(), torch.Generator().manual_seed(seed)
    weight.copy_(kept[torch.randperm(len(kept), generator=order).to(kept.device)])
    try:
        yield
    finally:
        weight.copy_(kept)


def ablation_table(
    model: Network, data: dict[str, torch.Tensor], sequences: int, seed: int
) -> pd.DataFrame:
    """Return the errors of a model as it is, with each head off, and with positions shuffled.

    Args:
        model: with softmax attention, on the device to use.
        data: a frozen set, from ``evaluation_set``.
        sequences: for each k: the first of the set.
        seed: of the order of positions.

    Returns:
        A row for each ablation and k: ablation ("none", "head" or "positions"), layer and head
        (both from 1; 0 where none is off), k, error.

    Raises:
        ValueError: there are fewer sequences.
    """
    if sequences > (there := data["tokens"].shape[1]):
        raise ValueError(f"{there} sequences for each k, but {sequences} are asked for")
    few = {name: part if name == "k" else part[:, :sequences] for name, part in data.items()}
    ablations: list[tuple[str, int, int, AbstractContextManager[None]]] = [
        ("none", 0, 0, nullcontext())
    ]
    layers = [layer for layer in model.modules() if isinstance(layer, Attention)]
    for number, layer in enumerate(layers, 1):
        for head in range(layer.heads):
            ablations.append(("head", number, head + 1, head_off(layer, head)))
    if model.positions is not None:
        ablations.append(("positions", 0, 0, positions_shuffled(model.positions, seed)))
    rows = []
    for name, layer_number, head, ablated in ablations:
        with ablated:
            counts = count_errors(model, few, mode="eval").groupby("k").sum()
        errors = counts["wrong"] / counts["symbols"]
        rows += [(name, layer_number, head, k, error) for k, error in errors.items()]
    return pd.DataFrame(rows, columns=["ablation", "layer", "head", "k", "error"])
