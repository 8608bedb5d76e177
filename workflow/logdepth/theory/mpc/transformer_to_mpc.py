"""From a transformer to a protocol (paper: Theorems 3.4 and C.1).

Attention needs the inner product of every query with every key, but no machine holds them all. A
machine for each pair of blocks of tokens computes its part of the softmax; queries reach these
machines, and keys with values, over trees of machines, and the parts return over the query trees,
merged on the way. A part is a running maximum, a normaliser and an unnormalised sum for each head
and query, so that merging is exact for logits of any size.
"""

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from logdepth.theory.mpc.layers import Layer
from logdepth.theory.mpc.machine import Limits, Message, Protocol, Words, run
from logdepth.theory.mpc.plan import plan

Floats = npt.NDArray[np.floating]


class AttentionProtocol(Protocol):
    """A transformer as a protocol.

    Machines are numbered: blocks of tokens; pairs (query block, key block); inner nodes of query
    trees, then of key trees, tree by tree and level by level. Each layer begins and ends with rows
    packed densely on the first machines, s words each. Token-wise maps are local computations of
    the machine that holds the rows.
    """

    def __init__(self, layers: Sequence[Layer], tokens: int, words: int, tile: int = 1) -> None:
        """Lay out the protocol.

        Args:
            layers: of the transformer; their rows and projections are float32, float64 or int64.
            tokens: length of the context, M.
            words: limit of the machines, s.
            tile: tokens of a block, B.

        Raises:
            ValueError: the machines are too small.
        """
        self.layers = list(layers)
        self.plan = plan(layers, tokens, words, tile)
        # A word holds a number of a row or of a projection, of any type that occurs.
        self.limits = Limits(self.plan.machines, words, 64)
        self.rounds = len(self.layers) * self.plan.layer_exchanges + 1
        self.share = self.output_share = words
        self.outputs = tokens * self.layers[-1].out_width
        self.messages = self.message_words = words
        blocks = self.plan.blocks
        self._first_node = blocks + blocks**2
        levels = [self.plan.branching**level for level in range(1, self.plan.depth)]
        self._level_starts: list[int] = [sum(levels[:level]) for level in range(self.plan.depth)]

    def step(
        self, turn: int, machine: int, memory: Words, inbox: Sequence[Message]
    ) -> tuple[Words, list[Message]]:
        """Compute what the machine has to in this round; most machines are idle in most rounds."""
        index, phase = divmod(turn, self.plan.layer_exchanges)
        depth = self.plan.depth
        if not inbox and not len(memory):
            return (), []
        if phase == 0:
            packed = _join(inbox) if turn else np.asarray(memory)
            if turn == self.rounds - 1:
                return packed, []
            return (), self._disperse(self.layers[index], machine, packed)
        layer = self.layers[index]
        if phase == 1:
            rows = _join(inbox).reshape(-1, layer.row_width)
            return rows.ravel(), self._send_down(layer, machine, rows)
        if phase <= depth:
            return memory, self._forward(machine, phase - 1, inbox)
        if phase == depth + 1:
            return memory, self._inner_product(layer, machine, inbox) if inbox else []
        if not inbox:
            return memory, []
        part = self._merge(layer, machine, phase, inbox)
        if phase <= 2 * depth:
            _, tree, level, node = self._node(machine)
            return (), [(self._parent(0, tree, level, node), part)]
        rows = np.asarray(memory).reshape(-1, layer.row_width)
        return (), self._compress(machine, self._update(layer, machine, rows, part))

    # Places: who is whose child.

    def role(self, machine: int) -> tuple[str, int, int, int]:
        """Return what a machine is for.

        Returns:
            ("tokens", block, 0, 0), ("pair", query block, key block, 0), or ("query tree" or
            "key tree", tree, level, node).
        """
        if machine < self.plan.blocks:
            return "tokens", machine, 0, 0
        if machine < self._first_node:
            query, key = divmod(machine - self.plan.blocks, self.plan.blocks)
            return "pair", query, key, 0
        kind, tree, level, node = self._node(machine)
        return ("query tree", "key tree")[kind], tree, level, node

    def _node(self, machine: int) -> tuple[int, int, int, int]:
        """Return (0 for queries or 1 for keys, tree, level, node) of an inner node."""
        per_tree = self.plan.inner_nodes
        tree, offset = divmod(machine - self._first_node, per_tree)
        kind, tree = divmod(tree, self.plan.blocks)
        level = bisect_right(self._level_starts, offset)
        return kind, tree, level, offset - self._level_starts[level - 1]

    def _machine(self, kind: int, tree: int, level: int, node: int) -> int:
        """Return the machine at a place of a tree, from its root to its leaves."""
        blocks = self.plan.blocks
        if level == 0:
            return tree
        if level == self.plan.depth:
            query, key = (tree, node) if kind == 0 else (node, tree)
            return blocks + query * blocks + key
        start = (kind * blocks + tree) * self.plan.inner_nodes
        return self._first_node + start + self._level_starts[level - 1] + node

    def _parent(self, kind: int, tree: int, level: int, node: int) -> int:
        return self._machine(kind, tree, level - 1, node // self.plan.branching)

    def _children(self, kind: int, tree: int, level: int, node: int) -> list[int]:
        leaves_below = self.plan.branching ** (self.plan.depth - level - 1)
        first = node * self.plan.branching
        return [
            self._machine(kind, tree, level + 1, child)
            for child in range(first, first + self.plan.branching)
            if child * leaves_below < self.plan.blocks
        ]

    def _size(self, block: int) -> int:
        return min(self.plan.tile, self.plan.tokens - block * self.plan.tile)

    # Rows: between the packed form and the machines of the tokens.

    def _disperse(self, layer: Layer, machine: int, packed: Floats) -> list[Message]:
        block_words = self.plan.tile * layer.row_width
        return _slices(packed, machine * self.limits.words, block_words)

    def _compress(self, machine: int, rows: Floats) -> list[Message]:
        start = machine * self.plan.tile * rows.shape[1]
        return _slices(rows.ravel(), start, self.limits.words)

    # Attention.

    def _send_down(self, layer: Layer, block: int, rows: Floats) -> list[Message]:
        with torch.no_grad():
            parts = layer.project(block * self.plan.tile, torch.from_numpy(rows))
        query, key, value = (np.ascontiguousarray(part.numpy()) for part in parts)
        outbox = {child: query.ravel() for child in self._children(0, block, 0, 0)}
        memory = np.concatenate([key.ravel(), value.ravel()])
        for child in self._children(1, block, 0, 0):
            # Without inner nodes, the pair (i, i) is a child in both trees of block i.
            both = child in outbox
            outbox[child] = np.concatenate([outbox[child], memory]) if both else memory
        return list(outbox.items())

    def _forward(self, machine: int, level: int, inbox: Sequence[Message]) -> list[Message]:
        if machine < self._first_node or not inbox:
            return []
        kind, tree, _, node = self._node(machine)
        ((_, words),) = inbox
        return [(child, words) for child in self._children(kind, tree, level, node)]

    def _inner_product(self, layer: Layer, machine: int, inbox: Sequence[Message]) -> list[Message]:
        plan = self.plan
        row, column = divmod(machine - plan.blocks, plan.blocks)
        by_source = {source: np.asarray(words) for source, words in inbox}
        from_query = by_source[self._parent(0, row, plan.depth, column)]
        from_key = by_source[self._parent(1, column, plan.depth, row)]
        heads, width, rows, columns = (
            layer.heads,
            layer.query_width,
            self._size(row),
            self._size(column),
        )
        if len(by_source) == 1:
            from_query, from_key = np.split(from_query, [heads * rows * width])
        query = from_query.reshape(heads, rows, width)
        key, value = np.split(from_key, [heads * columns * width])
        logits = query @ key.reshape(heads, columns, width).transpose(0, 2, 1)
        if layer.visible is not None:
            first, start = row * plan.tile, column * plan.tile
            seen = layer.visible[first : first + rows, start : start + columns].numpy()
            logits = np.where(seen, logits, -np.inf)
        largest = logits.max(2)
        weights = np.exp(logits - np.where(np.isfinite(largest), largest, 0)[:, :, None])
        total = weights @ value.reshape(heads, columns, layer.value_width)
        part = np.concatenate([largest.ravel(), weights.sum(2).ravel(), total.ravel()])
        return [(self._parent(0, row, plan.depth, column), part.astype(query.dtype))]

    def _merge(
        self, layer: Layer, machine: int, phase: int, inbox: Sequence[Message]
    ) -> npt.NDArray[np.floating]:
        inner = phase <= 2 * self.plan.depth
        size = layer.heads * self._size(self._node(machine)[1] if inner else machine)
        parts = np.stack([np.asarray(words) for _, words in inbox])
        largest, normaliser, total = np.split(parts, [size, 2 * size], axis=1)
        top = largest.max(0)
        # A row that sees nothing in this subtree has the maximum -inf and sums of zero.
        scale = np.exp(largest - np.where(np.isfinite(top), top, 0))
        normaliser = (normaliser * scale).sum(0)
        wide = scale[:, :, None] * total.reshape(len(parts), size, layer.value_width)
        return np.concatenate([top, normaliser, wide.sum(0).ravel()])

    def _update(
        self, layer: Layer, block: int, rows: Floats, part: npt.NDArray[np.floating]
    ) -> Floats:
        size = layer.heads * len(rows)
        normaliser, total = part[size : 2 * size], part[2 * size :]
        mixed = total.reshape(size, layer.value_width) / normaliser[:, None]
        shaped = mixed.reshape(layer.heads, len(rows), layer.value_width)
        with torch.no_grad():
            new = layer.update(
                block * self.plan.tile, torch.from_numpy(rows), torch.from_numpy(shaped)
            )
        return np.ascontiguousarray(new.numpy())


def run_as_protocol(
    layers: Sequence[Layer], rows: torch.Tensor, words: int, tile: int = 1
) -> torch.Tensor:
    """Return the rows that come out of a transformer run as a protocol under enforced limits.

    Args:
        layers: of the transformer.
        rows: (tokens, row_width of the first layer).
        words: limit of the machines, s.
        tile: tokens of a block.

    Raises:
        ValueError: the machines are too small for trees.
        LimitError: the machines are too small for something else.
    """
    protocol = AttentionProtocol(layers, len(rows), words, tile)
    execution = run(protocol, rows.detach().numpy().ravel())
    packed = np.concatenate([np.asarray(words) for words in execution.outputs])
    return torch.from_numpy(packed.reshape(len(rows), layers[-1].out_width))


def _join(inbox: Sequence[Message]) -> Floats:
    return np.concatenate([np.asarray(words) for _, words in inbox])


def _slices(words: Floats, start: int, share: int) -> list[Message]:
    """Send words that begin at ``start`` of a long list to the machines with ``share`` each."""
    last = start + len(words)
    outbox: list[Message] = []
    for machine in range(start // share, -(-last // share)):
        low, high = max(start, machine * share), min(last, (machine + 1) * share)
        outbox.append((machine, words[low - start : high - start]))
    return outbox
