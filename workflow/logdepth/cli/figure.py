"""``logdepth figure``: draw one figure from finished tables."""

from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from logdepth.cli.experiments import pairs
from logdepth.cli.options import Definition, Record
from logdepth.provenance.record import Job, recorded


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("figure")(figure)


def figure(
    name: Annotated[str, typer.Argument(help="Name of the figure, such as depth_law.")],
    table: Annotated[list[Path], typer.Option(help="A table it is drawn from; may be repeated.")],
    output: Annotated[Path, typer.Option(help="Folder for the .pdf, .png and .csv.")],
    title: Annotated[
        list[str] | None, typer.Option(help="EXPERIMENT=TITLE; may be repeated.")
    ] = None,
    definition: Definition = "",
    record: Record = None,
) -> None:
    """Draw one figure: PDF, PNG and the CSV of what it shows."""
    from logdepth.errors import UserError
    from logdepth.figures import style
    from logdepth.tables import read_table

    titles = pairs(title or [], "--title")
    try:
        module = import_module(f"logdepth.figures.{name}")
        prepare, draw = module.prepare, module.draw
    except (ModuleNotFoundError, AttributeError) as error:
        raise UserError(f"'{name}' is no figure; see logdepth/figures/catalog.py") from error
    files = [output / f"{name}.{suffix}" for suffix in ("pdf", "png", "csv")]
    job = Job(
        stage="figure",
        record=record,
        definition=definition,
        parameters={"figure": name, "titles": titles},
        inputs=table,
        outputs=files,
    )
    with recorded(job):
        data = prepare({path.stem: read_table(path.stem, path) for path in table}, titles)
        style.save(draw(data), data, *files)
