"""Models written down as weights, as runs of a study; and what solved which k."""

import json
import re

import pandas as pd
import pytest
import torch

from command_line import error, logdepth_here
from logdepth.config.run import Run
from logdepth.config.study import OtherStudy, read_study
from logdepth.errors import ConfigError, UserError
from logdepth.evaluation.paper_differences import conditions_of
from logdepth.fitting.depths import depths_beside, own_depths, published_depths
from logdepth.models.gpt2 import Gpt2
from logdepth.planning.gpus import DEVICES
from logdepth.planning.plan import make_plan
from logdepth.planning.site import Site
from logdepth.recipes.compiled import Compiled
from logdepth.resolved import resolve
from logdepth.tables import read_table
from logdepth.tasks.hop import Hop
from logdepth.theory.catalog import TABLES
from logdepth.training.store import load_model

STUDY = {
    "study": "built",
    "title": "Built",
    "task": {"name": "hop", "context": 20, "alphabet": 4, "max_k": 4},
    "seeds": [3, 4],
    "experiments": {
        "hand": {
            "title": "by hand",
            "model": {"form": "softmax", "heads": 2, "width": 64, "mlp_ratio": 1},
            "training": {"recipe": "compiled"},
            "depths": [2, 4],
        },
        "trained": {
            "title": "trained",
            "model": {"form": "softmax", "heads": 2, "width": 16},
            "training": {"recipe": "muon"},
            "depths": [1],
        },
    },
}


def changed(path, value):
    """The study with one setting of the compiled experiment changed."""
    study = json.loads(json.dumps(STUDY))
    place = study["experiments"]["hand"]
    *parents, key = path.split(".")
    for parent in parents:
        place = place[parent]
    place[key] = value
    return study


def test_compiled_models_have_one_run_a_depth_and_are_not_trained():
    resolved = resolve(read_study(STUDY, "built.yaml"))
    assert [run.model.depth for run in resolved.compiled.values()] == [2, 4]
    assert {run.seed for run in resolved.compiled.values()} == {0}
    assert all(name.startswith("compiled-hop-softmax-L") for name in resolved.compiled)
    assert len(resolved.trained) == 2
    assert set(resolved.runs) == set(resolved.compiled) | set(resolved.trained)
    assert list(resolved.summary.trained) == ["trained"]
    assert list(resolved.summary.compiled) == ["hand"]
    assert {run.training.trained_steps for run in resolved.compiled.values()} == {0}


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("model.width", 40, "model.width is 40, .* needs an even width of at least 4[0-9]"),
        ("model.mlp_ratio", 0, "needs an MLP: 1 or more"),
        ("model.heads", 1, "2 heads or more"),
        ("depths", [1, 2], "a depth of 2 or more"),
        ("imported", True, "a compiled model is never imported"),
        ("training.recipe", "built", "'compiled', 'muon', 'paper'"),
        ("training.steps", 5, "unknown key 'steps'"),
        (
            "model",
            {"form": "recurrent", "width": 64},
            "for the forms softmax and gpt2, not recurrent",
        ),
        ("task", {"name": "s5"}, "for the task hop, not s5"),
    ],
)
def test_models_that_cannot_hold_the_construction_are_refused(path, value, message):
    with pytest.raises(ConfigError, match=f"built.yaml: .*{message}"):
        read_study(changed(path, value), "built.yaml")


def test_a_figure_of_the_theory_needs_the_theory():
    study = STUDY | {"figures": {"fig01": {"draws": "mpc_execution"}}}
    with pytest.raises(ConfigError, match=r"figures.fig01: .* expected a setting 'theory'"):
        resolve(read_study(study, "built.yaml"))
    resolved = resolve(read_study(study | {"theory": {}}, "built.yaml"))
    assert resolved.study.theory.max_hops == 32


def test_a_plan_leaves_compiled_models_out():
    study = read_study(changed("depths", [2, 3, 4]), "built.yaml")
    assert set(study.trained_runs()) == {run.identifier for run in study.runs("trained")}
    rows, packs, _ = make_plan(study, DEVICES["T4"], None, 2, Site())
    assert [row.experiment for row in rows] == ["trained"]
    assert sum(len(pack.members) for pack in packs) == len(study.seeds)


def test_the_command_writes_a_model_that_loads_and_says_so(tmp_path):
    run = next(iter(read_study(STUDY, "built.yaml").compiled_runs().values()))
    content = json.dumps(run.content)
    done = logdepth_here("compile", "--run", content, "--output", tmp_path)
    assert done.returncode == 0, done.stderr
    model, loaded = load_model(tmp_path / "model.safetensors", torch.device("cpu"))
    assert loaded == run == Run.model_validate_json((tmp_path / "run.json").read_text())
    assert len(model.blocks) == 2
    first = (tmp_path / "model.safetensors").read_bytes()
    logdepth_here("compile", "--run", content, "--output", tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == first


def test_a_command_for_the_other_kind_of_run_is_refused(tmp_path):
    study = read_study(STUDY, "built.yaml")
    trained = next(iter(study.trained_runs().values())).content
    done = logdepth_here("compile", "--run", json.dumps(trained), "--output", tmp_path)
    assert "training.recipe is 'muon'; expected 'compiled'" in error(done)
    compiled = next(iter(study.compiled_runs().values())).content
    done = logdepth_here("train", "--run", json.dumps(compiled), "--output", tmp_path)
    assert "nothing to train" in error(done)
    assert not list(tmp_path.iterdir())


def test_a_comparison_says_that_a_model_was_not_trained():
    run = Run(task=Hop(), model=Gpt2(depth=2), training=Compiled(), seed=0)
    assert conditions_of(run, "train", alone=True) == "compiled, not trained"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["hops"], f"no table 'hops'; expected one of .*{next(iter(TABLES))}"),
        (["trained_models"], "trained_models: needs --study and --runs"),
        (["reductions", "--study", "x", "--runs", "y"], "takes no --study and --runs"),
        (["reductions", "--settings", '{"instances": 1}'], "instances: .* greater than or equal"),
        (["reductions", "--settings", '{"size": 1}'], "unknown key 'size'"),
    ],
)
def test_a_wrong_question_to_the_theory_is_one_line(tmp_path, arguments, message):
    done = logdepth_here("theory", *arguments, "--output", tmp_path / "x.csv")
    line = error(done)
    assert re.search(message, line), line
    assert not list(tmp_path.iterdir())


def test_published_depths_are_those_of_the_papers_figure(root):
    published = read_table("published_errors", root / "config/published_errors.csv")
    table = published_depths(published, 0.1)
    assert table["depth"].tolist() == [2, 3, 4, 5, 6]
    assert table["largest_solved"].tolist() == [1, 3, 6, 9, 16]
    assert table["value"].tolist() == ["exact"] * 4 + ["lower bound"]


def test_depths_of_another_study_are_taken_at_the_first_threshold(root):
    thresholds = read_table("thresholds", root / "results/published/speedrun/tables/thresholds.csv")
    beside = OtherStudy(results="results/published/speedrun", experiment="fast", title="ours")
    table = depths_beside(thresholds, beside)
    assert table["largest_solved"].tolist() == [2, 5, 11, 14, 16]
    assert set(table["title"]) == {"ours"}
    own = own_depths(thresholds, {"fast": "mine"}, ["fast"])
    assert own["largest_solved"].tolist() == table["largest_solved"].tolist()
    assert set(own["kind"]) == {"compiled"}
    with pytest.raises(UserError, match=r"no experiment 'slow'.*expected one of fast"):
        depths_beside(thresholds, beside.model_copy(update={"experiment": "slow"}))


def test_threshold_values_survive_the_table(tmp_path):
    table = pd.DataFrame(
        [("by hand", "compiled", "eval", 2, 1, "exact", 0.1)],
        columns=["title", "kind", "mode", "depth", "largest_solved", "value", "threshold"],
    )
    table.to_csv(tmp_path / "solved.csv", index=False)
    pd.testing.assert_frame_equal(read_table("solved_depths", tmp_path / "solved.csv"), table)
