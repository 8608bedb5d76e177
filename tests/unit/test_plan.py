"""The plan of a study: counts against real training steps, and totals that add up."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import torch
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from families import each, short_recipes, small_models, small_tasks
from logdepth.cli.main import main
from logdepth.cli.plan import cores
from logdepth.config.run import Run
from logdepth.config.study import Study, load_study
from logdepth.errors import UserError
from logdepth.models.gpt2 import Gpt2
from logdepth.planning import cost, count
from logdepth.planning.calibrate import Calibration, calibrate, seconds_per_step, to_measure
from logdepth.planning.gpus import DEVICES, busy_share, find_device, named, step_range
from logdepth.planning.makespan import makespan
from logdepth.planning.plan import make_plan
from logdepth.planning.report import UNMEASURED, duration, together
from logdepth.planning.site import Site
from logdepth.tasks.hop import Hop
from logdepth.training import metrics
from logdepth.training.checkpoint import CheckpointStore
from logdepth.training.store import save_model

pytestmark = pytest.mark.usefixtures("counted_once")
FORMS = {
    "softmax": (
        {"form": "softmax", "heads": 2, "width": 32, "mlp_ratio": 3},
        {"recipe": "muon"},
    ),
    "attention": (
        {"form": "softmax", "heads": 4, "width": 64, "mlp_ratio": 0},
        {"recipe": "muon"},
    ),
    "bfloat16": (
        {"form": "softmax", "heads": 2, "width": 64},
        {"recipe": "muon", "precision": "bfloat16"},
    ),
    "gpt2": ({"form": "gpt2", "heads": 4, "width": 32}, {"recipe": "paper"}),
    "no_dropout": ({"form": "gpt2", "heads": 4, "width": 32, "dropout": 0}, {"recipe": "paper"}),
}


def run_of(form, depth=2, context=21, batch=8, **model):
    settings, recipe = FORMS[form]
    return Run.model_validate(
        {
            "task": {"name": "hop", "context": context, "alphabet": 4, "max_k": 4},
            "model": settings | {"depth": depth} | model,
            "training": recipe | {"steps": 100, "warmup": 10, "batch": batch},
            "seed": 0,
        }
    )


def fitting_runs():
    """A run of hop with every form, and with every recipe that trains; of other tasks with one."""
    pairs = [
        ("hop", form, name)
        for form in small_models()
        for name in short_recipes()
        if form == "softmax" or name in ("muon-float32", "muon-bfloat16")
    ]
    pairs += [(task, "softmax", "paper-float32") for task in small_tasks() if task != "hop"]
    return {
        "-".join(names): Run(
            task=small_tasks()[names[0]],
            model=small_models()[names[1]],
            training=short_recipes()[names[2]],
            seed=0,
        )
        for names in pairs
    }


every_run = each("run", fitting_runs())


def counted(run):
    return count.count(cost.shape_of(run))


class Step:
    """One training step, as the training loop takes it."""

    def __init__(self, run):
        self.run = run
        self.network = run.model.build(run.task).train()
        self.optimizers = run.training.optimizers(self.network)

    def losses(self):
        batch = self.run.task.batch(0, 0, self.run.training.batch)
        target = self.network.labels(batch.targets)
        half = self.run.training.precision == "bfloat16"
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            logits = self.network(batch.tokens)
        return F.cross_entropy(logits.float().transpose(1, 2), target)

    def __call__(self):
        self.network.zero_grad()
        self.losses().backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step(torch.ones(()))


@every_run
def test_flops_parameters_and_state_are_those_of_a_real_step(run):
    step = Step(run)
    found = counted(run)
    # The fused attention of a CPU is not in torch's count; the same written as products is.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as forward:
        step.losses()
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as whole:
        step()
    assert found.forward_flops == forward.get_total_flops() > 0
    assert found.step_flops == whole.get_total_flops()
    parameters = list(step.network.parameters())
    assert found.parameters == run.model.parameters(run.task) == sum(p.numel() for p in parameters)
    state = [tensor for optimizer in step.optimizers for tensor in optimizer.tensors()]
    held = sum(t.numel() * t.element_size() for t in state if t.dim())
    # AdamW counts the steps of each of its parameters.
    assert held <= found.optimizer_bytes <= held + 4 * len(parameters)


# Paper: Table 3.
@pytest.mark.parametrize(
    ("heads", "width", "counts"),
    [
        (4, 128, [413440, 611712, 809984, 1008256, 1206528]),
        (8, 256, [1613312, 2403072, 3192832, 3982592, 4772352]),
    ],
)
def test_parameters_are_those_of_the_paper(heads, width, counts):
    models = [Gpt2(depth=depth, heads=heads, width=width) for depth in range(2, 7)]
    assert [model.parameters(Hop()) for model in models] == counts


# Attention is counted as products, which keep its matrices; fused, a CPU keeps none of them. So
# the count of softmax is too large, the more the longer a sequence is against the width: 1.2 times
# at the size of the speedrun, 1.45 at the laptop's attention without an MLP (N = 49, m = 64), but
# 2.8 at N = 99 and m = 32.
@pytest.mark.parametrize(
    ("form", "low", "high"),
    [
        ("softmax", 1.0, 1.6),
        ("attention", 1.0, 1.6),
        ("bfloat16", 0.85, 1.15),
        ("gpt2", 0.85, 1.15),
        ("no_dropout", 1.0, 1.2),
    ],
)
def test_activations_are_about_what_autograd_saves(form, low, high):
    run = run_of(form, 4, context=60, batch=16)
    step = Step(run)
    own = {p.untyped_storage().data_ptr() for p in step.network.parameters()}
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
    assert low < counted(run).activation_bytes / kept < high
    del loss


@pytest.mark.parametrize("form", ["softmax", "gpt2"])
def test_state_and_files_have_about_the_bytes_planned(form, tmp_path):
    run = run_of(form, 3, width=64, heads=4)
    step = Step(run)
    step()
    found = counted(run)
    store = CheckpointStore(tmp_path, "definition")
    state = {
        "model": step.network.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in step.optimizers],
    }
    size = store.save(1, state).stat().st_size
    assert cost.checkpoint_bytes(run, found) == pytest.approx(size, rel=0.15)
    weights = tmp_path / "model.safetensors"
    save_model(step.network, run, weights)
    least = weights.stat().st_size
    planned = cost.disk_bytes(run, found, ks=0, sequences=0, modes=0)
    assert least * 0.95 < planned < least + 100 * 31 + 100 * 5 * 25
    assert cost._INTERVALS == metrics.INTERVALS


class Launches(TorchDispatchMode):
    """Counts operations that are no views."""

    def __init__(self):
        super().__init__()
        self.launched = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.launched += not function.is_view
        return function(*args, **(kwargs or {}))


# Attention written as products takes 28 more in each block than fused, and dropout one less.
@pytest.mark.parametrize(
    ("form", "more"),
    [("softmax", 28), ("attention", 28), ("bfloat16", -2), ("gpt2", -7), ("no_dropout", 20)],
)
def test_kernels_are_about_the_operations_dispatched(form, more):
    launched = {}
    for depth in (1, 5):
        step = Step(run_of(form, depth))
        step()
        with Launches() as launches:
            step()
        launched[depth] = launches.launched
    planned = {depth: counted(run_of(form, depth)).kernels for depth in (1, 5)}
    wanted = launched[5] - launched[1] + 4 * more
    assert planned[5] - planned[1] == pytest.approx(wanted, rel=0.1)
    # Metrics and the parts of clipping are launched besides.
    assert launched[1] < planned[1] < launched[1] + more + 50


def test_shapes_differ_by_cost_alone():
    run = run_of("softmax")
    assert cost.shape_of(run) == cost.shape_of(run.model_copy(update={"seed": 7}))
    longer = run.training.model_copy(update={"steps": 200, "adamw_rate": 0.5, "samples": 64})
    assert cost.shape_of(run) == cost.shape_of(run.model_copy(update={"training": longer}))
    assert cost.shape_of(run) != cost.shape_of(run_of("softmax", 3))
    assert cost.shape_of(run) != cost.shape_of(run_of("softmax", context=22))
    assert cost.shape_of(run).group == cost.shape_of(run_of("softmax", 3)).group
    assert cost.shape_of(run).group != cost.shape_of(run_of("softmax", batch=9)).group


def test_counts_are_kept_until_another_shape_is_asked_for(tmp_path, monkeypatch):
    kept = tmp_path / "costs.json"
    runs = [run_of("softmax"), run_of("gpt2")]
    found = cost.costs_of(runs, kept)
    assert found == cost.costs_of(runs)
    written = kept.read_text()
    with monkeypatch.context() as patch:
        patch.setattr(count, "count", None)
        assert cost.costs_of(runs, kept) == found
        assert cost.costs_of(runs[:1], kept) == {
            cost.shape_of(runs[0]): found[cost.shape_of(runs[0])]
        }
        with pytest.raises(TypeError):
            cost.costs_of([*runs, run_of("softmax", 3)], kept)
    assert kept.read_text() == written
    cost.costs_of([*runs, run_of("softmax", 3)], kept)
    assert len(json.loads(kept.read_text())) == 3


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"a": {}}', '{"a": 1}'])
def test_a_damaged_file_of_counts_is_written_again(text, tmp_path):
    kept = tmp_path / "costs.json"
    kept.write_text(text)
    found = cost.costs_of([run_of("softmax")], kept)
    assert found == cost.costs_of([run_of("softmax")])
    assert len(json.loads(kept.read_text())) == 1


CODE = """\
import json, sys
from pathlib import Path
from logdepth.config.run import Run
from logdepth.planning import cost
run = Run.model_validate(json.loads(sys.argv[1]))
(found,) = cost.costs_of([run], Path(sys.argv[2])).values()
print(found.step_flops, 'torch' in sys.modules)
"""


def test_kept_counts_are_read_without_torch(tmp_path):
    run, kept = run_of("softmax"), tmp_path / "costs.json"
    flops = cost.costs_of([run], kept)[cost.shape_of(run)].step_flops

    def ask():
        command = [sys.executable, "-c", CODE, json.dumps(run.content), str(kept)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    assert ask() == [str(flops), "False"]
    # Without them it is torch that counts.
    kept.unlink()
    assert ask() == [str(flops), "True"]


KEYS = """\
import json, sys
from logdepth.config.run import Run
from logdepth.planning import cost
for run in json.loads(sys.argv[1]):
    print(cost.shape_of(Run.model_validate(run)).key)
"""


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("models/softmax.py", [True, False]),
        ("models/gpt2.py", [False, True]),
        ("models/layers.py", [True, True]),
        ("recipes/muon.py", [True, False]),
        ("optimizers/muon.py", [True, False]),
        ("tasks/hop.py", [True, True]),
        ("planning/count.py", [True, True]),
        ("planning/report.py", [False, False]),
        ("training/loop.py", [False, False]),
    ],
)
def test_counts_are_of_the_source_as_it_is(file, changes, root, tmp_path):
    shutil.copytree(
        root / "workflow/logdepth",
        tmp_path / "logdepth",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    runs = json.dumps([run_of(form).content for form in ("softmax", "gpt2")])

    with (tmp_path / "logdepth" / file).open("a") as source:
        source.write("\n\nCHANGED = True\n")
    done = subprocess.run(
        [sys.executable, "-c", KEYS, runs],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    keys = [cost.shape_of(run_of(form)).key for form in ("softmax", "gpt2")]
    assert [old != new for old, new in zip(keys, done.stdout.split(), strict=True)] == changes


@pytest.mark.parametrize("name", ["A100-80GB", "a100 80gb", "rtx3090", "RTX 4090", "l40s"])
def test_devices_are_found_however_they_are_spelt(name):
    device = find_device(name)
    assert device is not None
    assert device.name in DEVICES
    assert named(name) == device
    assert find_device("cpu") is None


def test_an_unknown_device_names_the_known_ones():
    with pytest.raises(UserError, match=r"A1000.*expected cpu,.*A100-40GB.*T4") as error:
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
    shapes = {depth: cost.shape_of(run_of("softmax", depth)) for depth in (1, 2, 3)}
    calibration = Calibration({shapes[1]: 1.0, shapes[3]: 2.0})
    assert calibration.seconds_per_step(shapes[2]) == 1.5
    assert calibration.seconds_per_step(shapes[3]) == 2.0
    with pytest.raises(KeyError):
        calibration.seconds_per_step(cost.shape_of(run_of("gpt2")))


@pytest.mark.parametrize("changes", [{}, {"steps": 3000, "grow": [500, 1200]}])
def test_all_blocks_are_timed_also_where_depth_grows(changes, monkeypatch):
    run = run_of("softmax", 4)
    run = run.model_copy(update={"training": run.training.changed(changes)})
    used = []

    def train(runs, **_):
        steps = range(runs[0].training.trained_steps)
        used.extend(runs[0].training.blocks(step, runs[0].model.depth) for step in steps)
        return []

    monkeypatch.setattr("logdepth.planning.calibrate.train_together", train)
    seconds_per_step([run], 0)
    assert set(used) == {4}


def test_few_shapes_are_all_measured_and_of_many_the_ends():
    few = {cost.shape_of(run): run for run in (run_of("softmax", depth) for depth in range(1, 7))}
    assert to_measure(few) == few
    many = few | {cost.shape_of(run): run for run in [run_of("gpt2", 4)]}
    found = sorted((shape.model.form, shape.model.depth) for shape in to_measure(many))
    assert found == [("gpt2", 4), ("softmax", 1), ("softmax", 6)]


def seeds(form, count, **changes):
    run = run_of(form, **changes)
    return [run.model_copy(update={"seed": seed}) for seed in range(count)]


def test_runs_are_timed_as_one_network_where_they_can_be_one():
    forms = {"softmax": 5, "gpt2": 2, "no_dropout": 1}
    runs = [run for form, count in forms.items() for run in seeds(form, count)]
    gru = {"form": "recurrent", "cell": "gru", "width": 16, "depth": 2}
    content = [run.content | {"model": gru} for run in seeds("softmax", 2)]
    runs += [Run.model_validate(run) for run in content]
    found = calibrate(runs, 0, most=4)
    assert len(found.measured) == 4
    by_form = {shape.recipe.recipe: count for shape, (count, _) in found.together.items()}
    assert by_form == {"muon": 4, "paper": 2}
    assert all(seconds > 0 for _, seconds in found.together.values())
    assert calibrate(runs[:1], 0).together == {}


@pytest.mark.parametrize(
    ("seconds", "cores", "line"),
    [
        # Four runs in one process and a fifth alone: 4 * 0.4 + 1 of 5 seconds.
        (0.4, 1, "are 1.9 times as fast here: together: 4 in site.yaml"),
        (0.1, 2, "are 2.8 times as fast here: together: 4 in site.yaml"),
        (
            0.6,
            2,
            "take 0.68 of their CPU time alone, and while they train others of them hold 2 cores: "
            "together: 1 in site.yaml is fastest here",
        ),
        (1.25, 1, "take 1.20 of their CPU time alone: together: 1 in site.yaml is fastest here"),
    ],
)
def test_a_cpu_has_runs_wait_while_one_process_trains_them(seconds, cores, line):
    runs = seeds("softmax", 5)
    shape = cost.shape_of(runs[0])
    calibration = Calibration({shape: 1.0}, {shape: (4, seconds)})
    found = together(runs, Site(gpu="none"), calibration, cores)
    assert found == f"runs that train as one network {line}"


def test_runs_of_which_no_two_are_alike_have_nothing_to_wait_for():
    runs = [run_of("softmax"), run_of("gpt2")]
    found = together(runs, Site(gpu="none"), calibrate(runs, 0, most=8), 1)
    assert found == "no two of the runs can train as one network"


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
    assert totals["runs"] == sum(row["runs"] for row in rows) == len(study.trained_runs())
    assert totals["flops"] == sum(row["runs"] * row["flops_run"] for row in rows)
    packs = content["packs"]
    assert totals["jobs"] == len(packs)
    assert sorted(key for pack in packs for key in pack["members"]) == sorted(study.trained_runs())
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
    assert "as one network" in content["notes"][-1]


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
    assert content["notes"][-1].startswith("nothing was measured of a A100-80GB: ")
    assert all(row["seconds_run"][0] < row["seconds_run"][1] for row in content["rows"])


def test_the_first_line_of_make_says_how_many_how_long_and_where(
    root, monkeypatch, capsys, tmp_path
):
    study = load_study(root / "config/smoke.yaml")
    arguments = (root / "config/smoke.yaml", "--line", "--seconds", "0")
    out = plan(monkeypatch, capsys, tmp_path, *arguments)
    number, runs = r"[0-9.]+ (s|min|h)", len(study.trained_runs())
    assert re.fullmatch(
        rf"smoke: {runs} runs to train, about {number} on the .+ of this machine; "
        r"figures in results/smoke/figures, logs in results/smoke/logs\n",
        out,
    )
    with monkeypatch.context() as patch:
        patch.setattr("logdepth.devices.prepare_device", lambda *_: torch.device("cuda"))
        out_there = plan(monkeypatch, capsys, tmp_path, *arguments)
    assert out_there == re.sub(", about .* machine", " on the GPU", out)
    first, *rest = study.trained_runs()
    for name in rest:
        (tmp_path / "results/smoke/runs" / name).mkdir(parents=True)
        (tmp_path / "results/smoke/runs" / name / "model.safetensors").touch()
    out = plan(monkeypatch, capsys, tmp_path, *arguments)
    assert out.startswith(f"smoke: 1 of {len(study.trained_runs())} runs to train, about ")
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

    def timed(*_):
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
