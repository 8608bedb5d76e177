"""Routing heads deliver, and a compiled protocol's inboxes equal the simulator's in every round."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from logdepth.theory.checks.exchanges import deliver
from logdepth.theory.mpc.codes import KautzSingleton, RandomTable, paper_columns
from logdepth.theory.mpc.layers import attend, bits_of, words_of
from logdepth.theory.mpc.machine import run
from logdepth.theory.mpc.mpc_to_transformer import Compiled
from logdepth.theory.mpc.protocol_layers import pack_row, unpack_row
from logdepth.theory.mpc.protocols.components import Components
from logdepth.theory.mpc.protocols.cycles import CycleMin, random_cycles
from logdepth.theory.mpc.protocols.hops import HopK
from logdepth.theory.mpc.protocols.pointers import PointerDoubling
from logdepth.theory.mpc.protocols.sorting import SampleSort
from logdepth.theory.mpc.protocols.sums import PrefixSums
from logdepth.theory.mpc.routing import RoutingError, RoutingHead, pack, size_classes
from logdepth.theory.mpc.traffic import full_load, lost_messages

TYPES = [torch.float64, torch.float32, torch.bfloat16]


# Codes.


@settings(max_examples=60)
@given(st.integers(2, 5000), st.integers(1, 6), st.integers(0, 10**6))
def test_rows_of_the_explicit_code_share_fewer_columns_than_digits(tokens, fan, seed):
    # Hence b - 1 others cover at most (b - 1)(t - 1) < P of a row's P columns.
    together = fan**2
    code = KautzSingleton(tokens, together)
    assert code.prime**code.digits >= tokens**2
    assert code.prime > (together - 1) * (code.digits - 1)
    row = np.random.default_rng(seed).choice(tokens**2, min(tokens**2, 30), replace=False)
    columns = code.where(row // tokens, row % tokens)
    for one, two in itertools.combinations(columns.tolist(), 2):
        assert len(set(one) & set(two)) < code.digits
    assert columns.shape == (len(row), code.prime)
    assert columns.max() < code.columns


def test_columns_of_the_explicit_code_at_1024_tokens():
    found = [KautzSingleton(1024, fan**2).columns for fan in (2, 4, 8)]
    assert found == [289, 2209, 16129]
    assert [paper_columns(1024, fan**2) for fan in (2, 4, 8)] == [2662, 42587, 681392]


def test_the_random_table_uses_one_bucket_of_each_group_evenly():
    table = RandomTable(2, 5, seed=3)
    source, destination = np.divmod(np.arange(10_000), 100)
    columns = table.where(source, destination)
    assert (columns // table.buckets == np.arange(5)).all()
    counts = np.bincount(columns.ravel(), minlength=table.columns)
    assert counts.min() > 0.85 * 10_000 / table.buckets
    assert (columns != RandomTable(2, 5, seed=4).where(source, destination)).any()


# Heads.


def test_attention_in_bfloat16_rounds_the_weights_and_sums_in_float32():
    generator = torch.Generator().manual_seed(0)
    query, key, value = torch.randn(3, 1, 20, 8, generator=generator).bfloat16()
    weights = (query.float() @ key.float().transpose(1, 2)).softmax(2)
    found = attend(query, key, value)
    assert found.dtype == torch.float32
    assert torch.equal(found, weights.bfloat16().float() @ value.float())
    assert not torch.equal(found, weights @ value.float())


def ideal(outboxes):
    inboxes = [[] for _ in outboxes]
    for source, outbox in enumerate(outboxes):
        for destination, words in outbox:
            inboxes[destination].append((source, words))
    return inboxes


def loaded(tokens, fan, size, bits, rng):
    """Every token sends and receives ``fan`` messages of random length."""
    outboxes = [[] for _ in range(tokens)]
    for source, destination in zip(*full_load(tokens, fan, rng), strict=True):
        length = int(rng.integers(1, size + 1))
        words = tuple(rng.integers(0, 1 << bits, length).tolist())
        outboxes[source].append((int(destination), words))
    return outboxes


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(
    ("tokens", "fan", "size"), [(16, 1, 1), (64, 2, 3), (128, 3, 1), (48, 4, 2)]
)
def test_a_head_delivers_full_load(tokens, fan, size, dtype):
    rng = np.random.default_rng(tokens)
    temperature = 16.0 if dtype == torch.bfloat16 and fan > 2 else 32.0
    for code in (KautzSingleton(tokens, fan**2), RandomTable(fan, 20)):
        head = RoutingHead(tokens, fan, size, 10, code, temperature=temperature)
        for _ in range(2):
            outboxes = loaded(tokens, fan, size, 10, rng)
            assert deliver(head, outboxes, dtype) == ideal(outboxes)


@settings(max_examples=40)
@given(st.data())
def test_a_head_delivers_any_traffic_within_the_fan(data):
    tokens, fan = 12, 3
    links = data.draw(st.sets(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=36))
    outboxes = [[] for _ in range(tokens)]
    received = [0] * tokens
    for source, destination in sorted(links):
        if len(outboxes[source]) < fan and received[destination] < fan:
            outboxes[source].append((destination, (data.draw(st.integers(0, 255)),)))
            received[destination] += 1
    head = RoutingHead(tokens, fan, 1, 8, KautzSingleton(tokens, fan**2), temperature=32.0)
    assert deliver(head, outboxes, torch.float32) == ideal(outboxes)


@pytest.mark.parametrize(("tokens", "fan"), [(64, 1), (256, 2), (256, 4), (1024, 3)])
def test_scores_separate_senders_from_the_start_token_and_that_from_the_rest(tokens, fan):
    rng = np.random.default_rng(fan)
    head = RoutingHead(tokens, fan, 1, 8, RandomTable(fan), temperature=1.0)
    source, destination = full_load(tokens, fan, rng)
    outboxes = [[] for _ in range(tokens)]
    for a, b in zip(source.tolist(), destination.tolist(), strict=True):
        outboxes[a].append((b, (0,)))
    scores = head.queries(0, tokens) @ head.keys(0, tokens, pack(0, outboxes, 1)).T
    sends = torch.zeros(tokens, tokens, dtype=torch.bool)
    sends[destination, source] = True
    assert (scores[sends] - 1).abs().max() < 1e-9
    start = head.queries(0, tokens) @ head.start()[0]
    # The paper has margins of 1/4 on both sides; fewer signs leave a little less below.
    assert scores[sends].min() - start.max() > 0.249
    assert start.min() - scores[~sends].max() > 0.15


def test_a_column_where_two_messages_of_one_token_meet_is_blank():
    head = RoutingHead(4, 2, 1, 8, RandomTable(2, 1, buckets=1), temperature=32.0)
    assert head.values(0, 4, pack(0, [[(1, (5,)), (2, (6,))], [], [], []], 1)).abs().max() == 0
    assert head.values(0, 4, pack(0, [[(1, (5,))], [], [], []], 1)).sum() > 0


def test_corrupted_columns_are_seen_as_such():
    # Two senders to token 0 in a table of one column: nothing can be read.
    head = RoutingHead(4, 2, 1, 8, RandomTable(2, 1, buckets=1), temperature=32.0)
    packets = pack(0, [[], [(0, (5,))], [(0, (6,))], []], 1)
    values = head.values(0, 4, packets)
    mixed = (values[1] + values[2])[None] / 2
    assert head.heard(mixed)[1].tolist() == [[1.0]]
    lost = lost_messages(head.code, packets.source, packets.destination)
    assert lost.all()
    assert not lost_messages(KautzSingleton(4, 4), packets.source, packets.destination).any()


@given(st.integers(1, 10**5))
def test_size_classes_cover_every_size_once_within_the_words(words):
    classes = size_classes(words)
    assert classes[-1][1] == words
    lows = [1, *(size + 1 for _, size in classes[:-1])]
    assert [fan for fan, _ in classes] == [words // low for low in lows]
    # Sizes more than cube from class to class.
    assert len(classes) <= 2 + math.log(math.log2(words) + 1, 3) + 1


def test_size_classes_grow_as_twice_the_cube():
    assert size_classes(1000) == [(1000, 1), (500, 15), (62, 1000)]
    assert size_classes(10_000) == [(10_000, 1), (5000, 15), (625, 8191), (1, 10_000)]


@given(st.lists(st.integers(0, 2**40 - 1), min_size=1, max_size=5))
def test_words_come_back_from_their_bits(words):
    assert words_of(bits_of(torch.tensor(words), 40)).tolist() == words


@given(
    st.lists(st.integers(0, 99), max_size=4),
    st.lists(st.tuples(st.integers(0, 9), st.lists(st.integers(0, 99), max_size=3)), max_size=3),
)
def test_memory_and_inbox_come_back_from_a_row(memory, messages):
    inbox = [(source, tuple(words)) for source, words in messages]
    assert unpack_row([*pack_row(tuple(memory), inbox), 0, 0]) == (tuple(memory), inbox)


# Whole networks.


def check(protocol, inputs, **options):
    compiled = Compiled(protocol, len(inputs), **options)
    execution = run(protocol, inputs, keep_inboxes=True)
    assert compiled.trace(inputs) == (execution.answer, execution.inboxes)
    assert compiled(inputs) == execution.answer
    assert len(compiled.layers) == protocol.rounds + 1
    return compiled


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("code", ["explicit", "table"])
@pytest.mark.parametrize(
    "lengths", [[1], [2], [3], [4], [2, 3], [9, 7], [64], [32, 32], [50, 1, 30]]
)
def test_every_inbox_of_cycle_min_arrives(lengths, code, dtype):
    neighbours, labels = random_cycles(lengths, np.random.default_rng(len(lengths)))
    protocol = CycleMin(len(labels))
    compiled = check(protocol, protocol.encode(neighbours), code=code, dtype=dtype)
    assert compiled(protocol.encode(neighbours)) == labels


def test_every_inbox_of_cycle_min_arrives_in_bfloat16_at_512_tokens():
    neighbours, labels = random_cycles([256, 256], np.random.default_rng(2))
    protocol = CycleMin(len(labels))
    check(protocol, protocol.encode(neighbours), dtype=torch.bfloat16)


def numbers(count, most, seed=0):
    return tuple(np.random.default_rng(seed).integers(0, most, count).tolist())


@pytest.mark.parametrize(
    ("protocol", "inputs"),
    [
        (PointerDoubling(40, 3), tuple(np.random.default_rng(0).permutation(40).tolist())),
        (PrefixSums(40, 4), numbers(40, 2**16)),
        (SampleSort(24, 4, 2), numbers(24, 4)),
        (HopK(20, 3, 5, 3), numbers(20, 3)),
        (Components(8, 10, 3, 3), numbers(20, 8)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_inbox_of_other_protocols_arrives(protocol, inputs):
    check(protocol, inputs)


def test_blank_tokens_stand_for_machines_without_input():
    protocol = SampleSort(5, 7, 4)
    compiled = check(protocol, numbers(5, 16))
    assert compiled.tokens == 7
    assert compiled.rows(numbers(5, 16)).shape == (8, 1)


def test_size_classes_carry_messages_of_mixed_sizes():
    compiled = check(HopK(8, 2, 1, 2), numbers(8, 2), split="paper")
    assert compiled.layers[1].heads == len(size_classes(16)) == 3
    assert {
        len(words) for box in compiled.trace(numbers(8, 2)).inboxes for m in box for _, words in m
    } > {1}


def test_a_table_with_too_few_groups_loses_messages_and_the_comparison_sees_it():
    neighbours, _ = random_cycles([256], np.random.default_rng(5))
    protocol = CycleMin(256)
    inputs = protocol.encode(neighbours)
    compiled = Compiled(protocol, 256, groups=2)
    execution = run(protocol, inputs, keep_inboxes=True)
    first = Compiled(protocol, 256, groups=20)
    assert first.trace(inputs).inboxes == execution.inboxes
    rows = compiled.rows(inputs)
    for layer in compiled.stack()[:2]:
        rows = layer(rows)
    found = [unpack_row(row)[1] for row in rows[1:].tolist()]
    assert found != execution.inboxes[0]


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ("messages", "round 0: 2 messages from 0, but at most 1"),
        ("message_words", "round 0: 1 words from 0 to 4, but messages have at most 0"),
    ],
)
def test_a_message_that_no_head_carries_is_refused_rather_than_lost(attribute, message):
    protocol = CycleMin(5)
    setattr(protocol, attribute, getattr(protocol, attribute) - 1)
    inputs = protocol.encode([((i - 1) % 5, (i + 1) % 5) for i in range(5)])
    with pytest.raises(RoutingError, match=message):
        Compiled(protocol, 5)(inputs)


def test_another_number_of_words_is_refused():
    with pytest.raises(ValueError, match="3 input words, but compiled for 4"):
        Compiled(CycleMin(4), 4)((0, 1, 2))
