"""``audit sign``: sign the history of a study as it is now."""

from pathlib import Path
from typing import Annotated

import typer


def sign(
    study: Annotated[Path, typer.Argument(help="Folder of the study, such as results/laptop.")],
    key: Annotated[Path, typer.Option(help="SSH key to sign with, such as ~/.ssh/id_ed25519.")],
) -> None:
    """Sign the history's newest line with an SSH key, once the bytes of the study are verified."""
    from audit_trail.chain import Checks
    from audit_trail.errors import printable
    from audit_trail.findings import require_intact
    from audit_trail.signature import sign as sign_head
    from audit_trail.study import open_study
    from audit_trail.verify import verify

    opened = open_study(study)
    require_intact(verify(opened, Checks()))
    print(printable(str(sign_head(opened, key.expanduser()))))
