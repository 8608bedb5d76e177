"""Attention matrices of a model, and how well they match find^j (paper: Appendix G.2)."""

from collections.abc import Iterator
from contextlib import contextmanager

import pandas as pd
import torch
from torch.nn import functional as F

from logdepth.config.run import Task
from logdepth.models import layers
from logdepth.models.transformer import Transformer
from logdepth.tasks.hop import HopTask, hop_positions


@torch.no_grad()
def attention_weights(model: Transformer, tokens: torch.Tensor) -> torch.Tensor:
    """Return the attention matrix of every head.

    In training mode dropout acts on the matrices as well, as HuggingFace's GPT-2 returns them.

    Args:
        model: on the device to use.
        tokens: int64 (batch, n).

    Returns:
        float32 (depth, batch, heads, n, n); a row for each query.
    """
    rate = model.spec.dropout if model.training else 0.0
    with _products(model) as products:
        model(tokens)
    return torch.stack(
        [
            layers.dropout(layers.attention_matrix(query.float(), key.float()), rate)
            for query, key, _ in products
        ]
    )


def find_matrices(strings: torch.Tensor, alphabet: int, jumps: int) -> torch.Tensor:
    """Return the 0/1 matrix of find^j for each j from 0 to ``jumps``.

    Args:
        strings: int64 (batch, n) of symbols.
        alphabet: number of symbols.
        jumps: largest j.

    Returns:
        float32 (jumps + 1, batch, n + 1, n + 1), with a first row and column for the hop token;
        entry (i, find^j(i)) is 1, and a position with no j-th hop has an empty row.
    """
    size, n = strings.shape
    matrices = []
    for j in range(jumps + 1):
        reached = hop_positions(strings, torch.full((size,), j), alphabet)
        # The column after the last is "nowhere".
        matrix = F.one_hot(reached, n + 1)[..., :n].float()
        matrices.append(F.pad(matrix, (1, 0, 1, 0)))
    return torch.stack(matrices)


def cosine(attention: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
    """Return the cosine between attention and 0/1 matrices, as the authors' notebook computes it.

    sum(A * B) / sqrt(sum(B) * sum(A^2)); 1 for A = B, 0 for B = 0.

    Args:
        attention: (batch, heads, n, n).
        matrices: (jumps, batch, n, n) of 0 and 1.

    Returns:
        (jumps, batch, heads).
    """
    return _over_sizes(_shared(attention, matrices), attention, matrices)


def printed_alignment(attention: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
    """Return the alignment as the paper prints it (Appendix G.2).

    |A * B|_F^2 / (|A|_F |B|_F), shapes as in ``cosine``. It is no cosine: for A = B it is 1, but it
    changes with the scale of A. No published figure was made with it.
    """
    return _over_sizes(_shared(attention.square(), matrices), attention, matrices)


def _shared(attention: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
    return torch.einsum("bhik,jbik->jbh", attention, matrices)


def _over_sizes(
    shared: torch.Tensor, attention: torch.Tensor, matrices: torch.Tensor
) -> torch.Tensor:
    entries = matrices.sum((-1, -2))[..., None]
    size = (entries * attention.square().sum((-1, -2))).sqrt()
    return torch.where(size > 0, shared / size, 0.0)


@torch.no_grad()
def alignment_table(
    model: Transformer, task: Task, strings: torch.Tensor, *, dropout: bool, seed: int = 0
) -> pd.DataFrame:
    """Compare every head with every find^j, for every k that the model can be asked for.

    The same strings serve every k, as in the authors' notebook; only the hop token changes.

    Args:
        model: on the device to use.
        task: of the run.
        strings: int64 (batch, n) of symbols, on the same device.
        dropout: whether dropout is active, as in the published figures.
        seed: of dropout.

    Returns:
        A row a layer, head (both from 1), k and j: layer, head, hops, jumps, cosine, printed; means
        over the strings.
    """
    hop = HopTask(task.context, task.alphabet, task.max_hops)
    matrices = find_matrices(strings.cpu(), task.alphabet, task.max_hops).to(strings.device)
    torch.manual_seed(seed)
    model.train(dropout)
    rows = []
    for k in range(task.max_hops + 1):
        tokens = hop.encode(strings, strings.new_full((len(strings),), k)).tokens
        for layer, attention in enumerate(attention_weights(model, tokens), 1):
            cosines, printed = (
                measure(attention, matrices).mean(1).tolist()
                for measure in (cosine, printed_alignment)
            )
            rows += [
                (layer, head + 1, k, j, cosines[j][head], printed[j][head])
                for head in range(attention.shape[1])
                for j in range(len(matrices))
            ]
    model.eval()
    return pd.DataFrame(rows, columns=["layer", "head", "hops", "jumps", "cosine", "printed"])


@torch.no_grad()
def attention_table(
    model: Transformer,
    task: Task,
    string: torch.Tensor,
    hops: int,
    *,
    dropout: bool,
    seed: int = 0,
) -> pd.DataFrame:
    """Return every head's attention on one string.

    Args:
        model: on the device to use.
        task: of the run.
        string: int64 (n,) of symbols without equal neighbours, on the same device.
        hops: k that the model is asked for.
        dropout: whether dropout is active.
        seed: of dropout.

    Returns:
        A row a layer, head (both from 1), query and key <= query (from 0, the hop token):
        layer, head, query, key, weight, jumps; jumps is the j with find^j(query) = key, of which
        there is one at most, or -1.
    """
    hop = HopTask(task.context, task.alphabet, task.max_hops)
    torch.manual_seed(seed)
    model.train(dropout)
    tokens = hop.encode(string[None], string.new_full((1,), hops)).tokens
    weights = attention_weights(model, tokens)[:, 0].cpu()
    model.eval()
    matrices = find_matrices(string[None].cpu(), task.alphabet, task.context)[:, 0]
    jumps = torch.where(matrices.any(0), matrices.argmax(0), -1)
    query, key = torch.tril_indices(task.context, task.context)
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "layer": layer + 1,
                    "head": head + 1,
                    "query": query,
                    "key": key,
                    "weight": weights[layer, head, query, key],
                    "jumps": jumps[query, key],
                }
            )
            for layer in range(weights.shape[0])
            for head in range(weights.shape[1])
        ],
        ignore_index=True,
    )


@contextmanager
def _products(model: Transformer) -> Iterator[list[tuple[torch.Tensor, ...]]]:
    """Collect query, key and value of each layer while the model runs."""
    products: list[tuple[torch.Tensor, ...]] = []
    handles = [
        layer.query_key_value.register_forward_hook(
            lambda _module, _inputs, output, layer=layer: products.append(layer.split(output))
        )
        for layer in model.modules()
        if isinstance(layer, layers.Attention)
    ]
    try:
        yield products
    finally:
        for handle in handles:
            handle.remove()
