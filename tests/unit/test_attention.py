"""Attention matrices and their alignment with find^j."""

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from logdepth.evaluation.attention import (
    alignment_table,
    attention_table,
    attention_weights,
    cosine,
    first_sequences,
    pointer_matrices,
    printed_alignment,
)
from logdepth.evaluation.error_rates import evaluation_set
from logdepth.models.gpt2 import Gpt2, from_huggingface
from logdepth.models.layers import Attention
from logdepth.models.softmax import Softmax
from logdepth.tasks.hop import Hop, find

TASK = Hop(context=14, alphabet=4, max_k=3)


def sequences(count: int) -> torch.Tensor:
    return TASK.batch(0, 0, count, k=0).tokens


@pytest.fixture
def model():
    shape = Softmax(depth=2, heads=2, width=16)
    return shape.build(TASK, torch.Generator().manual_seed(0)).eval()


@pytest.mark.parametrize("measure", [cosine, printed_alignment])
@pytest.mark.parametrize("j", [0, 1, 2, 3])
def test_an_exact_pointer_matrix_has_alignment_1_with_itself_alone(measure, j):
    matrices = pointer_matrices(TASK, sequences(20), 3)
    values = measure(matrices[j][:, None], matrices)[..., 0]
    expected = torch.zeros(4, 20)
    expected[j] = 1
    torch.testing.assert_close(values, expected)


def test_the_two_measures_differ_when_attention_is_spread():
    matrix = pointer_matrices(TASK, sequences(1), 1)[1]
    half = matrix / 2
    half[..., 0] += 0.5 * matrix.sum(-1)
    assert cosine(half[None], matrix[None]).item() == pytest.approx(0.5**0.5)
    # Shared mass 1/4 a row over sizes 1 and sqrt(1/2) a row.
    assert printed_alignment(half[None], matrix[None]).item() == pytest.approx(0.25 / 0.5**0.5)


def test_a_string_without_hops_has_alignment_0():
    tokens = TASK.first_symbol + torch.tensor([[0, 0, 1, 2]])
    matrices = pointer_matrices(TASK, tokens, 2)
    assert cosine(torch.eye(4)[None, None], matrices[2:]).tolist() == [[[0]]]


@given(st.integers(0, 2**31), st.integers(2, 5))
def test_pointer_matrices_hold_find(seed, alphabet):
    task = Hop(context=13, alphabet=alphabet, max_k=3)
    symbols = torch.randint(alphabet, (3, 12), generator=torch.Generator().manual_seed(seed))
    tokens = task.encode(symbols, torch.zeros(3, dtype=torch.int64)).tokens
    own, matrix = pointer_matrices(task, tokens, 1)
    assert torch.equal(own, torch.diag(torch.tensor([0.0] + [1] * 12)).expand(3, 13, 13))
    for row, positions in zip(matrix, find(symbols, alphabet).tolist(), strict=True):
        assert row[0].count_nonzero() == 0
        for i, position in enumerate(positions):
            keys = row[i + 1].nonzero().flatten().tolist()
            assert keys == ([position + 1] if position < 12 else [])


def test_weights_are_those_that_mix_the_values(model):
    tokens = TASK.batch(1, 0, 3).tokens
    weights = attention_weights(model, tokens)
    assert weights.shape == (2, 3, 2, 14, 14)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3, 2, 14))
    assert weights.triu(1).count_nonzero() == 0


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_weights_are_those_of_gpt2(mode, transformers):
    torch.manual_seed(3)
    active = mode == "train"
    config = transformers.GPT2Config(vocab_size=30, n_positions=15, n_embd=32, n_layer=2, n_head=2)
    config.attn_pdrop, config.embd_pdrop, config.resid_pdrop = 0.4 if active else 0.0, 0.0, 0.0
    reference = transformers.GPT2Model._from_config(config, attn_implementation="eager")
    reference.train(active)
    ours = Gpt2(depth=2, heads=2, width=32, dropout=0.1).build(TASK)
    ours.load_state_dict(from_huggingface(reference.state_dict()))
    tokens = TASK.batch(1, 0, 4).tokens
    if active:
        # The draws differ, the share of weights dropped and the scale of the others do not.
        ours.train()
        for layer in ours.modules():
            if isinstance(layer, Attention):
                layer.drop.rate = 0.4
        kept = attention_weights(ours, tokens)[0][..., 0]
        assert 0.3 < (kept == 0).float().mean() < 0.5
        assert kept.max() == pytest.approx(1 / 0.6, rel=0.2)
        return
    expected = reference(tokens, output_attentions=True).attentions
    torch.testing.assert_close(
        attention_weights(ours.eval(), tokens), torch.stack(expected), atol=1e-5, rtol=0
    )


def test_alignment_table(model):
    # Asked for 0 hops, which the table is not about.
    table = alignment_table(model, TASK, sequences(5), mode="eval")
    assert len(table) == 2 * 2 * 4 * 4
    assert not model.training
    tokens = TASK.asked(sequences(5), 2)
    attention, matrices = attention_weights(model, tokens)[1], pointer_matrices(TASK, tokens, 3)
    row = table.query("layer == 2 and head == 1 and k == 2 and j == 1")
    for measure, column in ((cosine, "cosine"), (printed_alignment, "printed")):
        by_hand = measure(attention, matrices)[1, :, 0]
        assert row[column].item() == pytest.approx(by_hand.mean().item(), rel=1e-5)


def test_attention_table_names_the_hop_of_each_cell(model):
    tokens = sequences(1)[0]
    string = tokens[1:] - TASK.first_symbol
    table = attention_table(model, TASK, tokens, 3, mode="eval")
    assert len(table) == 4 * 14 * 15 // 2
    one = table[(table["layer"] == 1) & (table["head"] == 1)].set_index(["query", "key"])
    position = find(string[None], 4)[0]
    for i, reached in enumerate(position.tolist()):
        assert one.loc[(i + 1, i + 1), "j"] == 0
        if reached < len(string):
            assert one.loc[(i + 1, reached + 1), "j"] == 1
    assert isinstance(one, pd.DataFrame)
    assert one.loc[(0, 0), "j"] == -1
    assert one.groupby("query")["weight"].sum().to_numpy() == pytest.approx(1)
    by_hand = attention_weights(model, TASK.asked(tokens[None], 3))[0, 0, 0]
    assert one.loc[(13, 5), "weight"] == pytest.approx(by_hand[13, 5].item(), rel=1e-5)


def test_tables_of_both_modes_are_seeded():
    net = Gpt2(depth=2, heads=2, width=32).build(TASK, torch.Generator().manual_seed(0))
    for table in (
        lambda mode, seed: alignment_table(net, TASK, sequences(3), mode=mode, seed=seed),
        lambda mode, seed: attention_table(net, TASK, sequences(1)[0], 2, mode=mode, seed=seed),
    ):
        assert table("eval", 0).equals(table("eval", 1))
        assert table("train", 0).equals(table("train", 0))
        assert not table("train", 0).equals(table("train", 1))
        assert not table("train", 0).equals(table("eval", 0))
        assert not net.training


def test_the_first_sequences_are_of_the_largest_k():
    data = evaluation_set(TASK, (0, 2), 6, seed=0)
    tokens = first_sequences(data, 4)
    assert torch.equal(tokens, data["tokens"][1, :4].long())
    with pytest.raises(ValueError, match="6 sequences for each k, but 7 are asked for"):
        first_sequences(data, 7)
