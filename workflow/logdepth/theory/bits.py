"""Binary codes of -1 and 1."""

import torch

# Bfloat16 holds multiples of this up to 2^15, and what is below it, exactly.
DIGIT = 128


def signs(numbers: torch.Tensor, bits: int) -> torch.Tensor:
    """Return the binary code of each number, least significant bit first, as -1 and 1.

    Args:
        numbers: int64 (...,).
        bits: length of the code.

    Returns:
        int64 (..., bits).
    """
    return 2 * (numbers[..., None] >> torch.arange(bits) & 1) - 1


def number(code: torch.Tensor) -> torch.Tensor:
    """Return the number whose signs a code (..., bits) has, int64 (...,)."""
    return ((code > 0).long() << torch.arange(code.shape[-1])).sum(-1)
