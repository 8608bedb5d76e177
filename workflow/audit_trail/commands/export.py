"""``audit export``: a study as an RO-Crate, or without names."""

from pathlib import Path
from typing import Annotated

import typer


def export(
    study: Annotated[Path, typer.Argument(help="Folder of the study, such as results/laptop.")],
    crate: Annotated[
        Path | None, typer.Option(help="Write a Workflow Run RO-Crate to this folder.")
    ] = None,
    anonymous: Annotated[
        Path | None, typer.Option(help="Write a copy for double-blind review to this folder.")
    ] = None,
    repository: Annotated[
        Path | None, typer.Option(help="Clone with the code; by default the one you are in.")
    ] = None,
    harmless: Annotated[
        list[str] | None,
        typer.Option(help="With --anonymous: a name that gives nobody away; may be repeated."),
    ] = None,
) -> None:
    """Export a study whose bytes are those that were recorded; no target may exist."""
    from audit_trail.chain import Checks
    from audit_trail.errors import AuditError, printable
    from audit_trail.findings import require_intact
    from audit_trail.project import current
    from audit_trail.repository import find_repository
    from audit_trail.study import open_study
    from audit_trail.verify import verify

    targets = [path for path in (crate, anonymous) if path is not None]
    if not targets:
        raise AuditError("export: nothing to write; expected --crate or --anonymous")
    for target in targets:
        if target.exists() or target.is_symlink():
            raise AuditError(f"{target}: is there already; expected a new name")
    opened, said = open_study(study), []
    require_intact(verify(opened, Checks()))
    if not opened.records:
        raise AuditError(f"{study}: has no record of a job; expected a finished study")
    if crate is not None:
        from audit_trail.export.crate import write_crate

        if (clone := find_repository(repository)) is None:
            raise AuditError(f"{study}: is outside of a clone; expected --repository with one")
        counts = write_crate(opened, clone, current(), crate).items()
        listed = ", ".join(f"{number} {what}" for what, number in counts)
        said.append(f"{crate}: {listed}; code of {clone.folder}")
    if anonymous is not None:
        from audit_trail.export.anonymous import write_anonymous

        left_out = write_anonymous(opened, anonymous, frozenset(harmless or ()))
        said.append(f"{anonymous}: anonymous; {len(left_out)} results were left out")
        said += [f"  {name}: {reason}" for name, reason in left_out.items()]
    print("\n".join(map(printable, said)))
