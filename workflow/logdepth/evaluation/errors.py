"""Frozen evaluation sets, and the wrong answers of a model on them."""

import pandas as pd
import torch

from logdepth.config.run import Task
from logdepth.models.transformer import Transformer, labels
from logdepth.tasks.hop import HopTask

# Sequences of one forward pass: their activations stay in a core's cache. A constant, because
# dropout's draws depend on it.
_CHUNK = 32


def evaluation_set(
    task: Task, hops: tuple[int, ...], sequences: int, seed: int
) -> dict[str, torch.Tensor]:
    """Return the frozen set of a task, the same for every run.

    Returns:
        hops: int16 (K,), the values of k.
        tokens, targets: int16 (K, sequences, context).
    """
    hop = HopTask(task.context, task.alphabet, task.max_hops)
    batches = [hop.batch(seed, 0, sequences, stream=f"evaluation-{k}", hops=k) for k in hops]
    return {
        "hops": torch.tensor(hops, dtype=torch.int16),
        "tokens": torch.stack([batch.tokens for batch in batches]).to(torch.int16),
        "targets": torch.stack([batch.targets for batch in batches]).to(torch.int16),
    }


@torch.no_grad()
def count_errors(
    model: Transformer,
    task: Task,
    data: dict[str, torch.Tensor],
    *,
    dropout: bool,
    seed: int = 0,
) -> pd.DataFrame:
    """Count wrong answers of a model on every sequence of an evaluation set.

    A symbol is an answer to a position whose target is a symbol: the hop token's own position and
    those with no k-th hop are not counted (paper: section 4.2, err_k).

    Args:
        model: on the device to use.
        task: of the run.
        data: from ``evaluation_set``.
        dropout: whether dropout stays active, as in the published evaluation.
        seed: of dropout.

    Returns:
        A row a sequence: hops, sequence, wrong, symbols.
    """
    hop = HopTask(task.context, task.alphabet, task.max_hops)
    device = next(model.parameters()).device
    kinds, sequences, _ = data["tokens"].shape
    torch.manual_seed(seed)
    model.train(dropout)
    wrong, symbols = [], []
    # Sequences of several k share a pass.
    pairs = torch.stack([data["tokens"], data["targets"]]).flatten(1, 2)
    for start in range(0, kinds * sequences, _CHUNK):
        tokens, targets = pairs[:, start : start + _CHUNK]
        target = targets.to(device, torch.int64)
        predicted = model(tokens.to(device, torch.int64)).argmax(-1)
        counted = (target >= hop.first_symbol) & (target < hop.bottom)
        right = predicted == labels(model.spec, target, hop.first_symbol)
        wrong.append((~right & counted).sum(1).cpu())
        symbols.append(counted.sum(1).cpu())
    model.eval()
    return pd.DataFrame(
        {
            "hops": data["hops"].long().repeat_interleave(sequences).numpy(),
            "sequence": torch.arange(sequences).repeat(kinds).numpy(),
            "wrong": torch.cat(wrong).numpy(),
            "symbols": torch.cat(symbols).numpy(),
        }
    )
