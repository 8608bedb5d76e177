"""``logdepth theory``: run one part of the theory and write its table."""

from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from logdepth.cli.options import Definition, Output, Record, Threads, read_settings
from logdepth.provenance.record import Job, recorded


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("theory")(theory)


def theory(
    name: Annotated[str, typer.Argument(help="Name of the table; a wrong one lists all.")],
    output: Output,
    settings: Annotated[
        str, typer.Option(help="Sizes, as in a study's theory: JSON, or a file.")
    ] = "{}",
    model: Annotated[
        list[Path] | None,
        typer.Option(help="A model.safetensors to run as a protocol; may be repeated."),
    ] = None,
    threads: Threads = 1,
    definition: Definition = "",
    record: Record = None,
) -> None:
    """Run what a theorem says, or measure what its construction needs."""
    from logdepth.config.theory import Theory
    from logdepth.devices import prepare_device
    from logdepth.errors import UserError
    from logdepth.tables import write_table
    from logdepth.theory.catalog import JOBS, OF_MODELS

    if name not in JOBS:
        raise UserError(f"no table '{name}'; right would be one of {', '.join(JOBS)}")
    if (name in OF_MODELS) != bool(model):
        raise UserError(
            f"{name}: {'needs at least one' if name in OF_MODELS else 'takes no'} --model"
        )
    wanted = read_settings(settings, Theory, "--settings")
    prepare_device("cpu", threads)
    module = import_module(JOBS[name])
    job = Job(
        stage="theory",
        record=record,
        definition=definition,
        parameters={"table": name, "settings": wanted.model_dump(mode="json")},
        inputs=model or [],
        outputs=[output],
        seeds={"instances": wanted.seed},
        modules=(module.__name__,),
    )
    with recorded(job):
        table = module.table(wanted, model) if model else module.table(wanted)
        write_table(name, table, output)
