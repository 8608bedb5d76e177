"""The JSON schema and the documented default, both generated from the configuration classes."""

import json
from typing import Any

from pydantic import BaseModel

from logdepth.config.figures import FigureSpec
from logdepth.config.study import Experiment, Study
from logdepth.config.theory import Theory
from logdepth.models import MODELS
from logdepth.models.gpt2 import Gpt2
from logdepth.models.softmax import Softmax
from logdepth.recipes.compiled import Compiled
from logdepth.recipes.muon import MuonRecipe
from logdepth.recipes.paper import PaperRecipe
from logdepth.tasks.hop import Hop

_EXAMPLE = Study(
    study="default",
    title="Every setting with its default",
    task=Hop(),
    theory=Theory(),
    experiments={
        "muon": Experiment(
            title="the project's own recipe",
            model=Softmax(),
            training=MuonRecipe(),
            depths=(1, 2, 3, 4),
        ),
        "paper": Experiment(
            title="the authors' recipe",
            model=Gpt2(),
            training=PaperRecipe(),
            depths=(2, 3, 4, 5, 6),
            at_depth={6: {"training.steps": 200_001, "training.stop_after": 100_001}},
        ),
        "compiled": Experiment(
            title="weights written by hand",
            model=Softmax(width=128),
            training=Compiled(),
            depths=(2, 3, 4, 5, 6),
        ),
    },
)
# An experiment sets these itself, so that a file must not.
_DERIVED = {("model", "depth")}


def schema_text() -> str:
    """Return the JSON schema of a study, for editors."""
    schema = Study.model_json_schema()
    for name in MODELS.names():
        del schema["$defs"][MODELS.settings(name).__name__]["properties"]["depth"]
    return json.dumps(schema, indent=2) + "\n"


def default_text() -> str:
    """Return a study in YAML that spells out every setting, its default and its meaning."""
    head = (
        "# Every setting of a study. Generated: `make config` writes this file and schema.json\n"
        "# from the classes in workflow/logdepth/config/.\n"
    )
    return head + "\n" + "\n".join(_lines(_EXAMPLE, 0)) + "\n"


def _lines(settings: BaseModel, indent: int, parent: str = "") -> list[str]:
    space = "  " * indent
    lines: list[str] = []
    for name, field in type(settings).model_fields.items():
        if (parent, name) in _DERIVED:
            continue
        value = getattr(settings, name)
        if indent == 0 and lines:
            lines.append("")
        lines += [f"{space}# {line}" for line in (field.description or "").splitlines()]
        if isinstance(value, BaseModel):
            lines.append(f"{space}{name}:")
            lines += _lines(value, indent + 1, name)
        elif isinstance(value, dict) and any(isinstance(v, BaseModel) for v in value.values()):
            lines.append(f"{space}{name}:")
            for i, (key, item) in enumerate(value.items()):
                if i and isinstance(item, FigureSpec):  # the first one explains its settings
                    given = item.model_dump(mode="json", exclude_defaults=True)
                    lines.append(f"{space}  {key}: {_yaml(given)}")
                    continue
                lines.append(f"{space}  {key}:")
                lines += _lines(item, indent + 2)
        else:
            lines.append(f"{space}{name}: {_yaml(value)}")
    return lines


def _yaml(value: Any) -> str:
    """Write a plain value in flow style, which is JSON but for the integer keys of mappings."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_yaml(v)}" for k, v in value.items()) + "}"
    return json.dumps(value)
