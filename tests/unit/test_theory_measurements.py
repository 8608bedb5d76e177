"""The tables of what the constructions need: columns, and what the theory says of them."""

import math
from importlib import import_module
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components, shortest_path

from logdepth.config.theory import Theory
from logdepth.tables import read_table, write_table
from logdepth.theory.catalog import MEASUREMENTS, TABLES
from logdepth.theory.construction import (
    HopTransformer,
    Temperatures,
    safe_temperatures,
    true_answers,
    true_pointer,
)
from logdepth.theory.encodings import ENCODINGS, Quadratic
from logdepth.theory.heads import BFLOAT16
from logdepth.theory.measurements.component_rounds import graphs, needed_iterations
from logdepth.theory.measurements.formats import wrong_answers
from logdepth.theory.mpc.codes import KautzSingleton, RandomTable, loss_bound, paper_columns
from logdepth.theory.mpc.protocols.sums import PrefixSums
from logdepth.theory.mpc.traffic import fans_for, full_load, lost_messages, private_columns
from logdepth.theory.programs import hops_by_layer, ladder
from logdepth.theory.strings import hard_strings

SMALL = Theory(
    instances=4,
    alphabets=(1, 4, 26),
    max_hops=5,
    machines=(8, 27, 64),
    measured_lengths=(8, 32),
    fans=(1, 2, 4),
    tokens=(8, 16, 32, 2048, 4096),
    diameters=(2, 8, 32),
)
# In which instances are drawn.
FEW = SMALL.model_copy(
    update={"alphabets": (4,), "measured_lengths": (8,), "tokens": (8,), "diameters": (2, 8)}
)
# The least that a study may ask for.
LEAST = Theory(
    instances=2,
    alphabets=(1,),
    max_hops=1,
    machines=(4,),
    measured_lengths=(1,),
    fans=(9,),
    tokens=(4,),
    diameters=(2,),
)
names = pytest.mark.parametrize("name", MEASUREMENTS)


def made(name, sizes=SMALL):
    return import_module(TABLES[name]).table(sizes)


@pytest.fixture(scope="module")
def tables():
    return {name: made(name) for name in MEASUREMENTS}


@names
def test_a_table_is_what_its_columns_say_and_is_read_as_it_was_written(name, tables, tmp_path):
    table = tables[name]
    write_table(name, table, tmp_path / "table.csv")
    again = read_table(name, tmp_path / "table.csv")
    assert list(again) == list(table)
    assert len(again) == len(table) > 0
    for column in table:
        if table[column].dtype.kind == "f":
            assert np.allclose(again[column], table[column], rtol=1e-5, equal_nan=True)
        else:
            assert (again[column] == table[column]).all()


@names
def test_the_least_that_a_study_may_ask_for_makes_a_table(name, tmp_path):
    write_table(name, made(name, LEAST), tmp_path / "table.csv")


@names
def test_a_table_is_a_function_of_its_settings(name):
    # Another order of the same sizes draws other instances, so that only the same one is equal.
    assert made(name, FEW).equals(made(name, FEW))


@pytest.mark.parametrize("name", ["temperatures", "table_losses", "protocol_rounds"])
def test_another_seed_measures_other_instances(name):
    tables = [made(name, FEW.model_copy(update={"seed": seed})) for seed in (0, 1)]
    assert len(tables[0]) == len(tables[1])
    assert not tables[0].equals(tables[1])


# Temperature and precision.


def test_the_temperature_times_the_margin_stays_within_the_safe_bound(tables):
    table = tables["temperatures"]
    assert len(table) == 3 * 2 * 2 * 2
    assert (table["scaled"] <= table["bound"]).all()
    assert (table["temperature"] <= table["safe_temperature"]).all()
    assert np.allclose(table["scaled"], table["temperature"] * table["margin"])
    wanted = [
        math.log(8 * (n + 1) * (max(n, s) + 1)) for n, s in table[["length", "alphabet"]].values
    ]
    assert np.allclose(table["bound"], wanted)


def test_observed_margins_keep_the_promise_and_reach_it(tables):
    ratio = tables["temperatures"]["observed_margin"] / tables["temperatures"]["margin"]
    assert (ratio >= 1 - 1e-6).all()
    assert (ratio <= 1 + 1e-6).all()


def test_the_temperature_grows_with_the_square_of_the_length_on_the_circle_alone(tables):
    table = tables["temperatures"].query("alphabet == 4")
    found = table.pivot_table(index=["head", "encoding"], columns="length", values="temperature")
    growth = (found[32] / found[8]).unstack()
    assert (growth["circle"] > 12).all()
    assert (growth[["quadratic", "bits"]] < 2).all(axis=None)


def test_temperatures_are_what_a_single_wrong_token_needs(tables):
    table = tables["temperatures"].query("alphabet == 4").set_index(["encoding", "head", "length"])
    scaled = table["scaled"]
    # The older matches of a constant string are exp(-t), exp(-2t), ...: one half together.
    assert scaled["bits", "last occurrence", 32] == pytest.approx(math.log(2), rel=0.05)
    # One token of weight exp(-t) moves an average by half a position.
    assert scaled["quadratic", "last occurrence", 32] == pytest.approx(math.log(64), rel=0.05)


@pytest.mark.parametrize("encoding", ENCODINGS, ids=lambda encoding: encoding.name)
def test_the_smallest_temperature_is_enough_and_a_little_less_is_not(encoding, tables):
    rows = tables["temperatures"].query("alphabet == 4 and length == 32")
    least = rows[rows["encoding"] == encoding.name].set_index("head")["temperature"]
    strings = hard_strings(32, 4, 0)
    safe = safe_temperatures(encoding, 32, 4)

    def wrong(scales):
        model = HopTransformer(32, 4, ladder(5), encoding, temperatures=scales)
        wrong = 0
        for k, stage in zip(hops_by_layer(5), model.trace(strings)[1:], strict=True):
            for hops, found in ((k - 1, stage.lower), (k, stage.upper)):
                right = true_pointer(strings, hops, 4)
                wrong += int((found.position != right.position).sum())
                wrong += int((found.symbol != right.symbol).sum())
        return wrong

    for share, is_exact in ((1.0, True), (0.95, False)):
        lookup = Temperatures(share * least["look-up"], safe.last)
        last = Temperatures(safe.lookup, share * least["last occurrence"])
        assert (wrong(lookup) == 0) == is_exact
        assert (wrong(last) == 0) == is_exact


@given(st.integers(1, 300))
def test_the_ladder_passes_through_about_k_over_2_k_over_4_and_so_on(hops):
    reached = hops_by_layer(hops)
    assert reached[0] == 1
    assert reached[-1] == hops
    assert len(reached) == ladder(hops).depth - 1
    assert all(b in (2 * a - 1, 2 * a) for a, b in pairwise(reached))


@pytest.mark.parametrize("hops", [1, 5, 8, 11])
def test_every_layer_of_a_ladder_answers_for_the_hops_it_has_reached(hops):
    strings = hard_strings(24, 4, 3)
    stages = HopTransformer(24, 4, ladder(hops)).trace(strings)[1:]
    for k, stage in zip(hops_by_layer(hops), stages, strict=True):
        assert torch.equal(stage.upper.symbol[:, 1:], true_answers(strings, k, 4))
        assert torch.equal(stage.upper.position, true_pointer(strings, k, 4).position)


def test_a_true_pointer_counts_as_the_paper_does():
    pointer = true_pointer(torch.tensor([[0, 1, 0, 0]]), 1, 2)
    assert pointer.position.tolist() == [[0, 0, 0, 2, 4]]
    assert pointer.symbol.tolist() == [[2, 2, 2, 1, 0]]


def test_formats_are_exact_where_the_theory_says_and_fail_elsewhere(tables):
    table = tables["formats"]
    assert (table["answers"] == 4 * 7 * table["length"]).all()  # k = 1, 2, 3 and 5
    wrong = table.set_index(["encoding", "precision", "length", "alphabet"])["wrong"]
    assert wrong.xs("float64", level="precision").sum() == 0
    assert wrong.xs("float32", level="precision").sum() == 0
    assert wrong["bits"].sum() == 0
    assert wrong["circle", "bfloat16", 32, 4] > 0
    assert wrong["quadratic", "bfloat16", 32, 4] > 0


def test_wrong_answers_are_those_of_a_transformer_for_each_k():
    strings = hard_strings(32, 4, 0)
    model = {
        k: HopTransformer(32, 4, ladder(k), Quadratic(), precision=BFLOAT16) for k in (1, 2, 4)
    }
    expected = sum(int((model[k](strings) != true_answers(strings, k, 4)).sum()) for k in (1, 2, 4))
    (found,) = wrong_answers((32,), (4,), (Quadratic(),), (BFLOAT16,), hops=4)["wrong"]
    assert found == expected > 0


def test_the_size_of_a_compiled_model_follows_the_formula(tables):
    table = tables["construction_sizes"]
    # One symbol is no task: two is the least.
    assert sorted(set(table["alphabet"])) == [2, 4, 26]
    assert sorted(set(table["max_hops"])) == [1, 2, 4, 5]
    for row in table.itertuples():
        hops = math.ceil(math.log2(row.max_hops)) + 1
        place = max(math.ceil(math.log2(row.context)), hops)
        bits = 3 * place + 2 * math.ceil(math.log2(row.alphabet + 1)) + hops
        assert 2 * bits <= row.width < 2 * bits + 4
        parameters = row.depth * (6 * row.width**2 + 10 * row.width)
        tokens = row.max_hops + 1 + row.alphabet + 2
        others = row.context + 2 + row.alphabet + 1
        assert row.parameters == parameters + (tokens + others) * row.width
        assert row.depth == hops + 1
        # The printed depth is one less between powers of two.
        assert row.depth - row.stated_depth == (row.max_hops == 5)


# Routing.


def test_widths_of_the_codes_grow_as_the_theory_says(tables):
    table = tables["routing_width"]
    columns = table.pivot_table(index=["tokens", "fan"], columns="code", values="columns")
    for tokens in SMALL.machines:
        some = columns.loc[tokens]
        assert some["paper"][4] == paper_columns(tokens, 16)
        assert some["paper"][4] / some["paper"][2] == pytest.approx(16, rel=0.01)
        assert some["table"][4] / some["table"][2] == 4
        assert some["explicit"][4] == KautzSingleton(tokens, 16).columns
        assert (some["explicit"] < some["paper"]).all()
    widths = table.pivot_table(index=["tokens", "fan"], columns="code", values="numbers_width")
    assert (widths["explicit"] < widths["paper"]).all()
    assert np.allclose((widths - 4 * columns).std(axis=1), 0)  # the query has one width


def lost_by_definition(code, source, destination):
    """Messages without a column of their own among all that their receiver averages."""
    columns = code.where(source, destination)
    lost = []
    for message, receiver in enumerate(destination):
        heard = [a for a in range(len(source)) if source[a] in source[destination == receiver]]
        others = {int(c) for a in heard if a != message for c in columns[a]}
        lost.append(set(columns[message].tolist()) <= others)
    return lost


@settings(max_examples=40)
@given(st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1), st.integers(0, 99))
def test_a_message_is_lost_without_a_private_column(links, seed):
    source, destination = np.array(sorted(links), dtype=np.int64).T
    code = RandomTable(2, 2, seed=seed, buckets=3)
    found = lost_messages(code, source, destination)
    assert found.tolist() == lost_by_definition(code, source, destination)


def test_at_full_load_every_token_sends_and_receives_as_many_as_it_may():
    source, destination = full_load(20, 3, np.random.default_rng(0))
    assert (np.bincount(source) == 3).all()
    assert (np.bincount(destination) == 3).all()
    assert len(set(zip(source.tolist(), destination.tolist(), strict=True))) == 60
    assert fans_for(4, (1, 3, 9)) == [1, 3, 4]


def test_the_first_groups_of_a_table_are_a_smaller_table():
    traffic = full_load(50, 3, np.random.default_rng(1))
    private = private_columns(RandomTable(3, 6, seed=4), *traffic)
    for groups in (1, 3, 6):
        lost = lost_messages(RandomTable(3, groups, seed=4), *traffic)
        assert (~private[:, :groups].any(1) == lost).all()
        assert lost.any() or groups == 6


def test_losses_of_the_random_table_follow_the_bound():
    sizes = SMALL.model_copy(update={"machines": (8, 128), "fans": (2, 3), "instances": 20})
    losses = made("table_losses", sizes)
    assert (losses["messages"] == 20 * 128 * losses["fan"]).all()
    assert (losses["lost"] == (losses["loss"] * losses["messages"]).round()).all()
    few = losses[losses["groups"] <= 4]
    assert np.allclose(few["loss"], few["bound"], rtol=0.2)
    assert (losses["loss"] <= 3 * losses["bound"] + 1e-3).all()
    assert losses.groupby("fan")["loss"].is_monotonic_decreasing.all()
    assert loss_bound(2, 20) < 1e-9


# Rounds.


def test_executed_attention_has_the_rounds_of_the_formula_and_at_most_its_machines(tables):
    table = tables["attention_cost"]
    run = table[table["executed"] == 1]
    assert set(run["tokens"]) >= {8, 16, 32}
    assert (run["rounds_run"] == run["rounds"]).all()
    assert (run["machines_used"] <= run["machines"]).all()
    assert (run["machines_used"] == run["machines"]).any()
    assert (run["difference"] < 1e-12).all()
    planned = table[table["executed"] == 0]
    assert 4096 in set(planned["tokens"])
    assert planned[["rounds_run", "machines_used", "difference"]].isna().all(axis=None)


def test_rounds_of_attention_are_constant_where_words_are_a_power_of_the_tokens(tables):
    table = tables["attention_cost"].query("tile == 1")
    rounds = table.pivot_table(index="tokens", columns="exponent", values="rounds")
    assert set(rounds[0.5]) == {7}
    assert rounds[0.25].max() == 11
    assert rounds[0.0].tolist() == [2 * math.log2(tokens) + 3 for tokens in SMALL.tokens]
    branching = table.pivot_table(index="tokens", columns="exponent", values="branching")
    assert branching.loc[4096].tolist() == [2, 8, 64]
    assert branching.loc[2048].tolist() == [2, 7, 46]
    assert (table["words"] == 4 * 4 * table["branching"]).all()
    blocks = table["tokens"] / table["tile"]
    assert (table["machines"] <= 5 * blocks**2 + blocks).all()
    assert (table["machines"] >= blocks**2).all()


def test_executed_protocols_have_the_rounds_of_the_formula_and_right_answers(tables):
    table = tables["protocol_rounds"]
    assert (table["rounds"] == table["formula"]).all()
    assert (table["wrong"] == 0).all()
    assert (table["most_words"] <= table["words"]).all()
    assert set(table.groupby("protocol").size()) == {3, 9}  # hop_k for k = 1, 2 and 4
    cycles = table[table["protocol"] == "cycle components"]
    assert cycles["rounds"].tolist() == [3, 5, 6]
    hops = table[(table["protocol"] == "hop_k") & (table["size"] == 64)]
    assert hops["rounds"].tolist() == [12, 14, 16]


def test_a_wrong_answer_of_a_protocol_is_counted(monkeypatch):
    monkeypatch.setattr(PrefixSums, "answer", lambda self, machine, memory: (7,))
    table = made("protocol_rounds", SMALL.model_copy(update={"machines": (8,)}))
    assert set(table[table["wrong"] > 0]["protocol"]) == {
        "prefix sums, fan-in 4",
        "prefix sums, fan-in n^(1/2)",
    }


def test_iterations_grow_with_the_logarithm_of_the_diameter(tables):
    table = tables["component_rounds"]
    assert (table["iterations"] <= table["bound"]).all()
    assert (table["iterations"] <= table["log2_diameter"] + 1).all()
    assert (table["exchanges"] == 5 * table["iterations"]).all()
    assert (table["vertices"] <= 64).all()
    assert set(table[table["family"] == "stars"]["diameter"]) == {2}
    assert table.groupby("diameter")["iterations"].mean().is_monotonic_increasing


def test_every_component_of_a_graph_has_the_diameter_it_is_said_to_have():
    families = set()
    for family, diameter, vertices, edges, components in graphs((2, 5, 8)):
        families.add(family)
        u, v = np.array(edges).T
        matrix = coo_matrix((np.ones(len(u)), (u, v)), (vertices, vertices))
        count, labels = connected_components(matrix, directed=False)
        assert count == components
        distances = shortest_path(matrix.tocsr(), directed=False, unweighted=True)
        for component in range(count):
            mine = labels == component
            assert distances[np.ix_(mine, mine)].max() == diameter
    assert families == {"paths", "cycles", "ladders", "stars"}


def test_a_component_of_one_edge_is_found_at_once():
    assert needed_iterations(2, [(0, 1)], 2) == 1
    assert needed_iterations(2, [], 2) == 0
