"""``audit publish``: a copy of a finished study without its large files."""

from pathlib import Path
from typing import Annotated

import typer


def publish(
    study: Annotated[Path, typer.Argument(help="Folder of the study, such as results/laptop.")],
    to: Annotated[
        Path,
        typer.Option(help="Folder to write: a new one, or an earlier copy of the same study."),
    ],
    withhold: Annotated[
        list[str] | None,
        typer.Option(
            help="Pattern of outputs to leave out; may be repeated. By default weights, data sets "
            "and attention matrices."
        ),
    ] = None,
) -> None:
    """Copy a finished, intact study without its large files; the copy verifies by itself."""
    from audit_trail.errors import printable
    from audit_trail.publish import publish as copy

    left_out = copy(study, to, withhold or ["*.safetensors", "runs/*/attention-*.csv"])
    print(printable(f"{to}: {left_out} outputs withheld, their sha256 is in the history"))
