"""hop_k compiled into the project's own transformer."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from logdepth.errors import UserError
from logdepth.evaluation.attention import alignment_table, attention_weights, pointer_matrices
from logdepth.evaluation.error_rates import count_errors, evaluation_set
from logdepth.models.gpt2 import Gpt2
from logdepth.models.network import Network
from logdepth.models.softmax import Softmax
from logdepth.recipes.compiled import register_bits
from logdepth.tasks.base import Batch
from logdepth.tasks.hop import Hop
from logdepth.theory.hop_to_weights import (
    blocks,
    compile_gpt2,
    compile_softmax,
    followed,
    messages,
)
from logdepth.theory.programs import ladder
from logdepth.theory.strings import hard_strings

PAPER = Hop()
SMALL = Hop(context=48, alphabet=4, max_k=8)
forms = pytest.mark.parametrize("build", [compile_softmax, compile_gpt2])


def asked(task: Hop, strings: torch.Tensor, k: int) -> Batch:
    return task.encode(strings, torch.full((len(strings),), k))


@torch.no_grad()
def wrong_answers(task: Hop, model: Network, strings: torch.Tensor) -> int:
    """Count wrong answers over all k, at every symbol, "no such position" included."""
    wrong = 0
    for k in task.ks:
        batch = asked(task, strings, k)
        right = model.labels(batch.targets)
        wrong += int((model(batch.tokens).argmax(-1) != right)[:, 1:].sum())
    return wrong


@forms
@pytest.mark.parametrize("task", [PAPER, SMALL], ids=["paper", "small"])
def test_the_ordinary_evaluation_finds_no_error(task, build):
    data = evaluation_set(task, tuple(task.ks), 20, 0)
    table = count_errors(build(task).network(), data, mode="eval")
    assert table["symbols"].sum() > 6000
    assert table["wrong"].sum() == 0


@forms
def test_the_settings_stand_for_the_architecture(build):
    built = build(PAPER)
    assert built.task == PAPER
    assert isinstance(built.model, Softmax if build is compile_softmax else Gpt2)
    state = built.model.build(PAPER).state_dict()
    assert {name: tensor.shape for name, tensor in built.weights.items()} == {
        name: tensor.shape for name, tensor in state.items()
    }
    assert {tensor.dtype for tensor in built.weights.values()} == {torch.float32}


@forms
@pytest.mark.parametrize(
    ("context", "alphabet", "max_k"),
    [(2, 2, 1), (3, 2, 20), (7, 3, 2), (20, 3, 3), (65, 4, 5), (99, 4, 16), (130, 8, 12)],
)
def test_hard_strings_with_equal_neighbours_are_answered_exactly(build, context, alphabet, max_k):
    task = Hop(context=context, alphabet=alphabet, max_k=max_k)
    strings = hard_strings(context - 1, alphabet, 3)
    assert wrong_answers(task, build(task).network(), strings) == 0


@pytest.mark.parametrize("alphabet", [2, 256])
def test_256_symbols_and_32_hops_are_answered_exactly(alphabet):
    task = Hop(context=257, alphabet=alphabet, max_k=32)
    assert wrong_answers(task, compile_softmax(task).network(), hard_strings(256, alphabet, 0)) == 0


@settings(max_examples=40)
@given(st.integers(2, 40), st.integers(2, 9), st.integers(1, 12), st.integers(0, 9))
def test_any_task_compiles_to_an_exact_model(context, alphabet, max_k, seed):
    task = Hop(context=context, alphabet=alphabet, max_k=max_k)
    strings = hard_strings(context - 1, alphabet, seed)
    assert wrong_answers(task, compile_softmax(task).network(), strings) == 0


def test_the_depth_is_the_ladders_for_the_largest_k():
    for max_k in range(1, 40):
        task = Hop(max_k=max_k)
        assert blocks(task) == compile_softmax(task).model.depth == ladder(max_k).depth


def test_one_block_less_is_not_enough():
    model = compile_softmax(PAPER).network()
    model.blocks = model.blocks[:-1]
    assert wrong_answers(PAPER, model, hard_strings(98, 4, 0)) > 1000


@forms
@pytest.mark.parametrize("depth", [2, 3, 5, 8])
@torch.no_grad()
def test_a_model_of_any_depth_makes_as_many_hops_as_it_can(build, depth):
    model = build(PAPER, depth=depth).network()
    strings = hard_strings(98, 4, 1)
    for k in range(17):
        made = asked(PAPER, strings, min(k, 2 ** (depth - 2)))
        right = model.labels(made.targets)
        answers = model(asked(PAPER, strings, k).tokens).argmax(-1)
        assert torch.equal(answers[:, 1:], right[:, 1:])


@forms
@torch.no_grad()
def test_every_layer_norm_sees_pairs_of_1_and_minus_1_and_changes_nothing(build):
    model = build(PAPER).network()
    seen = []

    def keep(norm, arguments, result):
        seen.append((arguments[0], result))

    for name, module in model.named_modules():
        if isinstance(module, torch.nn.LayerNorm) and name != "norm":
            module.register_forward_hook(keep)
    data = evaluation_set(PAPER, (0, 1, 11, 16), 3, 1)
    model(data["tokens"].flatten(0, 1).long())
    assert len(seen) == 12
    for x, result in seen:
        assert (x.abs() - 1).abs().max() < 1e-4
        assert x.mean(-1).abs().max() < 1e-5
        assert (x.var(-1, correction=0) - 1).abs().max() < 1e-4
        assert (result - x).abs().max() < 1e-4


@forms
def test_the_first_head_of_each_block_is_find_j_to_the_letter(build):
    model = build(PAPER).network()
    strings = torch.cat([hard_strings(98, 4, 7)[1:2], hard_strings(98, 4, 8)])
    matrices = pointer_matrices(PAPER, asked(PAPER, strings, 0).tokens, 16)
    for k in (0, 1, 2, 7, 13, 16):
        attention = attention_weights(model, asked(PAPER, strings, k).tokens)
        for layer in range(2, 7):
            expected = matrices[followed(k, 6)[layer - 2]].clone()
            # A softmax has to go somewhere: where there is no j-th hop, to the hop token.
            expected[..., 0] = 1 - expected.sum(-1)
            assert (attention[layer - 1][:, 0] - expected).abs().max() < 1e-4


@pytest.mark.parametrize("task", [PAPER, SMALL], ids=["paper", "small"])
def test_the_alignment_of_each_ladder_block_is_the_greatest_possible(task):
    tokens = task.batch(0, 0, 5, k=0).tokens
    table = alignment_table(compile_softmax(task).network(), task, tokens, mode="eval")
    table = table.set_index(["layer", "head", "k", "j"])["cosine"]
    # Rows without a j-th hop count in the norm of any softmax matrix, if in nothing else.
    matrices = pointer_matrices(task, tokens, task.max_k)
    ceilings = (matrices.sum((-1, -2)) / task.context).sqrt().mean(1)
    for layer in range(2, blocks(task) + 1):
        for k in task.ks:
            j = followed(k, blocks(task))[layer - 2]
            assert table[layer, 1, k, j] == pytest.approx(float(ceilings[j]), abs=1e-5)


def test_the_jumps_of_the_blocks_add_up_to_k():
    assert followed(16, 6) == [1, 1, 2, 4, 8]
    assert followed(11, 6) == [1, 1, 1, 3, 5]
    for k in range(1, 33):
        # Block 2 and the ladder's find^c and find^(c+1): every block moves c on by its own jump.
        assert sum(followed(k, 7)) == k
    assert followed(0, 5) == [1, 0, 0, 0]


@forms
def test_loss_is_small_at_every_position(build):
    model = build(PAPER).network()
    batch = PAPER.batch(3, 0, 64)
    target = model.labels(batch.targets)
    with torch.no_grad():
        logits = model(batch.tokens)
    assert F.cross_entropy(logits.flatten(0, 1), target.flatten()) < 0.15
    assert (logits.argmax(-1) == target)[target >= 0].all()


def test_the_papers_largest_narrow_model_holds_the_construction():
    built = compile_gpt2(PAPER, heads=4, stream=128)
    assert (built.model.depth, built.model.heads, built.model.width) == (6, 4, 128)
    assert sum(tensor.numel() for tensor in built.weights.values()) == 1_206_528  # Table 3
    assert wrong_answers(PAPER, built.network(), hard_strings(98, 4, 0)) == 0


@pytest.mark.parametrize("task", [PAPER, SMALL], ids=["paper", "small"])
def test_weights_rounded_to_bfloat16_change_no_answer(task):
    strings = hard_strings(task.context - 1, 4, 0)
    built = compile_softmax(task)
    rounded = {name: tensor.bfloat16().float() for name, tensor in built.weights.items()}
    assert wrong_answers(task, replace(built, weights=rounded).network(), strings) == 0


@pytest.mark.parametrize("task", [PAPER, Hop(context=200, alphabet=26, max_k=9)])
def test_bfloat16_products_change_no_answer(task):
    model = compile_softmax(task).network()
    with torch.autocast("cpu", torch.bfloat16):
        assert wrong_answers(task, model, hard_strings(task.context - 1, task.alphabet, 0)) == 0


def test_messages_spell_k_minus_1_by_its_changes():
    for max_k in (1, 2, 5, 16, 33):
        said = messages(max_k, (max_k - 1).bit_length())
        assert said[:, -1].tolist() == [1] + [-1] * max_k
        for k in range(1, max_k + 1):
            bits, last = 0, 0
            for change in said[k, :-1].tolist():
                last ^= change > 0
                bits = 2 * bits + last
            assert bits == k - 1


def test_registers_make_room_for_a_message_longer_than_a_place():
    sizes = register_bits(context=3, alphabet=2, depth=7)
    assert sizes["place"] == sizes["hops"] == 6


@pytest.mark.parametrize(("heads", "stream"), [(1, 64), (2, 62), (2, 65), (3, 64), (8, 128)])
def test_heads_and_width_that_do_not_fit_are_refused(heads, stream):
    with pytest.raises(UserError, match="do not fit; expected"):
        compile_softmax(PAPER, heads=heads, stream=stream)


def test_a_task_with_more_tokens_than_the_papers_vocabulary_is_refused():
    with pytest.raises(UserError, match="has 31 tokens; the form gpt2 has 30"):
        compile_gpt2(Hop(max_k=24))


@pytest.mark.parametrize(("heads", "stream"), [(2, 90), (4, 128), (5, 100)])
def test_idle_heads_and_columns_change_nothing(heads, stream):
    model = compile_softmax(SMALL, heads=heads, stream=stream).network()
    assert wrong_answers(SMALL, model, hard_strings(47, 4, 0)) == 0
