"""Attention matrices of a model, and how well they match find^j (paper: Appendix G.2)."""

from collections.abc import Iterator
from contextlib import contextmanager

import pandas as pd
import torch
from torch.nn import functional as F

from logdepth.config.run import Task
from logdepth.models.transformer import Attention, Transformer
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
    weights: list[torch.Tensor] = []
    with _inputs_of_attention(model) as inputs:
        model(tokens)
    n = tokens.shape[1]
    future = torch.ones(n, n, dtype=torch.bool, device=tokens.device).triu(1)
    for layer, x in inputs:
        batch, _, width = x.shape
        qkv = layer.query_key_value(x).float().view(batch, n, 3, layer.heads, width // layer.heads)
        query, key, _ = qkv.permute(2, 0, 3, 1, 4)
        scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
        softmax = scores.masked_fill(future, -torch.inf).softmax(-1)
        weights.append(F.dropout(softmax, layer.dropout, model.training))
    return torch.stack(weights)


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


def cosine(attention: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """Return the cosine between attention and 0/1 matrices, as the authors' notebook computes it.

    sum(A * B) / sqrt(sum(B) * sum(A^2)), over the last two dimensions; 1 for A = B, 0 for B = 0.
    """
    shared = (attention * matrix).sum((-1, -2))
    size = (matrix.sum((-1, -2)) * attention.square().sum((-1, -2))).sqrt()
    return torch.where(size > 0, shared / size, 0.0)


def printed_alignment(attention: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """Return the alignment as the paper prints it (Appendix G.2).

    |A * B|_F^2 / (|A|_F |B|_F), over the last two dimensions. It is no cosine: for A = B it is 1,
    but it changes with the scale of A. No published figure was made with it.
    """
    shared = (attention * matrix).square().sum((-1, -2))
    size = (matrix.sum((-1, -2)) * attention.square().sum((-1, -2))).sqrt()
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
            # (jumps, batch, heads), then the mean over the batch.
            against = matrices[:, :, None]
            cosines = cosine(attention[None], against).mean(1).cpu()
            printed = printed_alignment(attention[None], against).mean(1).cpu()
            rows += [
                (layer, head + 1, k, j, float(cosines[j, head]), float(printed[j, head]))
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
def _inputs_of_attention(
    model: Transformer,
) -> Iterator[list[tuple[Attention, torch.Tensor]]]:
    inputs: list[tuple[Attention, torch.Tensor]] = []

    def keep(layer: torch.nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
        assert isinstance(layer, Attention)
        inputs.append((layer, arguments[0]))

    handles = [
        layer.register_forward_pre_hook(keep)
        for layer in model.modules()
        if isinstance(layer, Attention)
    ]
    try:
        yield inputs
    finally:
        for handle in handles:
            handle.remove()
