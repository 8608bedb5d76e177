"""Sizes of the model that is written down by hand for hop_k; see ``logdepth.theory.compiled``.

Whole numbers alone, so that a configuration that does not fit is refused before anything runs.
"""


def bits_for(count: int) -> int:
    """Return the bits that tell ``count`` numbers apart, at least 1."""
    return max(1, (count - 1).bit_length())


def ladder_layers(max_hops: int) -> int:
    """Return the blocks after the second that k up to ``max_hops`` takes, ceil(log2 max_hops)."""
    return (max_hops - 1).bit_length()


def register_bits(context: int, alphabet: int, depth: int) -> dict[str, int]:
    """Return the bits of each register of the residual stream.

    A place has as many as the hop token's message at least, which starts out in a place register.
    """
    # One for each block after the second, one that says whether k is 0.
    hops = depth - 1
    place, symbol = max(bits_for(context), hops), bits_for(alphabet + 1)
    return {
        "place": place,
        "lower": place,
        "upper": place,
        "symbol": symbol,
        "found": symbol,
        "hops": hops,
    }


def least_width(sizes: dict[str, int], heads: int) -> int:
    """Return the width that the registers and the heads need.

    Every bit stands beside its opposite, and a head fetches two places and a symbol at once.
    """
    per_head = max(2 * sizes["place"] + sizes["found"], sizes["symbol"] + 3)
    return max(2 * sum(sizes.values()), heads * per_head)
