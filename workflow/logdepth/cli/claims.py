"""``logdepth claims``: one table of what was tried of every theorem."""

from pathlib import Path
from typing import Annotated

import typer

from logdepth.cli.options import Definition, Record


def claims(
    table: Annotated[list[Path], typer.Option(help="A table of checks; may be repeated.")],
    output: Annotated[Path, typer.Option(help="Folder for claims.csv and claims.md.")],
    definition: Definition = "",
    record: Record = None,
) -> None:
    """Write the table of all claims: theorem, size, instances, failures, command."""
    from logdepth import jobs
    from logdepth.files import write_text
    from logdepth.provenance.record import recorded
    from logdepth.tables import read_table, write_table
    from logdepth.theory.checks.claims import command_for, markdown, merge

    files = [output / f"claims.{kind}" for kind in ("csv", "md")]
    job = jobs.claims([path.stem for path in table])
    commands = {path.stem: command_for(path) for path in table}
    with recorded(job, inputs=table, outputs=files, record=record, definition=definition):
        tables = {path.stem: read_table(path.stem, path) for path in table}
        merged = merge(tables, commands.__getitem__)
        write_table("claims", merged, files[0])
        write_text(files[1], markdown(merged))
    failed = merged[merged["failures"] > 0]
    tried, wrong = int(merged["instances"].sum()), int(failed["failures"].sum())
    print(f"{len(merged)} claims, {tried} instances, {wrong} failures")
    for row in failed.itertuples():
        print(f"FAILED: {row.theorem}, {row.case}, {row.size}: {row.failures} of {row.instances}")
