"""``logdepth compare``: the published errors beside ours."""

from pathlib import Path
from typing import Annotated

import typer

from logdepth.cli.options import Definition, Folder, Record, StudyOption, run_files


def compare(
    study: StudyOption,
    runs: Folder,
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
    from logdepth import jobs
    from logdepth.evaluation import comparison
    from logdepth.evaluation.counts import read_counts
    from logdepth.provenance.record import recorded
    from logdepth.resolved import read_summary
    from logdepth.tables import read_table, write_table

    summary = read_summary(study)
    files = [output / f"{name}.csv" for name in ("comparison", "comparison_summary")]
    with recorded(
        jobs.compare(summary),
        inputs=[published, *run_files(runs, summary.runs, "evaluation.csv")],
        outputs=files,
        record=record,
        definition=definition,
        study=study,
    ):
        counts = read_counts(runs, summary.experiments)
        theirs = read_table("published_errors", published)
        table = comparison.compare(theirs, counts, summary.runs)
        write_table("comparison", table, files[0])
        write_table("comparison_summary", comparison.summary(table), files[1])
