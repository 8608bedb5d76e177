"""The plan of a study: exact counts against torch's own, and totals that add up."""

import json
import os
import re
import sys
from collections import Counter
from dataclasses import asdict

import pytest
import torch
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from logdepth.cli.main import main
from logdepth.cli.plan import cores
from logdepth.config.run import Run
from logdepth.config.site import Site
from logdepth.config.study import Study, load_study
from logdepth.errors import UserError
from logdepth.models import layers
from logdepth.models.store import save_model
from logdepth.models.transformer import Transformer, architecture, labels
from logdepth.planning import cost
from logdepth.planning.calibrate import Calibration, to_measure
from logdepth.planning.devices import DEVICES, busy_share, find_device, named, step_range
from logdepth.planning.jobs import makespan
from logdepth.planning.plan import make_plan
from logdepth.planning.report import UNMEASURED, duration
from logdepth.tasks.hop import HopTask
from logdepth.training.checkpoint import CheckpointStore
from logdepth.training.optimizers import optimizers

FORMS = {
    "fast": ({"form": "fast", "heads": 2, "width": 32, "mlp_ratio": 3}, {"recipe": "fast"}),
    "attention": ({"form": "fast", "heads": 4, "width": 32, "mlp_ratio": 0}, {"recipe": "fast"}),
    "bfloat16": (
        {"form": "fast", "heads": 2, "width": 64},
        {"recipe": "fast", "precision": "bfloat16"},
    ),
    "paper": ({"form": "paper", "heads": 4, "width": 32}, {"recipe": "paper"}),
    "no_dropout": ({"form": "paper", "heads": 4, "width": 32, "dropout": 0}, {"recipe": "paper"}),
}


def run_of(form, depth=2, context=21, batch=8, **model):
    settings, recipe = FORMS[form]
    return Run.model_validate(
        {
            "task": {"context": context, "alphabet": 4, "max_hops": 4},
            "model": settings | {"depth": depth} | model,
            "training": recipe | {"steps": 100, "warmup": 10, "batch": batch},
            "seed": 0,
        }
    )


class Step:
    """One training step, as the training loop takes it."""

    def __init__(self, run):
        self.run = run
        self.task = HopTask(run.task.context, run.task.alphabet, run.task.max_hops)
        self.model = Transformer(architecture(run.task, run.model)).train()
        self.optimizers = optimizers(self.model, run.training)

    def losses(self):
        batch = self.task.batch(0, 0, self.run.training.batch)
        target = labels(self.model.spec, batch.targets, self.task.first_symbol)
        half = self.run.training.precision == "bfloat16"
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            logits = self.model(batch.tokens)
        return F.cross_entropy(logits.float().transpose(1, 2), target)

    def __call__(self):
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        self.losses().backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("form", FORMS)
def test_flops_are_those_that_torch_counts(form, depth):
    run = run_of(form, depth)
    step = Step(run)
    # The fused attention of a CPU is not in torch's count; the same written as products is.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        step()
    assert cost.step_flops(cost.shape_of(run)) == counter.get_total_flops()


def test_forward_flops_are_those_that_torch_counts():
    run = run_of("fast")
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        Step(run).losses()
    shape = cost.shape_of(run)
    assert cost.forward_flops(shape.spec, 21, 8) == counter.get_total_flops()


@pytest.mark.parametrize("form", FORMS)
def test_parameters_are_those_of_the_model(form):
    run = run_of(form)
    spec = architecture(run.task, run.model)
    assert cost.parameters(spec) == sum(p.numel() for p in Transformer(spec).parameters())


@pytest.mark.parametrize("form", FORMS)
def test_sizes_are_those_of_the_architecture(form):
    run = run_of(form)
    spec, sizes = architecture(run.task, run.model), cost.shape_of(run).spec
    assert asdict(sizes).items() <= asdict(spec).items()


# Paper: Table 3.
@pytest.mark.parametrize(
    ("heads", "width", "counts"),
    [
        (4, 128, [413440, 611712, 809984, 1008256, 1206528]),
        (8, 256, [1613312, 2403072, 3192832, 3982592, 4772352]),
    ],
)
def test_parameters_are_those_of_the_paper(heads, width, counts):
    runs = [run_of("paper", depth, 99, heads=heads, width=width) for depth in range(2, 7)]
    assert [cost.parameters(cost.shape_of(run).spec) for run in runs] == counts


@pytest.mark.parametrize("form", FORMS)
def test_activations_are_about_what_autograd_saves(form):
    run = run_of(form, 4, context=60, batch=16)
    step = Step(run)
    own = {p.untyped_storage().data_ptr() for p in step.model.parameters()}
    saved = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            # Kept alive, so that no two share an address.
            saved[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = step.losses()
    kept = sum(size for size, _ in saved.values())
    assert cost.activation_bytes(cost.shape_of(run)) == pytest.approx(kept, rel=0.15)
    del loss


@pytest.mark.parametrize("form", ["fast", "paper"])
def test_state_and_files_have_about_the_bytes_planned(form, tmp_path):
    run = run_of(form, 3, width=64, heads=4)
    step = Step(run)
    step()
    tensors = [
        value
        for optimizer in step.optimizers
        for states in optimizer.state
        for state in states
        for value in state.values()
        if value.dim()
    ]
    shape = cost.shape_of(run)
    assert cost.optimizer_bytes(shape) == sum(t.numel() * t.element_size() for t in tensors)
    store = CheckpointStore(tmp_path, "definition")
    state = {
        "model": step.model.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in step.optimizers],
    }
    size = store.save(1, state).stat().st_size
    assert cost.checkpoint_bytes(run) == pytest.approx(size, rel=0.15)
    weights = tmp_path / "model.safetensors"
    save_model(step.model, run, weights)
    least = weights.stat().st_size
    planned = cost.disk_bytes(run, hops=0, sequences=0, settings=0)
    assert least * 0.95 < planned < least + 100 * 31 + 100 * 5 * 25


class Launches(TorchDispatchMode):
    """Counts operations that are no views."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.counts[str(function)] += not function.is_view
        return function(*args, **(kwargs or {}))


# Dropout takes another way on a CPU, and GPT-2's activation would.
@pytest.mark.parametrize("form", [form for form in FORMS if form != "paper"])
def test_kernels_are_about_the_operations_dispatched(form, monkeypatch):
    monkeypatch.setattr(layers, "gelu_tanh", F.gelu)
    launched = {}
    for depth in (1, 5):
        step = Step(run_of(form, depth))
        step()
        with Launches() as launches:
            step()
        launched[depth] = launches.counts.total()
    planned = {depth: cost.kernels(cost.shape_of(run_of(form, depth))) for depth in (1, 5)}
    assert planned[5] - planned[1] == pytest.approx(launched[5] - launched[1], rel=0.1)
    # Metrics and the parts of clipping are launched besides.
    assert launched[1] < planned[1] < launched[1] + 50


def test_shapes_differ_by_cost_alone():
    run = run_of("fast")
    assert cost.shape_of(run) == cost.shape_of(run.model_copy(update={"seed": 7}))
    assert cost.shape_of(run) != cost.shape_of(run_of("fast", 3))
    assert cost.shape_of(run).group == cost.shape_of(run_of("fast", 3)).group
    assert cost.shape_of(run).group != cost.shape_of(run_of("fast", batch=9)).group


@pytest.mark.parametrize("name", ["A100-80GB", "a100 80gb", "rtx3090", "RTX 4090", "l40s"])
def test_devices_are_found_however_they_are_spelt(name):
    device = find_device(name)
    assert device is not None
    assert device.name in DEVICES
    assert named(name) == device
    assert find_device("cpu") is None


def test_an_unknown_device_names_the_known_ones():
    with pytest.raises(UserError, match=r"A1000.*right would be cpu,.*A100-40GB.*T4") as error:
        find_device("A1000")
    assert "\n" not in str(error.value)


def test_a_gpu_is_bound_by_the_slowest_of_three():
    device = DEVICES["A100-80GB"]
    assert device.rate("bfloat16") == 312e12
    assert device.rate("float32") == 19.5e12
    assert DEVICES["V100"].rate("bfloat16") == 15.7e12
    by_flops = step_range(device, "float32", flops=int(19.5e12), traffic=1, kernels=1)
    assert by_flops[0] == 1
    assert by_flops[1] == pytest.approx(10, rel=1e-4)
    by_bytes = step_range(device, "float32", flops=1, traffic=int(2039e9), kernels=1)
    assert by_bytes[0] == 1
    assert by_bytes[1] == pytest.approx(2, rel=1e-4)
    by_launches = step_range(device, "float32", flops=1, traffic=1, kernels=1000)
    assert by_launches == pytest.approx((0.005, 0.02), rel=1e-4)


@pytest.mark.parametrize("device", DEVICES.values(), ids=DEVICES)
def test_what_shares_a_gpu_keeps_it_busy_for_a_part_of_its_step(device):
    shares = {}
    for name, (flops, kernels) in {
        "launches": (10**6, 1000),
        "both": (int(device.float32 / 1000), 1000),
        "arithmetic": (int(device.float32), 1000),
    }.items():
        of = {"flops": flops, "traffic": flops // 100, "kernels": kernels}
        shares[name] = busy_share(device, "float32", **of)
        # As many as fit, at the rates expected, take no longer than the longest step.
        assert 0 < shares[name] < 1
    assert shares["launches"] == pytest.approx(0.1, rel=0.01)
    assert shares["launches"] < shares["both"] < shares["arithmetic"]


def test_makespan_starts_the_longest_first():
    assert makespan([1, 1, 2, 4], 2) == 4
    assert makespan([3, 3, 3], 2) == 6
    assert makespan([1, 2, 3], 1) == 6


def test_depths_between_two_measured_are_interpolated():
    shapes = {depth: cost.shape_of(run_of("fast", depth)) for depth in (1, 2, 3)}
    calibration = Calibration({shapes[1]: 1.0, shapes[3]: 2.0})
    assert calibration.seconds_per_step(shapes[2]) == 1.5
    assert calibration.seconds_per_step(shapes[3]) == 2.0
    with pytest.raises(KeyError):
        calibration.seconds_per_step(cost.shape_of(run_of("paper")))


def test_few_shapes_are_all_measured_and_of_many_the_ends():
    few = {cost.shape_of(run): run for run in (run_of("fast", depth) for depth in range(1, 7))}
    assert to_measure(few) == few
    paper = [run_of("paper", 4)]
    many = few | {cost.shape_of(run): run for run in paper}
    found = sorted((shape.recipe, shape.spec.depth) for shape in to_measure(many))
    assert found == [("fast", 1), ("fast", 6), ("paper", 4)]


def test_imported_models_and_runs_planned_before_cost_nothing(root):
    study = load_study(root / "config/laptop.yaml")
    content = study.model_dump()
    content["experiments"]["again"] = content["experiments"]["with_mlp"]
    content["experiments"]["attention_only"]["imported"] = True
    changed = Study.model_validate(without_depths(content))
    rows, packs, totals = make_plan(changed, DEVICES["T4"], None, 2, Site())
    assert {row.experiment for row in rows} == {"with_mlp"}
    assert totals.runs == sum(len(pack.members) for pack in packs) == 15


def without_depths(content):
    for experiment in content["experiments"].values():
        experiment["model"].pop("depth", None)
    return content


def test_times_are_readable():
    assert duration((30.0, 30.0)) == "30 s"
    assert duration((60.0, 600.0)) == "1–10 min"
    assert duration((7200.0, 36000.0)) == "2–10 h"


def plan(monkeypatch, capsys, root, *arguments):
    """What the command prints; the tests need not start a process for it."""
    monkeypatch.chdir(root)
    # Not the cluster that somebody who runs the tests has described.
    for key in Site.model_fields:
        monkeypatch.delenv(f"LOGDEPTH_{key.upper()}", raising=False)
    monkeypatch.setenv("LOGDEPTH_SITE", os.devnull)
    monkeypatch.setattr(sys, "argv", ["logdepth", "plan", "--config", *map(str, arguments)])
    with pytest.raises(SystemExit) as done:
        main()
    captured = capsys.readouterr()
    assert done.value.code == 0, captured.err
    return captured.out


def check_sums(content, study):
    rows, totals = content["rows"], content["totals"]
    assert totals["runs"] == sum(row["runs"] for row in rows) == len(study.all_runs())
    assert totals["flops"] == sum(row["runs"] * row["flops_run"] for row in rows)
    packs = content["packs"]
    assert totals["jobs"] == len(packs)
    assert sorted(key for pack in packs for key in pack["members"]) == sorted(study.all_runs())
    assert all(pack["at_once"] <= content["site"]["cpus_per_gpu"] for pack in packs)
    assert all(60 * pack["minutes"] > 2 * pack["seconds"] for pack in packs)
    assert totals["disk_bytes"] == sum(row["runs"] * row["disk_bytes"] for row in rows)
    for end in (0, 1):
        seconds = sum(row["runs"] * row["seconds_run"][end] for row in rows)
        evaluation = sum(row["runs"] * row["evaluation_seconds"][end] for row in rows)
        assert totals["training_hours"][end] == pytest.approx(seconds / 3600)
        assert totals["evaluation_hours"][end] == pytest.approx(evaluation / 3600)
        together = totals["training_hours"][end] + totals["evaluation_hours"][end]
        assert totals["wall_hours"][end] >= together / totals["workers"]
    for row in rows:
        assert row["flops_run"] == row["steps"] * row["flops_step"]
        low, high = row["seconds_run"]
        assert 0 < low <= high
        assert low == pytest.approx(row["steps"] * row["seconds_step"][0])
    longest = max(row["seconds_run"][1] for row in rows)
    assert max(pack["seconds"] for pack in packs) > longest


@pytest.mark.parametrize("name", ["smoke", "laptop"])
def test_a_plan_for_this_machine_is_measured_and_adds_up(name, root, monkeypatch, capsys):
    file = f"config/{name}.yaml"
    out = plan(monkeypatch, capsys, root, file, "--seconds", "0", "--json")
    content = json.loads(out)
    check_sums(content, load_study(root / file))
    assert content["measured"] is True
    # Five shapes are measured one by one; of nine, both ends of two groups.
    assert len(content["calibration"]) == {"smoke": 5, "laptop": 4}[name]
    assert all(row["seconds_run"][0] == row["seconds_run"][1] for row in content["rows"])
    assert content["totals"]["workers"] == cores()


@pytest.mark.parametrize("name", ["smoke", "laptop"])
def test_a_plan_for_a_gpu_is_a_range_and_says_that_nobody_measured_it(
    name, root, monkeypatch, capsys
):
    file = f"config/{name}.yaml"
    out = plan(monkeypatch, capsys, root, file, "--device", "A100-80GB", "--json")
    content = json.loads(out)
    check_sums(content, load_study(root / file))
    assert content["measured"] is False
    assert UNMEASURED in content["notes"]
    assert all(row["seconds_run"][0] < row["seconds_run"][1] for row in content["rows"])


def test_the_first_line_of_make_says_how_many_how_long_and_where(
    root, monkeypatch, capsys, tmp_path
):
    study = load_study(root / "config/smoke.yaml")
    arguments = (root / "config/smoke.yaml", "--line", "--seconds", "0")
    out = plan(monkeypatch, capsys, tmp_path, *arguments)
    number = r"[0-9.]+ (s|min|h)"
    assert re.fullmatch(
        rf"smoke: {len(study.all_runs())} runs to train, about {number} on the .+ of this machine; "
        r"figures in results/smoke/figures, logs in results/smoke/logs\n",
        out,
    )
    with monkeypatch.context() as patch:
        patch.setattr("logdepth.devices.prepare_device", lambda *_: torch.device("cuda"))
        out_there = plan(monkeypatch, capsys, tmp_path, *arguments)
    assert out_there == re.sub(", about .* machine", " on the GPU", out)
    first, *rest = study.all_runs()
    for name in rest:
        (tmp_path / "results/smoke/runs" / name).mkdir(parents=True)
        (tmp_path / "results/smoke/runs" / name / "model.safetensors").touch()
    out = plan(monkeypatch, capsys, tmp_path, *arguments)
    assert out.startswith(f"smoke: 1 of {len(study.all_runs())} runs to train, about ")
    (tmp_path / "results/smoke/runs" / first).mkdir(parents=True)
    (tmp_path / "results/smoke/runs" / first / "model.safetensors").touch()
    # Nothing is timed for it.
    monkeypatch.setattr("logdepth.planning.calibrate.calibrate", None)
    out = plan(monkeypatch, capsys, tmp_path, *arguments)
    assert out.startswith("smoke: no run left to train; figures in ")


def test_bfloat16_without_units_is_told_before_anything_is_timed(
    root, monkeypatch, capsys, tmp_path
):
    file = tmp_path / "smoke.yaml"
    text = (root / "config/smoke.yaml").read_text()
    file.write_text(text.replace("steps: 500", "steps: 500, precision: bfloat16"))
    monkeypatch.setattr("logdepth.devices.bfloat16_factor", lambda: 14.2)
    warned = []

    def timed(runs, seconds):
        warned.append(capsys.readouterr().err)
        raise UserError("enough")

    monkeypatch.setattr("logdepth.planning.calibrate.calibrate", timed)
    for name, lines in ((file, 1), (root / "config/smoke.yaml", 0)):
        with pytest.raises(AssertionError, match="enough"):
            plan(monkeypatch, capsys, tmp_path, name, "--line")
        assert warned.pop().count("takes 14 times as long as in float32") == lines


def test_the_table_fits_80_columns(root, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    out = plan(monkeypatch, capsys, root, "config/paper.yaml", "--device", "T4")
    assert UNMEASURED in out
    assert max(map(len, out.splitlines())) <= 80
    rows = [line for line in out.splitlines() if "×" in line and "runs×steps" not in line]
    assert len(rows) == 25
    # A name folded over several lines would be a table too wide.
    assert "samples_10000" in out
    # Nothing in the table of jobs was cut off either.
    assert "GPUs CPUs memory" in out
    assert "…" not in out


def test_a_site_says_how_many_runs_share_a_gpu(root, monkeypatch, capsys, tmp_path):
    file = tmp_path / "site.yaml"
    file.write_text("cpus_per_gpu: 2\nmax_hours: 0.5\ngpu: V100\n")
    arguments = ("config/paper.yaml", "--device", "A100-80GB", "--json", "--site", file)
    content = json.loads(plan(monkeypatch, capsys, root, *arguments))
    assert {pack["at_once"] for pack in content["packs"]} <= {1, 2}
    assert max(pack["minutes"] for pack in content["packs"]) == 30
    assert "of the Slurm jobs may reach the limit of 0.5 h" in content["notes"][0]
    assert content["device"]["name"] == "A100-80GB"


def test_a_study_of_imported_models_has_no_plan(root, monkeypatch, capsys, tmp_path):
    content = without_depths(load_study(root / "config/laptop.yaml").model_dump(mode="json"))
    for experiment in content["experiments"].values():
        experiment["imported"] = True
    file = tmp_path / "imported.yaml"
    file.write_text(json.dumps(content))
    monkeypatch.setattr(sys, "argv", ["logdepth", "plan", "--config", str(file)])
    with pytest.raises(SystemExit) as done:
        main()
    assert done.value.code == 1
    assert "imported.yaml: nothing to plan" in capsys.readouterr().err
