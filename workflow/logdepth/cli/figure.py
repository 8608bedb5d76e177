"""``logdepth figure``: draw one figure from finished tables."""

from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from logdepth.cli.experiments import pairs
from logdepth.cli.options import Definition, Record, read_settings
from logdepth.provenance.record import Job, recorded


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("figure")(figure)


def figure(
    name: Annotated[str, typer.Argument(help="Name of the files to write, such as fig02.")],
    spec: Annotated[
        str, typer.Option(help='What it draws, as in a study\'s figures: {"draws": "depth_law"}.')
    ],
    table: Annotated[list[Path], typer.Option(help="A table it is drawn from; may be repeated.")],
    output: Annotated[Path, typer.Option(help="Folder for the .pdf, .png and .csv.")],
    title: Annotated[
        list[str] | None, typer.Option(help="EXPERIMENT=TITLE; may be repeated.")
    ] = None,
    definition: Definition = "",
    record: Record = None,
) -> None:
    """Draw one figure: PDF, PNG and the CSV of what it shows."""
    from logdepth.config.figures import FigureSpec
    from logdepth.figures import style
    from logdepth.figures.selection import select
    from logdepth.tables import read_table

    titles = pairs(title or [], "--title")
    wanted = read_settings(spec, FigureSpec, "--spec")
    module = import_module(f"logdepth.figures.{wanted.draws}")
    files = [output / f"{name}.{suffix}" for suffix in ("pdf", "png", "csv")]
    job = Job(
        stage="figure",
        record=record,
        definition=definition,
        parameters={"figure": wanted.model_dump(mode="json"), "titles": titles},
        inputs=table,
        outputs=files,
        modules=(module.__name__,),
    )
    with recorded(job) as mark:
        # attention-hops16.csv is a table of attention.
        kinds = {path.stem.partition("-")[0]: path for path in table}
        tables = {kind: read_table(kind, path) for kind, path in kinds.items()}
        data = module.prepare(select(tables, wanted), titles)
        style.save(module.draw(data), data, *files, mark=str(mark))
