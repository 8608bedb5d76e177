"""``logdepth figure``: draw one figure from finished tables."""

from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from logdepth.cli.options import Recorded, StudyOption, command, read_settings


@command
def figure(
    name: Annotated[str, typer.Argument(help="Name of the files to write, such as fig02.")],
    figure: Annotated[
        str, typer.Option(help='What it draws, as in a study\'s figures: {"draws": "depth_law"}.')
    ],
    study: StudyOption,
    table: Annotated[list[Path], typer.Option(help="A table it is drawn from; may be repeated.")],
    output: Annotated[Path, typer.Option(help="Folder for the .pdf, .png and .csv.")],
    recorded: Recorded,
) -> None:
    """Draw one figure: PDF, PNG and the CSV of what it shows."""
    from logdepth import jobs
    from logdepth.config.figures import FigureSpec
    from logdepth.errors import UserError
    from logdepth.figures import KINDS, style
    from logdepth.figures.selection import select
    from logdepth.resolved import read_summary
    from logdepth.tables import read_table

    spec = read_settings(figure, FigureSpec, "--figure")
    if spec.draws not in KINDS:
        known = ", ".join(KINDS)
        raise UserError(f"--figure: no kind of figure '{spec.draws}'; expected one of {known}")
    summary = read_summary(study)
    module = import_module(f"logdepth.figures.{spec.draws}")
    files = [output / f"{name}.{suffix}" for suffix in ("pdf", "png", "csv")]
    with recorded(jobs.figure(spec, summary), inputs=table, outputs=files) as mark:
        # attention-k16.csv is a table of attention.
        kinds = {path.stem.partition("-")[0]: path for path in table}
        tables = {kind: read_table(kind, path) for kind, path in kinds.items()}
        shown = style.Shown(summary.titles, jobs.reach(summary))
        data = module.prepare(select(tables, spec), shown)
        style.save(module.draw(data), data, *files, mark=mark)
