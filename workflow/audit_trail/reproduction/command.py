"""The command of a record, to be run again in a fresh folder: never trusted, only followed."""

import os
import re
from itertools import pairwise
from pathlib import PurePosixPath

from audit_trail.records import Record
from audit_trail.report import printable
from audit_trail.study import StudyFolder
from logdepth.errors import UserError

# Commands that make something; the others only tell.
STAGES = (
    "attention",
    "claims",
    "compare",
    "compile",
    "curves",
    "data",
    "depths",
    "describe",
    "evaluate",
    "figure",
    "fit",
    "import",
    "tabulate",
    "theory",
    "train",
)


def arguments_of(study: StudyFolder, record: Record) -> list[str]:
    """Return the arguments of a recorded command, with its study at results/<name>.

    A record may come from anybody: a path that leads elsewhere is refused, unless it is that of an
    external input, which is then taken to ``place_of`` it.

    Raises:
        UserError: an argument leads out of the working folder.
    """
    if record.stage == "import":
        return _import_arguments(study, record)
    prefix = _folder_as_typed(study, record)
    arguments = []
    for word in record.command[1:]:
        moved = word
        if word == prefix or word.startswith(f"{prefix}/"):
            moved = f"results/{study.name}{word.removeprefix(prefix)}"
        elif word and any(f"{r.name}/".startswith(f"{word}/") for r in record.external):
            moved = place_of(word)
        if not _stays(moved):
            raise UserError(
                f"{study.path(record.name)}: its command leads to {printable(word)!r}, out of the "
                "folder; expected paths within it"
            )
        arguments.append(moved)
    return arguments


def place_of(name: str) -> str:
    """Return where in the working folder an external input goes, whatever its name says."""
    parts = ["up" if part == ".." else part for part in PurePosixPath(name).parts]
    absolute = PurePosixPath(name).is_absolute()
    return "/".join(["root", *parts[1:]] if absolute else parts) or "nothing"


def _folder_as_typed(study: StudyFolder, record: Record) -> str:
    """Return the folder of the study as the recorded command wrote it."""
    for option, value in pairwise(record.command):
        if option == "--record" and value.endswith(f"/{record.name}"):
            return value.removesuffix(f"/{record.name}")
    raise UserError(
        f"{study.path(record.name)}: its command does not name this record, so that it cannot be "
        "followed"
    )


def _import_arguments(study: StudyFolder, record: Record) -> list[str]:
    """Return the arguments that import again the one model that a record is about.

    The command may have named several, and its output by default.
    """
    folders = dict.fromkeys(place_of(r.name).rpartition("/")[0] for r in record.external)
    samples = [
        [option, value]
        for option, value in pairwise(record.command)
        if option == "--samples" and value.isdecimal()
    ]
    options = ["--output", f"results/{study.name}", *(samples[0] if samples else [])]
    if not all(_stays(folder) and folder[:1] not in ("-", "") for folder in folders):
        raise UserError(f"{study.path(record.name)}: does not say what was imported")
    return ["import", *folders, *options]


def _stays(word: str) -> bool:
    """Return whether no path in an argument can lead out of the working folder."""
    try:
        encoded = os.fsencode(word)
    except UnicodeEncodeError:
        return False
    paths = [PurePosixPath(part) for part in (word, *re.split("[=,]", word))]
    return b"\0" not in encoded and not any(p.is_absolute() or ".." in p.parts for p in paths)
