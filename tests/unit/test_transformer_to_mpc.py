"""Transformers run as MPC protocols give what they give otherwise, within the limits."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from logdepth.models.gpt2 import Gpt2
from logdepth.models.network import Network
from logdepth.models.recurrent import Recurrent
from logdepth.models.softmax import Softmax
from logdepth.tasks.hop import Hop
from logdepth.theory.mpc.layers import GivenAttention, attend
from logdepth.theory.mpc.machine import LimitError, Limits, run
from logdepth.theory.mpc.model_layers import forward_in_double, layers_of
from logdepth.theory.mpc.plan import Plan
from logdepth.theory.mpc.protocols.cycles import CycleMin, random_cycles
from logdepth.theory.mpc.protocols.sums import PrefixSums
from logdepth.theory.mpc.round_trip import round_trip
from logdepth.theory.mpc.transformer_to_mpc import AttentionProtocol, run_as_protocol

# Vocabulary 11, 5 answers.
TASK = Hop(context=20, alphabet=4, max_k=4)
MODELS = {
    "softmax": Softmax(depth=3, heads=4, width=16, init_std=0.3),
    "gpt2": Gpt2(depth=3, heads=2, width=32),
    "attention": Softmax(depth=2, heads=4, width=16, mlp_ratio=0, init_std=0.3),
}


def masks(n, generator):
    some = torch.rand(n, n, generator=generator) < 0.2
    return {
        "causal": torch.ones(n, n, dtype=torch.bool).tril(),
        "full": None,
        "arbitrary": some | torch.eye(n, dtype=torch.bool),
        "one key": torch.zeros(n, n, dtype=torch.bool).index_fill(1, torch.tensor([n // 2]), True),
    }


@pytest.mark.parametrize("mask", ["causal", "full", "arbitrary", "one key"])
@pytest.mark.parametrize(
    ("tokens", "width", "heads", "words", "tile"),
    [
        (1, 2, 1, 16, 1),
        (5, 2, 2, 112, 1),
        (16, 2, 1, 16, 1),
        (30, 3, 2, 72, 1),
        (48, 4, 1, 128, 1),
        (48, 4, 1, 128, 4),
        (50, 4, 2, 600, 8),
    ],
)
def test_any_attention_layer_equals_softmax(tokens, width, heads, words, tile, mask):
    generator = torch.Generator().manual_seed(tokens)
    layer = GivenAttention(heads, width, width, masks(tokens, generator)[mask])
    # Logits in the hundreds, which only a running maximum survives.
    scale = torch.full((), 10.0, dtype=torch.float64)
    rows = scale * torch.randn(tokens, layer.row_width, generator=generator, dtype=torch.float64)
    found = run_as_protocol([layer], rows, words, tile)
    assert (found - layer(rows)).abs().max() < 1e-9


@settings(max_examples=30)
@given(
    st.integers(1, 20),
    st.integers(1, 3),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(2, 4),
)
def test_queries_and_values_may_have_different_widths(tokens, heads, query, value, tile, branching):
    generator = torch.Generator().manual_seed(tokens)
    layer = GivenAttention(heads, query, value)
    rows = torch.randn(tokens, layer.row_width, generator=generator, dtype=torch.float64)
    words = 4 * branching * tile * heads * max(query, value)
    assert (run_as_protocol([layer], rows, words, tile) - layer(rows)).abs().max() < 1e-12


def test_plain_attention_agrees_with_torch():
    generator = torch.Generator().manual_seed(0)
    query, key, value = torch.randn(3, 2, 70, 8, generator=generator)
    mask = torch.ones(70, 70, dtype=torch.bool).tril()
    expected = nn.functional.scaled_dot_product_attention(query, key, value, mask, scale=1.0)
    assert torch.allclose(attend(query, key, value, mask, block=32), expected, atol=1e-5)


@pytest.mark.parametrize(("tokens", "branching"), [(8, 2), (9, 3), (16, 4), (32, 2)])
def test_machines_and_rounds_are_those_of_the_formula(tokens, branching):
    layer = GivenAttention(1, 2, 2)
    protocol = AttentionProtocol([layer], tokens, 8 * branching)
    depth = round(np.log(tokens) / np.log(branching))
    nodes = sum(branching**level for level in range(1, depth))
    execution = run(protocol, np.random.default_rng(0).normal(size=tokens * layer.row_width))
    assert execution.machines == tokens + tokens**2 + 2 * tokens * nodes
    assert execution.machines == protocol.plan.machines
    # The local computations of one layer: the paper's 2D + 3.
    assert len(execution.rounds) == 2 * depth + 3
    assert all(round_.messages for round_ in execution.rounds[:-1])


@given(st.integers(1, 300), st.integers(2, 9), st.integers(1, 9), st.integers(1, 8))
def test_trees_are_just_deep_enough(tokens, branching, tile, width):
    sizes = Plan(tokens, 4 * branching * tile * width, tile, width)
    assert sizes.branching == branching
    assert sizes.branching**sizes.depth >= sizes.blocks
    assert sizes.depth == 1 or sizes.branching ** (sizes.depth - 1) < sizes.blocks
    # O(T^2) machines: a tree has fewer than 2 T inner nodes.
    assert sizes.inner_nodes < 2 * sizes.blocks
    assert sizes.machines <= 5 * sizes.blocks**2 + sizes.blocks


def test_every_machine_has_one_role():
    protocol = AttentionProtocol([GivenAttention(1, 2, 2)], 12, 16)
    roles = [protocol.role(machine) for machine in range(protocol.limits.machines)]
    assert len(set(roles)) == len(roles)
    kinds = [kind for kind, *_ in roles]
    nodes = 12 * protocol.plan.inner_nodes
    assert [kinds.count(k) for k in ("tokens", "pair", "query tree", "key tree")] == [
        12,
        144,
        nodes,
        nodes,
    ]


def test_machines_too_small_for_two_branches_are_refused():
    with pytest.raises(ValueError, match="15 words a machine, but trees with two branches need 16"):
        AttentionProtocol([GivenAttention(1, 2, 2)], 8, 15)


def test_the_limit_is_enforced_and_not_only_planned():
    layer = GivenAttention(1, 2, 2)
    protocol = AttentionProtocol([layer], 8, 16)
    protocol.limits = Limits(protocol.limits.machines, 11, 64)
    protocol.share = 11
    with pytest.raises(LimitError):
        run(protocol, np.ones(8 * layer.row_width))


# The project's own transformers.


@pytest.fixture(scope="module", params=MODELS.values(), ids=MODELS)
def trained(request):
    """A model after a few steps, so that no weight is at its start."""
    generator = torch.Generator().manual_seed(1)
    model = request.param.build(TASK, generator)
    if request.param.form == "gpt2":
        # Weights as large as those of the others; they start at 0.02.
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(15 if parameter.dim() == 2 else 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    tokens = torch.randint(0, TASK.vocabulary, (8, TASK.context), generator=generator)
    for _ in range(3):
        optimizer.zero_grad()
        logits = model(tokens)
        nn.functional.cross_entropy(logits.flatten(0, 1), tokens.flatten() % 5).backward()
        optimizer.step()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert name.startswith(("tokens", "positions")) or parameter.grad.abs().max() > 0, name
    return model.eval(), tokens[0]


@pytest.mark.parametrize("tile", [1, 4])
def test_a_trained_model_equals_its_forward_pass_in_float32(trained, tile):
    model, tokens = trained
    with torch.no_grad():
        expected = model(tokens[None])[0]
    words = 16 * model.width * tile
    found = run_as_protocol(layers_of(model, len(tokens)), tokens[:, None], words, tile)
    assert found.dtype == torch.float32
    assert (found - expected).abs().max() < 1e-5 * max(1, expected.abs().max())


@pytest.mark.parametrize("length", [1, 13, 20])
def test_a_trained_model_equals_its_forward_pass_in_float64(trained, length):
    model, tokens = trained
    expected = forward_in_double(model, tokens[None, :length])[0]
    double = copy.deepcopy(model).to(torch.float64)
    words = 12 * model.width
    found = run_as_protocol(layers_of(double, length), tokens[:length, None], words)
    assert (found - expected).abs().max() < 1e-10


def test_the_reference_in_float64_is_the_class_to_the_precision_of_float32(trained):
    model, tokens = trained
    reference = forward_in_double(model, tokens[None])
    with torch.no_grad():
        single = model(tokens[None])
    assert reference.dtype == torch.float64
    assert single.dtype == torch.float32
    assert 1e-10 < (reference - single).abs().max() < 1e-4


def test_rounds_of_a_model_are_its_layers_times_those_of_one(trained):
    model, tokens = trained
    layers = layers_of(model, len(tokens))
    words = 12 * model.width
    protocol = AttentionProtocol(layers, len(tokens), words)
    assert protocol.plan.branching == 3
    assert protocol.plan.depth == 3
    execution = run(protocol, tokens.numpy())
    assert len(execution.rounds) == len(layers) * 8 + 1
    assert execution.table().most_memory.max() <= words
    assert execution.table()[["most_sent", "most_received"]].max().max() <= words


def test_a_change_of_the_class_does_not_go_unnoticed(trained):
    model, tokens = trained

    class Scaled(Network):
        def forward(self, tokens):
            return 1.001 * super().forward(tokens)

    changed = copy.deepcopy(model)
    changed.__class__ = Scaled
    found = run_as_protocol(layers_of(changed, 20), tokens[:, None], 16 * model.width)
    with torch.no_grad():
        expected = changed(tokens[None])[0]
    assert (found - expected).abs().max() > 1e-5 * max(1, expected.abs().max())


def test_a_model_in_training_mode_is_refused(trained):
    model, _ = trained
    with pytest.raises(ValueError, match="training mode"):
        layers_of(copy.deepcopy(model).train(), 5)


def test_a_model_without_attention_is_refused():
    with pytest.raises(TypeError, match="expected a block of softmax attention, not Recurrent"):
        layers_of(Recurrent(width=8).build(TASK).eval(), 5)


# There and back.


@pytest.mark.parametrize("lengths", [[7], [8], [4, 4], [5, 3, 1]])
@pytest.mark.parametrize("code", ["table", "explicit"])
def test_a_round_trip_gives_the_same_answers(lengths, code):
    neighbours, labels = random_cycles(lengths, np.random.default_rng(3))
    protocol = CycleMin(len(labels))
    trip = round_trip(protocol, protocol.encode(neighbours), code=code, groups=10)
    assert trip.answers == (labels, labels, labels)
    assert trip.layers == trip.rounds + 1
    depth = int(np.ceil(np.log2(len(labels) + 1)))
    assert trip.final_rounds == trip.layers * (2 * depth + 2) + 1


def test_a_round_trip_with_tiles_needs_fewer_rounds_and_machines():
    values = tuple(range(9))
    plain = round_trip(PrefixSums(9, 3), values)
    tiled = round_trip(PrefixSums(9, 3), values, tile=2, branching=5)
    assert plain.answers == tiled.answers == ([0, 0, 1, 3, 6, 10, 15, 21, 28],) * 3
    assert tiled.final_rounds < plain.final_rounds
    assert tiled.machines[1] < plain.machines[1]
    assert tiled.words[1] > plain.words[1]
