"""What was trained, in tables: the task, the settings, the models (paper: Tables 1 to 3)."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from logdepth.config.run import Run
from logdepth.tasks.base import Task


def written(table: pd.DataFrame) -> dict[str, str]:
    """Return a table as text: "csv", "md" and "tex"."""
    # Underscores of settings' names are text; formulas are already LaTeX.
    latex = table.map(lambda cell: cell if "$" in str(cell) else _escaped(cell))
    latex.columns = [_escaped(column) for column in latex.columns]
    return {
        "csv": table.to_csv(index=False),
        "md": table.to_markdown(index=False) + "\n",
        "tex": latex.to_latex(index=False, escape=False),
    }


def _escaped(cell: object) -> str:
    text = str(cell)
    for sign in "_&%#":
        text = text.replace(sign, f"\\{sign}")
    return text


def task_table(runs: Mapping[str, Sequence[Run]]) -> pd.DataFrame:
    """Return the tasks: columns quantity and value; if several, experiments (paper: Table 1)."""
    having: dict[Task, list[str]] = {}
    for name, some in runs.items():
        having.setdefault(some[0].task, []).append(name)
    parts = [
        pd.DataFrame(list(task.description().items()), columns=["quantity", "value"])
        for task in having
    ]
    if len(parts) > 1:
        names = [", ".join(experiments) for experiments in having.values()]
        parts = [part.assign(experiments=some) for part, some in zip(parts, names, strict=True)]
    return pd.concat(parts, ignore_index=True)


def settings_table(runs: Mapping[str, Sequence[Run]]) -> pd.DataFrame:
    """Return the settings of models and training: a row a setting (paper: Table 2).

    Columns: setting, then one for each experiment. A setting that depends on the depth is written
    as "100001 (L=6: 200001)"; one that an experiment does not have is left empty.
    """
    columns = {name: _settings(some) for name, some in runs.items()}
    keys = list(dict.fromkeys(key for column in columns.values() for key in column))
    table = pd.DataFrame({"setting": keys})
    for name, column in columns.items():
        table[name] = [column.get(key, "") for key in keys]
    return table


def models_table(runs: Mapping[str, Sequence[Run]]) -> pd.DataFrame:
    """Return the models, seeds left out (paper: Table 3).

    Columns: model (the paper's notation), experiment, heads, width, depth, train_samples ("inf" for
    fresh data) and parameters.
    """
    rows = {}
    for name, some in runs.items():
        for run in some:
            model, samples = run.model, run.training.train_samples or "inf"
            shown = "\\infty" if samples == "inf" else samples
            heads = getattr(model, "heads", "")
            rows[name, model.depth] = {
                "model": f"$T^{{{shown}}}_{{{heads},{model.depth}}}$",
                "experiment": name,
                "heads": heads,
                "width": model.width,
                "depth": model.depth,
                "train_samples": samples,
                "parameters": model.parameters(run.task),
            }
    return pd.DataFrame(list(rows.values()))


def _settings(runs: Sequence[Run]) -> dict[str, str]:
    values: dict[str, dict[int, Any]] = {}
    for run in runs:
        settings = run.model.model_dump(exclude={"depth"}) | run.training.model_dump()
        for key, value in settings.items():
            values.setdefault(key, {})[run.model.depth] = value
    return {key: _by_depth(by_depth) for key, by_depth in values.items()}


def _by_depth(values: dict[int, Any]) -> str:
    texts = {depth: "" if value is None else str(value) for depth, value in values.items()}
    usual = max(dict.fromkeys(texts.values()), key=list(texts.values()).count)
    others = [f"L={depth}: {text or '-'}" for depth, text in texts.items() if text != usual]
    return f"{usual} ({', '.join(others)})".strip() if others else usual
