"""Registers of bits in a residual stream, and the gates that a block computes on them.

Every number of the stream is 1 or -1, and each bit b stands beside -b. A layer norm then sees mean
0 and variance 1, so that with the weight sqrt(1 + eps) it changes nothing.
"""

import math
from dataclasses import dataclass

import torch

NORM_WEIGHT = math.sqrt(1 + 1e-5)

# The next best place scores twice this less.
_LOOKUP = 16.0
# A closed gate is GELU(-2 * _SHARP), which is 0 in float32.
_SHARP = 8.0


@dataclass(frozen=True)
class Registers:
    """Columns of the residual stream.

    Attributes:
        columns: of the bits of each register, the least significant first.
        opposite: the column that holds the opposite of a column's bit.
    """

    columns: dict[str, list[int]]
    opposite: dict[int, int]

    def of(self, *names: str) -> list[int]:
        """Return the columns of some registers."""
        return [column for name in names for column in self.columns[name]]

    def write(self, table: torch.Tensor, columns: list[int], code: torch.Tensor) -> None:
        """Write bits and their opposites into rows of a table.

        Args:
            table: float32 (rows, m).
            columns: where the bits go.
            code: (rows, len(columns)), or anything that broadcasts to it.
        """
        table[:, columns] = code.to(table.dtype)
        table[:, [self.opposite[column] for column in columns]] = -code.to(table.dtype)


def lay_out(sizes: dict[str, int], width: int, fixed: dict[str, list[int]]) -> Registers:
    """Give every bit a pair of columns.

    Args:
        sizes: bits of each register.
        width: of the stream, even. Columns that no register needs become the register "idle".
        fixed: registers whose columns are given; their opposites are put elsewhere.
    """
    taken = {column for columns in fixed.values() for column in columns}
    free = iter([column for column in range(width) if column not in taken])
    columns = {name: fixed.get(name) or [] for name in sizes}
    opposite = {}
    for name, size in {**sizes, "idle": width // 2 - sum(sizes.values())}.items():
        if name not in fixed:
            columns[name] = []
        for bit in range(size):
            if name not in fixed:
                columns[name].append(next(free))
            opposite[columns[name][bit]] = next(free)
    return Registers(columns, opposite)


class Block:
    """The weights of one block of ``logdepth.models.network``, written a gate at a time.

    Head numbers count from 0.
    """

    def __init__(self, m: int, heads: int, hidden: int, registers: Registers) -> None:
        """Start with weights that are all 0: a block that changes nothing.

        Args:
            m: width of the residual stream.
            heads: of its attention.
            hidden: width of its MLP.
            registers: of the stream.
        """
        self.registers = registers
        self.head_width = m // heads
        self.query, self.key, self.value = torch.zeros(3, heads, self.head_width, m)
        self.query_bias, self.key_bias, self.value_bias = torch.zeros(3, heads, self.head_width)
        self.mixed, self.mixed_bias = torch.zeros(m, m), torch.zeros(m)
        self.hidden, self.hidden_bias = torch.zeros(hidden, m), torch.zeros(hidden)
        self.output, self.output_bias = torch.zeros(m, hidden), torch.zeros(m)
        self._units = 0

    def scale(self, temperature: float) -> float:
        """Return the factor of a query for an inverse temperature."""
        return temperature * math.sqrt(self.head_width)

    def look_up(self, head: int, wanted: str | None) -> None:
        """Let a head attend to the place that a register holds, or to place 0."""
        scale = self.scale(_LOOKUP)
        for dim, place in enumerate(self.registers.of("place")):
            self.key[head, dim, place] = 1.0
            if wanted is None:
                self.query_bias[head, dim] = -scale
            else:
                self.query[head, dim, self.registers.of(wanted)[dim]] = scale

    def fetch(self, head: int, sources: list[int], targets: list[int], sign: float = 1.0) -> None:
        """Add what a head attends to, times a sign, to the targets."""
        for dim, (source, target) in enumerate(zip(sources, targets, strict=True)):
            self.value[head, dim, source] = 1.0
            self._add(self.mixed, target, head * self.head_width + dim, sign)

    def forget(self, head: int, *names: str) -> None:
        """Take away the token's own registers, by a head that attends to the token itself."""
        self.look_up(head, "place")
        self.fetch(head, self.registers.of(*names), self.registers.of(*names), -1.0)

    def forget_constant(self, name: str) -> None:
        """Take away the -1 in every bit that a register starts with."""
        for column in self.registers.of(name):
            self.mixed_bias[column] += 1.0
            self.mixed_bias[self.registers.opposite[column]] -= 1.0

    def copy_if(self, gate: int | None, source: str, target: str) -> None:
        """Set the target register to the source where the gate is 1, or always."""
        pairs = zip(self.registers.of(source), self.registers.of(target), strict=True)
        for a, b in pairs:
            self._add_difference(gate, a, b, [(b, 1.0)])

    def exchange_if(self, gate: int, first: str, second: str) -> None:
        """Exchange two registers where the gate is 1."""
        pairs = zip(self.registers.of(first), self.registers.of(second), strict=True)
        for a, b in pairs:
            self._add_difference(gate, a, b, [(a, -1.0), (b, 1.0)])

    def turn_on(self, target: int, conditions: dict[int, float]) -> None:
        """Turn a bit from -1 to 1 where every given column has the given sign."""
        unit = self._unit()
        for column, sign in conditions.items():
            self.hidden[unit, column] = sign * _SHARP
        self.hidden_bias[unit] = (1 - len(conditions)) * _SHARP
        self._add(self.output, target, unit, 2 / _SHARP)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the weights by the names that the model's blocks have for them."""
        m = len(self.mixed)
        qkv = torch.stack([self.query, self.key, self.value])
        qkv_bias = torch.stack([self.query_bias, self.key_bias, self.value_bias])
        return {
            "mixer_norm.weight": torch.full((m,), NORM_WEIGHT),
            "mixer_norm.bias": torch.zeros(m),
            "mixer.query_key_value.weight": qkv.reshape(3 * m, m),
            "mixer.query_key_value.bias": qkv_bias.reshape(3 * m),
            "mixer.output.weight": self.mixed,
            "mixer.output.bias": self.mixed_bias,
            "mlp_norm.weight": torch.full((m,), NORM_WEIGHT),
            "mlp_norm.bias": torch.zeros(m),
            "mlp.hidden.weight": self.hidden,
            "mlp.hidden.bias": self.hidden_bias,
            "mlp.output.weight": self.output,
            "mlp.output.bias": self.output_bias,
        }

    def _add_difference(
        self, gate: int | None, a: int, b: int, targets: list[tuple[int, float]]
    ) -> None:
        """Add bit a minus bit b to the targets, where the gate is 1.

        GELU(x) - GELU(-x) = x exactly; a closed gate moves both arguments to -2 or less.
        """
        for sign in (1.0, -1.0):
            unit = self._unit()
            self.hidden[unit, a] = sign * _SHARP
            self.hidden[unit, b] = -sign * _SHARP
            if gate is not None:
                self.hidden[unit, gate] = 2 * _SHARP
                self.hidden_bias[unit] = -2 * _SHARP
            for column, factor in targets:
                self._add(self.output, column, unit, sign * factor / _SHARP)

    def _add(self, matrix: torch.Tensor, target: int, source: int, factor: float) -> None:
        matrix[target, source] += factor
        matrix[self.registers.opposite[target], source] -= factor

    def _unit(self) -> int:
        self._units += 1
        return self._units - 1
