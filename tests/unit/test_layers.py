"""The parts of a block against torch's own."""

import pytest
import torch
from torch.nn import functional as F

from logdepth.models.layers import Attention, Dropout, attention_matrix, gelu_tanh


def drawn(*shape, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=dtype)


def dropping(rate, *streams):
    layer = Dropout(rate).train()
    layer.noise.begin(torch.tensor(streams))
    return layer


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 2e-6)])
def test_gelu_tanh_is_torchs_with_its_derivative(dtype, tolerance):
    ends = torch.tensor([-100.0, -9, -1e-3, 0, 1e-3, 9, 100], dtype=dtype)
    x = torch.cat([3 * drawn(1000, dtype=dtype), ends])
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    a, b = gelu_tanh(ours), F.gelu(theirs, approximate="tanh")
    torch.testing.assert_close(a, b, rtol=0, atol=tolerance)
    weights = drawn(len(x), dtype=dtype, seed=1)
    a.backward(weights)
    b.backward(weights)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=0, atol=10 * tolerance)


def test_gelu_tanh_leaves_its_input_alone():
    x = drawn(10)
    kept = x.clone()
    gelu_tanh(x)
    assert torch.equal(x, kept)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_drops_its_share_and_keeps_the_mean(rate):
    out = dropping(rate, 0)(torch.ones(1000, 1003))
    share = (out == 0).double().mean().item()
    # Six standard errors of a million entries.
    assert abs(share - rate) < 6 * (rate * (1 - rate) / out.numel()) ** 0.5
    kept = out[out > 0]
    assert kept.min() == kept.max() == pytest.approx(1 / (1 - rate), rel=1e-3)
    # Neighbours share a 64-bit draw; they are dropped independently all the same.
    dropped = (out == 0).flatten()
    for distance in (1, 2, 3, 4):
        both = (dropped[distance:] & dropped[:-distance]).double().mean().item()
        assert abs(both - rate**2) < 6 * (rate**2 / out.numel()) ** 0.5


def test_dropout_follows_its_stream_and_its_gradient_is_its_mask():
    x = torch.ones(7, 5, requires_grad=True)
    layer = dropping(0.3, 3)
    first = layer(x)
    first.sum().backward()
    assert torch.equal(x.grad, first.detach())
    second = layer(x)
    assert not torch.equal(first, second)
    layer.noise.begin(torch.tensor([3]))
    assert torch.equal(first, layer(x))
    assert torch.equal(second, layer(x))
    assert dropping(0, 3)(x) is x
    assert layer.eval()(x) is x


def test_each_run_of_a_batch_has_a_stream_of_its_own():
    x = torch.ones(6, 7, 5)
    whole = dropping(0.3, 3, 4)(x)
    for half, seed in zip(whole.chunk(2), (3, 4), strict=True):
        assert torch.equal(half, dropping(0.3, seed)(x[:3]))


def test_the_attention_matrix_is_that_of_fused_attention():
    query, key, value = (drawn(2, 3, 11, 4, seed=seed) for seed in range(3))
    expected = F.scaled_dot_product_attention(query, key, value, is_causal=True)
    torch.testing.assert_close(attention_matrix(query, key) @ value, expected)


def test_attention_with_dropout_has_the_mean_of_attention_without():
    torch.manual_seed(0)
    layer = Attention(8, 2, 0.2)
    layer.drop.noise.begin(torch.tensor([5]))
    x = drawn(1, 6, 8, dtype=torch.float32).expand(4000, 6, 8)
    with torch.no_grad():
        dropped, whole = layer.train()(x), layer.eval()(x[:1])
    error = dropped.std(0) / len(x) ** 0.5
    assert ((dropped.mean(0) - whole[0]).abs() <= 6 * error + 1e-6).all()
    assert dropped.std(0).max() > 0.01
