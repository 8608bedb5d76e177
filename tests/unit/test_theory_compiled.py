"""hop_k compiled into the project's own transformer."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from logdepth.config.construction import register_bits
from logdepth.config.run import FastModel, PaperModel, Task
from logdepth.errors import UserError
from logdepth.evaluation.attention import alignment_table, attention_weights, find_matrices
from logdepth.evaluation.errors import count_errors, evaluation_set
from logdepth.models.transformer import Transformer, architecture, labels
from logdepth.tasks.hop import HopTask
from logdepth.theory.compiled import (
    Compiled,
    blocks,
    compile_fast,
    compile_paper,
    followed,
    messages,
)
from logdepth.theory.programs import ladder
from logdepth.theory.strings import hard_strings

PAPER = Task()
SMALL = Task(context=48, alphabet=4, max_hops=8)
forms = pytest.mark.parametrize("build", [compile_fast, compile_paper])


def load(built: Compiled) -> Transformer:
    model = Transformer(built.spec).eval()
    model.load_state_dict(built.weights)
    return model


@torch.no_grad()
def wrong_answers(task: Task, model: Transformer, strings: torch.Tensor) -> int:
    """Count wrong answers over all k, at every symbol, "no such position" included."""
    hop = HopTask(task.context, task.alphabet, task.max_hops)
    wrong = 0
    for k in range(task.max_hops + 1):
        batch = hop.encode(strings, torch.full((len(strings),), k))
        right = labels(model.spec, batch.targets, hop.first_symbol)
        wrong += int((model(batch.tokens).argmax(-1) != right)[:, 1:].sum())
    return wrong


@forms
@pytest.mark.parametrize("task", [PAPER, SMALL], ids=["paper", "small"])
def test_the_ordinary_evaluation_finds_no_error(task, build):
    model = load(build(task))
    data = evaluation_set(task, tuple(range(task.max_hops + 1)), 20, 0)
    table = count_errors(model, task, data, dropout=False)
    assert table["symbols"].sum() > 6000
    assert table["wrong"].sum() == 0


@forms
def test_the_settings_stand_for_the_architecture(build):
    built = build(PAPER)
    assert architecture(PAPER, built.model) == built.spec
    assert isinstance(built.model, FastModel if build is compile_fast else PaperModel)
    state = Transformer(built.spec).state_dict()
    assert {name: tensor.shape for name, tensor in built.weights.items()} == {
        name: tensor.shape for name, tensor in state.items()
    }
    assert {tensor.dtype for tensor in built.weights.values()} == {torch.float32}


@forms
@pytest.mark.parametrize(
    ("context", "alphabet", "max_hops"),
    [(2, 2, 1), (3, 2, 20), (7, 3, 2), (20, 3, 3), (65, 4, 5), (99, 4, 16), (130, 8, 12)],
)
def test_hard_strings_with_equal_neighbours_are_answered_exactly(
    build, context, alphabet, max_hops
):
    task = Task(context=context, alphabet=alphabet, max_hops=max_hops)
    strings = hard_strings(context - 1, alphabet, 3)
    assert wrong_answers(task, load(build(task)), strings) == 0


@pytest.mark.parametrize("alphabet", [2, 26, 256])
def test_256_symbols_and_32_hops_are_answered_exactly(alphabet):
    task = Task(context=257, alphabet=alphabet, max_hops=32)
    assert wrong_answers(task, load(compile_fast(task)), hard_strings(256, alphabet, 0)) == 0


@given(st.integers(2, 40), st.integers(2, 9), st.integers(1, 12), st.integers(0, 9))
def test_any_task_compiles_to_an_exact_model(context, alphabet, max_hops, seed):
    task = Task(context=context, alphabet=alphabet, max_hops=max_hops)
    assert (
        wrong_answers(task, load(compile_fast(task)), hard_strings(context - 1, alphabet, seed))
        == 0
    )


def test_the_depth_is_the_ladders_for_the_largest_k():
    for max_hops in range(1, 40):
        task = Task(max_hops=max_hops)
        assert blocks(task) == compile_fast(task).spec.depth == ladder(max_hops).depth


def test_one_block_less_is_not_enough():
    built = compile_fast(PAPER)
    model = load(built)
    model.blocks = model.blocks[:-1]
    assert wrong_answers(PAPER, model, hard_strings(98, 4, 0)) > 1000


@forms
@pytest.mark.parametrize("depth", [2, 3, 5, 8])
@torch.no_grad()
def test_a_model_of_any_depth_makes_as_many_hops_as_it_can(build, depth):
    model = load(build(PAPER, depth=depth))
    hop = HopTask(99, 4, 16)
    strings = hard_strings(98, 4, 1)
    for k in range(17):
        asked = hop.encode(strings, torch.full((len(strings),), k))
        made = hop.encode(strings, torch.full((len(strings),), min(k, 2 ** (depth - 2))))
        right = labels(model.spec, made.targets, hop.first_symbol)
        answers = model(asked.tokens).argmax(-1)
        assert torch.equal(answers[:, 1:], right[:, 1:])


@forms
@torch.no_grad()
def test_every_layer_norm_sees_pairs_of_1_and_minus_1_and_changes_nothing(build):
    model = load(build(PAPER))
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
    model = load(build(PAPER))
    hop = HopTask(99, 4, 16)
    strings = torch.cat([hard_strings(98, 4, 7)[1:2], hard_strings(98, 4, 8)])
    matrices = find_matrices(strings, 4, 16)
    for k in (0, 1, 2, 7, 13, 16):
        tokens = hop.encode(strings, torch.full((len(strings),), k)).tokens
        attention = attention_weights(model, tokens)
        for layer in range(2, 7):
            expected = matrices[followed(k, 6)[layer - 2]].clone()
            # A softmax has to go somewhere: where there is no j-th hop, to the hop token.
            expected[..., 0] = 1 - expected.sum(-1)
            assert (attention[layer - 1][:, 0] - expected).abs().max() < 1e-4


@pytest.mark.parametrize("task", [PAPER, SMALL], ids=["paper", "small"])
def test_the_alignment_of_each_ladder_block_is_the_greatest_possible(task):
    hop = HopTask(task.context, task.alphabet, task.max_hops)
    strings = hop.batch(0, 0, 5, hops=0).tokens[:, 1:] - hop.first_symbol
    table = alignment_table(load(compile_fast(task)), task, strings, dropout=False)
    table = table.set_index(["layer", "head", "hops", "jumps"])["cosine"]
    # Rows without a j-th hop count in the norm of any softmax matrix, if in nothing else.
    matrices = find_matrices(strings, task.alphabet, task.max_hops)
    ceilings = (matrices.sum((-1, -2)) / task.context).sqrt().mean(1)
    for layer in range(2, blocks(task) + 1):
        for k in range(task.max_hops + 1):
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
    model = load(build(PAPER))
    hop = HopTask(99, 4, 16)
    batch = hop.batch(3, 0, 64)
    target = labels(model.spec, batch.targets, hop.first_symbol)
    with torch.no_grad():
        logits = model(batch.tokens)
    assert F.cross_entropy(logits.flatten(0, 1), target.flatten()) < 0.15
    assert (logits.argmax(-1) == target)[target >= 0].all()


def test_the_papers_largest_narrow_model_holds_the_construction():
    built = compile_paper(PAPER, heads=4, stream=128)
    assert (built.spec.depth, built.spec.heads, built.spec.width) == (6, 4, 128)
    assert sum(tensor.numel() for tensor in built.weights.values()) == 1_206_528  # Table 3
    assert wrong_answers(PAPER, load(built), hard_strings(98, 4, 0)) == 0


@pytest.mark.parametrize("task", [PAPER, SMALL], ids=["paper", "small"])
def test_weights_rounded_to_bfloat16_change_no_answer(task):
    strings = hard_strings(task.context - 1, 4, 0)
    built = compile_fast(task)
    rounded = {name: tensor.bfloat16().float() for name, tensor in built.weights.items()}
    assert wrong_answers(task, load(Compiled(built.model, built.spec, rounded)), strings) == 0


@pytest.mark.parametrize("task", [PAPER, Task(context=200, alphabet=26, max_hops=9)])
def test_bfloat16_products_change_no_answer(task):
    model = load(compile_fast(task))
    with torch.autocast("cpu", torch.bfloat16):
        assert wrong_answers(task, model, hard_strings(task.context - 1, task.alphabet, 0)) == 0


def test_messages_spell_k_minus_1_by_its_changes():
    for max_hops in (1, 2, 5, 16, 33):
        said = messages(max_hops, (max_hops - 1).bit_length())
        assert said[:, -1].tolist() == [1] + [-1] * max_hops
        for k in range(1, max_hops + 1):
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
    with pytest.raises(UserError, match="do not fit; right would be"):
        compile_fast(PAPER, heads=heads, stream=stream)


def test_a_task_with_more_tokens_than_the_papers_vocabulary_is_refused():
    with pytest.raises(UserError, match="has 31 tokens; the paper's model has 30"):
        compile_paper(Task(max_hops=24))


@pytest.mark.parametrize(("heads", "stream"), [(2, 90), (4, 128), (5, 100)])
def test_idle_heads_and_columns_change_nothing(heads, stream):
    model = load(compile_fast(SMALL, heads=heads, stream=stream))
    assert wrong_answers(SMALL, model, hard_strings(47, 4, 0)) == 0
