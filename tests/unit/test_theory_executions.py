"""What the figures of single executions show is what happened, recomputed in another way."""

from functools import cache
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
import torch

from logdepth.config.theory import Theory
from logdepth.tables import read_table, write_table
from logdepth.theory.catalog import EXECUTIONS, TABLES
from logdepth.theory.executions import mpc_as_attention
from logdepth.theory.mpc.codes import KautzSingleton
from logdepth.theory.mpc.machine import run
from logdepth.theory.mpc.protocols.cycles import CycleMin, random_cycles

seeds = pytest.mark.parametrize("seed", range(4))


@cache
def table(name, seed):
    return import_module(TABLES[name]).table(Theory(seed=seed))


def kind(name, seed, wanted):
    found = table(name, seed)
    return found[found["kind"] == wanted].dropna(axis=1, how="all")


def tuples(rows, *columns):
    return [tuple(int(x) for x in row) for row in rows[list(columns)].to_numpy()]


@pytest.mark.parametrize("name", EXECUTIONS)
def test_an_execution_depends_on_the_seed_alone_and_is_a_table_of_its_name(name, tmp_path):
    again = import_module(TABLES[name]).table(Theory(seed=0))
    pd.testing.assert_frame_equal(table(name, 0), again)
    assert not table(name, 0).equals(table(name, 1))
    write_table(name, again, tmp_path / "table.csv")
    read = read_table(name, tmp_path / "table.csv")
    pd.testing.assert_frame_equal(read, again, check_dtype=False, rtol=1e-5)


# Figure 1.


def cycles(seed):
    """Return the cycles as lists of vertices in order."""
    machines = kind("mpc_execution", seed, "machine").sort_values("place")
    return [part["machine"].astype(int).tolist() for _, part in machines.groupby("cycle")]


@seeds
def test_the_places_of_the_machines_follow_the_edges(seed):
    neighbours, labels = random_cycles((11, 5), np.random.default_rng(seed))
    places = kind("mpc_execution", seed, "machine").groupby("cycle")["place"]
    assert all(sorted(part) == list(range(len(part))) for _, part in places)
    found = cycles(seed)
    assert sorted(v for cycle in found for v in cycle) == list(range(16))
    for cycle in found:
        assert {labels[vertex] for vertex in cycle} == {cycle[0]}
        for i, vertex in enumerate(cycle):
            around = {cycle[i - 1], cycle[(i + 1) % len(cycle)]}
            assert set(neighbours[vertex]) == around


@seeds
def test_arcs_double_and_messages_go_to_their_ends(seed):
    memory = kind("mpc_execution", seed, "memory").set_index(["round", "machine"])["least"]
    messages = kind("mpc_execution", seed, "message")
    expected = set()
    for cycle in cycles(seed):
        size = len(cycle)
        for i, vertex in enumerate(cycle):
            for turn in (1, 2, 3, 4):
                reach = 2 ** (turn - 1)
                ahead = [cycle[(i + step) % size] for step in range(1, reach + 1)]
                behind = [cycle[(i - step) % size] for step in range(1, reach + 1)]
                assert memory[turn, vertex] == min([vertex, *ahead, *behind])
                if turn < 4:
                    expected |= {(turn, vertex, ahead[-1], behind[-1], min(behind))}
                    expected |= {(turn, vertex, behind[-1], ahead[-1], min(ahead))}
    found = tuples(messages, "round", "machine", "peer", "vertex", "least")
    assert len(found) == 3 * 2 * 16
    assert set(found) == expected
    answers = kind("mpc_execution", seed, "answer").set_index("machine")["least"]
    assert all(answers[v] == cycle[0] for cycle in cycles(seed) for v in cycle)


@seeds
def test_words_are_those_of_the_simulator_and_within_the_limit(seed):
    neighbours, _ = random_cycles((11, 5), np.random.default_rng(seed))
    protocol = CycleMin(16)
    execution = run(protocol, protocol.encode(neighbours))
    memory = kind("mpc_execution", seed, "memory")
    messages = kind("mpc_execution", seed, "message")
    (limit,) = kind("mpc_execution", seed, "limits")["words"]
    for turn, used in enumerate(execution.rounds, 1):
        kept = memory[memory["round"] == turn].sort_values("machine")["words"]
        assert kept.tolist() == used.memory.tolist()
        sent = messages[messages["round"] == turn]
        for end, words in (("machine", used.sent), ("peer", used.received)):
            counted = sent.groupby(end)["words"].sum().reindex(range(16), fill_value=0)
            assert counted.tolist() == words.tolist()
            assert counted.max() <= limit


# Figures 3 and 4: a head that routes messages.


def routed(name, seed):
    """Return messages {(source, destination): word} and the number of tokens."""
    messages = kind(name, seed, "message")
    words = messages["word"].astype(int)
    links = tuples(messages, "source", "destination")
    return dict(zip(links, words, strict=True)), 4 if name == "routing_example" else 9


def columns_by_hand(tokens, prime, digits, source, destination):
    """Return the columns (x, polynomial(x)) of a message."""
    row = source * tokens + destination
    parts = [row // prime**power % prime for power in range(digits)]
    return {
        x * prime + sum(part * x**power for power, part in enumerate(parts)) % prime
        for x in range(prime)
    }


def written_by_hand(name, seed):
    """Return the destinations of the messages in {(source, column): [destination]}."""
    messages, tokens = routed(name, seed)
    code = (5, 2) if name == "routing_example" else (7, 3)
    assert KautzSingleton(tokens, 4).columns == code[0] ** 2
    cells = {}
    for source, destination in messages:
        for column in columns_by_hand(tokens, *code, source, destination):
            cells.setdefault((source, column), []).append(destination)
    return cells


heads = pytest.mark.parametrize("name", ["routing_example", "mpc_as_attention"])


@heads
@seeds
def test_attention_averages_exactly_the_senders_or_the_start_token(name, seed):
    messages, _ = routed(name, seed)
    scores = kind(name, seed, "score")
    for token, part in scores.groupby("token"):
        senders = {source for source, destination in messages if destination == token}
        part = part.set_index("source")
        assert part["score"][-1] == 0.75
        others = part.drop(index=[-1, *senders])
        assert others["score"].max() < 0.65
        assert np.allclose(part["score"][list(senders)], 1)
        expected = pd.Series(0.0, part.index)
        expected[list(senders) or [-1]] = 1 / max(1, len(senders))
        assert np.allclose(part["weight"], expected, atol=1e-3)
        assert part["weight"].sum() == pytest.approx(1, abs=1e-5)


@heads
@seeds
def test_packets_are_written_where_no_two_of_a_token_meet(name, seed):
    packets = kind(name, seed, "packet")
    senders = packets["source"].unique()
    cells = {k: v for k, v in written_by_hand(name, seed).items() if k[0] in senders}
    met = packets[packets["state"] == "met"]
    alone = packets[packets["state"] == "packet"]
    assert set(tuples(met, "source", "column")) == {k for k, v in cells.items() if len(v) > 1}
    assert set(tuples(alone, "source", "column", "destination")) == {
        (*k, v[0]) for k, v in cells.items() if len(v) == 1
    }
    assert len(packets) == len(cells)


@heads
@seeds
def test_corrupted_columns_are_those_where_packets_of_two_senders_meet(name, seed):
    messages, _ = routed(name, seed)
    cells = written_by_hand(name, seed)
    columns = kind(name, seed, "column")
    for row in columns.itertuples():
        senders = {source for source, destination in messages if destination == row.token}
        heard = [(s, cells.get((s, row.column), [])) for s in senders]
        packets = [(source, to[0]) for source, to in heard if len(to) == 1]
        assert row.heard == pytest.approx(len(packets), abs=0.01)
        assert row.state == {0: "blank", 1: "clean"}.get(len(packets), "corrupted")
        if row.state == "clean":
            assert (row.source, row.destination) == packets[0]
            assert row.word == messages[packets[0]]
            assert row.kept == (row.destination == row.token)
        else:
            assert np.isnan([row.source, row.destination, row.word, row.kept]).all()


@heads
@seeds
def test_what_is_kept_and_decoded_is_exactly_what_was_sent(name, seed):
    messages, _ = routed(name, seed)
    columns, inbox = kind(name, seed, "column"), kind(name, seed, "inbox")
    tokens = set(columns["token"])
    sent = sorted((b, a, word) for (a, b), word in messages.items() if b in tokens)
    assert tuples(inbox, "token", "source", "word") == sent
    kept = columns[columns["kept"] == 1]
    assert sorted(set(tuples(kept, "token", "source", "word"))) == sent


@seeds
def test_the_example_shows_every_kind_of_column_to_one_receiver_of_two(seed):
    columns = kind("routing_example", seed, "column")
    assert set(columns["state"]) == {"blank", "clean", "corrupted"}
    assert set(columns["kept"].dropna()) == {0, 1}
    assert set(kind("routing_example", seed, "packet")["state"]) == {"packet", "met"}
    messages, tokens = routed("routing_example", seed)
    for ends in zip(*messages, strict=True):
        assert np.bincount(ends).tolist() == [2] * tokens
    assert all(source != destination for source, destination in messages)


@seeds
def test_the_routed_messages_are_those_of_the_round_of_the_simulator(seed):
    neighbours, _ = random_cycles(mpc_as_attention.LENGTHS, np.random.default_rng(seed))
    protocol = CycleMin(9)
    execution = run(protocol, protocol.encode(neighbours), keep_inboxes=True)
    about = kind("mpc_as_attention", seed, "layer").iloc[0]
    assert about["layer"] == about["round"] + 1
    assert about["layers"] == protocol.rounds + 1
    delivered = {
        (source, to): int(words[0])
        for to, inbox in enumerate(execution.inboxes[int(about["round"]) - 1])
        for source, words in inbox
    }
    # The cycle of four has stopped.
    assert len(delivered) == 2 * 5
    assert routed("mpc_as_attention", seed)[0] == delivered


# Figure 5.


def projections(seed):
    """Return queries, keys and values as the execution draws them."""
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.randn(4, 6, generator=generator, dtype=torch.float64).numpy()
    return np.split(numbers, 3, axis=1)


def softmax_by_hand(seed):
    query, key, _ = projections(seed)
    weights = np.tril(np.exp(query @ key.T))
    return weights / weights.sum(1, keepdims=True)


@seeds
def test_machines_by_role_follow_the_formula(seed):
    limits = kind("attention_as_mpc", seed, "limits").iloc[0]
    m, b = int(limits["tokens"]), int(limits["branching"])
    assert limits["depth"] == np.ceil(np.log(m) / np.log(b)) == 2
    assert b == limits["words"] // (4 * 2)
    machines = kind("attention_as_mpc", seed, "machine")
    expected = {"tokens": m, "pair": m**2, "query tree": m * b, "key tree": m * b}
    assert machines["role"].value_counts().to_dict() == expected
    assert machines["machine"].tolist() == list(range(m + m**2 + 2 * m * b))


@seeds
def test_trees_copy_queries_to_rows_and_keys_to_columns_and_merge_on_the_way_back(seed):
    machines = kind("attention_as_mpc", seed, "machine").set_index("machine")
    role, token = machines["role"], machines["token"]
    messages = kind("attention_as_mpc", seed, "message")
    # Rows of six words from two machines, b = 2 trees of two nodes each, M^2 pairs, and back.
    assert messages["round"].value_counts().sort_index().tolist() == [5, 16, 32, 16, 8, 4]
    for row in messages[messages["round"] == 3].itertuples():
        assert role[row.peer] == "pair"
        side = machines["key"] if role[row.machine] == "query tree" else token
        own = token if role[row.machine] == "query tree" else machines["key"]
        assert own[row.peer] == token[row.machine]
        assert side[row.peer] // 2 == machines["node"][row.machine]
        content = "query" if role[row.machine] == "query tree" else "key and value"
        assert row.content == content
    down, up = (messages[messages["round"] == turn] for turn in (2, 5))
    for node, root in [*tuples(down, "peer", "machine"), *tuples(up, "machine", "peer")]:
        assert "tree" in role[node]
        assert token[node] == root
    for row in messages[messages["round"] == 4].itertuples():
        assert role[row.peer] == "query tree"
        assert token[row.peer] == token[row.machine]
        assert machines["node"][row.peer] == machines["key"][row.machine] // 2


@seeds
def test_copies_are_whole_and_rows_and_outputs_lose_no_word(seed):
    messages = kind("attention_as_mpc", seed, "message")
    by_round = dict(list(messages.groupby("round")))
    assert by_round[1].groupby("peer")["words"].sum().tolist() == [6] * 4
    assert by_round[6].groupby("machine")["words"].sum().tolist() == [2] * 4
    copied = by_round[2].set_index("peer")["words"]
    for node, part in by_round[3].groupby("machine"):
        assert part["words"].tolist() == [copied[node]] * 2
    assert by_round[3].groupby("peer")["words"].sum().tolist() == [2 + 4] * 16
    for turn in (4, 5):
        assert set(by_round[turn]["words"]) == {1 + 1 + 2}
    (limit,) = kind("attention_as_mpc", seed, "limits")["words"]
    for end in ("machine", "peer"):
        assert messages.groupby(["round", end])["words"].sum().max() <= limit


@seeds
def test_parts_add_up_to_the_softmax(seed):
    query, key, _ = projections(seed)
    machines = kind("attention_as_mpc", seed, "machine").set_index("machine")
    parts = kind("attention_as_mpc", seed, "part")
    weights = softmax_by_hand(seed)
    merged = np.zeros((4, 2))
    for row in parts.itertuples():
        place = machines.loc[row.machine]
        i = int(place["token"])
        if place["role"] == "pair":
            j = int(place["key"])
            assert row.share == pytest.approx(weights[i, j], abs=1e-5)
            assert row.normaliser == (j <= i)
            logit = query[i] @ key[j] if j <= i else np.nan
            assert row.largest == pytest.approx(logit, abs=1e-5, nan_ok=True)
        else:
            keys = slice(2 * int(place["node"]), 2 * int(place["node"]) + 2)
            assert row.share == pytest.approx(weights[i, keys].sum(), abs=1e-5)
            merged[i, int(place["node"])] = row.share
    assert np.allclose(merged.sum(1), 1, atol=1e-5)


@seeds
def test_the_outputs_are_those_of_softmax(seed):
    found = kind("attention_as_mpc", seed, "output")
    expected = (softmax_by_hand(seed) @ projections(seed)[2]).ravel()
    assert tuples(found, "token", "slot") == [divmod(i, 2) for i in range(8)]
    assert np.allclose(found["output"], expected, atol=1e-6)
    assert (found["output"] == found["direct"]).all()
