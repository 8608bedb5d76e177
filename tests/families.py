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
    """Return a small model of each form, and one without an MLP of each way to build one."""
    found = {}
    ways = set()
    for name in models.names():
        kind = models.settings(name)
        fields = kind.model_fields
        found[name] = small_model(name, **({"heads": 2} if "heads" in fields else {}))
        if "mlp_ratio" in fields and kind.build not in ways:
            ways.add(kind.build)
            found[f"{name}-without-mlp"] = small_model(name, mlp_ratio=0)
    return found


def trained_recipes() -> dict[str, type[Recipe]]:
    found = {name: recipes.settings(name) for name in recipes.names()}
    return {name: kind for name, kind in found.items() if kind.is_trained}


def short_recipes(steps: int = 12, batch: int = 8) -> dict[str, Recipe]:
    """Return each recipe that trains, a few steps long, in each of its precisions."""
    found = {}
    for name, kind in trained_recipes().items():
        field = kind.model_fields["precision"]
        for precision in get_args(field.annotation) or (field.default,):
            short = {"steps": steps, "batch": batch, "warmup": 3, "precision": precision}
            found[f"{name}-{precision}"] = kind(**short)
    return found


def full_recipes() -> dict[str, Recipe]:
    """Return each recipe that trains with all it can: two batches of samples, a block that joins
    after three steps, a schedule that is cut short.
    """
    most = {"steps": 8, "stop_after": 7, "batch": 4, "samples": 8, "warmup": 3, "grow": (3,)}
    return {
        f"{name}-full": kind(**{key: most[key] for key in most if key in kind.model_fields})
        for name, kind in trained_recipes().items()
    }


def each(argument: str, cases: dict[str, Any]) -> pytest.MarkDecorator:
    """Return what parametrises a test by the cases, under their names."""
    return pytest.mark.parametrize(argument, cases.values(), ids=cases)
