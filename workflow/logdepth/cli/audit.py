"""``logdepth audit COMMAND``: the commands of the audit, about our results."""

import typer


def register(app: typer.Typer) -> None:
    """Add the commands below ``audit``."""
    from audit_trail import commands
    from logdepth.audited import PROJECT

    commands.register(app, PROJECT)
