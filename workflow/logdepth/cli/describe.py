"""``logdepth describe``: what was trained, as tables in CSV, Markdown and LaTeX."""

from pathlib import Path
from typing import Annotated

import typer

from logdepth.cli.experiments import Experiments, Folder, experiment_runs, run_files
from logdepth.cli.options import Definition, Record
from logdepth.provenance.record import Job, recorded


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("describe")(describe)


def describe(
    runs: Folder,
    experiment: Experiments,
    output: Annotated[Path, typer.Option(help="Folder for table1 to table3, .csv, .md and .tex.")],
    definition: Definition = "",
    record: Record = None,
) -> None:
    """Write the tables of the task, of the settings and of the models (paper: Tables 1 to 3)."""
    from logdepth.evaluation.description import (
        models_table,
        read_runs,
        settings_table,
        task_table,
    )
    from logdepth.files import write_text

    experiments = experiment_runs(experiment)
    makers = {"table1": task_table, "table2": settings_table, "table3": models_table}
    job = Job(
        stage="describe",
        record=record,
        definition=definition,
        parameters={"experiments": experiments},
        inputs=run_files(runs, experiments, "run.json"),
        outputs=[output / f"{name}.{kind}" for name in makers for kind in ("csv", "md", "tex")],
    )
    with recorded(job):
        found = read_runs(runs, experiments)
        for name, make in makers.items():
            table = make(found)
            write_text(output / f"{name}.csv", table.to_csv(index=False))
            write_text(output / f"{name}.md", table.to_markdown(index=False) + "\n")
            # Underscores of settings' names are text; formulas are already LaTeX.
            latex = table.map(lambda cell: cell if "$" in str(cell) else _escaped(cell))
            latex.columns = [_escaped(column) for column in latex.columns]
            write_text(output / f"{name}.tex", latex.to_latex(index=False, escape=False))


def _escaped(cell: object) -> str:
    text = str(cell)
    for sign in "_&%#":
        text = text.replace(sign, f"\\{sign}")
    return text
