"""The theorems about MPC, each run on many instances: what was tried and how often it failed."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from logdepth.models.transformer import Transformer
from logdepth.theory.mpc.attention import AttentionProtocol, run_as_protocol
from logdepth.theory.mpc.checkpoint import forward_in_double, layers_of
from logdepth.theory.mpc.compiler import Compiled
from logdepth.theory.mpc.instances import (
    Case,
    component_labels,
    components_case,
    cycles_case,
    hops_case,
    pointers_case,
    sort_case,
    sums_case,
)
from logdepth.theory.mpc.layers import GivenAttention
from logdepth.theory.mpc.machine import Execution, IntWords, Protocol, run
from logdepth.theory.mpc.plan import plan
from logdepth.theory.mpc.round_trip import round_trip
from logdepth.theory.reductions import (
    chasing_to_hop,
    cycles_to_connectivity,
    cycles_to_hop,
    last_hop,
    random_chasing,
    random_cycles_edges,
)


def protocol_checks(instances: int = 20, seed: int = 0) -> pd.DataFrame:
    """Run every protocol under enforced limits against an oracle of its own.

    Returns:
        A row per protocol: theorem, case, size, instances, failures, seconds.
    """
    makers: Mapping[str, Callable[[np.random.Generator], Case]] = {
        "components of disjoint cycles": lambda rng: cycles_case(1024, rng),
        "f^(2^10) by pointer doubling": lambda rng: pointers_case(1024, 10, rng),
        "prefix sums, fan-in 4": lambda rng: sums_case(1000, 4, rng),
        "sample sort on 16 machines": lambda rng: sort_case(4096, 16, rng),
        "hop_k on 10 machines, k = 0..32": lambda rng: hops_case(
            1000, 10, int(rng.integers(33)), rng
        ),
        "components of random graphs on 32 machines": lambda rng: components_case(1000, 32, rng),
    }
    rng = np.random.default_rng(seed)
    rows = []
    for case, make in makers.items():
        examples = [make(rng) for _ in range(instances)]
        outcomes = (run(protocol, words).answer == right for protocol, words, right in examples)
        size = f"n = {examples[0][0].outputs}"
        rows.append(_row("MPC model (section 2)", case, size, outcomes))
    return pd.DataFrame(rows)


def compiler_checks(sizes: Sequence[int] = (64, 256, 1024), seed: int = 0) -> pd.DataFrame:
    """Compare every machine's inbox after every routing layer with the simulator's.

    Args:
        sizes: machines of cycle connectivity; both codes and all number formats up to 256, the
            explicit code and bfloat16 up to 1024, the random table in float32 always. 4096 takes
            two minutes and 0.9 GB on one core.
        seed: of the inputs.

    Returns:
        A row per protocol and number format: theorem, case, size, instances (exchanges and outputs
        compared), failures, seconds.
    """
    rng = np.random.default_rng(seed)
    cases: list[tuple[Case, dict[str, Any]]] = []
    for n in sizes:
        choices: list[dict[str, Any]] = [{}]
        if n <= 1024:
            choices += [{"dtype": torch.bfloat16}, {"code": "explicit"}]
        if n <= 256:
            choices += [
                {"dtype": torch.float64},
                {"code": "explicit", "dtype": torch.float64},
                {"code": "explicit", "dtype": torch.bfloat16},
            ]
        cases += [(cycles_case(n, rng), choice) for choice in choices]
    cases += [
        (pointers_case(256, 8, rng), {}),
        (sums_case(256, 4, rng), {}),
        (sort_case(24, 4, rng), {}),
        (hops_case(24, 3, 5, rng), {}),
        (hops_case(8, 2, 1, rng), {"split": "paper"}),
        (components_case(8, 2, rng), {}),
    ]
    rows = []
    for (protocol, words, right), options in cases:
        compiled = Compiled(protocol, len(words), **options)
        kind = str(options.get("dtype", torch.float32)).removeprefix("torch.")
        code = options.get("code", "table")
        heads = ", size classes" if options.get("split") == "paper" else ""
        case = f"{type(protocol).__name__}, {code}, {kind}{heads}"
        outcomes = _compiled_outcomes(compiled, protocol, words, right)
        rows.append(_row("Theorem 3.1", case, f"N = {compiled.tokens}", outcomes))
    return pd.DataFrame(rows)


def attention_checks(tokens: int = 48, seed: int = 0) -> pd.DataFrame:
    """Run attention layers as protocols and compare with softmax, in float64 to 1e-10.

    Returns:
        A row per mask: theorem, case, size, instances (heads, tiles and branchings), failures,
        seconds.
    """
    rows = []
    for name, visible in _masks(tokens, seed).items():
        outcomes = _attention_outcomes(tokens, visible, seed)
        case = f"one layer, {name} mask, float64"
        rows.append(_row("Theorem 3.4", case, f"N = {tokens}", outcomes))
    return pd.DataFrame(rows)


def model_checks(
    models: Mapping[str, Transformer], tokens: Sequence[torch.Tensor], tiles: Sequence[int] = (1, 4)
) -> pd.DataFrame:
    """Run whole models as protocols and compare with ordinary passes.

    Float64 must agree to 1e-10. Float32 must agree to 1e-5 of the largest logit: an ordinary pass
    in float32 is itself that far from one in float64. Rounds must be those of the formula, and
    machines at most those.

    Args:
        models: by name, in evaluation mode and float32.
        tokens: an int64 (n,) input for each model.
        tiles: tokens of a block, B; 1 is the paper's protocol.

    Returns:
        A row per model and tile: theorem, case, size, instances, failures, seconds, words s,
        rounds, machines as the formula has them and as they took part, and the largest differences
        in float32 (over the largest logit) and float64.
    """
    pairs = zip(models.items(), tokens, strict=True)
    return pd.DataFrame(
        [
            _model_row(name, model, sequence, tile)
            for (name, model), sequence in pairs
            for tile in tiles
        ]
    )


def round_trip_checks(seed: int = 0) -> pd.DataFrame:
    """Go from protocols to transformers and back, and count what it costs.

    Returns:
        A row per protocol: theorem, case, size, instances (answers compared), failures, seconds,
        and the costs: rounds, layers, final_rounds, machines, final_machines, words, final_words.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for protocol, inputs, right in (
        cycles_case(8, rng),
        cycles_case(16, rng),
        sums_case(16, 4, rng),
    ):
        start = time.perf_counter()
        trip = round_trip(protocol, inputs)
        outcomes = iter([answer == right for answer in trip.answers])
        case = f"{type(protocol).__name__}: protocol, transformer, protocol"
        row = _row("Theorems 3.1 and 3.4", case, f"n = {protocol.outputs}", outcomes)
        row |= {
            "seconds": time.perf_counter() - start,
            "rounds": trip.rounds,
            "layers": trip.layers,
            "final_rounds": trip.final_rounds,
            "machines": trip.machines[0],
            "final_machines": trip.machines[1],
            "words": trip.words[0],
            "final_words": trip.words[1],
        }
        rows.append(row)
    return pd.DataFrame(rows)


def reduction_checks(instances: int = 50, seed: int = 0) -> pd.DataFrame:
    """Run the reductions behind the lower bounds on random instances, half of each answer.

    Returns:
        A row per reduction and size: theorem, case, size, instances, failures, seconds.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for k in (6, 8, 12, 16, 20):
        answers = (
            (last_hop(cycles_to_hop(random_cycles_edges(k, two, rng)), k, k + 3) == 0) == two
            for two in _halves(instances)
        )
        rows.append(_row("Corollary 4.3", "one or two cycles by hop_k", f"k = {k}", answers))
    for players, layer in ((1, 2), (2, 3), (4, 8), (7, 8), (12, 4)):
        answers = (_chases(players, layer, rng) for _ in range(instances))
        size = f"k = {players}, q = {layer}"
        rows.append(_row("Proposition E.4", "pointer chasing by hop_k", size, answers))
    for n, copies in ((6, 1), (8, 4), (12, 10)):
        answers = (
            (_count(n * copies, cycles_to_connectivity(edges, copies)) == 1) is not two
            for two in _halves(instances)
            for edges in [random_cycles_edges(n, two, rng)]
        )
        size = f"n = {n}, {copies} copies"
        rows.append(_row("Corollary 3.5", "one or two cycles by connectivity", size, answers))
    return pd.DataFrame(rows)


def _row(theorem: str, case: str, size: str, outcomes: Iterator[bool]) -> dict[str, Any]:
    start = time.perf_counter()
    found = [bool(outcome) for outcome in outcomes]
    return {
        "theorem": theorem,
        "case": case,
        "size": size,
        "instances": len(found),
        "failures": found.count(False),
        "seconds": time.perf_counter() - start,
    }


def _halves(instances: int) -> Iterator[bool]:
    return (bool(index % 2) for index in range(instances))


def _compiled_outcomes(
    compiled: Compiled, protocol: Protocol, words: IntWords, right: list[int]
) -> Iterator[bool]:
    execution = run(protocol, words, keep_inboxes=True)
    found = compiled.trace(words)
    yield from (a == b for a, b in zip(found.inboxes, execution.inboxes, strict=True))
    yield found.answer == execution.answer == right


def _masks(n: int, seed: int) -> dict[str, torch.Tensor | None]:
    some = torch.rand(n, n, generator=torch.Generator().manual_seed(seed)) < 0.2
    return {
        "causal": torch.ones(n, n, dtype=torch.bool).tril(),
        "full": None,
        "random": some | torch.eye(n, dtype=torch.bool),
    }


def _attention_outcomes(n: int, visible: torch.Tensor | None, seed: int) -> Iterator[bool]:
    generator = torch.Generator().manual_seed(seed)
    for heads, tile, branching in ((1, 1, 2), (2, 1, 4), (1, 4, 2), (2, 8, 3)):
        layer = GivenAttention(heads, 4, 4, visible)
        rows = 5 * torch.randn(n, layer.row_width, generator=generator, dtype=torch.float64)
        found = run_as_protocol([layer], rows, 16 * heads * tile * branching, tile)
        yield bool((found - layer(rows)).abs().max() < 1e-10)


def _model_row(name: str, model: Transformer, tokens: torch.Tensor, tile: int) -> dict[str, Any]:
    start = time.perf_counter()
    double = Transformer(model.spec)
    double.load_state_dict(model.state_dict())
    double.to(torch.float64).eval()
    with torch.no_grad():
        ordinary = model(tokens[None])[0]
    exact = forward_in_double(model, tokens[None])[0]
    words = 32 * tile * model.spec.width
    single_run, single = _run_model(model, tokens, words, tile)
    _, wide = _run_model(double, tokens, words, tile)
    sizes = plan(layers_of(model, len(tokens)), len(tokens), words, tile)
    difference_32 = float((single - ordinary).abs().max() / ordinary.abs().max().clamp(min=1))
    difference_64 = float((wide - exact).abs().max())
    rounds = model.spec.depth * sizes.layer_exchanges + 1
    outcomes = [
        difference_32 < 1e-5,
        difference_64 < 1e-10,
        len(single_run.rounds) == rounds,
        single_run.machines <= sizes.machines,
    ]
    size = f"N = {len(tokens)}, L = {model.spec.depth}, B = {tile}"
    row = _row("Theorem 3.4", name, size, iter(outcomes))
    return row | {
        "seconds": time.perf_counter() - start,
        "words": words,
        "rounds": rounds,
        "machines": sizes.machines,
        "machines_used": single_run.machines,
        "difference_float32": difference_32,
        "difference_float64": difference_64,
    }


def _run_model(
    model: Transformer, tokens: torch.Tensor, words: int, tile: int
) -> tuple[Execution, torch.Tensor]:
    layers = layers_of(model, len(tokens))
    execution = run(AttentionProtocol(layers, len(tokens), words, tile), tokens.numpy())
    found = np.concatenate([np.asarray(part) for part in execution.outputs])
    return execution, torch.from_numpy(found.reshape(len(tokens), layers[-1].out_width))


def _chases(players: int, layer: int, rng: np.random.Generator) -> bool:
    matchings, half = random_chasing(players, layer, rng)
    vertex = 0
    for matching in matchings:
        vertex = matching[vertex]
    found = last_hop(chasing_to_hop(matchings, half), players, 2 * layer + 2)
    return found == 2 * layer + half[vertex]


def _count(n: int, edges: Sequence[tuple[int, int]]) -> int:
    return len(set(component_labels(n, np.array(edges)).tolist()))
