"""``logdepth tabulate``: errors of all runs as tables."""

from pathlib import Path
from typing import Annotated

import typer

from logdepth.cli.experiments import Experiments, Folder, experiment_runs, run_files
from logdepth.cli.options import Definition, Record
from logdepth.provenance.record import Job, recorded


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("tabulate")(tabulate)


def tabulate(
    runs: Folder,
    experiment: Experiments,
    output: Annotated[Path, typer.Option(help="Folder for errors.csv and errors_by_run.csv.")],
    definition: Definition = "",
    record: Record = None,
) -> None:
    """Write the tables of errors."""
    from logdepth.evaluation.counts import errors_by_depth, errors_by_run, read_counts
    from logdepth.tables import write_table

    experiments = experiment_runs(experiment)
    names = ("errors", "errors_by_run")
    job = Job(
        stage="tabulate",
        record=record,
        definition=definition,
        parameters={"experiments": experiments},
        inputs=run_files(runs, experiments, "run.json", "evaluation.csv"),
        outputs=[output / f"{name}.csv" for name in names],
    )
    with recorded(job):
        counts = read_counts(runs, experiments)
        for name, table in zip(
            names, (errors_by_depth(counts), errors_by_run(counts)), strict=True
        ):
            write_table(name, table, output / f"{name}.csv")
