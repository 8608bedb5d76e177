"""What happens to jobs on a cluster, and what becomes of the trainings in them."""

import json
import re
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import wait_until
from logdepth.files import sha256_of

LONG = """\
study: tiny
title: Long enough for accidents
task: {name: hop, context: 13, alphabet: 4, max_k: 4}
seeds: [0]
evaluation: {sequences: 16}
fit: {thresholds: [0.1, 0.05]}
experiments:
  fast:
    title: fast
    model: {form: softmax, heads: 2, width: 32, mlp_ratio: 2}
    training: {recipe: muon, steps: 6000, batch: 32, warmup: 20}
    depths: [2]
"""
# The second run learns so fast that its loss is soon no number.
FAILING = """\
study: tiny
title: One of a pack fails
task: {name: hop, context: 10, alphabet: 4, max_k: 2}
seeds: [0, 1]
evaluation: {sequences: 16}
fit: {thresholds: [0.1, 0.05]}
experiments:
  good:
    title: good
    model: {form: softmax, heads: 2, width: 16, mlp_ratio: 0}
    training: {recipe: muon, steps: 300, batch: 8, warmup: 2}
    depths: [1]
  bad:
    title: bad
    model: {form: softmax, heads: 2, width: 16, mlp_ratio: 0}
    training: {recipe: muon, steps: 60, batch: 8, warmup: 1, adamw_rate: 1.0e+30, clip: 1.0e+30}
    depths: [1]
"""


@pytest.fixture(scope="module")
def undisturbed(make, tmp_path_factory):
    """Digests of a run that nothing disturbed, in the same image."""
    checkout = make(tmp_path_factory.mktemp("undisturbed") / "checkout", study=LONG)
    checkout.local("--until", "train")
    return digests(checkout)


@pytest.fixture
def checkout(make, tmp_path):
    return make(tmp_path / "checkout", study=LONG)


def digests(checkout):
    (run,) = (checkout.results / "runs").iterdir()
    return {path.name: sha256_of(path) for path in sorted(run.iterdir())}


def training_log(checkout):
    """What the training has printed since it was last started; empty before."""
    logs = list((checkout.results / "logs/train").glob("*.log"))
    return logs[0].read_text() if logs else ""


def steps_done(checkout):
    return [int(step) for step in re.findall(r"step +(\d+)", training_log(checkout))]


def begin(checkout, *arguments, **site):
    """Start training on the cluster; return once it has done some steps."""
    started = checkout.start("--until", "train", *arguments, **site)
    wait_until(lambda: len(steps_done(checkout)) >= 2, "first steps of the training")
    return started, started.submitted()[-1]


def assert_resumed(checkout, undisturbed):
    assert digests(checkout) == undisturbed
    assert re.search(r"from step [1-9]", training_log(checkout)), training_log(checkout)
    assert not list((checkout.results / "checkpoints").glob("*/*.pt"))


def test_requeued(checkout, cluster, undisturbed):
    started, job = begin(checkout)
    cluster.run("scontrol", "requeue", str(job))
    started.finish()
    assert started.submitted() == [job]
    assert int(cluster.job(job)["Restarts"]) == 1
    assert_resumed(checkout, undisturbed)


def test_preempted_by_a_higher_partition(checkout, cluster, undisturbed):
    started, job = begin(checkout)
    urgent = ["--partition=urgent", "--nodes=2", "--exclusive", "--time=1", "--output=/dev/null"]
    cluster.run("sbatch", *urgent, "--wrap=sleep 3")
    started.finish()
    assert started.submitted() == [job]
    assert int(cluster.job(job)["Restarts"]) == 1
    assert_resumed(checkout, undisturbed)


def test_cancelled_by_hand(checkout, cluster, undisturbed):
    started, job = begin(checkout)
    cluster.run("scancel", str(job))
    printed = started.finish()
    assert "Trying to restart" in printed
    memory = [cluster.job(number)["MinMemoryNode"] for number in started.submitted()]
    assert memory == ["4000M", "8000M"]
    assert cluster.jobs()[job] == "CANCELLED"
    assert_resumed(checkout, undisturbed)


def test_killed_by_its_time_limit(make, cluster, tmp_path):
    # Limits are whole minutes, and looked at twice a minute.
    study = LONG.replace("steps: 6000", "steps: 32000")
    here = make(tmp_path / "here", study=study)
    checkout = make(tmp_path / "checkout", study=study)
    with ThreadPoolExecutor() as beside:
        undisturbed = beside.submit(here.local, "--until", "train")
        started, job = begin(checkout)
        assert cluster.job(job)["TimeLimit"] == "00:10:00"
        cluster.run("scontrol", "update", f"JobId={job}", "TimeLimit=1")
        started.finish()
        undisturbed.result()
    assert cluster.jobs()[job] == "TIMEOUT"
    assert cluster.job(started.submitted()[1])["TimeLimit"] == "00:20:00"
    assert_resumed(checkout, digests(here))


def test_node_set_down(checkout, cluster, undisturbed):
    started, job = begin(checkout)
    node = cluster.job(job)["NodeList"]
    cluster.run("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")
    try:
        started.finish()
        assert int(cluster.job(job)["Restarts"]) == 1
    finally:
        # It may have come back by itself; Slurm then refuses.
        subprocess.run(["scontrol", "update", f"NodeName={node}", "State=RESUME"])
    # A dead node writes no last checkpoint; what there is of the last minute is done again.
    assert digests(checkout) == undisturbed


def test_more_memory_than_it_asked_for(checkout, cluster, undisturbed):
    started = checkout.start(
        "--until", "train", "--set-resources", "train:mem_mb=150 if attempt == 1 else 4000"
    )
    started.finish()
    states = [cluster.jobs()[number] for number in started.submitted()]
    memory = [cluster.job(number)["MinMemoryNode"] for number in started.submitted()]
    assert memory == ["150M", "4000M"]
    assert states[0] in ("OUT_OF_MEMORY", "CANCELLED", "FAILED"), states
    assert states[1] == "COMPLETED"
    assert digests(checkout) == undisturbed


def test_snakemake_itself_is_stopped(checkout, cluster, undisturbed):
    started, job = begin(checkout)
    started.process.send_signal(signal.SIGINT)
    started.process.wait(60)
    wait_until(lambda: cluster.jobs()[job] == "CANCELLED", "cancelling of the job")
    again = checkout.start("--until", "train")
    again.finish()
    assert_resumed(checkout, undisturbed)


def test_one_of_a_pack_fails_and_the_others_are_neither_lost_nor_repeated(make, cluster, tmp_path):
    checkout = make(tmp_path / "checkout", study=FAILING)
    started = checkout.start("--until", "train", "--retries", "1")
    printed = started.finish(ok=False)
    first, second = started.submitted()
    runs = {path.parent.name for path in (checkout.results / "runs").glob("*/model.safetensors")}
    assert len(runs) == 2
    # Four in one job, and the two that fail once more in another.
    assert cluster.job(first)["NumCPUs"] == "4"
    assert cluster.job(second)["NumCPUs"] == "2"
    assert "expected lower learning rates in its recipe" in printed
    before = digests_of_all(checkout)
    printed = checkout.start("--until", "train", "--retries", "0").finish(ok=False)
    assert re.search(r"^train +2$", printed, re.M)
    assert digests_of_all(checkout) == before


def digests_of_all(checkout):
    return {
        str(p): (sha256_of(p), p.stat().st_mtime_ns)
        for p in (checkout.results / "runs").glob("*/*")
    }


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        ("LOGDEPTH_PARTITION", "nosuch"),
        ("LOGDEPTH_GPU_MODEL", "nosuch"),
    ],
)
def test_what_slurm_refuses_stops_before_anything_is_submitted(
    make, cluster, tmp_path, variable, message
):
    checkout = make(tmp_path / "checkout")
    before = cluster.jobs()
    began = time.monotonic()
    printed = checkout.start(**{variable: message}).finish(ok=False)
    assert "Slurm refuses jobs" in printed
    assert message in printed
    assert variable in printed or "_GPU_MODEL" in printed
    assert "Traceback" not in printed
    assert '  File "' not in printed
    assert cluster.jobs() == before
    assert not list(checkout.folder.glob(".snakemake/locks/*"))
    assert time.monotonic() - began < 30


def test_an_altered_output_is_made_again_once(make, cluster, tmp_path):
    checkout = make(tmp_path / "checkout")
    checkout.start("runs").finish()
    path = next((checkout.results / "runs").glob("*/evaluation.csv"))
    path.write_text(path.read_text().replace("1", "2", 1))
    checkout.start("runs").finish()
    record = json.loads(
        (checkout.results / f"provenance/evaluate/{path.parent.name}.json").read_text()
    )
    definition = record["predicate"]["buildDefinition"]["internalParameters"]["definition"]
    assert definition.endswith("+1")
    assert "Nothing to be done" in checkout.start("runs").finish()
