"""The reductions behind the lower bounds, on random instances of both answers."""

from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logdepth.theory.mpc.machine import run
from logdepth.theory.mpc.protocols.hops import HopK
from logdepth.theory.reductions import (
    chasing_to_hop,
    cycles_to_connectivity,
    cycles_to_hop,
    last_hop,
    random_chasing,
    random_cycles_edges,
)


@pytest.mark.parametrize("k", [6, 8, 10, 16, 20])
@pytest.mark.parametrize("two", [False, True])
def test_hop_k_is_vertex_0_exactly_when_there_are_two_cycles(k, two):
    rng = np.random.default_rng(k)
    for _ in range(20):
        edges = random_cycles_edges(k, two, rng)
        assert sorted(v for edge in edges for v in edge) == sorted([*range(k)] * 2)
        string = cycles_to_hop(edges)
        assert len(string) == 9 * k**2 // 2 + 1
        answer = last_hop(string, k, k + 3)
        assert (answer == 0) is two
        assert answer < k


def test_padding_on_the_left_changes_nothing():
    rng = np.random.default_rng(0)
    for two in (False, True):
        string = cycles_to_hop(random_cycles_edges(6, two, rng), 200)
        assert len(string) == 200
        assert string[0] == 8
        assert (last_hop(string, 6, 9) == 0) is two


@pytest.mark.parametrize(
    ("k", "length", "message"),
    [(5, None, "5 edges"), (4, None, "4 edges"), (6, 100, "163 tokens do not fit into 100")],
)
def test_instances_that_are_too_small_or_too_long_are_refused(k, length, message):
    edges = [(i, (i + 1) % k) for i in range(k)]
    with pytest.raises(ValueError, match=message):
        cycles_to_hop(edges, length)


@pytest.mark.parametrize("two", [False, True])
def test_machines_decide_one_or_two_cycles_through_hop_k(two):
    edges = random_cycles_edges(8, two, np.random.default_rng(4))
    string = cycles_to_hop(edges)
    answer = run(HopK(len(string), 11, 8, 6), tuple(string)).answer
    assert (answer[-1] == 0) is two


@settings(max_examples=100)
@given(st.integers(1, 14), st.integers(1, 9), st.integers(0, 10**6))
def test_hop_k_chases_pointers(players, layer, seed):
    matchings, half = random_chasing(players, layer, np.random.default_rng(seed))
    string = chasing_to_hop(matchings, half)
    assert len(string) == 2 * players * layer + 1
    vertex = 0
    for matching in matchings:
        vertex = matching[vertex]
    assert last_hop(string, players, 2 * layer + 2) == 2 * layer + half[vertex]


def test_both_answers_of_pointer_chasing_occur():
    rng = np.random.default_rng(0)
    answers = [last_hop(chasing_to_hop(*random_chasing(5, 8, rng)), 5, 18) for _ in range(50)]
    assert set(answers) == {16, 17}


def reach(vertices, edges, start):
    """Distances from a vertex by breadth-first search."""
    near = [[] for _ in range(vertices)]
    for u, v in edges:
        near[u].append(v)
        near[v].append(u)
    distance = {start: 0}
    queue = deque([start])
    while queue:
        vertex = queue.popleft()
        for other in near[vertex]:
            if other not in distance:
                distance[other] = distance[vertex] + 1
                queue.append(other)
    return distance


@pytest.mark.parametrize("n", [6, 8, 12])
@pytest.mark.parametrize("copies", [1, 2, 5])
@pytest.mark.parametrize("two", [False, True])
def test_copies_are_connected_exactly_when_there_is_one_cycle(n, copies, two):
    edges = random_cycles_edges(n, two, np.random.default_rng(n))
    graph = cycles_to_connectivity(edges, copies)
    assert len(graph) == copies * n + copies - 1
    distances = [reach(copies * n, graph, start) for start in range(copies * n)]
    assert (len(distances[0]) == copies * n) is not two
    assert max(max(distance.values()) for distance in distances) <= n + 2
