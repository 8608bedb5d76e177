"""Attention matrices of a model, and how well they match find^j (paper: Appendix G.2)."""

from collections.abc import Iterator
from contextlib import contextmanager

import pandas as pd
import torch
from torch.nn import functional as F

from logdepth.models import layers
from logdepth.models.network import Network
from logdepth.tasks.base import Task


def first_sequences(data: dict[str, torch.Tensor], count: int) -> torch.Tensor:
    """Return the first sequences of the largest k of a frozen set, int64 (count, context).

    Raises:
        ValueError: there are fewer.
    """
    tokens = data["tokens"][-1]
    if len(tokens) < count:
        raise ValueError(f"{len(tokens)} sequences for each k, but {count} are asked for")
    return tokens[:count].long()


@torch.no_grad()
def attention_weights(model: Network, tokens: torch.Tensor) -> torch.Tensor:
    """Return the attention matrix of every head.

    In training mode dropout acts on the matrices as well, as HuggingFace's GPT-2 returns them.

    Args:
        model: on the device to use.
        tokens: int64 (batch, n).

    Returns:
        float32 (depth, batch, heads, n, n); a row for each query.
    """
    with _products(model) as products:
        model(tokens)
    return torch.stack(
        [
            drop(layers.attention_matrix(query.float(), key.float()))
            for drop, (query, key, _) in products
        ]
    )


def pointer_matrices(task: Task, tokens: torch.Tensor, steps: int) -> torch.Tensor:
    """Return the 0/1 matrix of where each position looks after j steps, j from 0 to ``steps``.

    Args:
        task: with pointers; those of hop_k are find^j.
        tokens: int64 (batch, n).
        steps: largest j.

    Returns:
        float32 (steps + 1, batch, n, n); a position that looks nowhere has an empty row.
    """
    n = tokens.shape[1]
    # The last column is "nowhere", which is -1.
    reached = (task.pointers(tokens, j) % (n + 1) for j in range(steps + 1))
    return torch.stack([F.one_hot(positions, n + 1)[..., :n].float() for positions in reached])


def cosine(attention: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
    """Return the cosine between attention and 0/1 matrices, as the authors' notebook computes it.

    sum(A * B) / sqrt(sum(B) * sum(A^2)); 1 for A = B, 0 for B = 0.

    Args:
        attention: (batch, heads, n, n).
        matrices: (steps, batch, n, n) of 0 and 1.

    Returns:
        (steps, batch, heads).
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
    model: Network, task: Task, tokens: torch.Tensor, *, mode: str, seed: int = 0
) -> pd.DataFrame:
    """Compare every head with the pointers of every j, for every k that can be asked for.

    The same sequences serve every k, as in the authors' notebook, each asked for all of them.

    Args:
        model: on the device to use.
        task: of the run, one with pointers.
        tokens: int64 (batch, context), on the same device.
        mode: "eval", or "train" for active dropout, as in the published figures.
        seed: of dropout.

    Returns:
        A row a layer, head (both from 1), k and j: layer, head, k, j, cosine, printed; means
        over the sequences.
    """
    matrices = pointer_matrices(task, tokens.cpu(), task.max_k).to(tokens.device)
    model.draw_from(seed)
    model.train(mode == "train")
    rows = []
    for k in task.ks:
        for layer, attention in enumerate(attention_weights(model, task.asked(tokens, k)), 1):
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
    return pd.DataFrame(rows, columns=["layer", "head", "k", "j", "cosine", "printed"])


@torch.no_grad()
def attention_table(
    model: Network,
    task: Task,
    tokens: torch.Tensor,
    k: int,
    *,
    mode: str,
    seed: int = 0,
) -> pd.DataFrame:
    """Return every head's attention on one sequence.

    Args:
        model: on the device to use.
        task: of the run, one with pointers.
        tokens: int64 (context,), on the same device.
        k: that the model is asked for.
        mode: "eval", or "train" for active dropout.
        seed: of dropout.

    Returns:
        A row a layer, head (both from 1), query and key <= query (from 0): layer, head, query, key,
        weight, j; j is the least number of steps after which the query looks at the key, or -1.
    """
    model.draw_from(seed)
    model.train(mode == "train")
    weights = attention_weights(model, task.asked(tokens[None], k))[:, 0].cpu()
    model.eval()
    matrices = pointer_matrices(task, tokens[None].cpu(), task.context)[:, 0]
    steps = torch.where(matrices.any(0), matrices.argmax(0), -1)
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
                    "j": steps[query, key],
                }
            )
            for layer in range(weights.shape[0])
            for head in range(weights.shape[1])
        ],
        ignore_index=True,
    )


@contextmanager
def _products(model: Network) -> Iterator[list[tuple[layers.Dropout, tuple[torch.Tensor, ...]]]]:
    """Collect dropout, and query, key and value, of each layer while the model runs."""
    products: list[tuple[layers.Dropout, tuple[torch.Tensor, ...]]] = []
    handles = [
        layer.query_key_value.register_forward_hook(
            lambda _module, _inputs, output, layer=layer: products.append(
                (layer.drop, layer.split(output))
            )
        )
        for layer in model.modules()
        if isinstance(layer, layers.Attention)
    ]
    try:
        yield products
    finally:
        for handle in handles:
            handle.remove()
