"""Attention matrices and their alignment with find^j."""

import dataclasses

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import GPT2Config, GPT2Model

from logdepth.config.run import FastModel, PaperModel, Task
from logdepth.evaluation.attention import (
    alignment_table,
    attention_table,
    attention_weights,
    cosine,
    find_matrices,
    printed_alignment,
)
from logdepth.models.gpt2 import from_gpt2
from logdepth.models.transformer import Transformer, architecture
from logdepth.tasks.hop import HopTask, find

TASK = Task(context=14, alphabet=4, max_hops=3)
HOP = HopTask(14, 4, 3)


def strings(count: int) -> torch.Tensor:
    return HOP.batch(0, 0, count, hops=0).tokens[:, 1:] - HOP.first_symbol


@pytest.fixture
def model():
    spec = architecture(TASK, FastModel(form="fast", depth=2, heads=2, width=16))
    return Transformer(spec, torch.Generator().manual_seed(0)).eval()


@pytest.mark.parametrize("measure", [cosine, printed_alignment])
@pytest.mark.parametrize("jumps", [0, 1, 2, 3])
def test_an_exact_find_matrix_has_alignment_1_with_itself_alone(measure, jumps):
    matrices = find_matrices(strings(20), 4, 3)
    values = measure(matrices[jumps][:, None], matrices)[..., 0]
    expected = torch.zeros(4, 20)
    expected[jumps] = 1
    torch.testing.assert_close(values, expected)


def test_the_two_measures_differ_when_attention_is_spread():
    matrix = find_matrices(strings(1), 4, 1)[1]
    half = matrix / 2
    half[..., 0] += 0.5 * matrix.sum(-1)
    assert cosine(half[None], matrix[None]).item() == pytest.approx(0.5**0.5)
    # Shared mass 1/4 a row over sizes 1 and sqrt(1/2) a row.
    assert printed_alignment(half[None], matrix[None]).item() == pytest.approx(0.25 / 0.5**0.5)


def test_a_string_without_hops_has_alignment_0():
    matrices = find_matrices(torch.tensor([[0, 1, 2]]), 4, 2)
    assert cosine(torch.eye(4)[None, None], matrices[2:]).tolist() == [[[0]]]


@given(st.integers(0, 2**31), st.integers(2, 5))
def test_find_matrices_hold_find(seed, alphabet):
    symbols = torch.randint(alphabet, (3, 12), generator=torch.Generator().manual_seed(seed))
    matrix = find_matrices(symbols, alphabet, 1)[1]
    for row, positions in zip(matrix, find(symbols, alphabet).tolist(), strict=True):
        for i, position in enumerate(positions):
            keys = row[i + 1].nonzero().flatten().tolist()
            assert keys == ([position + 1] if position < 12 else [])


def test_weights_are_those_that_mix_the_values(model):
    tokens = HOP.batch(1, 0, 3).tokens
    weights = attention_weights(model, tokens)
    assert weights.shape == (2, 3, 2, 14, 14)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3, 2, 14))
    assert weights.triu(1).count_nonzero() == 0


@pytest.mark.parametrize("dropout", [False, True])
def test_weights_are_those_of_gpt2(dropout):
    torch.manual_seed(3)
    config = GPT2Config(vocab_size=30, n_positions=15, n_embd=32, n_layer=2, n_head=2)
    config.attn_pdrop, config.embd_pdrop, config.resid_pdrop = 0.4 if dropout else 0.0, 0.0, 0.0
    reference = GPT2Model._from_config(config, attn_implementation="eager").train(dropout)
    spec = architecture(TASK, PaperModel(form="paper", depth=2, heads=2, width=32))
    ours = Transformer(spec)
    ours.load_state_dict(from_gpt2(reference.state_dict()))
    tokens = HOP.batch(1, 0, 4).tokens
    if dropout:
        # The draws differ, the share of weights dropped and the scale of the others do not.
        ours.train()
        ours.spec = dataclasses.replace(spec, dropout=0.4)
        kept = attention_weights(ours, tokens)[0][..., 0]
        assert 0.3 < (kept == 0).float().mean() < 0.5
        assert kept.max() == pytest.approx(1 / 0.6, rel=0.2)
        return
    expected = reference(tokens, output_attentions=True).attentions
    torch.testing.assert_close(
        attention_weights(ours.eval(), tokens), torch.stack(expected), atol=1e-5, rtol=0
    )


def test_alignment_table(model):
    table = alignment_table(model, TASK, strings(5), dropout=False)
    assert len(table) == 2 * 2 * 4 * 4
    assert not model.training
    tokens = HOP.encode(strings(5), torch.full((5,), 2)).tokens
    attention, matrices = attention_weights(model, tokens)[1], find_matrices(strings(5), 4, 3)
    by_hand = cosine(attention, matrices)[1, :, 0]
    row = table.query("layer == 2 and head == 1 and hops == 2 and jumps == 1")
    assert row["cosine"].item() == pytest.approx(by_hand.mean().item(), rel=1e-5)


def test_attention_table_names_the_hop_of_each_cell(model):
    string = strings(1)[0]
    table = attention_table(model, TASK, string, 3, dropout=False)
    assert len(table) == 4 * 14 * 15 // 2
    one = table[(table["layer"] == 1) & (table["head"] == 1)].set_index(["query", "key"])
    position = find(string[None], 4)[0]
    for i, reached in enumerate(position.tolist()):
        assert one.loc[(i + 1, i + 1), "jumps"] == 0
        if reached < len(string):
            assert one.loc[(i + 1, reached + 1), "jumps"] == 1
    assert isinstance(one, pd.DataFrame)
    assert one.loc[(0, 0), "jumps"] == -1
    assert one.groupby("query")["weight"].sum().to_numpy() == pytest.approx(1)
