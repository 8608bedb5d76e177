"""What commands share: how each is found, their options, and the record of what they do."""

import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial, wraps
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from pydantic import TypeAdapter, ValidationError

from logdepth.config.reading import parse_yaml, read_text
from logdepth.errors import UserError
from logdepth.settings import Settings, mistakes

Kind = TypeVar("Kind", bound=Settings)

Command = Callable[..., None]
Recorded = partial[AbstractContextManager[Any]]
Definition = Annotated[
    str, typer.Option(help="Hash of the configuration and source behind the outputs.")
]
Record = Annotated[
    Path | None,
    typer.Option(help="Where to write the record, below <study>/provenance/; none by default."),
]
RunOption = Annotated[str, typer.Option("--run", help="Definition of the run: JSON, or a file.")]
StudyOption = Annotated[
    Path, typer.Option("--study", help="The study.json that the workflow wrote.")
]
Folder = Annotated[Path, typer.Option(help="Folder with a folder for each run.")]
ModeOption = Annotated[
    str, typer.Option(help="eval, or train for active dropout, as in the published figures.")
]
Device = Annotated[
    str, typer.Option(help="cpu, cuda, cuda:N, mps, or auto: a GPU where there is one.")
]
Threads = Annotated[int, typer.Option(min=1, help="CPU threads of the arithmetic.")]
Output = Annotated[Path, typer.Option(help="File to write.")]
ModelFile = Annotated[
    Path, typer.Option(help="A model.safetensors that train, compile or import wrote.")
]
DataFile = Annotated[Path, typer.Option(help="The frozen evaluation set of its task.")]

COMMANDS: dict[str, Command] = {}
"""Every command by its name, as the modules of this package define them."""


def command(function: Command) -> Command:
    """Make a function a command of its name; ``import_`` is ``import``.

    One with a parameter ``recorded`` gets the options --definition and --record in its place. It is
    ``logdepth.provenance.record.recorded`` with these, and with the study.json of --study.
    """
    made = (
        _recording(function) if "recorded" in inspect.signature(function).parameters else function
    )

    @wraps(made)
    def run(**options: Any) -> None:
        try:
            made(**options)
        except EOFError as error:
            raise UserError(
                "Python's compiled code is cut short, as a full disk leaves it; expected: "
                "find . -name __pycache__ -exec rm -r {} +"
            ) from error

    COMMANDS[function.__name__.removesuffix("_")] = run
    return run


def _recording(function: Command) -> Command:
    @wraps(function)
    def recording(*, definition: str, record: Path | None, **options: Any) -> None:
        from logdepth.provenance.record import recorded

        study = options.get("study")
        known = partial(recorded, definition=definition, record=record, study=study)
        function(**options, recorded=known)

    own = [p for p in inspect.signature(function).parameters.values() if p.name != "recorded"]
    named = partial(inspect.Parameter, kind=inspect.Parameter.POSITIONAL_OR_KEYWORD)
    shared = [
        named("definition", annotation=Definition, default=""),
        named("record", annotation=Record, default=None),
    ]
    # By these typer makes the options.
    recording.__annotations__ = {p.name: p.annotation for p in (*own, *shared)}
    recording.__dict__["__signature__"] = inspect.Signature([*own, *shared])
    return recording


def read_settings(text: str, kind: type[Kind], option: str) -> Kind:
    """Return the settings that a JSON text, or a JSON or YAML file, holds.

    ``option`` is the one that the text was given by; ``kind`` may be the union of several classes.

    Raises:
        UserError: no such file, not YAML, or not settings of that kind.
    """
    source = option
    if not text.lstrip().startswith("{"):
        source = text
        text = read_text(Path(text), f"JSON or a file for {option}")
    content = parse_yaml(text, source)
    try:
        settings: Kind = TypeAdapter(kind).validate_python(content)
    except ValidationError as error:
        raise UserError(f"{source}: {mistakes(error)[0].removeprefix('.')}") from error
    return settings


def checked_mode(mode: str) -> str:
    """Return a mode of evaluation, or raise a UserError where there is none of that name."""
    if mode not in ("eval", "train"):
        raise UserError(f"--mode {mode}: expected eval or train")
    return mode


def run_files(folder: Path, runs: dict[str, Any], *names: str) -> list[Path]:
    """Return the named files of every run."""
    return [folder / run / name for run in runs for name in names]
