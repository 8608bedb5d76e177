"""``logdepth site``: pages that show finished results."""

from pathlib import Path
from typing import Annotated

import typer

from logdepth.cli.options import command


@command
def site(
    studies: Annotated[
        list[Path] | None,
        typer.Argument(help="Finished studies to show besides what is published: results/laptop."),
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder to write.")] = Path("results/site"),
) -> None:
    """Write pages of all figures, claims and documents, and the playground; open index.html."""
    from audit_trail.project import use
    from logdepth.audited import PROJECT
    from logdepth.website.build import build

    use(PROJECT)
    pages = build(studies or [], output)
    print(f"{output / 'index.html'}: the first of {pages} pages")
