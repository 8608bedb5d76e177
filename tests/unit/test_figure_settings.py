"""Figures as data: what is refused, and with which words."""

import inspect
from importlib import import_module

import pandas as pd
import pytest
from pydantic import ValidationError

from logdepth.config.figures import FigureSpec
from logdepth.config.study import load_study, read_study
from logdepth.errors import ConfigError, UserError
from logdepth.figures import KINDS
from logdepth.figures.selection import select
from logdepth.resolved import resolve
from logdepth.tables import SCHEMAS

PAPER_FIGURES = {f"fig{n:02d}" for n in (2, *range(6, 20))}
STUDY = {
    "study": "tiny",
    "title": "A study",
    "task": {"name": "hop", "context": 20, "alphabet": 4, "max_k": 8},
    "seeds": [0],
    "experiments": {
        name: {
            "title": name,
            "model": {"form": "softmax", "heads": 2, "width": 32, "mlp_ratio": ratio},
            "training": {"recipe": "muon", "steps": 200},
            "depths": [1, 2],
        }
        for name, ratio in (("a", 1), ("b", 0))
    },
}


def resolved(spec, **changes):
    study = read_study(STUDY | {"figures": {"fig01": spec}} | changes, "t.yaml")
    return resolve(study)


@pytest.mark.parametrize("study", ["paper", "released"])
def test_the_studies_of_the_paper_have_all_its_figures_of_results(root, study):
    figures = load_study(root / "config" / f"{study}.yaml").figures
    assert set(figures) >= PAPER_FIGURES


def test_the_figures_of_every_study_are_possible(root):
    names = [p.stem for p in (root / "config").glob("*.yaml") if p.stem != "default"]
    assert "smoke" in names
    for name in names:
        resolve(load_study(root / f"config/{name}.yaml"))


def test_a_kind_of_figure_is_what_its_module_says(root):
    found = set()
    for path in (root / "workflow/logdepth/figures").glob("*.py"):
        module = import_module(f"logdepth.figures.{path.stem}")
        if not (hasattr(module, "prepare") and hasattr(module, "draw")):
            assert path.stem not in KINDS
            continue
        found.add(path.stem)
        kind = KINDS[path.stem]
        assert kind.tables == module.TABLES
        # The first line says what the module is, the rest is the caption.
        what, _, caption = inspect.getdoc(module).partition("\n\n")
        assert kind.caption == caption != "", path.stem
        assert "\n" not in what, path.stem
        assert kind.options == getattr(module, "OPTIONS", ())
        assert kind.experiments == getattr(module, "EXPERIMENTS", 0)
        assert kind.uses == getattr(module, "USES", ())
    assert found == set(KINDS)


def test_the_page_on_configuration_has_every_kind(root):
    page = (root / "config/README.md").read_text()
    assert [kind for kind in KINDS if f"`{kind}`" not in page] == []


def test_the_page_on_configuration_has_every_file(root):
    page = (root / "config/README.md").read_text()
    files = [file.name for file in (root / "config").iterdir() if file.name != "README.md"]
    assert [file for file in files if f"`{file}`" not in page] == []


def test_a_kind_of_figure_names_what_there_is():
    for name, kind in KINDS.items():
        assert set(kind.tables) <= set(SCHEMAS), name
        assert kind.tables, name
        assert set(kind.options) <= set(FigureSpec.model_fields), name
        assert set(kind.uses) <= {"reach"}, name


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"draws": "pie"}, r"draws: no kind of figure 'pie'; expected one of .*depth_law"),
        ({"draws": "alignment", "experiments": ["a"], "k": 1}, "depth: .* needs it"),
        ({"draws": "alignment", "experiments": ["a"], "depth": 2}, "k: .* needs it"),
        ({"draws": "alignment", "depth": 2, "k": 1}, "experiments: .* shows exactly one"),
        ({"draws": "alignment", "experiments": ["a", "b"], "depth": 2, "k": 1},
         "experiments: .* shows exactly one"),
        ({"draws": "error_by_k", "depth": 2}, "depth: .* takes none"),
        ({"draws": "error_by_k", "k": 2}, "k: .* takes none"),
        ({"draws": "error_contrast", "experiments": ["a"]}, "experiments: .* shows 2"),
        ({"draws": "error_contrast"}, "experiments: .* shows 2"),
        ({"draws": "alignment", "experiments": ["a"], "depth": 2, "k": 1, "heads": [[1, 1, 1]]},
         "heads: .* takes none"),
        ({"draws": "mpc_execution"}, " .* expected a setting 'theory', such as theory: {}"),
        ({"draws": "error_by_k", "mode": "train"},
         "mode is 'train', which evaluation.modes does not have"),
        ({"draws": "error_by_k", "experiments": ["c"]},
         "experiments: no experiment 'c'; expected one of a, b"),
        ({"draws": "alignment", "experiments": ["a"], "depth": 3, "k": 1},
         r"depth: a has the depths \[1, 2\]"),
        ({"draws": "alignment", "experiments": ["a"], "depth": 2, "k": 9},
         "k is 9, but k of a goes to task.max_k, which is 8"),
    ],
)  # fmt: skip
def test_impossible_figures_are_refused(spec, message):
    with pytest.raises(ConfigError, match=rf"^figures\.fig01[.:]{message}") as caught:
        resolved(spec)
    assert "\n" not in str(caught.value)


def test_a_mistake_in_a_setting_of_a_figure_is_one_of_the_file():
    for spec in ({"draws": "depth_law", "depth": 0}, {"draws": "depth_law", "mode": "on"}):
        with pytest.raises(ValidationError):
            FigureSpec.model_validate(spec)
        with pytest.raises(ConfigError, match=r"t\.yaml: figures\.fig01\.(depth|mode): "):
            resolved(spec)


def test_possible_figures_are_not_refused():
    for spec in (
        {"draws": "attention_maps", "experiments": ["a"], "depth": 2, "k": 8},
        {"draws": "attention_maps", "experiments": ["b"], "depth": 1, "k": 0, "heads": [[1, 1, 1]]},
        {"draws": "error_contrast", "experiments": ["b", "a"], "mode": "eval"},
        {"draws": "best_alignment", "experiments": ["a"], "depth": 2},
    ):
        figure = resolved(spec).figures["fig01"]
        assert figure == FigureSpec.model_validate(spec)
    assert "fig01" in resolved({"draws": "mpc_execution"}, theory={}).figures


def test_a_figure_of_heads_needs_a_task_with_pointers_and_attention(monkeypatch):
    spec = {"draws": "alignment", "experiments": ["a"], "depth": 2, "k": 1}
    assert "fig01" in resolved(spec).figures
    study = read_study(STUDY | {"figures": {"fig01": spec}}, "t.yaml")
    task, model = type(study.task), type(study.experiments["a"].model)
    for kind, word in ((task, "has_pointers"), (model, "has_attention")):
        with monkeypatch.context() as patch:
            patch.setattr(kind, word, False)
            with pytest.raises(ConfigError, match="a has no attention that can be compared with"):
                resolve(study)


def table():
    return pd.DataFrame(
        {"experiment": ["a", "a", "b"], "mode": ["train", "eval", "train"], "error": [1, 2, 3]}
    )


def test_only_what_a_figure_shows_is_selected():
    spec = FigureSpec(draws="error_by_k", experiments=("a",), mode="train")
    assert select({"errors": table()}, spec)["errors"]["error"].tolist() == [1]
    everything = FigureSpec(draws="error_by_k")
    assert select({"errors": table()}, everything)["errors"].equals(table())
    with pytest.raises(UserError, match="table errors: no row with experiment c; nothing to draw"):
        select({"errors": table()}, FigureSpec(draws="error_by_k", experiments=("c",)))
