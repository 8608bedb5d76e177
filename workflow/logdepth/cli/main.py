"""``logdepth COMMAND …``: commands import what they need only when they run."""

import logging
import os
import signal
import sys
from importlib import import_module
from pathlib import Path

import typer

from audit_trail.errors import AuditError
from logdepth import environment
from logdepth.cli.options import COMMANDS
from logdepth.errors import UserError

# Importing a module of this package registers its commands.
for _path in sorted(Path(__file__).parent.glob("[a-z]*.py")):
    import_module(f"logdepth.cli.{_path.stem}")


def _audit(context: typer.Context) -> None:
    """Where an output comes from, and whether it was touched since (--help has the commands)."""
    from audit_trail.__main__ import main as audit
    from audit_trail.project import use
    from logdepth.audited import PROJECT

    use(PROJECT)
    sys.exit(audit(context.args, "logdepth audit"))


def main() -> None:
    """Run the command line; a user's error is one line and exit code 1."""
    environment.settle()
    # On a cluster the shell above ignores it, to outlive this process, which would do so as well.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # Libraries tell far too much below this level.
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
    # A callback keeps the commands apart even when only one is loaded.
    app.callback(help="Rebuild 'Transformers, parallel computation, and logarithmic depth'.")(
        lambda: None
    )
    asked = sys.argv[1] if len(sys.argv) > 1 else ""
    for name in [asked] if asked in COMMANDS else sorted(COMMANDS):
        app.command(name)(COMMANDS[name])
    # Its options stand where they need nothing but Python.
    settings = {"allow_extra_args": True, "ignore_unknown_options": True}
    app.command("audit", context_settings=settings, add_help_option=False)(_audit)
    try:
        app(prog_name="logdepth")
    except (AuditError, UserError, OSError) as error:
        if os.environ.get("LOGDEPTH_TRACEBACK"):
            raise
        for line in str(error).splitlines():
            print(f"logdepth {asked}: error: {line}", file=sys.stderr)
        sys.exit(1)
