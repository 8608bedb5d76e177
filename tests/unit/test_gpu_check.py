"""The script that the first GPU will run, at toy size on a CPU."""

import importlib.util
import json
import sys

import pytest

from interruption import CPU
from logdepth import jobs
from logdepth.config.run import Run
from logdepth.models.gpt2 import Gpt2
from logdepth.planning import measured
from logdepth.planning.gpus import find_device
from logdepth.recipes.paper import PaperRecipe
from logdepth.tasks.hop import Hop
from logdepth.training.checkpoint import CheckpointStore


@pytest.fixture(scope="module")
def check(root):
    spec = importlib.util.spec_from_file_location("check", root / "tests/gpu/check.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
    monkeypatch.setattr(check, "PART_BYTES", 1000)
    with pytest.raises(SystemExit, match="files; expected fewer --groups at once"):
        check.pack(tmp_path / "taken", tmp_path / "found")


def test_the_papers_models_are_in_groups(check):
    groups = check.paper_groups()
    assert sorted(map(len, groups)) == [1] * 5 + [2] * 2 + [4] * 4
    assert len({run.identifier for group in groups for run in group}) == 25


def test_measured_figures_take_the_place_of_the_data_sheet(tmp_path):
    rates = [
        {"recipe": "paper", "depth": 4, "precision": "float32", "runs": runs, "recorded": True}
        | {"steps_per_second": rate}
        for runs, rate in ((1, 400.0), (4, 300.0))
    ]
    file = tmp_path / "check.json"
    file.write_text(json.dumps({"device": "NVIDIA H200", "rates": rates}))
    known = measured.measured(find_device("H200"), file)
    assert known.gain() == (4, 3.0)
    run = Run(
        task=Hop(context=99, max_k=16),
        model=Gpt2(depth=4),
        training=PaperRecipe(),
        seed=0,
    )
    assert known.seconds_per_step(run) == 1 / 400
    deeper = run.model_copy(update={"model": Gpt2(depth=5)})
    assert known.seconds_per_step(deeper) is None
    assert measured.measured(find_device("T4"), file) is None
    file.write_text("{")
    assert measured.measured(find_device("H100-SXM"), file) is None
