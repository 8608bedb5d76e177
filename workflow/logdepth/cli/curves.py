"""``logdepth curves``: training curves of all runs as a table."""

import typer

from logdepth.cli.experiments import Experiments, Folder, experiment_runs, run_files
from logdepth.cli.options import Definition, Output, Record
from logdepth.provenance.record import Job, recorded


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("curves")(curves)


def curves(
    runs: Folder,
    experiment: Experiments,
    output: Output,
    definition: Definition = "",
    record: Record = None,
) -> None:
    """Write the table of training curves."""
    from logdepth.evaluation.training import training_table
    from logdepth.tables import write_table

    experiments = experiment_runs(experiment)
    job = Job(
        stage="curves",
        record=record,
        definition=definition,
        parameters={"experiments": experiments},
        inputs=run_files(runs, experiments, "run.json", "hops.csv"),
        outputs=[output],
    )
    with recorded(job):
        write_table("training", training_table(runs, experiments), output)
