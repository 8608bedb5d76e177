"""The script that the first GPU will run, at toy size on a CPU."""

import importlib
import json
import re
import runpy
import subprocess
import sys
import tarfile
from collections import Counter
from contextlib import suppress
from importlib import metadata

import pytest
import torch

from command_line import logdepth_here
from interruption import CPU
from logdepth import jobs
from logdepth.config.run import Run
from logdepth.config.study import load_study
from logdepth.models.gpt2 import Gpt2
from logdepth.planning import measured, report
from logdepth.planning.cost import Cost, shape_of
from logdepth.planning.gpus import DEVICES, find_device
from logdepth.planning.groups import most_together
from logdepth.planning.packs import make_packs
from logdepth.planning.resources import training_requests
from logdepth.planning.site import Site
from logdepth.recipes.muon import MuonRecipe
from logdepth.recipes.paper import PaperRecipe
from logdepth.tasks.hop import Hop
from logdepth.training.checkpoint import CheckpointStore


@pytest.fixture(scope="module")
def check(root):
    # The processes that it starts import it by this name.
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(root / "tests/gpu")
        yield importlib.import_module("check")


def test_its_checks_pass_and_its_report_is_written(check, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(check, "SECONDS", 0.01)
    monkeypatch.setattr(
        sys, "argv", ["check.py", "--out", str(tmp_path), "--device", "cpu", "--toy"]
    )
    assert check.main() == 0, capsys.readouterr().out
    found = json.loads((tmp_path / "check.json").read_text())
    assert len(found["checks"]) == 4
    assert all(result.startswith("ok: ") for result in found["checks"].values())
    assert all(row["steps_per_second"] > 0 for row in found["rates"])
    # What the planner compares, of both recipes: one run, two as one network, two processes.
    ways = {(row["recipe"], row["runs"], row["processes"]) for row in found["rates"]}
    assert ways == {(r, *way) for r in ("paper", "muon") for way in ((1, 1), (2, 1), (1, 2))}
    # As on a GPU, where what counts is recorded.
    for row in found["rates"]:
        row["recorded"] = True
    (tmp_path / "check.json").write_text(json.dumps(found | {"device": "NVIDIA H200"}))
    known = measured.measured(find_device("H200"), tmp_path / "check.json")
    for recipe in ("paper", "muon"):
        rows = [
            (row["runs"], row["processes"], row["steps_per_second"])
            for row in found["rates"]
            if row["recipe"] == recipe and row["precision"] == "float32"
        ]
        best = max(runs * processes * rate for runs, processes, rate in rows)
        training = PaperRecipe() if recipe == "paper" else MuonRecipe(batch=32)
        (run,) = check.runs_of(training, 2, 1, toy=True)
        choice = known.choice(run)
        assert choice.seconds == pytest.approx(1 / best)
        assert (choice.together, choice.at_once) in {row[:2] for row in rows}


def test_processes_that_cannot_share_a_gpu_keep_nothing_else_from_being_told(
    check, monkeypatch, capsys
):
    def full(*_):
        yield {"steps_per_second": 1.0, "memory_gb": 0.0}
        raise RuntimeError("out of memory")

    monkeypatch.setattr(check, "SECONDS", 0.001)
    monkeypatch.setattr(check, "rates_beside", full)
    rows = check.measure(CPU, toy=True)
    assert [row["processes"] for row in rows].count(2) == 1
    assert "2 processes at once: not measured: out of memory" in capsys.readouterr().out


def test_it_needs_no_more_than_it_says(check, root, tmp_path):
    """Where there is nothing but what it names, and what that needs."""
    known, left = set(), [*check.NEEDED]
    while left:
        name = re.split(r"[^\w.-]", left.pop())[0].lower().replace("_", "-")
        if name not in known:
            known.add(name)
            with suppress(metadata.PackageNotFoundError):  # on another system
                left += [r for r in metadata.requires(name) or [] if "extra ==" not in r]
    hidden = [
        package
        for package, owners in metadata.packages_distributions().items()
        if not known & {owner.lower().replace("_", "-") for owner in owners}
        and package not in ("logdepth", "audit_trail")
    ]
    assert {"snakemake", "typer", "safetensors"} <= set(hidden)
    script = (
        "import runpy, sys\n"
        f"sys.modules.update(dict.fromkeys({hidden!r}))\n"
        f"sys.argv[1:] = ['--out', {str(tmp_path)!r}, '--device', 'cpu', '--paper', '0']\n"
        f"runpy.run_path({str(root / 'tests/gpu/check.py')!r}, run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("version", ["2.10.1", "1.13.0+cu117"])
def test_an_old_torch_is_told(version, root, monkeypatch):
    monkeypatch.setattr(torch, "__version__", version)
    with pytest.raises(SystemExit, match=re.escape(f"torch {version}; expected 2.11 or newer")):
        runpy.run_path(str(root / "tests/gpu/check.py"))


def test_a_difference_is_told(check, monkeypatch):
    batch, calls = Hop.batch, []

    def other(self, seed, step, size, **options):
        calls.append(step)
        return batch(self, seed, step + len(calls) % 2, size, **options)

    monkeypatch.setattr(Hop, "batch", other)
    with pytest.raises(AssertionError, match="hop: step 0 differs"):
        check.check_data(CPU)


def test_the_paper_in_slices(check, tmp_path, monkeypatch):
    """Two slices of an instant, then the rest; taken over, the command finds nothing left to do."""
    runs = [
        Run(
            task=Hop(context=10, max_k=2),
            model=Gpt2(depth=2, heads=2, width=32),
            training=PaperRecipe(steps=200, warmup=10, samples=32 * (seed + 1)),
            seed=0,
        )
        for seed in range(3)
    ]
    groups = [runs[:2], runs[2:]]
    check.train_paper(tmp_path / "found", groups, 0, CPU)
    assert not list((tmp_path / "found").iterdir())
    for minutes in (0.01, 10):
        check.train_paper(tmp_path / "found", groups, minutes, CPU)
    assert [path.name for path in (tmp_path / "found").iterdir()] == ["part-0"]
    check.unpack(tmp_path / "found", tmp_path / "taken")
    for run in runs:
        definition = jobs.train(run).definition()
        last = CheckpointStore(tmp_path / "taken" / run.identifier, definition).latest()
        assert last["step"] == 200
        together = [other.identifier for other in runs[:2]]
        assert last["note"].get("together") == (together if run in runs[:2] else None)
        assert last["note"]["device"] == "CPU"
    # As the workflow calls it, the command writes what was trained elsewhere, and says where.
    name, definition = runs[0].identifier, jobs.train(runs[0]).definition()
    record = tmp_path / f"taken/provenance/train/{name}.json"
    done = logdepth_here(
        *("train", "--run", runs[0].model_dump_json(), "--device", "cpu"),
        *("--output", tmp_path / "taken/runs" / name, "--checkpoints", tmp_path / "taken" / name),
        *("--definition", definition, "--record", record),
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "goes on from step 200/200" in done.stderr
    statement = json.loads(record.read_text())["predicate"]["buildDefinition"]
    assert statement["externalParameters"]["checkpoint"] == {
        "device": "CPU",
        "torch": torch.__version__,
        "together": together,
    }
    # Where Python has no filter yet (3.11.2), as where it has.
    with monkeypatch.context() as older:
        whole = tarfile.TarFile.extractall
        older.delattr(tarfile, "data_filter")
        older.setattr(tarfile.TarFile, "extractall", lambda archive, path: whole(archive, path))
        names = check.unpack(tmp_path / "found", tmp_path / "older")
    assert all((tmp_path / "older" / name).is_file() for name in names)
    assert len(names) == 3
    monkeypatch.setattr(check, "PART_BYTES", 1000)
    with pytest.raises(SystemExit, match="files; expected fewer --groups at once"):
        check.pack(tmp_path / "older", tmp_path / "found")


def test_the_papers_models_are_in_groups(check):
    groups = check.paper_groups()
    assert sorted(map(len, groups)) == [1] * 5 + [2] * 2 + [4] * 4
    assert len({run.identifier for group in groups for run in group}) == 25


def test_how_long_the_paper_takes_is_of_all_its_groups(check, monkeypatch):
    """Of the script's own figures, as on a GPU where one run of depth L takes L seconds a step."""

    def rate(runs, device, *, recorded):
        return {"steps_per_second": 1 / runs[0].model.depth / (2 if len(runs) > 1 else 1)}

    monkeypatch.setattr(check, "rate", rate)
    monkeypatch.setattr(
        check, "rates_beside", lambda cases, *_: [{"steps_per_second": 9.0}] * len(cases)
    )
    rows = check.measure(torch.device("cuda"), toy=False)
    # Four of depths 2 to 5 and twice two of depth 6 together, at half the rate, and five alone.
    expected = 2 * (2 + 3 + 4 + 5) + 2 * 2 * 6 + (2 + 3 + 4 + 5 + 6)
    assert check.paper_hours(rows) == pytest.approx(expected * 100_001 / 3600)


@pytest.fixture
def published(tmp_path):
    """Return a function that writes what a GPU measured of runs of the paper's size."""

    def write(rates, gpu="NVIDIA H200"):
        rows = [
            {"shape": measured.shape_name(paper_run(depth)), "runs": runs, "processes": processes}
            | {"recorded": True, "steps_per_second": rate}
            for (depth, runs, processes), rate in rates.items()
        ]
        rows += [row | {"recorded": False, "steps_per_second": 1e9} for row in rows]
        file = tmp_path / "results/published/gpu/check.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"device": gpu, "rates": rows}))
        return file

    return write


def paper_run(depth, seed=0, **changes):
    training = PaperRecipe().changed(changes)
    task = Hop(context=99, max_k=16)
    return Run(task=task, model=Gpt2(depth=depth), training=training, seed=seed)


# Steps a second: fastest of depth 2 together, of 3 packed, of 4 alone; too little is known of 5, 6.
RATES = {
    (depth, *way): rate
    for depth, rates in {2: (400, 300, 150), 3: (400, 90, 150), 4: (400, 100, 90)}.items()
    for way, rate in zip(((1, 1), (4, 1), (1, 4)), rates, strict=True)
} | {(5, 4, 1): 100, (6, 1, 1): 100}
FASTEST = {2: (4, 1, 1 / 1200), 3: (1, 4, 1 / 600), 4: (1, 1, 1 / 400)}


def test_what_is_fastest_is_chosen_by_what_was_measured(published):
    file = published(RATES)
    known = measured.measured(find_device("H200"), file)
    for depth, (together, at_once, seconds) in FASTEST.items():
        choice = known.choice(paper_run(depth))
        assert (choice.together, choice.at_once) == (together, at_once)
        assert choice.seconds == pytest.approx(seconds)
        assert choice.gain == pytest.approx(1 / 400 / seconds)
        # Trained alone, for somebody wants the bits of runs alone: at once where that is faster.
        assert known.choice(paper_run(depth), 1).at_once == (4 if depth in (2, 3) else 1)
    assert known.choice(paper_run(5)) is known.choice(paper_run(6)) is None
    assert known.choice(paper_run(2), 8) is None
    # Rates, samples and seeds make no other shape; the batch does, and another form.
    assert known.choice(paper_run(2, 1, samples=64, adamw_rate=0.1)) == known.choice(paper_run(2))
    assert known.choice(paper_run(2, batch=64)) is None
    half = known.choice_of_group(paper_run(2), 2, "fastest")
    assert (half.together, half.seconds, half.gain) == (2, pytest.approx(2 / 1200), 1.5)
    assert known.choice_of_group(paper_run(2), 1, "fastest") == known.choice(paper_run(2), 1)
    for broken in ("{", "[]", '{"device": "NVIDIA H200", "rates": [{}]}'):
        file.write_text(broken)
        assert measured.measured(find_device("H200"), file) is None


@pytest.mark.parametrize(
    ("reported", "names"),
    [
        ("NVIDIA H200", {"H200"}),
        ("NVIDIA A100-SXM4-80GB", {"A100-80GB"}),
        ("NVIDIA A100-PCIE-40GB", {"A100-40GB"}),
        ("NVIDIA H100 80GB HBM3", {"H100-SXM"}),
        ("NVIDIA H100 PCIe", {"H100-PCIe"}),
        ("Tesla T4", {"T4"}),
        ("NVIDIA L4", {"L4"}),
        ("NVIDIA GeForce RTX 4090", {"RTX-4090"}),
        ("NVIDIA RTX A6000", set()),
        ("CPU", set()),
    ],
)
def test_a_measurement_is_of_the_gpu_that_its_driver_names(reported, names, published):
    file = published(RATES, reported)
    assert {name for name in DEVICES if measured.measured(DEVICES[name], file)} == names


def test_fastest_is_what_was_measured_and_1_elsewhere(published, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs = {
        run.identifier: run
        for depth in (2, 3, 4, 5)
        for run in (paper_run(depth, seed) for seed in range(6))
    }
    by_depth = {run.model.depth: key for key, run in runs.items()}

    def most(**site):
        found = most_together(runs, Site(together="fastest", gpu="H200", **site))
        return [found[key] for key in by_depth.values()]

    assert most() == [1, 1, 1, 1]
    published(RATES)
    assert most() == [4, 1, 1, 1]
    assert most(device="cpu") == [1, 1, 1, 1]
    assert set(most_together(runs, Site(together=8)).values()) == {8}
    # And they ask for the GPU accordingly: four and two as one network, four at once, one.
    site = Site(together="fastest", gpu="H200", max_hours=100)
    counted = Cost(1, 1, 1, 1, 1, 1, fuses=True)
    requests = training_requests(runs, {shape_of(run): counted for run in runs.values()}, site)
    asked = {depth: requests[key] for depth, key in by_depth.items()}
    assert [round(1 / asked[depth].share) for depth in (2, 3, 4)] == [1, 4, 1]
    steps = 100_001
    assert asked[3].seconds == pytest.approx(10 + steps / 150)
    assert asked[4].seconds == pytest.approx(10 + steps / 400)
    fused = [requests[key] for key, run in runs.items() if run.model.depth == 2]
    sizes = Counter(request.group for request in fused)
    assert sorted(sizes.values()) == [2, 4]
    for request in fused:
        assert request.seconds == pytest.approx(10 + steps / 300 / sizes[request.group])
    assert {requests[key].group for key, run in runs.items() if run.model.depth > 2} == {0}
    # A group is trained by one process of one Slurm job, and holds no other while it waits.
    for pack in make_packs(requests.values(), most_at_once=8, max_minutes=site.max_minutes):
        groups = {requests[key].group for key in pack.members}
        for group in groups - {0}:
            assert sum(requests[key].group == group for key in pack.members) == sizes[group]
            assert pack.at_once == 1


def test_a_plan_says_what_fastest_is(published, tmp_path, monkeypatch, root):
    monkeypatch.chdir(tmp_path)
    runs = list(load_study(root / "config/paper.yaml").trained_runs().values())
    assert report.together(runs, Site(gpu="H200"), None, 1) == (
        "nothing was measured of a H200: whether runs are faster as one network is not known, and "
        "together: fastest in site.yaml is 1"
    )
    published(RATES)
    assert report.together(runs, Site(gpu="H200"), None, 1) == (
        "together: fastest in site.yaml trains runs as was measured: "
        "4 as one network of 4 (3.0 times as fast as alone), "
        "4 in 4 processes at once (1.5 times as fast as alone), 4 alone, "
        "13 alone, for nothing like them was measured"
    )
