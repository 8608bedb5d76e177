"""``logdepth audit export``: a study in the formats of others, or without names."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export")(export)


def export(
    study: Annotated[Path, typer.Argument(help="Folder of the study, such as results/laptop.")],
    crate: Annotated[
        Path | None,
        typer.Option(help="Write a Workflow Run RO-Crate: a folder, or a file ending in .zip."),
    ] = None,
    prov: Annotated[
        Path | None, typer.Option(help="Write the provenance as W3C PROV-JSON to this file.")
    ] = None,
    anonymous: Annotated[
        Path | None,
        typer.Option(
            help="Write a copy for double-blind review, without user, host and paths, to this "
            "folder."
        ),
    ] = None,
    repository: Annotated[
        Path | None,
        typer.Option(
            help="Checkout with the code, CITATION.cff and LICENSE; by default that of the study."
        ),
    ] = None,
    harmless: Annotated[
        list[str] | None,
        typer.Option(
            help="With --anonymous: a word that is a user or host, but gives nobody away where it "
            "stands in the results; may be repeated."
        ),
    ] = None,
) -> None:
    """Export a study whose bytes are those that were recorded; no target may exist."""
    from audit_trail.chain import Checks
    from audit_trail.report import require_intact
    from audit_trail.repository import Repository, find_repository
    from audit_trail.study import open_study
    from audit_trail.verify import verify
    from logdepth.errors import UserError

    targets = [path for path in (crate, prov, anonymous) if path is not None]
    if not targets:
        raise UserError("export: nothing to write; expected --crate, --prov or --anonymous")
    for target in targets:
        if target.exists() or target.is_symlink():
            raise UserError(f"{target}: is there already; expected a new name")
    opened = open_study(study)
    require_intact(verify(opened, Checks()))
    if not opened.records:
        raise UserError(f"{study}: has no record of a job; expected a finished study")
    checkout = Repository(repository) if repository else find_repository(study)
    if crate is not None:
        from audit_trail.export.crate.write import write_crate

        if checkout is None:
            raise UserError(
                f"{study}: lies in no checkout, so that people and licence are unknown; "
                "expected --repository with one"
            )
        written = write_crate(opened, checkout, crate)
        print(
            f"{crate}: {written.jobs} jobs, {written.files} files, {written.entities} entities, "
            f"{written.withheld} files withheld; the workflow {written.origin}"
        )
    if prov is not None:
        from audit_trail.export.prov import write_prov

        print(f"{prov}: {write_prov(opened, checkout, prov)} PROV records")
    if anonymous is not None:
        from audit_trail.export.anonymous import write_anonymous

        removed = write_anonymous(opened, anonymous, frozenset(harmless or ()))
        print(f"{anonymous}: anonymous, none of {', '.join(removed)} is in it")
