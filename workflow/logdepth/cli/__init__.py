"""The command line: one module a stage, imported only when its command is asked for."""

import logging
import os
import sys
from importlib import import_module

import typer

from logdepth.errors import UserError

COMMANDS = ("config", "data", "train", "evaluate", "tabulate", "fit", "figure")


def main() -> None:
    """Run ``logdepth COMMAND …``; a user's error is one line and exit code 1."""
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.INFO)
    app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
    app.callback(
        help="Rebuild the results of 'Transformers, parallel computation, and logarithmic depth'."
    )(_nothing)
    asked = sys.argv[1] if len(sys.argv) > 1 else ""
    for name in [asked] if asked in COMMANDS else COMMANDS:
        import_module(f"logdepth.cli.{name}").register(app)
    try:
        app(prog_name="logdepth")
    except (UserError, OSError) as error:
        if os.environ.get("LOGDEPTH_TRACEBACK"):
            raise
        for line in str(error).splitlines():
            print(f"logdepth {asked}: error: {line}", file=sys.stderr)
        sys.exit(1)


def _nothing() -> None:
    """A callback keeps the commands apart even when only one is loaded."""
