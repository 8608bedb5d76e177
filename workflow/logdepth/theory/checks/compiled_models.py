"""hop_k as weights of the project's own transformer, tried for every k (paper: Theorem 4.2)."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch

from logdepth.config.theory import Theory
from logdepth.evaluation.attention import attention_weights, pointer_matrices
from logdepth.models.gpt2 import VOCABULARY
from logdepth.models.network import Network
from logdepth.tasks.hop import Hop
from logdepth.theory.checks.outcomes import Tally, extent, row, table_of, tally
from logdepth.theory.hop_to_weights import Compiled, compile_gpt2, compile_softmax, followed
from logdepth.theory.mpc.model_layers import layers_of
from logdepth.theory.mpc.transformer_to_mpc import run_as_protocol
from logdepth.theory.search_to_weights import compile_search, searched
from logdepth.theory.strings import hard_strings

# Context, alphabet and largest k; as far as the settings allow.
TASKS = ((48, 4, 8), (99, 4, 16), (257, 2, 16), (257, 26, 32), (257, 256, 32))


@dataclass(frozen=True)
class Construction:
    """A way to write hop_k down as weights.

    Attributes:
        build: gives the model of a task.
        heads: gives, for k and depth, the j that head 1 follows from block 2 on.
        precisions: in which it is exact.
        largest: context and alphabet in sum that it is tried up to.
        vocabulary: tokens that it has.
    """

    build: Callable[[Hop], Compiled]
    heads: Callable[[int, int], list[int]] = followed
    precisions: tuple[str, ...] = ("float32", "bfloat16")
    largest: int = 1 << 20
    vocabulary: int = 1 << 20


CONSTRUCTIONS = {
    "softmax": Construction(compile_softmax),
    "gpt2": Construction(compile_gpt2, vocabulary=VOCABULARY),
    # Its width is 4 N + 6 S and more: beyond this it takes minutes.
    "softmax, search": Construction(compile_search, searched, ("float32",), largest=128),
}

# Strings of the task's own data, beside the hard ones.
_DRAWN = 8
# Tokens of a block, B, of the protocol.
TILE = 8


@torch.no_grad()
def table(settings: Theory) -> pd.DataFrame:
    """Compare the compiled models with the reference, and their heads with find^j.

    Returns:
        A row per claim, form, task and number format: theorem, claim, case, size, instances,
        failures. In bfloat16 the products of linear layers are rounded, as in training.
    """
    rows = [*_depths(settings), _as_protocol(settings)]
    for task in _tasks(settings):
        for case, construction in CONSTRUCTIONS.items():
            fits = task.context + task.alphabet <= construction.largest
            if fits and task.vocabulary <= construction.vocabulary:
                rows += _rows(task, case, construction, settings.seed)
    return table_of(rows)


def _tasks(settings: Theory) -> list[Hop]:
    longest = max(2, max(settings.lengths) + 1)
    tasks = [
        Hop(
            context=min(context, longest),
            alphabet=alphabet,
            max_k=min(max_k, settings.max_hops),
        )
        for context, alphabet, max_k in TASKS
    ]
    return list(dict.fromkeys(tasks))


def _rows(task: Hop, case: str, construction: Construction, seed: int) -> Iterator[dict[str, Any]]:
    model = construction.build(task).network()
    drawn = task.strings(task.batch(seed, 0, _DRAWN, stream="theory").tokens)
    strings = torch.cat([hard_strings(task.context - 1, task.alphabet, seed), drawn])
    size = _size(task)
    claim = "one set of weights gives hop_k at every position, for all k"
    for precision in construction.precisions:
        counted = Tally()
        for k in task.ks:
            batch = task.encode(strings, torch.full((len(strings),), k))
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
                answers = model(batch.tokens).argmax(-1)
            right = model.labels(batch.targets)
            counted.compare(answers[:, 1:], right[:, 1:])
        yield row("Theorem 4.2", claim, f"{case}, {precision}", size, counted)
    claim = "each block's head follows find^j with j as planned, and nothing else"
    yield row("Theorem 4.2", claim, case, size, _heads(model, task, strings, construction))


def _depths(settings: Theory) -> Iterator[dict[str, Any]]:
    largest = range(1, settings.max_hops + 1)
    # The blocks after the second double the hops until there are k, or the next would be too many.
    doublings = {
        "ceil": [next(d for d in itertools.count() if 2**d >= k) for k in largest],
        "floor": [next(d for d in itertools.count() if 2 ** (d + 1) > k) for k in largest],
    }
    for case, rounded in (("softmax", "ceil"), ("softmax, search", "floor")):
        build = CONSTRUCTIONS[case].build
        depths = [build(Hop(context=9, max_k=k)).model.depth for k in largest]
        counted = tally(a == 2 + b for a, b in zip(depths, doublings[rounded], strict=True))
        claim = f"L = {rounded}(log2 K) + 2 blocks for all k up to K"
        yield row("Theorem 4.2", claim, case, extent("K", largest), counted)


def _as_protocol(settings: Theory) -> dict[str, Any]:
    """Run a compiled model as a protocol (paper: Theorem 3.4), once for each k."""
    task, *_ = _tasks(settings)
    model = compile_softmax(task).network()
    words = 8 * TILE * model.width
    layers = layers_of(model, task.context)
    counted = Tally()
    for k in task.ks:
        batch = task.batch(settings.seed, k, 1, stream="theory", k=k)
        logits = run_as_protocol(layers, batch.tokens[0, :, None], words, TILE)
        right = model.labels(batch.targets[0])
        counted.compare(logits.argmax(-1)[1:], right[1:])
    claim = "compiled weights, run as a protocol, give hop_k at every position"
    return row("Theorem 3.4", claim, f"softmax, float32, B = {TILE}", _size(task), counted)


def _size(task: Hop) -> str:
    return f"N = {task.context - 1}, |Σ| = {task.alphabet}, k = 0..{task.max_k}"


def _heads(model: Network, task: Hop, strings: torch.Tensor, construction: Construction) -> Tally:
    """Count, of blocks 2 to L, the tokens whose head 1 has all its weight where it belongs."""
    # Hard strings are the first ones; two random ones are enough here.
    strings = strings[:9]
    tokens = task.encode(strings, torch.zeros(len(strings), dtype=torch.int64)).tokens
    matrices = pointer_matrices(task, tokens, task.max_k)
    # A softmax has to go somewhere: where there is no j-th hop, to the hop token.
    matrices[..., 0] = 1 - matrices.sum(-1)
    counted = Tally()
    for k in task.ks:
        attention = attention_weights(model, task.asked(tokens, k))
        for block, j in enumerate(construction.heads(k, model.depth), 1):
            counted.check((attention[block][:, 0] - matrices[j]).abs().amax(-1) < 1e-3)
    return counted
