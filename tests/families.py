"""Small members of every family, found by their files, as tests over a family take them."""

from typing import Any, get_args

import pytest

from logdepth import models, recipes, tasks
from logdepth.models.base import Model
from logdepth.recipes.base import Recipe
from logdepth.tasks.base import Task


def small_task(name: str) -> Task:
    """Return a task with its defaults, but short sequences and few values of k."""
    kind = tasks.settings(name)
    lowered = {
        key: min(kind.model_fields[key].default, most)
        for key, most in {"context": 16, "max_k": 4}.items()
        if key in kind.model_fields
    }
    return kind(**lowered)


def small_model(name: str, depth: int = 2, width: int = 32, **settings: Any) -> Model:
    """Return a small model of a form, wide enough for each of them."""
    return models.settings(name)(depth=depth, width=width, **settings)


def small_tasks() -> dict[str, Task]:
    return {name: small_task(name) for name in tasks.names()}


def small_models() -> dict[str, Model]:
    """Return a small model of each form, and one without an MLP where there can be one."""
    found = {}
    for name in models.names():
        fields = models.settings(name).model_fields
        found[name] = small_model(name, **({"heads": 2} if "heads" in fields else {}))
        if "mlp_ratio" in fields:
            found[f"{name}-without-mlp"] = small_model(name, mlp_ratio=0)
    return found


def short_recipes() -> dict[str, Recipe]:
    """Return each recipe that trains, a few steps long, in each of its precisions."""
    found = {}
    for name in recipes.names():
        kind = recipes.settings(name)
        if not kind.is_trained:
            continue
        field = kind.model_fields["precision"]
        for precision in get_args(field.annotation) or (field.default,):
            short = {"steps": 12, "batch": 8, "warmup": 3, "precision": precision}
            found[f"{name}-{precision}"] = kind(**short)
    return found


def each(argument: str, cases: dict[str, Any]) -> pytest.MarkDecorator:
    """Return what parametrises a test by the cases, under their names."""
    return pytest.mark.parametrize(argument, cases.values(), ids=cases)
