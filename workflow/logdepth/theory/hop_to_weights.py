"""hop_k compiled into the project's own transformer: weights alone, one set for all k.

The construction is ``logdepth.theory.programs.ladder`` (paper: Theorem 4.2, repaired) on registers
of bits, see ``logdepth.theory.registers``:

    place    position of the token; the hop token is 0 and is the start token
    lower    find^c or find^(c+1), whichever the next look-up follows
    upper    the other one
    symbol   the token's symbol, or "no such position" for the hop token
    found    symbol at find^(c+1)
    hops     what steers the ladder, see ``messages``

    block 1     head 1 fetches the symbol before into ``found``; head 2 fetches what the hop token
                says into ``hops``; the MLP sets ``lower`` to ``place``
    block 2     head 1 fetches place and symbol of find^1 into ``upper`` and ``found``; head 2
                takes away what was there; the MLP exchanges ``lower`` and ``upper`` where k - 1
                starts with 1
    the others  head 1 fetches ``lower``, ``upper`` and ``found`` from where ``lower`` points; head
                2 takes away the token's own; the MLP exchanges ``lower`` and ``upper`` where the
                next bit of k - 1 differs from this one
    the last    the MLP replaces ``found`` by ``symbol`` if k is 0

Two heads are needed: one for the hop token's message in block 1, and later to take away the old
content, because adding to a register would change the norm from token to token. Until block 1 the
hop token has its message in its ``lower`` and the others the place before theirs; until block 2
``upper`` only tells the hop token from the others.
"""

from dataclasses import dataclass

import torch

from logdepth.config.run import Run
from logdepth.errors import UserError
from logdepth.models.gpt2 import VOCABULARY, Gpt2
from logdepth.models.network import Network
from logdepth.models.softmax import Softmax
from logdepth.recipes.compiled import bits_for, ladder_layers, least_width, register_bits
from logdepth.tasks.hop import Hop
from logdepth.theory.bits import DIGIT, signs
from logdepth.theory.registers import NORM_WEIGHT, Block, Registers, lay_out

# Inverse temperature of block 2, whose margin is 1.
_LAST = 32.0
# Logit of a class bit that agrees.
_CONFIDENCE = 4.0


@dataclass(frozen=True)
class Compiled:
    """A compiled model.

    Attributes:
        task: that it answers.
        model: the settings.
        weights: of the network that the two build.
    """

    task: Hop
    model: Softmax | Gpt2
    weights: dict[str, torch.Tensor]

    def network(self) -> Network:
        """Return the network with the weights, in evaluation mode."""
        network = self.model.build(self.task)
        network.load_state_dict(self.weights)
        return network.eval()


def compile_softmax(
    task: Hop, *, depth: int | None = None, heads: int = 2, stream: int | None = None
) -> Compiled:
    """Write down a model of the form softmax; see ``compile_model``.

    Args:
        task: the task.
        depth: L, at least 2; by default ceil(log2 max_k) + 2, which answers every hop token.
        heads: H, at least 2; more are idle.
        stream: width of the residual stream, m; by default the least of this construction,
            2 (3 ceil(log2 N) + 2 ceil(log2(S + 1)) + L - 1) with two heads.

    Raises:
        UserError: heads or width do not fit.
    """
    layers = depth or blocks(task)
    m = stream or _least(register_bits(task.context, task.alphabet, layers), heads)
    if m % 2 or m % heads:
        raise UserError(_misfit(heads, m, m))
    return compile_model(task, Softmax(depth=layers, heads=heads, width=m, mlp_ratio=1))


def compile_gpt2(
    task: Hop, *, depth: int | None = None, heads: int = 2, stream: int | None = None
) -> Compiled:
    """Write down a model of the form gpt2; otherwise as ``compile_softmax``.

    Raises:
        UserError: heads or width do not fit, or the task has too many tokens.
    """
    layers = depth or blocks(task)
    sizes = register_bits(task.context, task.alphabet, layers) | {"classes": len(_classes(task))}
    m = stream or _least(sizes, heads, VOCABULARY)
    if m % heads:
        raise UserError(_misfit(heads, m, m))
    return compile_model(task, Gpt2(depth=layers, heads=heads, width=m))


def compiled(run: Run) -> Compiled:
    """Write down the weights of a run; see ``compile_model``.

    Raises:
        UserError: the construction is not for its task or its model.
    """
    if not isinstance(run.task, Hop) or not isinstance(run.model, Softmax | Gpt2):
        raise UserError(f"{run.identifier}: expected the task hop, and the form softmax or gpt2")
    if getattr(run.model, "positions", "learned") == "none":
        raise UserError(f"{run.identifier}: model.positions: expected learned, to write them down")
    return compile_model(run.task, run.model)


def compile_model(task: Hop, model: Softmax | Gpt2) -> Compiled:
    """Write down the weights of a model that answers hop_k for every k up to 2^(depth - 2).

    It answers exactly, at every position of every string, equal neighbours included; where it is
    asked for more hops it makes 2^(depth - 2).

    The form gpt2 is GPT-2 without a head: the last hidden state is the logits, where number j
    belongs to token id j. So a register with a bit for each symbol, one for "no such position" and
    one for blank lies there, and the last MLP sets it. The final layer norm silences everything
    else.

    Args:
        task: the task.
        model: sizes; heads and columns that are not needed stay idle.

    Raises:
        UserError: depth, heads or width do not fit, or the task has too many tokens.
    """
    sizes, fixed = register_bits(task.context, task.alphabet, model.depth), {}
    if isinstance(model, Gpt2):
        if task.vocabulary > VOCABULARY:
            raise UserError(
                f"the task has {task.vocabulary} tokens; the form gpt2 has {VOCABULARY}"
            )
        fixed = {"classes": _classes(task)}
        sizes |= {"classes": len(fixed["classes"])}
    needed = least_width(sizes, model.heads)
    if model.depth < 2 or model.heads < 2 or model.width < needed or model.width % 2:
        raise UserError(_misfit(model.heads, model.width, needed))
    with torch.device("meta"):
        network = model.build(task)
    if isinstance(model, Softmax) and not model.mlp_ratio:
        raise UserError("the model has no MLP; expected an mlp_ratio of 1 or more")
    registers = lay_out(sizes, model.width, fixed)
    last = _readout(task, registers, fixed.get("classes"))
    return Compiled(task, model, last | _body(task, network, model.heads, registers))


def blocks(task: Hop) -> int:
    """Return the depth that answers every hop token of a task."""
    return 2 + ladder_layers(task.max_k)


def followed(hops: int, depth: int) -> list[int]:
    """Return the j such that head 1 of each block from the second on attends to find^j.

    Where there is no j-th hop it attends to the hop token, and so does the hop token.

    Args:
        hops: k that the model is asked for.
        depth: of the model.
    """
    steps = depth - 2
    c = _before_last_hop(hops, steps)
    # find^b with b the bits of k - 1 so far, plus 1 if the next bit is 1.
    return [1, *((c >> steps - i) + (c >> steps - 1 - i & 1) for i in range(steps))]


def messages(max_k: int, steps: int) -> torch.Tensor:
    """Return what each hop token says, signs as int64 (max_k + 1, steps + 1).

    For each of the ladder's steps, whether its bit of k - 1 differs from the one before, the most
    significant bit first and 0 before it; then whether k is 0.
    """
    before = torch.tensor([_before_last_hop(k, steps) for k in range(max_k + 1)])
    # Bit j of x ^ (x >> 1) says whether bits j and j + 1 of x differ.
    changes = signs(before ^ before >> 1, steps).flip(-1)
    is_zero = torch.where(torch.arange(max_k + 1) == 0, 1, -1)
    return torch.cat([changes, is_zero[:, None]], -1)


def _before_last_hop(hops: int, steps: int) -> int:
    """Return k - 1, or the most that the ladder's steps can make, 2^steps - 1."""
    return min(max(hops, 1), 1 << steps) - 1


def _classes(task: Hop) -> list[int]:
    """Return the token ids that are targets: symbols, "no such position" and blank."""
    return [*task.answers, task.blank]


def _least(sizes: dict[str, int], heads: int, least: int = 0) -> int:
    """Return the least even width of the residual stream that the heads divide."""
    needed = max(least_width(sizes, heads), least)
    return needed + -needed % (2 * heads)


def _misfit(heads: int, width: int, needed: int) -> str:
    return (
        f"{heads} heads and width {width} do not fit; expected 2 heads or more, 2 blocks or "
        f"more, and an even width of at least {needed} that the heads divide"
    )


def _readout(task: Hop, registers: Registers, classes: list[int] | None) -> dict[str, torch.Tensor]:
    """Return the weights after the last block."""
    m = 2 * sum(map(len, registers.columns.values()))
    if classes is None:
        head = torch.zeros(task.alphabet + 1, m)
        columns = registers.of("found")
        codes = signs(torch.arange(task.alphabet + 1), len(columns))
        registers.write(head, columns, _CONFIDENCE / 2 * codes)
        norm = torch.full((m,), NORM_WEIGHT)
        return {"norm.weight": norm, "norm.bias": torch.zeros(m), "head.weight": head}
    norm, bias = torch.zeros(m), torch.full((m,), -2 * _CONFIDENCE)
    norm[classes], bias[classes] = _CONFIDENCE * NORM_WEIGHT, 0.0
    # The hop token's own symbol is "no such position", which blank must outdo.
    norm[classes[-1]] *= 2
    return {"norm.weight": norm, "norm.bias": bias}


def _body(task: Hop, network: Network, heads: int, registers: Registers) -> dict[str, torch.Tensor]:
    weights = _embeddings(task, network, registers)
    hops = registers.of("hops")
    for number in range(network.depth):
        hidden = network.blocks[number].get_parameter("mlp.hidden.weight").shape[0]
        block = Block(network.width, heads, hidden, registers)
        if number == 0:
            _write_first(block)
        elif number == 1:
            _write_second(block, task)
        else:
            block.look_up(0, "lower")
            columns = registers.of("lower", "upper", "found")
            block.fetch(0, columns, columns)
            block.forget(1, "lower", "upper", "found")
        if 1 <= number < network.depth - 1:
            block.exchange_if(hops[number - 1], "lower", "upper")
        if number == network.depth - 1:
            _write_last(block)
        weights |= {f"blocks.{number}.{name}": part for name, part in block.tensors().items()}
    return weights


def _embeddings(task: Hop, network: Network, registers: Registers) -> dict[str, torch.Tensor]:
    tokens = torch.zeros(network.tokens.num_embeddings, network.width)
    symbols = torch.full((len(tokens),), task.alphabet)
    symbols[task.first_symbol : task.bottom] = torch.arange(task.alphabet)
    columns = registers.of("symbol")
    registers.write(tokens, columns, signs(symbols, len(columns)))
    said = messages(task.max_k, network.depth - 2)
    lower = registers.of("lower")
    registers.write(tokens[: len(said)], lower, torch.tensor(-1))
    registers.write(tokens[: len(said)], lower[: said.shape[1]], said)

    positions = torch.zeros(network.context, network.width)
    place = torch.arange(len(positions))
    registers.write(positions, registers.of("place"), signs(place, len(lower)))
    registers.write(positions[1:], lower, signs(place[:-1], len(lower)))
    is_start = torch.where(place == 0, 1, -1)
    registers.write(positions, registers.of("upper"), is_start[:, None])
    others = [
        name for name in registers.columns if name not in ("place", "lower", "upper", "symbol")
    ]
    registers.write(positions, registers.of(*others), torch.tensor(-1))
    return {"tokens.weight": tokens, "positions.weight": positions}


def _write_first(block: Block) -> None:
    registers = block.registers
    block.look_up(0, "lower")
    block.forget_constant("found")
    block.fetch(0, registers.of("symbol"), registers.of("found"))
    block.look_up(1, None)
    block.forget_constant("hops")
    hops = registers.of("hops")
    block.fetch(1, registers.of("lower")[: len(hops)], hops)
    block.copy_if(None, "place", "lower")


def _write_second(block: Block, task: Hop) -> None:
    """Score i' + B (bits of the symbol before i' that agree minus those that differ), B > N.

    The hop token scores B times the number of bits: less than every match, more than any mismatch.
    """
    registers = block.registers
    query, query_bias, key, key_bias = (
        part[0] for part in (block.query, block.query_bias, block.key, block.key_bias)
    )
    scale, weight = block.scale(_LAST), 2.0 ** bits_for(task.context)
    asked, offered = registers.of("symbol"), registers.of("found")
    is_start = registers.of("upper")[0]
    nowhere = signs(torch.tensor(task.alphabet), len(asked)).tolist()
    for dim, (a, b) in enumerate(zip(asked, offered, strict=True)):
        query[dim, a] = scale * weight
        # Less the start token's own code, so that its score is the same for all symbols.
        key[dim, b] = 1.0
        key[dim, is_start] = -nowhere[dim] / 2
        key_bias[dim] = -nowhere[dim] / 2
    start, low, high = range(len(asked), len(asked) + 3)
    # All entries of the query are one number times powers of two, which bfloat16 rounds alike.
    query_bias[start] = scale * weight
    key[start, is_start] = key_bias[start] = len(asked) / 2
    query_bias[low] = query_bias[high] = scale
    for bit, column in enumerate(registers.of("place")):
        dim = low if 2**bit < DIGIT else high
        key[dim, column] = 2.0**bit / 2
        key_bias[dim] += 2.0**bit / 2
    block.fetch(0, registers.of("place", "symbol"), registers.of("upper", "found"))
    block.forget(1, "upper", "found")


def _write_last(block: Block) -> None:
    registers = block.registers
    is_zero = registers.of("hops")[-1]
    if "classes" not in registers.columns:
        block.copy_if(is_zero, "symbol", "found")
        return
    *classes, blank = registers.of("classes")
    for symbol, target in enumerate(classes):
        code = signs(torch.tensor(symbol), len(registers.of("found"))).tolist()
        for gate, name in ((1.0, "symbol"), (-1.0, "found")):
            conditions = dict(zip(registers.of(name), map(float, code), strict=True))
            block.turn_on(target, conditions | {is_zero: gate})
    block.turn_on(blank, dict.fromkeys(registers.of("place"), -1.0))
