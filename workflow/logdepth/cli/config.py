"""``logdepth config``: check a configuration, or print the schema and the default."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from logdepth.cli.options import command
from logdepth.errors import UserError


@command
def config(
    action: Annotated[
        Literal["check", "schema", "default", "runs"], typer.Argument(help="What to do.")
    ],
    file: Annotated[Path | None, typer.Argument(help="A study, for check and runs.")] = None,
) -> None:
    """Check a study, list its runs, or print the schema or the documented default."""
    from logdepth.config.documents import default_text, schema_text
    from logdepth.config.study import load_study
    from logdepth.errors import ConfigError
    from logdepth.resolved import resolve

    if action == "schema":
        print(schema_text(), end="")
    elif action == "default":
        print(default_text(), end="")
    elif file is None:
        raise UserError(f"'logdepth config {action}' needs a file, such as config/laptop.yaml")
    else:
        study = load_study(file)
        try:
            resolve(study)
        except ConfigError as error:
            raise ConfigError(f"{file}: {error}") from error
        if action == "runs":
            print("\n".join([*study.trained_runs(), *study.compiled_runs()]))
        else:
            tried = [
                run.identifier
                for name in study.experiments
                for runs in study.trial_runs(name).values()
                for run in runs
            ]
            whole = study.assumed()
            runs = f"{len(whole.trained_runs())} runs"
            if tried:
                runs += f", {len(set(tried))} of them trials,"
            if compiled := study.compiled_runs():
                runs += f" and {len(compiled)} compiled models"
            experiments = len(whole.variants) - len(study.trials)
            print(f"{file}: {runs} in {experiments} experiments")
