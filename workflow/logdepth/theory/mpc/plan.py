"""Sizes of the protocol that runs a transformer (paper: Theorem C.1)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from logdepth.theory.mpc.layers import Layer


@dataclass(frozen=True)
class Plan:
    """Sizes of the protocol for a transformer.

    The trees have branching b = floor(s / (4 B m H)), with m the widest query or value, and depth
    D = ceil(log_b(M/B)). The machines are

        q = T + T^2 + 2 T (b + ... + b^(D-1)) = O(T^2),    T = M/B blocks of tokens;

    the paper's count has one tree per token, but queries and keys need one each.
    B = 1 is the paper's protocol; a larger tile B spends memory to save machines.

    Attributes:
        tokens: length of the context, M.
        words: limit of the machines, s.
        tile: tokens of a block, B.
        width: numbers of all heads of a token, m H.
    """

    tokens: int
    words: int
    tile: int
    width: int

    @cached_property
    def blocks(self) -> int:
        """Number of blocks of tokens, T."""
        return -(-self.tokens // self.tile)

    @cached_property
    def branching(self) -> int:
        """Children of a node of a tree, b."""
        return self.words // (4 * self.tile * self.width)

    @cached_property
    def depth(self) -> int:
        """Levels of a tree, D."""
        depth = 1
        while self.branching**depth < self.blocks:
            depth += 1
        return depth

    @cached_property
    def inner_nodes(self) -> int:
        """Nodes of a tree between its root and its leaves."""
        return sum(self.branching**level for level in range(1, self.depth))

    @cached_property
    def machines(self) -> int:
        """Number of machines, q."""
        return self.blocks + self.blocks**2 + 2 * self.blocks * self.inner_nodes

    @cached_property
    def layer_exchanges(self) -> int:
        """Exchanges for a layer: dispersal, D down, D up, compression.

        They lie between the 2D + 3 local computations that the paper counts for a layer.
        """
        return 2 * self.depth + 2


def plan(layers: Sequence[Layer], tokens: int, words: int, tile: int = 1) -> Plan:
    """Return the sizes of the protocol.

    Args:
        layers: of the transformer.
        tokens: length of the context.
        words: limit of the machines, s.
        tile: tokens of a block.

    Raises:
        ValueError: the machines are too small for trees.
    """
    width = max(layer.heads * max(layer.query_width, layer.value_width) for layer in layers)
    sizes = Plan(tokens, words, tile, width)
    if sizes.branching < 2:
        least = 8 * tile * width
        raise ValueError(f"{words} words a machine, but trees with two branches need {least}")
    return sizes
