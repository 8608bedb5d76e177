"""hop_k in the depth that the paper states, compiled into the project's own transformer."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from logdepth.errors import UserError
from logdepth.evaluation.attention import attention_weights, pointer_matrices
from logdepth.tasks.hop import Hop
from logdepth.theory.hop_to_weights import blocks
from logdepth.theory.programs import hops_of_search, search
from logdepth.theory.search_to_weights import compile_search, searched
from logdepth.theory.strings import hard_strings


@torch.no_grad()
def wrong_answers(task: Hop, strings: torch.Tensor) -> int:
    model = compile_search(task).network()
    wrong = 0
    for k in task.ks:
        batch = task.encode(strings, torch.full((len(strings),), k))
        wrong += int((model(batch.tokens).argmax(-1) != model.labels(batch.targets))[:, 1:].sum())
    return wrong


@pytest.mark.parametrize("alphabet", [2, 4, 26])
def test_hard_strings_have_no_error(alphabet):
    assert (
        wrong_answers(Hop(context=40, alphabet=alphabet, max_k=7), hard_strings(39, alphabet, 0))
        == 0
    )


@settings(max_examples=20)
@given(st.lists(st.integers(0, 2), min_size=9, max_size=9), st.integers(1, 12))
def test_any_string_and_largest_k_has_no_error(string, max_k):
    assert wrong_answers(Hop(context=10, alphabet=3, max_k=max_k), torch.tensor([string])) == 0


def test_more_digits_than_places_have_no_error():
    assert wrong_answers(Hop(context=2, alphabet=2, max_k=9), torch.tensor([[0], [1]])) == 0


def test_depth_is_the_stated_one_and_less_than_that_of_pointers():
    for k in range(1, 33):
        task = Hop(context=12, max_k=k)
        assert compile_search(task).model.depth == k.bit_length() + 1 <= blocks(task)


def test_width_is_as_said_and_more_of_it_changes_nothing():
    task = Hop(context=16, alphabet=3, max_k=5)
    built = compile_search(task)
    assert built.model.width == 2 * (2 * 16 + 3 * 4 + built.model.depth - 1)
    wide = compile_search(task, heads=4, stream=200)
    batch = task.batch(0, 0, 4, stream="test")
    with torch.no_grad():
        assert torch.allclose(
            built.network()(batch.tokens), wide.network()(batch.tokens), atol=1e-4
        )
    with pytest.raises(UserError, match="expected 2 heads or more"):
        compile_search(task, stream=60)


@torch.no_grad()
def test_heads_follow_find_j_as_planned():
    task = Hop(context=24, alphabet=4, max_k=7)
    model = compile_search(task).network()
    tokens = task.batch(0, 0, 3, stream="test").tokens
    matrices = pointer_matrices(task, tokens, task.max_k)
    matrices[..., 0] = 1 - matrices.sum(-1)
    for k in task.ks:
        attention = attention_weights(model, task.asked(tokens, k))
        for block, j in enumerate(searched(k, model.depth), 1):
            assert (attention[block][:, 0] - matrices[j]).abs().max() < 1e-3, (k, block)


def test_heads_are_those_of_the_program_by_hand():
    for k in range(1, 33):
        program = search(k)
        assert searched(k, program.depth) == hops_of_search(k)
        # Blocks that k does not need look at the token itself.
        assert searched(k, program.depth + 2) == [0, 0, *hops_of_search(k)]
