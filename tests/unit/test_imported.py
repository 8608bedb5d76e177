"""Which experiment an imported model belongs to."""

import pytest

from logdepth.canonical import canonical_json
from logdepth.config.imported import imported_runs
from logdepth.config.run import Run
from logdepth.config.study import load_study
from logdepth.errors import ConfigError
from logdepth.models.gpt2 import Gpt2
from logdepth.recipes.paper import PaperRecipe
from logdepth.tasks.hop import Hop

TASK = Hop(context=99, alphabet=4, max_k=16)


def run(depth=4, heads=4, width=128, samples=None, origin="released", task=TASK):
    return Run(
        task=task,
        model=Gpt2(depth=depth, heads=heads, width=width),
        training=PaperRecipe(samples=samples),
        seed=42,
        origin=origin,
    )


def keep(folder, *runs):
    for r in runs:
        path = folder / r.identifier / "run.json"
        path.parent.mkdir(parents=True)
        path.write_text(canonical_json(r.content))


@pytest.fixture
def study(root):
    return load_study(root / "config" / "released.yaml")


def test_runs_go_to_the_experiment_of_their_size_and_data(study, tmp_path):
    deep, flat = run(depth=6), run(depth=2)
    wide, few = run(heads=8, width=256), run(samples=1000)
    strange = [
        run(depth=7),
        run(samples=77),
        run(origin="trained"),
        run(task=Hop(context=98, alphabet=4, max_k=16)),
    ]
    keep(tmp_path, deep, flat, wide, few, *strange)
    found = imported_runs(study, tmp_path)
    assert {name: runs for name, runs in found.items() if runs} == {
        "infinite": [flat, deep],
        "wide": [wide],
        "samples_1000": [few],
    }


def test_nothing_imported_says_what_to_do(study, tmp_path):
    with pytest.raises(ConfigError, match=r"no imported model.*logdepth import FOLDER"):
        imported_runs(study, tmp_path)


def test_a_damaged_run_is_named(study, tmp_path):
    path = tmp_path / "x" / "run.json"
    path.parent.mkdir()
    path.write_text("{}")
    with pytest.raises(ConfigError, match=r"x/run.json: task: .*import the model again"):
        imported_runs(study, tmp_path)


def test_a_study_without_imports_looks_nowhere(root, tmp_path):
    assert imported_runs(load_study(root / "config" / "laptop.yaml"), tmp_path / "none") == {}
