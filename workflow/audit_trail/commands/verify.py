"""``audit verify``: the stand-alone verifier, under this command's name."""

import sys

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    settings = {"allow_extra_args": True, "ignore_unknown_options": True}
    app.command("verify", context_settings=settings, add_help_option=False)(verify)


def verify(context: typer.Context) -> None:
    """Say of every artefact whether it is what its job wrote (--help has the options)."""
    # Its options stand in one place, where they need nothing but Python.
    from audit_trail.__main__ import main
    from audit_trail.project import current

    sys.exit(main(context.args, f"{current().name} audit verify"))
