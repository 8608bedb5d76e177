"""``logdepth describe``: what was trained, as tables in CSV, Markdown and LaTeX."""

from pathlib import Path
from typing import Annotated

import typer

from logdepth.cli.options import Definition, Record, StudyOption


def describe(
    study: StudyOption,
    output: Annotated[Path, typer.Option(help="Folder for table1 to table3, .csv, .md and .tex.")],
    definition: Definition = "",
    record: Record = None,
) -> None:
    """Write the tables of the tasks, of the settings and of the models (paper: Tables 1 to 3)."""
    from logdepth import jobs
    from logdepth.evaluation.paper_tables import models_table, settings_table, task_table, written
    from logdepth.files import write_text
    from logdepth.provenance.record import recorded
    from logdepth.resolved import read_summary

    summary = read_summary(study)
    makers = {"table1": task_table, "table2": settings_table, "table3": models_table}
    with recorded(
        jobs.describe(summary),
        inputs=[],
        outputs=[output / f"{name}.{kind}" for name in makers for kind in ("csv", "md", "tex")],
        record=record,
        definition=definition,
        study=study,
    ):
        for name, make in makers.items():
            for kind, text in written(make(summary.experiments)).items():
                write_text(output / f"{name}.{kind}", text)
