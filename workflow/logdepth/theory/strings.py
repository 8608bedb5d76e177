"""Strings on which the hand-written transformers are tried."""

import torch


def hard_strings(length: int, alphabet: int, seed: int) -> torch.Tensor:
    """Return strings that a construction may well get wrong, int64 (7, length).

    Uniform; without equal neighbours; constant; of period ``alphabet``; last symbol with its only
    match at the greatest distance; last symbol new; every symbol twice in a row.
    """
    generator = torch.Generator().manual_seed(seed)
    uniform = torch.randint(alphabet, (length,), generator=generator)
    steps = torch.randint(max(1, alphabet - 1), (length,), generator=generator) + 1
    i = torch.arange(length)
    is_last = i == length - 1
    filler = torch.full_like(i, min(1, alphabet - 1))
    return torch.stack(
        [
            uniform,
            steps.cumsum(0) % alphabet,
            0 * i,
            i % alphabet,
            filler.masked_fill((i == 0) | is_last, 0),
            filler.masked_fill(is_last, 0),
            i // 2 % alphabet,
        ]
    )
