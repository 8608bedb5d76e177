"""What was trained, in tables: the task, the settings, the models (paper: Tables 1 to 3)."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from logdepth.config.run import Run
from logdepth.models.transformer import architecture
from logdepth.planning.cost import parameters

_TASK = {
    "context": "tokens of a sequence, $N$",
    "alphabet": "symbols, $\\lvert\\Sigma\\rvert$",
    "max_hops": "largest number of hops, $k$",
}
_MODEL = ("form", "heads", "width", "mlp_ratio", "dropout", "init_std")


def read_runs(folder: Path, experiments: dict[str, list[str]]) -> dict[str, list[Run]]:
    """Return the runs of each experiment from their run.json."""
    return {
        name: [
            Run.model_validate(json.loads((folder / run / "run.json").read_text())) for run in runs
        ]
        for name, runs in experiments.items()
    }


def task_table(runs: dict[str, list[Run]]) -> pd.DataFrame:
    """Return the task: columns quantity and value (paper: Table 1)."""
    task = next(iter(runs.values()))[0].task
    return pd.DataFrame(
        {"quantity": list(_TASK.values()), "value": [getattr(task, key) for key in _TASK]}
    )


def settings_table(runs: dict[str, list[Run]]) -> pd.DataFrame:
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


def models_table(runs: dict[str, list[Run]]) -> pd.DataFrame:
    """Return the models, seeds left out (paper: Table 3).

    Columns: model (the paper's notation), experiment, heads, width, depth, train_samples ("inf" for
    fresh data) and parameters.
    """
    rows = {}
    for name, some in runs.items():
        for run in some:
            model, samples = run.model, run.training.samples or "inf"
            shown = "\\infty" if samples == "inf" else samples
            rows[name, model.depth] = {
                "model": f"$T^{{{shown}}}_{{{model.heads},{model.depth}}}$",
                "experiment": name,
                "heads": model.heads,
                "width": model.width,
                "depth": model.depth,
                "train_samples": samples,
                "parameters": parameters(architecture(run.task, model)),
            }
    return pd.DataFrame(list(rows.values()))


def _settings(runs: list[Run]) -> dict[str, str]:
    values: dict[str, dict[int, Any]] = {}
    for run in runs:
        model, training = run.model.model_dump(), run.training.model_dump()
        settings = {key: model[key] for key in _MODEL if key in model} | training
        for key, value in settings.items():
            values.setdefault(key, {})[run.model.depth] = value
    return {key: _by_depth(by_depth) for key, by_depth in values.items()}


def _by_depth(values: dict[int, Any]) -> str:
    texts = {depth: "" if value is None else str(value) for depth, value in values.items()}
    usual = max(dict.fromkeys(texts.values()), key=list(texts.values()).count)
    others = [f"L={depth}: {text or '-'}" for depth, text in texts.items() if text != usual]
    return f"{usual} ({', '.join(others)})".strip() if others else usual
