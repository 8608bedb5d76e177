"""A protocol, its transformer, and that transformer as a protocol again."""

from dataclasses import dataclass
from typing import Any

from logdepth.theory.mpc.machine import IntWords, Protocol, run
from logdepth.theory.mpc.mpc_to_transformer import Compiled
from logdepth.theory.mpc.plan import plan
from logdepth.theory.mpc.transformer_to_mpc import AttentionProtocol, run_as_protocol


@dataclass(frozen=True)
class RoundTrip:
    """What a round trip gives and costs.

    Attributes:
        answers: output words of the protocol, of its transformer, and of the second protocol.
        rounds: local computations R of the first protocol.
        layers: of the transformer, R + 1.
        final_rounds: local computations of the second protocol, (R + 1)(2D + 2) + 1.
        machines: of the first and of the second protocol.
        words: limit s of the first and of the second protocol.
    """

    answers: tuple[list[int], list[int], list[int]]
    rounds: int
    layers: int
    final_rounds: int
    machines: tuple[int, int]
    words: tuple[int, int]


def round_trip(
    protocol: Protocol, inputs: IntWords, *, branching: int = 2, tile: int = 1, **options: Any
) -> RoundTrip:
    """Go from a protocol to a transformer and back (paper: Theorem 3.1, then Theorem 3.4).

    Args:
        protocol: on integer words.
        inputs: its input words.
        branching: of the second protocol's trees; its machines get the words for that.
        tile: tokens of a block in the second protocol.
        options: of ``Compiled``.
    """
    compiled = Compiled(protocol, len(inputs), **options)
    layers = compiled.stack()
    rows = compiled.rows(inputs)
    width = max(layer.heads * max(layer.query_width, layer.value_width) for layer in layers)
    words = 4 * branching * tile * width
    sizes = plan(layers, len(rows), words, tile)
    back = compiled.read(run_as_protocol(layers, rows, words, tile))
    return RoundTrip(
        answers=(run(protocol, inputs).answer, compiled(inputs), back),
        rounds=protocol.rounds,
        layers=len(layers),
        final_rounds=AttentionProtocol(layers, len(rows), words, tile).rounds,
        machines=(protocol.limits.machines, sizes.machines),
        words=(protocol.limits.words, words),
    )
