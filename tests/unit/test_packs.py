"""Packs: what shares a Slurm job fits, is even and loses no time; and what runs ask for."""

import cProfile
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logdepth.config.run import Run
from logdepth.config.study import load_study
from logdepth.evaluation import error_rates
from logdepth.planning import cost, resources
from logdepth.planning.gpus import DEVICES, step_range
from logdepth.planning.makespan import SLURM_START, schedule
from logdepth.planning.packs import PACKED_SECONDS, QUEUE_SECONDS, JobRequest, make_packs
from logdepth.planning.site import Site

pytestmark = pytest.mark.usefixtures("counted_once")
DAY = 24 * 60

times = st.one_of(
    st.floats(1, 60), st.floats(1, 1000), st.floats(600, 1e6), st.sampled_from([5.0, 300.0, 4000.0])
)
shares = st.one_of(st.sampled_from([1.0, 1 / 3, 1 / 8, 1 / 49, 0.25]), st.floats(0.01, 1))
lists = st.lists(
    st.builds(JobRequest, st.just(""), times, shares, st.integers(100, 8000)),
    min_size=1,
    max_size=60,
).map(lambda members: [replace(m, key=f"run-{i:03}") for i, m in enumerate(members)])


def alike(count, seconds, share=1 / 8, mem_mb=1000):
    return [JobRequest(f"run-{i:03}", seconds, share, mem_mb) for i in range(count)]


@given(lists, st.integers(1, 128), st.sampled_from([5, 30, 240, DAY]), st.randoms())
def test_every_member_is_in_one_pack_whatever_their_order(members, most, minutes, random):
    packs = make_packs(members, most_at_once=most, max_minutes=minutes)
    assert sorted(key for pack in packs for key in pack.members) == [m.key for m in members]
    random.shuffle(members)
    assert make_packs(members, most_at_once=most, max_minutes=minutes) == packs


@given(lists, st.integers(1, 128), st.sampled_from([5, 30, 240, DAY]))
def test_what_runs_at_once_fits(members, most, minutes):
    by_key = {member.key: member for member in members}
    for pack in make_packs(members, most_at_once=most, max_minutes=minutes):
        packed = [by_key[key] for key in pack.members]
        largest = sorted((m.share for m in packed), reverse=True)[: pack.at_once]
        assert sum(largest) <= 1 + 1e-6
        assert 1 <= pack.at_once <= min(most, len(packed))
        memory = sorted((m.mem_mb for m in packed), reverse=True)
        assert pack.mem_mb == sum(memory[: pack.at_once])
        seconds = [m.seconds for m in packed]
        assert seconds == sorted(seconds, reverse=True)
        start, end = schedule(seconds, pack.at_once)
        assert pack.seconds == end
        assert end <= max(PACKED_SECONDS, seconds[0]) * (1 + 1e-6)
        # None waits long for others, and those that take long not at all beyond the first ones.
        assert start <= PACKED_SECONDS


@given(lists, st.integers(1, 128), st.sampled_from([5, 30, 240, DAY]))
def test_the_limit_is_twice_the_time_as_far_as_the_cluster_allows(members, most, minutes):
    longest = max(member.seconds for member in members)
    for pack in make_packs(members, most_at_once=most, max_minutes=minutes):
        wanted = 2 * (pack.seconds + SLURM_START) / 60
        if pack.minutes < minutes:
            assert wanted <= pack.minutes < wanted + 10
            assert pack.minutes % 10 == 0
        else:
            assert pack.minutes == minutes
            # Only a single member may take so long, not several that follow one another.
            assert wanted <= minutes or pack.seconds <= longest * (1 + 1e-6)


@given(lists, st.integers(1, 128))
def test_no_two_packs_could_be_one(members, most):
    by_key = {member.key: member for member in members}
    packs = make_packs(members, most_at_once=most, max_minutes=DAY)
    for pack, other in pairwise(packs):
        both = [by_key[key] for key in pack.members + other.members]
        if all(m.seconds >= PACKED_SECONDS for m in both):
            # Long ones neither wait nor leave room.
            assert len(both) > most or sum(m.share for m in both) > 1 - 1e-6


@given(
    st.integers(1, 200), st.floats(1, 5000), st.sampled_from([1 / 8, 0.3, 0.7]), st.integers(1, 16)
)
def test_packs_of_equal_members_are_even_and_few(count, seconds, share, most):
    packs = make_packs(alike(count, seconds, share), most_at_once=most, max_minutes=DAY)
    sizes = [len(pack.members) for pack in packs]
    assert max(sizes) - min(sizes) <= 1
    width = min(most, int(1 / share + 1e-9))
    if seconds > PACKED_SECONDS:
        assert len(packs) == -(-count // width)
    else:
        # As many as wait least in sum, but for what even sizes and whole rounds make of it.
        work = seconds * count * max(share, 1 / most)
        best = max((work / QUEUE_SECONDS) ** 0.5, work / PACKED_SECONDS)
        assert len(packs) <= 2 * best + 1 or len(packs) <= -(-count // width)


@pytest.mark.parametrize(
    ("count", "seconds", "jobs"),
    [(500, 1.0, 3), (500, 11.0, 7), (500, 120.0, 32), (5000, 11.0, 22), (25, 3000.0, 4)],
)
def test_short_runs_are_neither_one_job_nor_a_job_each(count, seconds, jobs):
    packs = make_packs(alike(count, seconds), most_at_once=8, max_minutes=DAY)
    assert len(packs) == jobs


def test_eight_eight_eight_and_one_are_seven_and_thrice_six():
    packs = make_packs(alike(25, 3000.0), most_at_once=8, max_minutes=DAY)
    assert sorted(len(pack.members) for pack in packs) == [6, 6, 6, 7]
    assert {(pack.at_once, pack.mem_mb) for pack in packs} == {(6, 6000), (7, 7000)}


def test_short_runs_fill_what_a_long_one_leaves_idle():
    members = [JobRequest("long", 3600.0, 1 / 8, 3000), *alike(100, 5.0)]
    (pack,) = make_packs(members, most_at_once=8, max_minutes=DAY)
    assert pack.members[0] == "long"
    assert pack.seconds == 3600
    # Two processes end as soon as eight.
    assert (pack.at_once, pack.mem_mb, pack.minutes) == (2, 4000, 130)
    # Where no time is idle, they are a job of their own: the GPU is free again after a minute.
    full = [JobRequest(f"long-{i}", 3600.0, 1 / 8, 3000) for i in range(8)]
    long, short = make_packs(full + alike(100, 5.0), most_at_once=8, max_minutes=DAY)
    assert (len(long.members), len(short.members)) == (8, 100)
    assert short.seconds == 65


def test_long_runs_share_jobs_with_those_about_as_long():
    members = [JobRequest(f"a{i}", 5000.0, 1 / 8, 1) for i in range(7)]
    members += [JobRequest(f"b{i}", 700.0, 1 / 8, 1) for i in range(10)]
    packs = make_packs(members, most_at_once=8, max_minutes=DAY)
    assert sorted("".join(sorted({key[0] for key in pack.members})) for pack in packs) == [
        "a",
        "b",
        "b",
    ]


@settings(max_examples=25)
@given(lists, st.lists(st.integers(0, 5), min_size=60, max_size=60), st.integers(1, 16))
def test_a_group_is_in_one_pack_and_its_first_leads(members, numbers, most):
    members = [replace(m, group=g) for m, g in zip(members, numbers, strict=False)]
    by_key = {member.key: member for member in members}
    packs = make_packs(members, most_at_once=most, max_minutes=DAY)
    assert sorted(key for pack in packs for key in pack.members) == sorted(by_key)
    first = {}
    for pack in packs:
        groups = [by_key[key].group for key in pack.members]
        for number in groups:
            if number:
                assert first.setdefault(number, pack) is pack
        # One process of each group before the second of any.
        led = [number for number in groups if number]
        assert len(set(led[: len(set(led))])) == len(set(led))
        # It takes as long as all of its largest group, one after the other.
        for number in set(led):
            seconds = sum(m.seconds for m in members if m.group == number)
            assert pack.seconds >= seconds * (1 - 1e-6)


def test_runs_as_one_network_take_one_job_where_they_would_take_several():
    members = [replace(m, group=1) for m in alike(8, 5000.0, share=0.5)]
    (pack,) = make_packs(members, most_at_once=8, max_minutes=2 * DAY)
    assert (len(pack.members), pack.at_once, pack.seconds) == (8, 1, 40_000)
    assert len(make_packs(alike(8, 5000.0, share=0.5), most_at_once=8, max_minutes=DAY)) == 4


def test_impossible_members_are_refused():
    with pytest.raises(ValueError, match=r"r: share is 0, expected in \(0, 1\]"):
        JobRequest("r", 1.0, 0, 1)
    with pytest.raises(ValueError, match=r"r: seconds is 0, expected above 0"):
        JobRequest("r", 0, 1, 1)
    with pytest.raises(ValueError, match="same key"):
        make_packs(2 * alike(1, 1.0), most_at_once=8, max_minutes=DAY)
    assert make_packs([], most_at_once=8, max_minutes=DAY) == []


def with_costs(study):
    runs = study.trained_runs()
    return study, runs, cost.costs_of(runs.values())


@pytest.fixture(scope="module")
def paper(root, counted_once):
    return with_costs(load_study(root / "config/paper.yaml"))


@pytest.mark.parametrize("gpu", [*DEVICES, "none"])
def test_requests_fit_a_job(paper, gpu):
    study, runs, costs = paper
    site = Site(gpu=gpu, cpus_per_gpu=16)
    found = resources.training_requests(runs, costs, site)
    assert found.keys() == runs.keys()
    for key, member in found.items():
        assert member.key == key
        assert 1 / 16 <= member.share <= 1
        # No model of the paper is alone on a GPU.
        assert 2 * member.share <= 1
    depths = [found[run.identifier] for run in study.runs("wide")]
    assert [m.seconds for m in depths] == sorted(m.seconds for m in depths)
    assert [m.mem_mb for m in depths] == sorted(m.mem_mb for m in depths)


def test_a_run_on_a_gpu_takes_the_most_that_the_plan_says(paper):
    study, _, costs = paper
    run = study.runs("wide")[0]
    counted = costs[cost.shape_of(run)]
    _, most = step_range(
        DEVICES["A100-80GB"],
        "float32",
        flops=counted.step_flops,
        traffic=counted.traffic_bytes,
        kernels=counted.kernels,
    )
    member = resources.training_requests({"a": run}, costs, Site(gpu="a100-80gb"))["a"]
    assert member.seconds == pytest.approx(10 + 100_001 * most)
    # Its steps decide how long a run takes, and nothing else of it.
    short = run.model_copy(update={"training": run.training.model_copy(update={"steps": 2000})})
    both = resources.training_requests({"a": run, "b": short}, costs, Site(gpu="a100-80gb"))
    assert both["b"].seconds == pytest.approx(10 + 2000 * most)
    assert replace(both["b"], key="a", seconds=member.seconds) == member


def test_the_memory_of_a_gpu_is_shared_as_well(paper):
    study, _, _ = paper
    run = study.runs("wide")[0]
    large = run.model_copy(update={"training": run.training.model_copy(update={"batch": 3000})})
    costs = cost.costs_of([large])
    found = resources.training_requests({"a": large}, costs, Site(gpu="T4"))["a"]
    assert found.share == 1


@pytest.mark.parametrize("gpu", ["T4", "none"])
def test_one_process_of_a_group_asks_for_what_all_of_it_needs(paper, gpu):
    _, runs, costs = paper
    alone = resources.training_requests(runs, costs, Site(gpu=gpu))
    grouped = resources.training_requests(runs, costs, Site(gpu=gpu, together=8))
    sizes = Counter(request.group for request in grouped.values())
    assert sorted(sizes[number] for number in sizes if number) == [2, 2, 4, 4, 4, 4]
    assert sizes[0] == 5  # of the wide ones each is the only one of its depth
    for key, request in grouped.items():
        before = alone[key]
        size = sizes[request.group] if request.group else 1
        assert request.seconds == before.seconds
        if gpu == "none":
            assert request.share == before.share
            assert (request.mem_mb > before.mem_mb) == (size > 1)
        else:
            assert request.share == pytest.approx(min(1, size * before.share), rel=0.5)
            assert (request.share > before.share) == (size > 1)


def test_what_cannot_be_one_network_is_in_no_group():
    gru = {"form": "recurrent", "cell": "gru", "width": 16, "depth": 2}
    content = {"task": {"name": "hop", "context": 20}, "model": gru, "training": {"recipe": "muon"}}
    runs = {str(seed): Run.model_validate(content | {"seed": seed}) for seed in range(3)}
    costs = cost.costs_of(runs.values())
    requests = resources.training_requests(runs, costs, Site(together=8))
    assert {request.group for request in requests.values()} == {0}


# The most seconds and MB that such jobs took on two cores.
def test_requests_on_cpus_are_above_what_was_measured(root, paper):
    site = Site(gpu="none")
    speedrun, runs, costs = with_costs(load_study(root / "config/speedrun.yaml"))
    training = resources.training_requests(runs, costs, site)
    evaluation = resources.evaluation_requests(runs, costs, speedrun, site)
    attention = resources.attention_requests(runs, costs, speedrun, site)
    for key, run in runs.items():
        if run.model.depth == 6:
            assert training[key].seconds > 1320
            assert training[key].mem_mb - 300 > 601
            assert 56 < evaluation[key].seconds < 560
            assert evaluation[key].mem_mb - 300 > 517
            # The alignment took 4.2 s, switching off each head 28 s.
            assert 28 < attention[key].seconds < 280
            assert attention[key].mem_mb - 300 > 408
            assert training[key].share == evaluation[key].share == 1 / 8
    # With dropout on, and the width as logits; the two released models.
    study, _, costs = paper
    runs = {run.model.depth: run for run in study.runs("infinite")}
    evaluation = resources.evaluation_requests(runs, costs, study, site)
    for depth, seconds, memory in ((2, 36, 344), (4, 68, 428)):
        assert seconds < evaluation[depth].seconds < 10 * seconds
        assert memory < evaluation[depth].mem_mb - 300


def test_evaluation_is_planned_in_the_chunks_it_is_made_in():
    assert resources._EVALUATED_AT_ONCE == error_rates._CHUNK


def test_requests_need_no_torch_and_few_steps_a_run(root, tmp_path):
    _, known, costs = with_costs(load_study(root / "config/laptop.yaml"))
    kept = tmp_path / "costs.json"
    cost.costs_of(known.values(), kept)
    code = (
        "import sys; from pathlib import Path; from logdepth.config.study import load_study;"
        "from logdepth.planning.site import Site; from logdepth.planning import cost, packs;"
        "from logdepth.planning import resources as asked;"
        "study = load_study(Path('config/laptop.yaml')); runs = study.trained_runs();"
        f"costs = cost.costs_of(runs.values(), Path({str(kept)!r}));"
        "[ask(runs, costs, *more, Site()) for ask, more in ((asked.training_requests, ()),"
        " (asked.evaluation_requests, (study,)), (asked.attention_requests, (study,)))];"
        "print({'torch', 'pandas', 'numpy', 'matplotlib'} & sys.modules.keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
    run = next(iter(known.values()))
    runs = {str(i): Run.model_validate(run.model_dump() | {"seed": i}) for i in range(500)}
    with cProfile.Profile() as profile:
        found = resources.training_requests(runs, costs, Site())
        make_packs(found.values(), most_at_once=8, max_minutes=DAY)
    # It is about a hundred a run. Counted, for a time would tell of the machine.
    assert sum(entry.callcount for entry in profile.getstats()) < 150 * len(runs)
