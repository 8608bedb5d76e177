"""``logdepth audit trace``: where a file, or a row of a table, comes from."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("trace")(trace)


def trace(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE",
            help="A figure, table, file of a run or record; or a PDF, PNG or CSV from anywhere.",
        ),
    ],
    row: Annotated[
        str | None,
        typer.Option(help="Only what these rows come from: k=8,depth=4 (k, L, H, m or columns)."),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print all of it as JSON.")] = False,
    html: Annotated[
        Path | None, typer.Option(help="Write it as one page to look around in.")
    ] = None,
    pages: Annotated[
        Path | None, typer.Option(help="Folder to write a page into for each FILE: <name>.html.")
    ] = None,
    in_: Annotated[
        Path, typer.Option("--in", help="Where to look for the record of a file from elsewhere.")
    ] = Path("results"),
) -> None:
    """Show where a file comes from: runs, models, data, seeds, code, environment and machine."""
    import json

    from audit_trail.tracing.page import write_page
    from audit_trail.tracing.trace import Tracer
    from logdepth.errors import UserError

    if sum(bool(way) for way in (json_, html, pages)) > 1:
        raise UserError("--json, --html, --pages: expected one of them")
    if len(files) > 1 and not pages:
        raise UserError(f"{files[1]}: expected one FILE, or --pages FOLDER for several")
    tracer = Tracer(in_)
    if pages:
        for file in files:
            write_page(tracer.trace(file, row), pages / f"{file.stem}.html")
        print(f"{pages}: {len(files)} pages")
        return
    found = tracer.trace(files[0], row)
    if html:
        write_page(found, html)
        print(f"{html}: open it in a browser")
    elif json_:
        print(json.dumps(found.as_json(), indent=1))
    else:
        from audit_trail.tracing.tree import print_tree

        print_tree(found)
