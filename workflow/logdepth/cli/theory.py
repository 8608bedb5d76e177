"""``logdepth theory``: one part of the theory; ``logdepth claims``: all that was tried of it."""

from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from logdepth.cli.options import Output, Recorded, Threads, command, read_settings


@command
def theory(
    name: Annotated[str, typer.Argument(help="Name of the table; a wrong one lists all.")],
    output: Output,
    recorded: Recorded,
    settings: Annotated[
        str, typer.Option(help="Sizes, as in a study's theory: JSON, or a file.")
    ] = "{}",
    study: Annotated[
        Path | None,
        typer.Option(help="The study.json of the models that a table about models runs."),
    ] = None,
    runs: Annotated[Path | None, typer.Option(help="Folder with a folder for each run.")] = None,
    threads: Threads = 1,
) -> None:
    """Run what a theorem says, or measure what its construction needs."""
    from logdepth import jobs
    from logdepth.config.theory import Theory
    from logdepth.devices import prepare_device
    from logdepth.errors import UserError
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
    with recorded(jobs.theory(name, wanted, summary), inputs=models, outputs=[output]):
        table = module.table(wanted, models) if summary else module.table(wanted)
        write_table(name, table, output)


@command
def claims(
    table: Annotated[list[Path], typer.Option(help="A table of checks; may be repeated.")],
    output: Annotated[Path, typer.Option(help="Folder for claims.csv and claims.md.")],
    recorded: Recorded,
) -> None:
    """Write the table of all claims: theorem, size, instances, failures, command."""
    from logdepth import jobs
    from logdepth.files import write_text
    from logdepth.tables import read_table, write_table
    from logdepth.theory.checks.claims import command_for, markdown, merge

    files = [output / f"claims.{kind}" for kind in ("csv", "md")]
    job = jobs.claims([path.stem for path in table])
    commands = {path.stem: command_for(path) for path in table}
    with recorded(job, inputs=table, outputs=files):
        tables = {path.stem: read_table(path.stem, path) for path in table}
        merged = merge(tables, commands.__getitem__)
        write_table("claims", merged, files[0])
        write_text(files[1], markdown(merged))
    failed = merged[merged["failures"] > 0]
    tried, wrong = int(merged["instances"].sum()), int(failed["failures"].sum())
    print(f"{len(merged)} claims, {tried} instances, {wrong} failures")
    for row in failed.itertuples():
        print(f"FAILED: {row.theorem}, {row.case}, {row.size}: {row.failures} of {row.instances}")
