"""hop_k in the depth that Theorem 4.2 states, as weights of the project's own transformer.

``logdepth.theory.programs.search`` on registers (see ``logdepth.theory.registers``), one set of
weights for all k below 2^(L - 1). Places and symbols are one-hot, so that the width is about 4 N:

    place     of the token; the hop token is 0 and is the start token
    pointer   place of find^c, from c = 0
    at        symbol there, or "no such position"
    before    symbol before the token
    asked     ``at`` where the next block is to search, else nothing
    digits    binary digits of k, the most significant first

    block 1     head 1 fetches the symbol before; head 2 fetches the digits from the hop token,
                which has them in its ``pointer`` until the MLP sets every pointer to the token's
                own place
    the others  head 1 fetches ``pointer`` and ``at`` from the latest place up to the pointer, which
                is the pointer itself, or where the digit is 1 from the latest whose symbol before
                is ``asked``: c becomes 2c or 2c + 1; head 2 takes away what was there; the MLP sets
                ``asked`` for the next block
"""

import math

import torch

from logdepth.errors import UserError
from logdepth.models.softmax import Softmax
from logdepth.tasks.hop import Hop
from logdepth.theory.bits import signs
from logdepth.theory.hop_to_weights import Compiled
from logdepth.theory.registers import NORM_WEIGHT, Block, Registers, lay_out

# Inverse temperature of all heads, whose margins are 1 and more.
_TEMPERATURE = 32.0
# Logit of the answer; of all others its opposite.
_CONFIDENCE = 4.0


def compile_search(task: Hop, *, heads: int = 2, stream: int | None = None) -> Compiled:
    """Write down a model of the form softmax that answers hop_k for every k up to ``max_k``.

    It has floor(log2 max_k) + 2 blocks, two for a ``max_k`` of 0.

    Args:
        task: the task.
        heads: H, at least 2; more are idle.
        stream: width of the residual stream, m; by default the least of this construction,
            2 (2 N + 3 (S + 1) + L - 1) with two heads, of N tokens and S symbols.

    Raises:
        UserError: heads or width do not fit.
    """
    depth = 1 + max(1, task.max_k.bit_length())
    symbols = task.alphabet + 1
    # The digits start out in a pointer.
    places = max(task.context, depth - 1)
    sizes = {"place": places, "pointer": places}
    sizes |= {"at": symbols, "before": symbols, "asked": symbols, "digits": depth - 1}
    needed = max(2 * sum(sizes.values()), heads * (places + 2 * symbols))
    needed += -needed % math.lcm(2, heads)
    m = stream or needed
    if heads < 2 or m < needed or m % math.lcm(2, heads):
        raise UserError(
            f"{heads} heads and width {m} do not fit; expected 2 heads or more, and an even width "
            f"of at least {needed} that the heads divide"
        )
    model = Softmax(depth=depth, heads=heads, width=m, mlp_ratio=1)
    with torch.device("meta"):
        network = model.build(task)
    registers = lay_out(sizes, m, {})
    weights = _embeddings(task, registers, network.tokens.num_embeddings, network.context)
    head = torch.zeros(symbols, m)
    for symbol, column in enumerate(registers.of("at")):
        registers.write(head[symbol : symbol + 1], [column], torch.tensor(_CONFIDENCE / 2))
    weights |= {
        "norm.weight": torch.full((m,), NORM_WEIGHT),
        "norm.bias": torch.zeros(m),
        "head.weight": head,
    }
    for number in range(depth):
        block = Block(m, heads, m, registers)
        if number == 0:
            _write_first(block)
        else:
            _write_search(block, registers.of("digits")[number - 1])
        if number < depth - 1:
            digit = registers.of("digits")[number]
            for at, asked in zip(registers.of("at"), registers.of("asked"), strict=True):
                block.turn_on(asked, {at: 1.0, digit: 1.0})
        weights |= {f"blocks.{number}.{name}": part for name, part in block.tensors().items()}
    return Compiled(task, model, weights)


def searched(hops: int, depth: int) -> list[int]:
    """Return the j such that head 1 of each block from the second on attends to find^j.

    Where there is no j-th hop it attends to the hop token, and so does the hop token.

    Args:
        hops: k that the model is asked for.
        depth: of the model, with k below 2^(depth - 1).
    """
    digits = range(depth - 2, -1, -1)
    return [(hops >> digit + 1) + (hops >> digit & 1) for digit in digits]


def _embeddings(
    task: Hop, registers: Registers, token_ids: int, places: int
) -> dict[str, torch.Tensor]:
    m = 2 * len(registers.opposite)
    tokens, positions = torch.zeros(token_ids, m), torch.zeros(places, m)
    registers.write(positions, registers.of("before", "asked", "digits", "idle"), torch.tensor(-1))
    hot = 2 * torch.eye(places, len(registers.of("place"))) - 1
    registers.write(positions, registers.of("place"), hot)
    registers.write(positions[1:], registers.of("pointer"), hot[1:])
    nowhere = torch.full((token_ids,), task.alphabet)
    nowhere[task.first_symbol : task.bottom] = torch.arange(task.alphabet)
    registers.write(tokens, registers.of("at"), 2 * torch.eye(task.alphabet + 1)[nowhere] - 1)
    # What a hop token says; its place says nothing in these columns.
    ks, pointer = torch.arange(task.max_k + 1), registers.of("pointer")
    count = len(registers.of("digits"))
    said = tokens[: len(ks)]
    registers.write(said, pointer, torch.tensor(-1))
    registers.write(said, pointer[:count], signs(ks, count).flip(-1))
    return {"tokens.weight": tokens, "positions.weight": positions}


def _write_first(block: Block) -> None:
    registers, scale = block.registers, block.scale(_TEMPERATURE)
    place = registers.of("place")
    for dim, column in enumerate(place[:-1]):
        block.key[0, dim, column] = 1.0
        block.query[0, dim, place[dim + 1]] = scale
    block.forget_constant("before")
    block.fetch(0, registers.of("at"), registers.of("before"))
    block.key[1, 0, place[0]] = 1.0
    block.query_bias[1, 0] = scale
    block.forget_constant("digits")
    digits = registers.of("digits")
    block.fetch(1, registers.of("pointer")[: len(digits)], digits)
    block.copy_if(None, "place", "pointer")


def _write_search(block: Block, digit: int) -> None:
    """Score as ``logdepth.theory.construction`` says; without a digit, the place alone counts."""
    registers = block.registers
    place, pointer, before, asked = map(registers.of, ("place", "pointer", "before", "asked"))
    count, symbols = len(place), len(asked)
    # A power of two, as the scores: whole numbers are exact in short formats.
    scale = 2.0 ** torch.tensor(block.scale(_TEMPERATURE)).log2().ceil().item()
    above = 2.0 ** (count - 1).bit_length()
    places = torch.arange(float(count))
    scores = torch.where(places[:, None] <= places, places[:, None], -1.0)
    scores[0] = 0
    # A one-hot code e is (signs + 1) / 2.
    block.query[0, :count, pointer] = scale * scores / 2
    block.query_bias[0, :count] = scale * scores.sum(-1) / 2
    for dim, column in enumerate(place):
        block.key[0, dim, column] = block.key_bias[0, dim] = 0.5
    for dim, (a, b) in enumerate(zip(asked, before, strict=True), count):
        block.query[0, dim, a] = block.query_bias[0, dim] = scale * above / 2
        block.key[0, dim, b] = block.key_bias[0, dim] = 0.5
    # The start token, whose symbol before is "no such position", offers none, and wins where a
    # search finds nothing.
    last = count + symbols
    block.key[0, last - 1, place[0]] = -0.5
    block.key_bias[0, last - 1] = 0.0
    block.query[0, last, digit] = block.query_bias[0, last] = scale * above / 2
    block.key[0, last, place[0]] = block.key_bias[0, last] = 0.5
    block.fetch(0, registers.of("pointer", "at"), registers.of("pointer", "at"))
    block.forget(1, "pointer", "at", "asked")
    for column in asked:
        block.mixed_bias[column] -= 1.0
        block.mixed_bias[registers.opposite[column]] += 1.0
