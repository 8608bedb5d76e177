"""The MPC simulator enforces its limits, and each protocol agrees with an independent oracle."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components, shortest_path

from logdepth.tasks.hop import hop_positions
from logdepth.theory.measurements.component_rounds import needed_iterations
from logdepth.theory.mpc.machine import LimitError, Limits, Protocol, run
from logdepth.theory.mpc.protocols.components import Components, Renaming, parents_after
from logdepth.theory.mpc.protocols.cycles import CycleMin, random_cycles
from logdepth.theory.mpc.protocols.hops import HopK
from logdepth.theory.mpc.protocols.pointers import PointerDoubling
from logdepth.theory.mpc.protocols.sorting import SampleSort
from logdepth.theory.mpc.protocols.sums import PrefixSums


class Scripted(Protocol):
    """Four machines of three 8-bit words; machine 1 does what the test says, once."""

    share = outputs = output_share = 1
    messages = message_words = 2

    def __init__(self, outbox, memory=(), rounds=2):
        self.limits = Limits(4, 3, 8)
        self.rounds = rounds
        self.outbox, self.memory = outbox, memory

    def step(self, turn, machine, memory, inbox):
        if machine == 1 and turn == 0:
            return self.memory, self.outbox
        return memory, []


@pytest.mark.parametrize(
    ("outbox", "memory", "message"),
    [
        ([(0, (1, 1)), (2, (1, 1))], (), "round 0: machine 1 sends words: 4, limit 3"),
        ([], (1, 2, 3, 4), "round 0: machine 1 stores words: 4, limit 3"),
        ([(2, (1,)), (2, (2,))], (), "round 0: machine 1 messages to machine 2: 2, limit 1"),
        ([(2, (1, 1, 1))], (), "round 0: machine 1 message to machine 2 has words: 3, limit 2"),
        ([(i, (1,)) for i in range(3)], (), "round 0: machine 1 sends messages: 3, limit 2"),
    ],
)
def test_breaking_a_limit_names_round_machine_words_and_limit(outbox, memory, message):
    with pytest.raises(LimitError) as error:
        run(Scripted(outbox, memory), (7,))
    assert str(error.value) == message
    assert (error.value.turn, error.value.machine) == (0, 1)
    assert error.value.amount > error.value.limit


def test_receiving_too_many_words_from_several_machines_is_refused():
    class Crowd(Scripted):
        messages = 4

        def step(self, turn, machine, memory, inbox):
            return memory, [(3, (1,))] if turn == 0 else []

    with pytest.raises(LimitError, match="round 0: machine 3 receives words: 4, limit 3"):
        run(Crowd([]), (7,))


@pytest.mark.parametrize(
    ("outbox", "memory", "message"),
    [
        ([(0, (256,))], (), "outside 0..2\\^8-1"),
        ([(0, (-1,))], (), "outside 0..2\\^8-1"),
        ([], (256,), "outside 0..2\\^8-1"),
        ([(0, np.zeros(1, np.float32))], (), "no list of 8-bit words"),
        ([(4, (1,))], (), "machine 1 sends 1 words to 4"),
        ([(0, ())], (), "machine 1 sends 0 words to 0"),
    ],
)
def test_what_is_no_word_or_no_machine_is_refused(outbox, memory, message):
    with pytest.raises(ValueError, match=message):
        run(Scripted(outbox, memory), (7,))


def test_a_message_after_the_last_round_is_refused():
    with pytest.raises(ValueError, match="after the last local computation"):
        run(Scripted([(0, (1,))], rounds=1), (7,))


def test_input_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="5 input words on 4 machines of 1"):
        run(Scripted([]), (1, 2, 3, 4, 5))


def test_exactly_the_limit_is_allowed_and_counted():
    execution = run(Scripted([(0, (1,)), (2, (1, 255))], (1, 2, 3)), (7,), keep_inboxes=True)
    assert execution.answer == [7]
    assert execution.inboxes == [[[(1, (1,))], [], [(1, (1, 255))], []]]
    assert execution.rounds[0].messages == [(1, 0, 1), (1, 2, 2)]
    assert execution.machines == 3
    first, last = execution.table().to_dict("records")
    assert first == {
        "round": 0,
        "messages": 2,
        "words": 3,
        "most_memory": 3,
        "most_sent": 3,
        "most_received": 2,
    }
    assert last["messages"] == 0


# Cycles.


@settings(max_examples=150)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=8), st.integers(0, 10**6))
def test_cycle_min_labels_any_union_of_cycles(lengths, seed):
    neighbours, labels = random_cycles(lengths, np.random.default_rng(seed))
    protocol = CycleMin(len(labels))
    assert run(protocol, protocol.encode(neighbours)).answer == labels


@pytest.mark.parametrize("n", [*range(1, 34), 63, 64, 65, 127, 128, 129])
def test_cycle_min_tells_one_cycle_from_two_in_log_n_exchanges(n):
    rng = np.random.default_rng(n)
    for lengths in ([n], [n // 2, n - n // 2])[: 1 + (n > 1)]:
        neighbours, labels = random_cycles(lengths, rng)
        protocol = CycleMin(n)
        execution = run(protocol, protocol.encode(neighbours))
        assert execution.answer == labels
        assert len(set(execution.answer)) == len(lengths)
        assert len(execution.rounds) - 1 == max(0, math.ceil(math.log2(n)) - 1)
        assert execution.table().most_memory.max() <= 4
        assert execution.table().most_sent.max() <= 2


def test_one_round_fewer_would_not_find_a_long_cycle():
    neighbours, labels = random_cycles([64], np.random.default_rng(0))
    protocol = CycleMin(64)
    protocol.rounds -= 1
    assert run(protocol, protocol.encode(neighbours)).answer != labels


# Pointers, sums, sorting.


@pytest.mark.parametrize(("n", "doublings"), [(1, 3), (2, 1), (50, 0), (64, 4), (500, 9)])
def test_pointer_doubling_is_the_power_of_the_map(n, doublings):
    pointers = np.random.default_rng(n).permutation(n)
    power = np.arange(n)
    for _ in range(2**doublings):
        power = pointers[power]
    execution = run(PointerDoubling(n, doublings), tuple(pointers.tolist()))
    assert execution.answer == power.tolist()
    assert len(execution.rounds) - 1 == 2 * doublings


def test_pointer_doubling_on_a_star_breaks_the_limit_on_received_words():
    with pytest.raises(LimitError, match="machine 0 receives words: 9, limit 2"):
        run(PointerDoubling(10, 1), (0,) * 10)


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 2**16 - 1), min_size=1, max_size=80),
    st.integers(2, 9),
)
def test_prefix_sums_are_exact_modulo_the_word(values, fan_in):
    protocol = PrefixSums(len(values), fan_in)
    execution = run(protocol, tuple(values))
    before = (np.cumsum(values) - values) % 2**16
    assert execution.answer == before.tolist()
    depth = 0 if len(values) == 1 else math.ceil(round(math.log(len(values), fan_in), 9))
    assert len(execution.rounds) - 1 == 2 * depth


def test_prefix_sums_with_ten_thousand_machines():
    values = np.random.default_rng(1).integers(0, 2**16, 10_000)
    execution = run(PrefixSums(10_000, 10), tuple(values.tolist()))
    assert execution.answer == ((np.cumsum(values) - values) % 2**16).tolist()


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 20), min_size=1, max_size=200),
    st.integers(1, 9),
    st.sampled_from(["as drawn", "sorted", "reversed"]),
)
def test_sample_sort_sorts_any_keys_within_its_limits(keys, machines, order):
    keys = {"as drawn": keys, "sorted": sorted(keys), "reversed": sorted(keys)[::-1]}[order]
    execution = run(SampleSort(len(keys), machines, 5), tuple(keys))
    assert execution.answer == sorted(keys)
    assert len(execution.rounds) - 1 == 5


@pytest.mark.parametrize("kind", ["equal", "random", "interleaved", "rotated"])
def test_sample_sort_stays_near_twice_the_average_load(kind):
    n, machines = 4096, 16
    keys = {
        "equal": np.zeros(n, int),
        "random": np.random.default_rng(0).integers(0, 2**12, n),
        "interleaved": np.arange(n).reshape(machines, -1).T.ravel(),
        "rotated": np.roll(np.arange(n), n // 3),
    }[kind]
    execution = run(SampleSort(n, machines, 12), tuple(keys.tolist()))
    assert execution.answer == sorted(keys.tolist())
    assert execution.table().most_memory.max() <= 2 * n / machines + machines


# hop_k.


@settings(max_examples=60)
@given(
    st.integers(1, 5).flatmap(
        lambda s: st.tuples(st.just(s), st.lists(st.integers(0, s - 1), min_size=1, max_size=60))
    ),
    st.integers(0, 20),
    st.integers(1, 5),
)
def test_hop_k_by_machines_is_the_task(example, hops, machines):
    alphabet, string = example
    n = len(string)
    (positions,) = hop_positions(
        torch.tensor([string]), torch.tensor([hops]), alphabet, hops
    ).tolist()
    execution = run(HopK(n, alphabet, hops, machines), tuple(string))
    assert execution.answer == [string[p] if p < n else alphabet for p in positions]


@pytest.mark.parametrize(("k", "exchanges"), [(0, 9), (1, 11), (2, 13), (7, 15), (8, 17)])
def test_hop_k_takes_two_exchanges_for_each_bit_of_k(k, exchanges):
    string = np.random.default_rng(k).integers(0, 4, 1000)
    execution = run(HopK(1000, 4, k, 10), tuple(string.tolist()))
    assert len(execution.rounds) - 1 == exchanges
    # 1000^(2/3) = 100 words, up to a constant.
    assert execution.table().most_received.max() <= 400


# Connected components.


def partition(labels):
    names = {}
    return [names.setdefault(label, len(names)) for label in labels]


def adjacency(vertices, edges):
    u, v = np.array(edges, dtype=int).reshape(-1, 2).T
    return coo_matrix((np.ones(len(u)), (u, v)), (vertices, vertices)).tocsr()


def oracle(vertices, edges):
    return partition(connected_components(adjacency(vertices, edges), directed=False)[1].tolist())


@settings(max_examples=60)
@given(
    st.integers(1, 40).flatmap(
        lambda n: st.tuples(
            st.just(n),
            st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=60),
        )
    ),
    st.integers(1, 6),
    st.integers(0, 100),
)
def test_components_of_any_graph(graph, machines, seed):
    n, edges = graph
    iterations = needed_iterations(n, edges, machines, seed)
    protocol = Components(n, len(edges), machines, iterations, seed)
    answer = run(protocol, tuple(v for edge in edges for v in edge)).answer
    assert partition(answer) == oracle(n, edges)
    # What is certain: at most D iterations.
    distances = shortest_path(adjacency(n, edges), directed=False, unweighted=True)
    assert iterations <= distances[np.isfinite(distances)].max()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", ["star", "path", "random", "dense", "clique and tail"])
def test_components_keep_their_limits_on_large_graphs(shape, seed):
    rng = np.random.default_rng(seed)
    n = 600
    edges = {
        "star": [(0, i) for i in range(1, n)],
        "path": [(i, i + 1) for i in range(n - 1)],
        "random": rng.integers(0, n, (n // 2, 2)).tolist(),
        "dense": rng.integers(0, n, (4 * n, 2)).tolist(),
        "clique and tail": [(i, j) for i in range(40) for j in range(i)]
        + [(i, i + 1) for i in range(39, n - 1)],
    }[shape]
    protocol = Components(n, len(edges), 24, 12, seed)
    answer = run(protocol, tuple(v for edge in edges for v in edge)).answer
    assert partition(answer) == oracle(n, edges)


@pytest.mark.parametrize("iterations", [1, 2, 3])
def test_after_t_iterations_parents_reach_the_least_name_within_distance_t(iterations):
    n = 80
    edges = np.random.default_rng(1).integers(0, n, (n, 2)).tolist()
    protocol = Components(n, len(edges), 4, iterations)
    seen = []

    def watch(turn, memories):
        if turn == 5 * iterations:
            seen.append(parents_after(protocol, memories))

    run(protocol, tuple(v for edge in edges for v in edge), watch=watch)
    names = np.array([protocol.names(v) for v in range(n)])
    near = shortest_path(adjacency(n, edges), directed=False, unweighted=True) <= iterations
    least = np.where(near, names, protocol.names.prime).min(1)
    assert (seen[0][names] <= least).all()


def test_too_few_iterations_leave_a_path_in_pieces():
    edges = [(i, i + 1) for i in range(199)]
    protocol = Components(200, len(edges), 8, 2)
    assert len(set(run(protocol, tuple(v for edge in edges for v in edge)).answer)) > 1


def test_names_are_distinct_and_depend_on_the_seed():
    for n in (1, 2, 5, 100, 997):
        names = [[Renaming(n, seed)(v) for v in range(n)] for seed in (0, 1)]
        assert len(set(names[0])) == len(set(names[1])) == n
        assert max(names[0]) < Renaming(n, 0).prime
        assert n < 50 or names[0] != names[1]
