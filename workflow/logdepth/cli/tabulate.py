"""``logdepth tabulate``: errors of all runs as tables."""

from pathlib import Path
from typing import Annotated

import typer

from logdepth.cli.options import Definition, Folder, Record, StudyOption, run_files


def tabulate(
    study: StudyOption,
    runs: Folder,
    output: Annotated[Path, typer.Option(help="Folder for errors.csv and errors_by_run.csv.")],
    definition: Definition = "",
    record: Record = None,
) -> None:
    """Write the tables of errors."""
    from logdepth import jobs
    from logdepth.evaluation.counts import errors_by_depth, errors_by_run, read_counts
    from logdepth.provenance.record import recorded
    from logdepth.resolved import read_summary
    from logdepth.tables import write_table

    summary = read_summary(study)
    makers = {"errors": errors_by_depth, "errors_by_run": errors_by_run}
    with recorded(
        jobs.tabulate(summary),
        inputs=run_files(runs, summary.runs, "evaluation.csv"),
        outputs=[output / f"{name}.csv" for name in makers],
        record=record,
        definition=definition,
        study=study,
    ):
        counts = read_counts(runs, summary.experiments)
        for name, make in makers.items():
            write_table(name, make(counts), output / f"{name}.csv")
