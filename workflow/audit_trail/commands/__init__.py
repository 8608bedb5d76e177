"""The commands of a project's ``audit``: each one's module is imported when it is asked for."""

import sys
from importlib import import_module

import typer

from audit_trail.__main__ import main, print_anything
from audit_trail.project import Project, current, use

COMMANDS = ("trace", "verify", "reproduce", "diff", "history", "export", "sign", "publish")


def register(app: typer.Typer, project: Project) -> None:
    """Add the commands below ``audit`` to those of a project."""
    use(project)
    audit = typer.Typer(
        no_args_is_help=True, help="Where an output comes from, and whether it was touched since."
    )
    # A callback keeps the commands apart even when only one is loaded.
    audit.callback()(print_anything)
    asked = sys.argv[2] if len(sys.argv) > 2 else ""
    for name in [asked] if asked in COMMANDS else COMMANDS:
        if name == "verify":
            # Its options stand in one place, where they need nothing but Python.
            settings = {"allow_extra_args": True, "ignore_unknown_options": True}
            audit.command(name, context_settings=settings, add_help_option=False)(verify)
        else:
            audit.command(name)(getattr(import_module(f"{__name__}.{name}"), name))
    app.add_typer(audit, name="audit")


def verify(context: typer.Context) -> None:
    """Say of every artefact whether it is what its job wrote (--help has the options)."""
    sys.exit(main(context.args, f"{current().name} audit verify"))
