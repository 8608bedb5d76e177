"""Frozen evaluation sets, and the wrong answers of a model on them."""

import math
from collections.abc import Iterable

import pandas as pd
import torch

from logdepth.models.network import Network
from logdepth.tasks.base import Task

# Sequences of one forward pass: their activations stay in a core's cache. A constant, because
# dropout's draws depend on it.
_CHUNK = 32
# Early positions answer for small k alone. From this share of a sequence on, nearly all answer for
# every k, so that errors there compare values of k at the same positions.
_LATE = 0.75


def evaluation_set(
    task: Task, ks: tuple[int, ...], sequences: int, seed: int, stream: str = "evaluation"
) -> dict[str, torch.Tensor]:
    """Return the frozen set of a task, the same for every run.

    Returns:
        k: int16 (K,), the values of k.
        tokens, targets: int16 (K, sequences, context).
        counted: bool (K, sequences, context), whether a position is an answer that counts.
    """
    batches = [task.batch(seed, 0, sequences, stream=f"{stream}-{k}", k=k) for k in ks]
    return {
        "k": torch.tensor(ks, dtype=torch.int16),
        "tokens": torch.stack([batch.tokens for batch in batches]).to(torch.int16),
        "targets": torch.stack([batch.targets for batch in batches]).to(torch.int16),
        "counted": torch.stack([batch.counted for batch in batches]),
    }


def evaluate(
    model: Network, data: dict[str, torch.Tensor], modes: Iterable[str], seed: int
) -> pd.DataFrame:
    """Return a row for each mode and sequence: mode, and the columns of ``count_errors``."""
    tables = [count_errors(model, data, mode=mode, seed=seed).assign(mode=mode) for mode in modes]
    table = pd.concat(tables, ignore_index=True)
    return table[["mode", *table.columns.drop("mode")]]


@torch.no_grad()
def count_errors(
    model: Network,
    data: dict[str, torch.Tensor],
    *,
    mode: str,
    seed: int = 0,
) -> pd.DataFrame:
    """Count wrong answers of a model on every sequence of an evaluation set.

    Args:
        model: on the device to use.
        data: from ``evaluation_set``.
        mode: "eval", or "train" for active dropout, as in the published evaluation.
        seed: of dropout.

    Returns:
        A row a sequence: k, sequence, wrong, symbols, and late_wrong and late_symbols, of them
        those in the last quarter of the sequence.
    """
    device = next(model.parameters()).device
    kinds, sequences, context = data["tokens"].shape
    model.draw_from(seed)
    model.train(mode == "train")
    late = torch.arange(context, device=device) >= math.ceil(_LATE * context)
    wrong, symbols, late_wrong, late_symbols = [], [], [], []
    # Sequences of several k share a pass.
    parts = [data[name].flatten(0, 1) for name in ("tokens", "targets", "counted")]
    for start in range(0, kinds * sequences, _CHUNK):
        tokens, targets, counted = (part[start : start + _CHUNK].to(device) for part in parts)
        missed = (model(tokens.long()).argmax(-1) != model.labels(targets.long())) & counted
        wrong.append(missed.sum(1).cpu())
        symbols.append(counted.sum(1).cpu())
        late_wrong.append((missed & late).sum(1).cpu())
        late_symbols.append((counted & late).sum(1).cpu())
    model.eval()
    return pd.DataFrame(
        {
            "k": data["k"].long().repeat_interleave(sequences).numpy(),
            "sequence": torch.arange(sequences).repeat(kinds).numpy(),
            "wrong": torch.cat(wrong).numpy(),
            "symbols": torch.cat(symbols).numpy(),
            "late_wrong": torch.cat(late_wrong).numpy(),
            "late_symbols": torch.cat(late_symbols).numpy(),
        }
    )
