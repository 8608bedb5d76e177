"""Layers without full attention, against what they are token by token, written down plainly."""

import pytest
import torch
from torch.nn import functional as F

from logdepth import models
from logdepth.models.kernel import random_directions
from logdepth.models.layers import Attention, attention_matrix
from logdepth.models.window import attended

BATCH, N, WIDTH, HEADS = 2, 13, 16, 2
SIZE = WIDTH // HEADS


@pytest.fixture(autouse=True)
def in_double_precision():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def layer(form, **settings):
    """A layer whose parameters are all drawn, none at its start."""
    generator = torch.Generator().manual_seed(3)
    model = models.settings(form)(width=WIDTH, **settings)
    made = model.mixer(0, generator)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return made


@pytest.fixture
def x():
    return torch.randn(BATCH, N, WIDTH, generator=torch.Generator().manual_seed(4))


def by_heads(x):
    return x.unflatten(-1, (HEADS, -1))


def convolved(made, mixed):
    """Each tap times the token so many places before, those before the first being 0."""
    out = torch.zeros_like(mixed)
    for t in range(N):
        for back in range(min(made.convolution.taps.shape[1], t + 1)):
            out[:, t] += made.convolution.taps[0, back] * mixed[:, t - back]
    return F.silu(out)


@pytest.mark.parametrize("features", ["elu", "favor"])
def test_attention_by_features_is_a_state_of_fixed_size(features, x):
    made = layer("kernel", heads=HEADS, features=features, count=24)
    query, key, value = map(by_heads, made.query_key_value(x).chunk(3, -1))
    state = norm = 0
    answers = []
    for t in range(N):
        there = made.features(key[:, t])
        state = state + there[..., :, None] * value[:, t, :, None, :]
        norm = norm + there
        asked = made.features(query[:, t])
        total = (asked * norm).sum(-1, keepdim=True)
        answers.append((asked[..., None, :] @ state)[..., 0, :] / total)
    expected = made.output(torch.stack(answers, 1).flatten(2))
    torch.testing.assert_close(made(x), expected)


def test_random_features_are_softmax_attention_on_average():
    generator = torch.Generator().manual_seed(0)
    # Short ones, for the spread of a feature grows exponentially with their length.
    query, key = (torch.randn(1, 1, N, SIZE, generator=generator) / 2 for _ in range(2))
    directions = random_directions(200_000, SIZE, generator)
    # Blocks of rows at right angles, as long as normal vectors.
    block = directions[:SIZE] / directions[:SIZE].norm(dim=1, keepdim=True)
    torch.testing.assert_close(block @ block.T, torch.eye(SIZE))
    assert directions.square().sum(1).mean() == pytest.approx(SIZE, rel=0.01)

    made = layer("kernel", heads=HEADS, features="favor", count=8)
    made.directions = directions
    weights = (made.features(query) @ made.features(key).transpose(-1, -2)).tril()
    weights = weights / weights.sum(-1, keepdim=True)
    torch.testing.assert_close(weights, attention_matrix(query, key), atol=0.02, rtol=0.1)


def test_s4d_is_a_damped_oscillation_of_each_channel(x):
    made = layer("s4d", state=5)
    step = made.log_step.exp()[:, None]
    rate = torch.complex(-made.log_decay[0].exp(), made.frequency[0])
    read = torch.complex(made.read[0], made.read[1])
    kept = (rate * step).exp()
    state, answers = torch.zeros(BATCH, WIDTH, 5, dtype=torch.complex128), []
    for t in range(N):
        # The input is held for a step of x' = rate x + input.
        state = kept * state + (kept - 1) / rate * x[:, t, :, None]
        answers.append(2 * (read * state).sum(-1).real + made.through * x[:, t])
    expected = made.output(F.gelu(torch.stack(answers, 1)))
    torch.testing.assert_close(made(x), expected)


def test_mamba2_is_a_state_whose_decay_is_read_off_the_token(x):
    made = layer("mamba2", heads=HEADS, expand=2, state=5, convolution=3)
    inner = 2 * WIDTH
    gate, mixed, step = made.input(x).split([inner, inner + 10, HEADS], -1)
    value, write, read = convolved(made, mixed).split([inner, 5, 5], -1)
    value, step = by_heads(value), F.softplus(step + made.shift)
    state, answers = torch.zeros(BATCH, HEADS, inner // HEADS, 5), []
    for t in range(N):
        kept = (-step[:, t] * made.log_decay.exp()).exp()[..., None, None]
        added = (step[:, t, :, None] * value[:, t])[..., None] * write[:, t, None, None, :]
        state = kept * state + added
        answer = (state * read[:, t, None, None, :]).sum(-1)
        answers.append(answer + made.through[:, None] * value[:, t])
    answer = torch.stack(answers, 1).flatten(2)
    torch.testing.assert_close(made(x), made.output(made.norm(answer * F.silu(gate))))


def test_gated_deltanet_replaces_what_it_held_under_a_key(x):
    made = layer("deltanet", heads=HEADS, convolution=3)
    mixed, gate, strength, step = made.input(x).split([3 * WIDTH, WIDTH, HEADS, HEADS], -1)
    query, key, value = map(by_heads, convolved(made, mixed).chunk(3, -1))
    query, key = F.normalize(query, dim=-1), F.normalize(key, dim=-1)
    strength, step = strength.sigmoid(), F.softplus(step + made.shift)
    state, answers = torch.zeros(BATCH, HEADS, SIZE, SIZE), []
    for t in range(N):
        kept = (-step[:, t] * made.log_decay.exp()).exp()[..., None, None]
        k, v, b = key[:, t, :, :, None], value[:, t, :, :, None], strength[:, t, :, None, None]
        state = kept * state @ (torch.eye(SIZE) - b * k @ k.mT) + b * v @ k.mT
        answers.append((state @ query[:, t, :, :, None])[..., 0])
    answer = made.norm(torch.stack(answers, 1)).flatten(2)
    torch.testing.assert_close(made(x), made.output(answer * F.silu(gate)))


def test_a_window_with_global_tokens_is_the_mask_of_the_paper():
    for window, every in ((1, 0), (3, 0), (3, 4), (N, 0), (1, 1)):
        mask = attended(N, window, every)
        for t in range(N):
            for s in range(N):
                is_global = every > 0 and (t % every == 0 or s % every == 0)
                assert mask[t, s] == (s <= t and (t - s < window or is_global))


@pytest.mark.parametrize("settings", [{"window": N}, {"window": 1, "global_every": 1}])
def test_a_window_of_all_tokens_is_full_attention(settings, x):
    # Full attention is always in single precision.
    made, x = layer("window", heads=HEADS, **settings).float(), x.float()
    full = Attention(WIDTH, HEADS).float()
    full.load_state_dict(made.state_dict())
    torch.testing.assert_close(made(x), full(x))
    narrow = layer("window", heads=HEADS, window=2).float()
    assert not torch.allclose(narrow(x), full(x))


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_recurrent_layer_has_the_cell_asked_for(cell, x):
    made = layer("recurrent", cell=cell)
    step = {"gru": torch.nn.GRUCell, "lstm": torch.nn.LSTMCell}[cell](WIDTH, WIDTH)
    step.load_state_dict(
        {name.removesuffix("_l0"): value for name, value in made.recurrent.state_dict().items()}
    )
    state, answers = None, []
    for t in range(N):
        state = step(x[:, t], state)
        answers.append(state if cell == "gru" else state[0])
    torch.testing.assert_close(made(x), made.output(torch.stack(answers, 1)))


def test_a_hybrid_ends_with_full_attention():
    hybrid = models.settings("hybrid")(depth=3, full=2, width=WIDTH, heads=HEADS)
    kinds = [type(hybrid.mixer(place, None)) is Attention for place in range(3)]
    assert kinds == [False, True, True]
    with pytest.raises(ValueError, match="full is 2; expected at most depth, which is 1"):
        models.settings("hybrid")(depth=1, full=2).check(None)


def test_what_is_no_matrix_is_not_for_muon():
    """Muon makes what it takes orthogonal, which must not happen to decays or filters."""
    matrices = {"input", "output", "query_key_value", "recurrent"}
    for form in models.names():
        if form in ("softmax", "gpt2", "looped"):
            continue
        for name, parameter in layer(form).named_parameters():
            assert (parameter.dim() == 2) == (
                name.split(".")[0] in matrices and "bias" not in name
            ), (form, name)
