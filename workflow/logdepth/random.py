"""Counter-based random integers: the same on every device, with no state to save."""

import hashlib

import torch

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed 64-bit integer
_MIX = ((30, -4658895280553007687), (27, -7723592293110705685))  # 0xBF58476D1CE4E5B9, 0x94D049…


def stream_start(*key: int | str) -> int:
    """Return where the stream of a key starts, such as ("train", seed, step): its hash."""
    name = "/".join(map(str, key)).encode()
    return int.from_bytes(hashlib.sha256(name).digest()[:8], "big", signed=True)


def random_words(starts: torch.Tensor, count: int, first: int | torch.Tensor = 0) -> torch.Tensor:
    """Return random integers of 64 bits, ``count`` of each stream.

    Element i of a stream is the splitmix64 output for the counter i + 1, started where the stream
    starts (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).

    Args:
        starts: int64 (streams,), from ``stream_start``.
        count: number of integers.
        first: element to begin with.

    Returns:
        int64 (streams, count).
    """
    x = torch.arange(1, count + 1, device=starts.device).add_(first).mul_(_GOLDEN)
    x = x + starts[:, None]
    for shift, factor in _MIX:
        x = x.bitwise_xor_(_shifted(x, shift)).mul_(factor)
    return x.bitwise_xor_(_shifted(x, 31))


def random_bits(starts: torch.Tensor, count: int) -> torch.Tensor:
    """Return ``random_words`` without their sign: integers in [0, 2**63)."""
    return random_words(starts, count).bitwise_and_(2**63 - 1)


def shuffled(bits: torch.Tensor) -> torch.Tensor:
    """Return a permutation of the places of each row, int64, every one equally probable."""
    return bits.argsort(dim=-1, stable=True)


def _shifted(x: torch.Tensor, bits: int) -> torch.Tensor:
    """Logical right shift of 64-bit words (torch has the arithmetic one only)."""
    return (x >> bits).bitwise_and_((1 << (64 - bits)) - 1)
