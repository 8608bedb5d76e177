"""hop_k against its definition, and batches as a function of seed and step."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from logdepth.tasks.hop import HopTask, find, hop_positions
from logdepth.tasks.random import random_bits


def find_by_definition(string: list[int], i: int) -> int:
    """find^1 of the paper's Definition 4.1: positions from 1, 0 for none."""
    matches = [j for j in range(2, i + 1) if string[j - 2] == string[i - 1]]
    return max([0, *matches])


def hop_by_definition(string: list[int], k: int, i: int) -> int:
    for _ in range(k):
        i = find_by_definition(string, i) if i else 0
    return i


@st.composite
def strings(draw):
    """An alphabet, several strings of one length (neighbours may be equal), and a k for each."""
    alphabet = draw(st.integers(1, 6))
    n = draw(st.integers(1, 24))
    symbols = st.integers(0, alphabet - 1)
    rows = draw(st.lists(st.lists(symbols, min_size=n, max_size=n), min_size=1, max_size=4))
    hops = draw(st.lists(st.integers(0, 20), min_size=len(rows), max_size=len(rows)))
    return alphabet, rows, hops


@given(strings())
def test_hop_is_its_definition_on_any_string(example):
    alphabet, rows, hops = example
    n = len(rows[0])
    positions = hop_positions(torch.tensor(rows), torch.tensor(hops), alphabet)
    for row, k, found in zip(rows, hops, positions.tolist(), strict=True):
        expected = [hop_by_definition(row, k, i) for i in range(1, n + 1)]
        assert [0 if p == n else p + 1 for p in found] == expected


@given(st.integers(2, 40), st.integers(2, 7), st.integers(1, 20), st.integers(0, 10**6))
def test_batch_follows_the_definition_for_every_k_n_and_alphabet(context, alphabet, most, seed):
    task = HopTask(context, alphabet, most)
    batch = task.batch(seed, 0, 3)
    assert batch.tokens.shape == batch.targets.shape == (3, context)
    assert (batch.targets[:, 0] == task.blank).all()
    assert (batch.tokens[:, 0] == batch.hops).all()
    for tokens, targets, k in zip(batch.tokens, batch.targets, batch.hops.tolist(), strict=True):
        assert 0 <= k <= most
        string = (tokens[1:] - task.first_symbol).tolist()
        assert all(0 <= symbol < alphabet for symbol in string)
        assert all(a != b for a, b in itertools.pairwise(string))
        for i, target in enumerate(targets[1:].tolist(), 1):
            j = hop_by_definition(string, k, i)
            assert target == (string[j - 1] + task.first_symbol if j else task.bottom)


def test_the_papers_example():
    string = torch.tensor([["abcde".index(c) for c in "baebcabebdea"]])
    last = [hop_positions(string, torch.tensor([k]), 5)[0, -1].item() for k in (1, 2)]
    assert ["baebcabebdea"[i] for i in last] == ["b", "c"]


def test_equal_neighbours_point_at_themselves():
    assert find(torch.tensor([[0, 0, 0]]), 1).tolist() == [[3, 1, 2]]


@pytest.mark.parametrize("k", range(17))
def test_exactly_3k_plus_1_positions_have_no_kth_hop(k):
    # With four symbols and no equal neighbours (facts.md 2.1), once the string is long enough.
    task = HopTask(99, 4, 16)
    targets = task.batch(7, 0, 64, hops=k).targets
    missing = (targets == task.bottom).sum(1)
    assert missing.tolist() == [3 * k + 1 if k else 0] * 64


def test_batches_depend_on_their_arguments_alone():
    task = HopTask(20, 4, 8)
    first = task.batch(3, 5, 16)
    task.batch(3, 6, 16)
    torch.rand(10)
    again = task.batch(3, 5, 16)
    assert torch.equal(first.tokens, again.tokens)
    assert torch.equal(first.targets, again.targets)
    for other in (task.batch(3, 6, 16), task.batch(4, 5, 16), task.batch(3, 5, 16, stream="x")):
        assert not torch.equal(first.tokens, other.tokens)


def test_hops_and_strings_are_uniform():
    task = HopTask(4, 3, 4)
    seed = 11
    batch = task.batch(seed, 0, 60_000)
    kinds = torch.bincount(batch.hops, minlength=5).numpy()
    words = torch.unique(batch.tokens[:, 1:], dim=0, return_counts=True)[1].numpy()
    assert len(words) == 3 * 2 * 2
    for counts in (kinds, words):
        assert stats.chisquare(counts).pvalue > 1e-3, f"seed {seed}: {counts}"


def test_random_bits_are_splitmix64():
    bits = random_bits(("a", 1), 5, torch.device("cpu")).numpy()
    import hashlib

    start = np.frombuffer(hashlib.sha256(b"a/1").digest()[:8], ">u8")[0].astype(np.uint64)
    with np.errstate(over="ignore"):
        x = start + np.arange(1, 6, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    assert (bits == (x & np.uint64(2**63 - 1)).astype(np.int64)).all()


@pytest.mark.parametrize("hops", [-1, 9])
def test_a_k_without_a_hop_token_is_refused(hops):
    with pytest.raises(ValueError, match=f"hops is {hops}, but the hop tokens reach from 0 to 8"):
        HopTask(20, 4, 8).batch(0, 0, 2, hops=hops)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_batches_are_the_same_on_a_gpu():
    task = HopTask(99, 4, 16)
    there = task.batch(1, 2, 64, device=torch.device("cuda"))
    here = task.batch(1, 2, 64)
    assert torch.equal(there.tokens.cpu(), here.tokens)
    assert torch.equal(there.targets.cpu(), here.targets)
