"""hop_k against its definition; what holds for every task is in test_tasks.py."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from logdepth.tasks.hop import Hop, find, hop_positions


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
    ks = draw(st.lists(st.integers(0, 20), min_size=len(rows), max_size=len(rows)))
    return alphabet, rows, ks


@given(strings())
def test_hop_is_its_definition_on_any_string(example):
    alphabet, rows, ks = example
    n = len(rows[0])
    positions = hop_positions(torch.tensor(rows), torch.tensor(ks), alphabet, max(ks))
    for row, k, found in zip(rows, ks, positions.tolist(), strict=True):
        expected = [hop_by_definition(row, k, i) for i in range(1, n + 1)]
        assert [0 if p == n else p + 1 for p in found] == expected


@given(st.integers(2, 40), st.integers(2, 7), st.integers(1, 20), st.integers(0, 10**6))
def test_batch_follows_the_definition_for_every_k_n_and_alphabet(context, alphabet, most, seed):
    task = Hop(context=context, alphabet=alphabet, max_k=most)
    batch = task.batch(seed, 0, 3)
    assert batch.tokens.shape == batch.targets.shape == batch.counted.shape == (3, context)
    assert (batch.targets[:, 0] == task.blank).all()
    assert (batch.tokens[:, 0] == batch.k).all()
    assert not batch.counted[:, 0].any()
    rows = zip(batch.tokens, batch.targets, batch.counted.tolist(), batch.k.tolist(), strict=True)
    for tokens, targets, counted, k in rows:
        assert 0 <= k <= most
        string = (tokens[1:] - task.first_symbol).tolist()
        assert all(0 <= symbol < alphabet for symbol in string)
        assert all(a != b for a, b in itertools.pairwise(string))
        oracle = task.oracle(tokens.tolist(), k)
        for i, target in enumerate(targets[1:].tolist(), 1):
            j = hop_by_definition(string, k, i)
            assert target == (string[j - 1] + task.first_symbol if j else task.bottom)
            assert counted[i] == (j > 0)
            assert oracle[i] == (target if j else None)


@given(st.integers(2, 30), st.integers(2, 5), st.integers(0, 6), st.integers(0, 10**6))
def test_pointers_are_hops_by_their_definition(context, alphabet, steps, seed):
    task = Hop(context=context, alphabet=alphabet, max_k=3)
    tokens = task.batch(seed, 0, 2).tokens
    for row, reached in zip(tokens.tolist(), task.pointers(tokens, steps).tolist(), strict=True):
        string = [token - task.first_symbol for token in row[1:]]
        # Token i + 1 is symbol i, and the hop token looks nowhere.
        expected = [hop_by_definition(string, steps, i) for i in range(1, context)]
        assert reached == [-1, *(j or -1 for j in expected)]


def test_the_papers_example():
    string = torch.tensor([["abcde".index(c) for c in "baebcabebdea"]])
    last = [hop_positions(string, torch.tensor([k]), 5, k)[0, -1].item() for k in (1, 2)]
    assert ["baebcabebdea"[i] for i in last] == ["b", "c"]


def test_equal_neighbours_point_at_themselves():
    assert find(torch.tensor([[0, 0, 0]]), 1).tolist() == [[3, 1, 2]]


@pytest.mark.parametrize("k", range(17))
def test_exactly_3k_plus_1_positions_have_no_kth_hop(k):
    # With four symbols and no equal neighbours (facts.md 2.1), once the string is long enough.
    task = Hop(context=99, alphabet=4, max_k=16)
    targets = task.batch(7, 0, 64, k=k).targets
    missing = (targets == task.bottom).sum(1)
    assert missing.tolist() == [3 * k + 1 if k else 0] * 64


def test_k_and_strings_are_uniform():
    task = Hop(context=4, alphabet=3, max_k=4)
    seed = 11
    batch = task.batch(seed, 0, 60_000)
    kinds = torch.bincount(batch.k, minlength=5).numpy()
    words = torch.unique(batch.tokens[:, 1:], dim=0, return_counts=True)[1].numpy()
    assert len(words) == 3 * 2 * 2
    for counts in (kinds, words):
        assert stats.chisquare(counts).pvalue > 1e-3, f"seed {seed}: {counts}"


def test_token_ids_are_the_authors():
    task = Hop(context=99, alphabet=4, max_k=16)
    assert (task.first_symbol, task.bottom, task.blank, task.vocabulary) == (17, 21, 22, 23)
    assert list(task.ks) == list(range(17))
    assert list(task.answers) == [17, 18, 19, 20, 21]


def test_the_reach_is_that_of_theorem_4_2():
    task = Hop()
    for depth in range(1, 9):
        solved = [k for k in range(1, 300) if k.bit_length() + 1 <= depth]
        assert task.reach(depth) == (max(solved) if solved else None)


@pytest.mark.parametrize("k", [-1, 9])
def test_a_k_without_a_hop_token_is_refused(k):
    with pytest.raises(ValueError, match=f"k is {k}, but hop has 0 to 8"):
        Hop(context=20, alphabet=4, max_k=8).batch(0, 0, 2, k=k)


@pytest.mark.parametrize(("context", "alphabet"), [(99, 4), (150, 8), (99, 3), (40, 2)])
def test_the_best_guess_is_that_of_the_symbol_at_the_position(context, alphabet):
    task = Hop(context=context, alphabet=alphabet, max_k=8)
    for k in task.ks:
        batch = task.batch(7, 0, 400, k=k)
        back = (batch.tokens == batch.targets)[batch.counted].double().mean().item()
        error = 1 - max(back, (1 - back) / (alphabet - 1))
        # Exact for long strings; short ones hop a little less far.
        assert task.guess(k) == pytest.approx(error, abs=0.015)


def test_the_best_guess_at_the_papers_size():
    errors = [round(Hop().guess(k), 3) for k in range(5)]
    assert errors == [0, 0.667, 0.5, 0.708, 0.656]
