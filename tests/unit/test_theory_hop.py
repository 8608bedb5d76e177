"""The hand-written transformers for hop_k, and the printed versions that fail."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from logdepth.theory.checks.construction import hop_by_definition
from logdepth.theory.construction import (
    HopTransformer,
    Temperatures,
    answer_together,
    safe_temperatures,
    true_answers,
    true_pointer,
)
from logdepth.theory.encodings import ENCODINGS, Bits, Circle, Quadratic
from logdepth.theory.heads import BFLOAT16, BFLOAT16_LOGITS, FLOAT32
from logdepth.theory.printed import (
    CLAIMS,
    Failure,
    doubled_pointer,
    failure_rate,
    printed_hops,
    printed_recursion,
    smallest_failure,
)
from logdepth.theory.programs import hops_of_search, ladder, search, square_and_multiply
from logdepth.theory.strings import hard_strings

encodings = pytest.mark.parametrize("encoding", ENCODINGS, ids=lambda encoding: encoding.name)


def printed(name: str):
    return next(claim.printed for claim in CLAIMS if claim.name == name)


def strings_without_equal_neighbours(count: int, length: int, alphabet: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    steps = torch.randint(1, alphabet, (count, length), generator=generator)
    return steps.cumsum(1) % alphabet


@given(st.lists(st.integers(0, 3), min_size=1, max_size=16), st.integers(0, 32))
def test_the_reference_follows_the_definition(string, hops):
    expected = hop_by_definition(string, hops, 4)
    assert true_answers(torch.tensor([string]), hops, 4).tolist() == [expected]


@encodings
def test_the_example_of_the_paper_comes_out(encoding):
    string = torch.tensor([[ord(letter) - ord("a") for letter in "baebcabebdea"]])
    last = [HopTransformer(12, 5, ladder(k), encoding)(string)[0, -1].item() for k in (1, 2)]
    assert last == [ord("b") - ord("a"), ord("c") - ord("a")]


@encodings
@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.integers(0, 12))
def test_a_built_transformer_follows_the_definition_on_any_string(encoding, string, hops):
    model = HopTransformer(len(string), 4, ladder(hops), encoding)
    assert model(torch.tensor([string])).tolist() == [hop_by_definition(string, hops, 4)]


@encodings
@pytest.mark.parametrize("length", [1, 2, 3, 8, 33, 256])
def test_every_k_up_to_32_is_exact_on_hard_strings(encoding, length):
    for alphabet in sorted({1, 2, 4, 26, length}):
        strings = hard_strings(length, alphabet, 1)
        models = [HopTransformer(length, alphabet, ladder(k), encoding) for k in range(33)]
        for k, answers in enumerate(answer_together(models, strings)):
            assert torch.equal(answers, true_answers(strings, k, alphabet)), (alphabet, k)


@encodings
@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.integers(0, 12))
def test_a_transformer_that_searches_follows_the_definition_on_any_string(encoding, string, hops):
    model = HopTransformer(len(string), 4, search(hops), encoding)
    assert model(torch.tensor([string])).tolist() == [hop_by_definition(string, hops, 4)]


@pytest.mark.parametrize("form", [FLOAT32, BFLOAT16], ids=lambda form: form.name)
@pytest.mark.parametrize("length", [1, 2, 33, 128])
def test_the_search_is_exact_on_hard_strings_with_a_layer_less(length, form):
    for alphabet in (1, 2, 4, 26):
        strings = hard_strings(length, alphabet, 1)
        models = [HopTransformer(length, alphabet, search(k), precision=form) for k in range(18)]
        for k, answers in enumerate(answer_together(models, strings)):
            assert torch.equal(answers, true_answers(strings, k, alphabet)), (alphabet, k)
            assert models[k].program.depth == (k.bit_length() + 1 if k else 0)


def test_heads_that_search_follow_find_j_as_planned():
    strings = hard_strings(30, 4, 1)
    for k in range(1, 18):
        stages = HopTransformer(30, 4, search(k)).trace(strings)[1:]
        for stage, j in zip(stages, hops_of_search(k), strict=True):
            assert torch.equal(
                stage.layer.attention.argmax(-1), true_pointer(strings, j, 4).position
            ), (k, j)
    assert hops_of_search(31) == [1, 2, 4, 8, 16]


@encodings
def test_answers_together_are_those_of_each_model_alone(encoding):
    strings = hard_strings(40, 4, 1)
    programs = [*(ladder(k) for k in range(12)), *(square_and_multiply(k) for k in range(1, 12))]
    programs += [search(k) for k in range(12)]
    programs += [printed_recursion(k) for k in range(1, 12)]
    models = [HopTransformer(40, 4, program, encoding) for program in programs]
    for model, answers in zip(models, answer_together(models, strings), strict=True):
        assert torch.equal(answers, model(strings)), model.program


@pytest.mark.parametrize("encoding", [Quadratic(), Bits()], ids=lambda encoding: encoding.name)
def test_float32_is_exact_with_as_many_symbols_as_positions(encoding):
    strings = hard_strings(256, 256, 1)
    for k in (1, 5, 32):
        model = HopTransformer(256, 256, ladder(k), encoding, precision=FLOAT32)
        assert torch.equal(model(strings), true_answers(strings, k, 256))


def test_hard_strings_hold_what_they_promise():
    strings = hard_strings(40, 4, 0)
    assert strings.min() >= 0
    assert strings.max() == 3
    assert (strings[1, 1:] != strings[1, :-1]).all()
    answers = true_answers(strings, 1, 4)
    assert answers[4, -1] == strings[4, 1]  # the only match is as far away as can be
    assert answers[5, -1] == 4
    assert (strings[6, 1:] == strings[6, :-1]).sum() == 20


def test_hard_strings_keep_to_their_alphabet_when_it_is_small():
    assert hard_strings(9, 1, 0).unique().tolist() == [0]
    assert hard_strings(9, 2, 0).unique().tolist() == [0, 1]


def test_the_ladder_has_two_layers_and_one_for_each_doubling():
    depths = [ladder(k).depth for k in range(34)]
    assert depths[:10] == [0, 2, 3, 4, 4, 5, 5, 5, 5, 6]
    assert depths[16:18] == [6, 7]
    assert depths[32:] == [7, 8]
    assert [len(HopTransformer(9, 2, ladder(k)).heads) for k in range(34)] == depths


@given(st.integers(1, 40))
def test_square_and_multiply_is_right_one_layer_after_the_printed_depth(hops):
    strings = hard_strings(20, 3, hops)
    model = HopTransformer(20, 3, square_and_multiply(hops), Quadratic())
    assert torch.equal(model(strings), true_answers(strings, hops, 3))
    assert model.program.depth == printed_recursion(hops).depth + 1


@pytest.mark.parametrize(("encoding", "widths"), [(Circle(), (11, 11)), (Quadratic(), (12, 12))])
def test_the_width_is_constant_but_for_bits(encoding, widths):
    models = [HopTransformer(n, 4, ladder(5), encoding) for n in (16, 256)]
    assert tuple(model.width for model in models) == widths


def test_the_width_of_bits_grows_with_the_logarithm():
    widths = [HopTransformer(n, 4, ladder(5), Bits()).width for n in (31, 63, 255)]
    assert widths == [3 * 5 + 6, 3 * 6 + 6, 3 * 8 + 6]


@encodings
def test_a_trace_shows_linear_heads_and_one_token_found_by_each(encoding):
    strings = hard_strings(30, 4, 2)
    model = HopTransformer(30, 4, ladder(6), encoding)
    stages = model.trace(strings)
    assert len(stages) == len(model.heads) == 5
    for head, stage in zip(model.heads, stages, strict=True):
        layer = stage.layer
        assert torch.equal(layer.queries, layer.state @ head.query.T)
        assert torch.equal(layer.keys, layer.state @ head.key.T)
        assert torch.equal(layer.values, layer.state @ head.value.T)
        assert torch.allclose(layer.output, layer.attention @ layer.values)
        assert layer.attention.triu(1).abs().max() == 0
        assert layer.attention.max(-1).values.min() > 0.99
    # Layer 1 looks at the position before.
    before = stages[0].layer.attention.argmax(-1)
    assert torch.equal(before, (torch.arange(31) - 1).clamp(min=0).expand(7, -1))
    assert torch.equal(stages[-1].upper.symbol[:, 1:], true_answers(strings, 6, 4))
    assert torch.equal(stages[-1].lower.symbol[:, 1:], true_answers(strings, 5, 4))


def test_a_string_may_be_shorter_than_the_model_is_made_for():
    strings = hard_strings(21, 4, 0)
    model = HopTransformer(64, 4, ladder(5), Circle())
    assert torch.equal(model(strings), true_answers(strings, 5, 4))


@encodings
def test_a_temperature_far_too_low_fails(encoding):
    strings = hard_strings(32, 4, 0)
    safe = safe_temperatures(encoding, 32, 4)
    for scales in (
        Temperatures(safe.lookup / 50, safe.last),
        Temperatures(safe.lookup, safe.last / 100),
    ):
        model = HopTransformer(32, 4, ladder(7), encoding, temperatures=scales)
        assert not torch.equal(model(strings), true_answers(strings, 7, 4))


def test_bits_are_exact_in_bfloat16_with_float32_logits_where_the_others_fail():
    strings = hard_strings(600, 26, 0)
    right = true_answers(strings, 5, 26)
    wrong = {
        encoding.name: int(
            (
                HopTransformer(600, 26, ladder(5), encoding, precision=BFLOAT16)(strings) != right
            ).sum()
        )
        for encoding in ENCODINGS
    }
    assert wrong["bits"] == 0
    assert wrong["circle"] > 0.3 * right.numel()
    assert wrong["quadratic"] > 0.3 * right.numel()


@pytest.mark.parametrize(("length", "is_exact"), [(256, True), (512, False)])
def test_logits_in_bfloat16_are_enough_for_bits_up_to_256_only(length, is_exact):
    strings = hard_strings(length, 4, 0)
    model = HopTransformer(length, 4, ladder(5), Bits(), precision=BFLOAT16_LOGITS)
    assert torch.equal(model(strings), true_answers(strings, 5, 4)) == is_exact


@pytest.mark.parametrize(
    ("name", "failure"),
    [
        ("recursion over bits", Failure(3, 2, 2, (0, 1, 0), 3, 1, 2)),
        ("symbols N apart", Failure(2, 2, 1, (0, 1), 2, 0, 2)),
        ("look-up with period N", Failure(1, 1, 1, (0,), 1, 0, 1)),
        ("earlier positions only", Failure(2, 1, 1, (0, 0), 2, 1, 0)),
    ],
)
def test_the_smallest_failure_of_each_printed_claim_is_known(name, failure):
    assert smallest_failure(printed(name)) == failure
    right = hop_by_definition(list(failure.string), failure.hops, failure.alphabet)
    assert right[failure.position - 1] == failure.right != failure.answer


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
def test_the_repair_of_each_printed_claim_has_no_small_failure(claim):
    assert smallest_failure(claim.repaired, lengths=range(1, 7)) is None


@pytest.mark.parametrize("hops", range(1, 33))
def test_the_printed_recursion_makes_half_the_hops(hops):
    strings = strings_without_equal_neighbours(2, 150, 4)
    model = HopTransformer(150, 4, printed_recursion(hops), Quadratic())
    assert model.program.depth == hops.bit_length() - 1 + 2
    assert torch.equal(model(strings), true_answers(strings, printed_hops(hops), 4))
    assert torch.equal(model(strings), true_answers(strings, hops, 4)) == (hops == 1)


@pytest.mark.parametrize("hops", [*range(1, 17), 32])
def test_the_doubled_pointer_is_right_for_powers_of_two_alone(hops):
    strings = strings_without_equal_neighbours(2, 150, 4)
    model = HopTransformer(150, 4, doubled_pointer(hops), Quadratic())
    assert model.program.depth == hops.bit_length() + 1
    is_right = torch.equal(model(strings), true_answers(strings, hops, 4))
    assert is_right == (hops & (hops - 1) == 0)


def test_printed_spacing_fails_at_any_temperature():
    generator = torch.Generator().manual_seed(1)
    strings = torch.randint(26, (40, 64), generator=generator)
    encoding = Circle(spacing=1)
    safe = safe_temperatures(encoding, 64, 26)

    def colder(n: int, s: int, k: int) -> HopTransformer:
        scales = Temperatures(safe.lookup, 1000 * safe.last)
        return HopTransformer(n, s, ladder(k), encoding, temperatures=scales)

    assert failure_rate(printed("symbols N apart"), strings, 26, 1) > 0.15
    assert failure_rate(colder, strings, 26, 1) > 0.15
    repaired = next(claim.repaired for claim in CLAIMS if claim.name == "symbols N apart")
    assert failure_rate(repaired, strings, 26, 1) == 0


def test_printed_period_confuses_the_last_position_with_the_start():
    make = printed("look-up with period N")
    found = smallest_failure(make, lengths=range(2, 6))
    assert found == Failure(2, 1, 2, (0, 0), 2, 1, 0)
    strings = strings_without_equal_neighbours(20, 32, 4)
    assert failure_rate(make, strings, 4, 7) == 0  # then no pointer reaches N after layer 2


def test_earlier_positions_are_enough_without_equal_neighbours():
    make = printed("earlier positions only")
    assert failure_rate(make, strings_without_equal_neighbours(20, 32, 4), 4, 7) == 0
    assert failure_rate(make, hard_strings(32, 4, 0), 4, 7) > 0.1


@given(st.integers(1, 300), st.integers(1, 40), st.data())
def test_codes_give_their_numbers_back(length, alphabet, data):
    positions = torch.tensor(data.draw(st.lists(st.integers(0, length), min_size=1, max_size=9)))
    symbols = torch.tensor(data.draw(st.lists(st.integers(0, alphabet), min_size=1, max_size=9)))
    for encoding in ENCODINGS:
        code = encoding.position_code(positions, length)
        assert torch.equal(encoding.positions_of(code, length), positions)
        code = encoding.symbol_code(symbols, alphabet)
        assert torch.equal(encoding.symbols_of(code, alphabet), symbols)


@encodings
def test_scores_keep_their_margins_for_every_pair_of_tokens(encoding):
    n, s = 6, 3
    places = torch.arange(n + 1)
    to_query, to_key, margin = encoding.lookup(n)
    code = encoding.position_code(places, n)
    scores = (code @ to_query.T) @ (code @ to_key.T).T
    gaps = scores.diagonal()[:, None] - scores + torch.where(torch.eye(n + 1) > 0, torch.inf, 0)
    assert gaps.min() >= margin - 1e-9

    pairs = torch.tensor([(0, s), *itertools.product(range(1, n + 1), range(s + 1))])
    offered = encoding.offered(pairs[:, 1], pairs[:, 0], n, s)
    for symbol, place in itertools.product(range(s), range(1, n + 1)):
        asked = encoding.asked(torch.tensor([symbol]), torch.tensor([place]), n, s)
        score = (offered @ asked.T)[:, 0]
        seen = pairs[:, 0] <= place
        matches = score[seen & (pairs[:, 0] > 0) & (pairs[:, 1] == symbol)]
        mismatches = score[seen & (pairs[:, 0] > 0) & (pairs[:, 1] != symbol)]
        start = score[0]
        least = encoding.last_margin(n, s) * (1 - 1e-9)
        assert (matches.diff() >= least).all()  # in the order of their positions
        assert matches.min() - start >= least
        assert start - mismatches.max() >= least
