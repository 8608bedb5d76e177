"""``logdepth compare``: the published errors beside ours."""

from pathlib import Path
from typing import Annotated

import typer

from logdepth.cli.experiments import Experiments, Folder, experiment_runs, run_files
from logdepth.cli.options import Definition, Record, read_settings
from logdepth.provenance.record import Job, recorded


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("compare")(compare)


def compare(
    runs: Folder,
    experiment: Experiments,
    output: Annotated[
        Path, typer.Option(help="Folder for comparison.csv and comparison_summary.csv.")
    ],
    published: Annotated[Path, typer.Option(help="Table of the published errors.")] = Path(
        "config/published_errors.csv"
    ),
    definition: Definition = "",
    record: Record = None,
) -> None:
    """Write the tables that compare the published errors with those of all runs."""
    from logdepth.config.run import Run
    from logdepth.evaluation import comparison
    from logdepth.evaluation.counts import read_counts
    from logdepth.tables import write_table

    experiments = experiment_runs(experiment)
    files = [output / f"{name}.csv" for name in ("comparison", "comparison_summary")]
    job = Job(
        stage="compare",
        record=record,
        definition=definition,
        parameters={"experiments": experiments},
        inputs=[published, *run_files(runs, experiments, "run.json", "evaluation.csv")],
        outputs=files,
    )
    with recorded(job):
        definitions = {
            name: read_settings(str(runs / name / "run.json"), Run, "run.json")
            for names in experiments.values()
            for name in names
        }
        counts = read_counts(runs, experiments)
        table = comparison.compare(comparison.read_published(published), counts, definitions)
        write_table("comparison", table, files[0])
        write_table("comparison_summary", comparison.summary(table), files[1])
