"""Counter-based random integers: the same on every device, with no state to save."""

import hashlib

import torch

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed 64-bit integer
_MIX = ((30, -4658895280553007687), (27, -7723592293110705685))  # 0xBF58476D1CE4E5B9, 0x94D049…


def random_bits(
    key: tuple[int | str, ...], count: int, device: torch.device | None
) -> torch.Tensor:
    """Return ``count`` random integers in [0, 2**63) that depend on ``key`` alone.

    Element i is the splitmix64 output for the counter i, started at a hash of the key
    (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).

    Args:
        key: names the stream, e.g. ("train", seed, step).
        count: number of integers.
        device: where to compute; the values are the same everywhere.

    Returns:
        int64 tensor of shape (count,).
    """
    name = "/".join(map(str, key)).encode()
    start = int.from_bytes(hashlib.sha256(name).digest()[:8], "big", signed=True)
    x = torch.arange(1, count + 1, dtype=torch.int64, device=device).mul_(_GOLDEN).add_(start)
    for shift, factor in _MIX:
        x = x.bitwise_xor_(_shifted(x, shift)).mul_(factor)
    return x.bitwise_xor_(_shifted(x, 31)).bitwise_and_(2**63 - 1)


def _shifted(x: torch.Tensor, bits: int) -> torch.Tensor:
    """Logical right shift of 64-bit words (torch has the arithmetic one only)."""
    return (x >> bits).bitwise_and_((1 << (64 - bits)) - 1)
