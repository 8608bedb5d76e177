"""``audit trace``: where a file, or a row of a table, comes from."""

from pathlib import Path
from typing import Annotated

import typer


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
        typer.Option(help="Only the runs behind these rows: k=8,depth=4 (columns, or k, L, H, m)."),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print all of it as JSON.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write it as a page to this file.")] = None,
    pages: Annotated[
        Path | None, typer.Option(help="Folder to write a page into for each FILE: <name>.html.")
    ] = None,
    in_: Annotated[
        Path, typer.Option("--in", help="Where to look for the record of a file from elsewhere.")
    ] = Path("results"),
) -> None:
    """Show where a file comes from: runs, models, data, seeds, code, environment and machine."""
    import json
    from datetime import UTC, datetime

    from audit_trail.errors import AuditError, printable
    from audit_trail.files import write_text
    from audit_trail.project import current
    from audit_trail.repository import find_repository
    from audit_trail.tracing.show import as_page, as_text
    from audit_trail.tracing.trace import Tracer

    if sum(bool(way) for way in (json_, html, pages)) > 1:
        raise AuditError("--json, --html, --pages: expected one of them")
    if len(files) > 1 and not pages:
        raise AuditError(f"{files[1]}: expected one FILE, or --pages FOLDER for several")
    repository = find_repository()
    tracer = Tracer(in_, current(), repository.folder if repository else None)
    targets = {files[0]: html} if html else {}
    if pages:
        targets = {file: pages / f"{file.stem}.html" for file in files}
    # Some systems take upper and lower case for the same.
    if len({str(page).casefold() for page in targets.values()}) < len(targets):
        raise AuditError(f"--pages {pages}: expected files of different names, for a page each")
    for file, page in targets.items():
        found = tracer.trace(file, row)
        write_text(page, as_page(found, tracer.picture(found), datetime.now(UTC)))
        print(printable(f"{page}: {file}"))
    if not targets:
        found = tracer.trace(files[0], row)
        print(f"{json.dumps(found, indent=1)}\n" if json_ else as_text(found), end="")
