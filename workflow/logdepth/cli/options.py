"""Options that several commands share, and their parsing."""

from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from pydantic import TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from logdepth.errors import UserError
from logdepth.settings import Settings, mistakes

Kind = TypeVar("Kind", bound=Settings)

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


def read_settings(text: str, kind: type[Kind], option: str) -> Kind:
    """Return the settings that a JSON text, or a JSON or YAML file, holds.

    Args:
        text: JSON, or the path of a file.
        kind: class of the settings, or the union of several.
        option: that it was given by, for messages.

    Raises:
        UserError: no such file, not YAML, or not settings of that kind.
    """
    source = option
    if not text.lstrip().startswith("{"):
        source = text
        try:
            text = Path(text).read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise UserError(f"{source}: no such file ({option} takes JSON or a file)") from error
    try:
        settings: Kind = TypeAdapter(kind).validate_python(YAML(typ="safe").load(text))
    except YAMLError as error:
        raise UserError(f"{source}: not valid YAML or JSON: {_first_line(error)}") from error
    except ValidationError as error:
        raise UserError(f"{source}: {mistakes(error)[0]}") from error
    return settings


def checked_mode(mode: str) -> str:
    """Return a mode of evaluation.

    Raises:
        UserError: there is no such mode.
    """
    if mode not in ("eval", "train"):
        raise UserError(f"--mode {mode}: expected eval or train")
    return mode


def run_files(folder: Path, runs: dict[str, Any], *names: str) -> list[Path]:
    """Return the named files of every run."""
    return [folder / run / name for run in runs for name in names]


def _first_line(error: Any) -> str:
    return str(error).splitlines()[0]
