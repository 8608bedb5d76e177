"""Options that name the runs of experiments, and their parsing."""

from pathlib import Path
from typing import Annotated

import typer

from logdepth.errors import UserError

Folder = Annotated[Path, typer.Option(help="Folder with a folder for each run.")]
Experiments = Annotated[
    list[str], typer.Option("--experiment", help="NAME=RUN,RUN,…; once for each experiment.")
]


def pairs(values: list[str], option: str) -> dict[str, str]:
    """Return repeated NAME=VALUE options as a dictionary.

    Raises:
        UserError: one of them has no "=".
    """
    result = {}
    for value in values:
        name, equals, content = value.partition("=")
        if not equals:
            raise UserError(f"{option} '{value}': right would be NAME=VALUE")
        result[name] = content
    return result


def experiment_runs(values: list[str]) -> dict[str, list[str]]:
    """Return the runs of each experiment from repeated NAME=RUN,RUN,… options."""
    return {name: runs.split(",") for name, runs in pairs(values, "--experiment").items()}


def run_files(folder: Path, experiments: dict[str, list[str]], *names: str) -> list[Path]:
    """Return the named files of every run, each once."""
    runs = dict.fromkeys(run for runs in experiments.values() for run in runs)
    return [folder / run / name for run in runs for name in names]
