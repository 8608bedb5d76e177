"""``logdepth theory``: run one part of the theory and write its table."""

from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from logdepth.cli.options import Definition, Output, Record, Threads, read_settings


def theory(
    name: Annotated[str, typer.Argument(help="Name of the table; a wrong one lists all.")],
    output: Output,
    settings: Annotated[
        str, typer.Option(help="Sizes, as in a study's theory: JSON, or a file.")
    ] = "{}",
    study: Annotated[
        Path | None,
        typer.Option(help="The study.json of the models that a table about models runs."),
    ] = None,
    runs: Annotated[Path | None, typer.Option(help="Folder with a folder for each run.")] = None,
    threads: Threads = 1,
    definition: Definition = "",
    record: Record = None,
) -> None:
    """Run what a theorem says, or measure what its construction needs."""
    from logdepth import jobs
    from logdepth.config.theory import Theory
    from logdepth.devices import prepare_device
    from logdepth.errors import UserError
    from logdepth.provenance.record import recorded
    from logdepth.resolved import read_summary
    from logdepth.tables import write_table
    from logdepth.theory.catalog import OF_MODELS, TABLES

    if name not in TABLES:
        raise UserError(f"no table '{name}'; expected one of {', '.join(TABLES)}")
    if (name in OF_MODELS) != bool(study and runs):
        takes = "needs" if name in OF_MODELS else "takes no"
        raise UserError(f"{name}: {takes} --study and --runs")
    wanted = read_settings(settings, Theory, "--settings")
    prepare_device("cpu", threads)
    module = import_module(TABLES[name])
    summary = read_summary(study) if study else None
    models = [(runs or Path()) / run / "model.safetensors" for run in jobs.models_of(summary)]
    with recorded(
        jobs.theory(name, wanted, summary),
        inputs=models,
        outputs=[output],
        record=record,
        definition=definition,
        study=study,
    ):
        table = module.table(wanted, models) if summary else module.table(wanted)
        write_table(name, table, output)
