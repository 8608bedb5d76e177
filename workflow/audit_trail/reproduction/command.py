"""The command that makes an output again: built from a record, of which every word is checked.

A record may come from anybody, and its command may ask for more than it declares: to go on from a
checkpoint, to read a file of another job. So each of its words must be one of these; any other is
refused, and so is an input that no option names:

- the stage, among those that make something; the name of the job, or a recorded text;
- an option that reads, or ``--output``, and a declared file or the folder of declared files;
- an option whose value is a recorded parameter or seed; one named after a recorded mapping gets
  that mapping, whatever the command says, as it may have named a file;
- ``--record`` and ``--definition``, as recorded;
- an option for which the project says what the record has in its place: the device, the threads.

The working folder of the job holds the declared inputs alone; no path leads out of it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from audit_trail.errors import AuditError
from audit_trail.files import canonical_json
from audit_trail.project import Project, Rebuilding
from audit_trail.records import BadRecordError, Record, check_name
from audit_trail.study import StudyFolder

STUDY_FILE = "study.json"


@dataclass(frozen=True)
class Command:
    """What to run."""

    record: Record
    path: Path  # of the record, for messages
    folder: str  # of the study, within the working folder
    arguments: tuple[str, ...]  # of the project's command, the stage first


def command_of(project: Project, study: StudyFolder, record: Record) -> Command:
    """Return the command that makes the outputs of a record.

    Raises:
        AuditError: the recorded command has a word that the record does not explain, or an input
            that the command does not name.
    """
    rules, path = project.rebuilding, study.path(record.name)
    if record.command[:2] != (project.name, record.stage):
        raise AuditError(f"{path}: its command is none of {project.name}")
    if record.stage not in rules.stages:
        known = ", ".join(sorted(rules.stages))
        raise AuditError(f"{path}: {record.stage!r} cannot be run again; expected one of {known}")
    folder = f"results/{study.name}"
    try:
        check_name(record.name)
        if record.stage in rules.build:
            arguments = rules.build[record.stage](record, folder)
        else:
            words = list(_pairs(record.command[2:]))
            named = [PurePosixPath(value).as_posix() for key, value in words if key == "record"]
            if len(named) != 1 or not named[0].endswith(f"/{record.name}"):
                raise ValueError("it does not name this record")
            typed = named[0].removesuffix(f"/{record.name}")
            # As it was typed, for outputs may quote it; but not where that leads elsewhere.
            if not (typed.startswith("/") or {"..", project.sources} & set(typed.split("/"))):
                folder = typed
            arguments = _arguments(rules, record, words, typed, folder)
        for word in (*arguments, *(place_of(resource.name) for resource in record.external)):
            _check_stays(word)
    except (BadRecordError, ValueError) as error:
        raise AuditError(f"{path}: its command cannot be followed: {error}") from error
    return Command(record, path, folder, (record.stage, *arguments))


def place_of(name: str) -> str:
    """Return where in the working folder an external input goes, whatever its name says."""
    parts = ["up" if part == ".." else part for part in PurePosixPath(name).parts]
    return "/".join(["root", *parts[1:]] if name.startswith("/") else parts) or "nothing"


def _arguments(
    rules: Rebuilding, record: Record, words: list[tuple[str | None, str]], typed: str, folder: str
) -> list[str]:
    """Return a command's words, given as options with their values, for the working folder.

    The study is in the folder ``typed`` in these words, and goes to ``folder`` there.

    Raises:
        ValueError: a word that the record does not explain, or an input that no option reads.
    """
    explained = {text for tree in (record.parameters, record.seeds) for text in _texts(tree)}
    shared = [STUDY_FILE] if record.kept_as("study") else []
    inputs = {name: f"{folder}/{name}" for name in (*(i.name for i in record.inputs), *shared)}
    inputs |= {external.name: place_of(external.name) for external in record.external}
    outputs = {output.name: f"{folder}/{output.name}" for output in record.outputs}
    found: list[str] = []
    read: list[str] = []
    for option, value in words:
        within = PurePosixPath(value).as_posix().removeprefix(f"{typed}/")
        given: object = None
        if option is None:
            known = value == PurePosixPath(record.name).stem or _text(value) in explained
            given = value if known and not value.startswith("-") else None
        elif option in rules.instead:
            given = rules.instead[option](record)
            if given is None:
                continue
        elif option in rules.reads:
            read.append(within)
            given = _place(within, inputs)
        elif option == "output":
            given = _place(within, outputs)
        elif option == "record":
            given = f"{folder}/{record.name}"
        elif option == "definition" and value.partition("+")[0] == record.definition:
            given = value
        elif _text(value) in explained:
            given = _text(value) if value.lstrip()[:1] in ("{", "[") else value
        elif isinstance(mapping := record.parameters.get(option), dict):
            given = canonical_json(mapping)
        word = f"--{option}=" if option else ""
        if given is None:
            raise ValueError(f"the record does not explain {(word + value)[:80]!r}")
        found.append(f"{word}{given}")
    for resource in record.inputs:
        if not any(f"{resource.name}/".startswith(f"{name}/") for name in read):
            raise ValueError(f"no option of it reads the input {resource.name}")
    return found


def _place(name: str, declared: Mapping[str, str]) -> str | None:
    """Return where a declared file, or a folder of declared files, is in the working folder."""
    for known, place in declared.items():
        rest = known.removeprefix(name)
        if known == name or (rest != known and rest.startswith("/") and place.endswith(rest)):
            return place.removesuffix(rest)
    return None


def _pairs(words: tuple[str, ...]) -> Iterator[tuple[str | None, str]]:
    """Yield each option with its value, and None with each other word."""
    waiting = iter(words)
    for word in waiting:
        if not word.startswith("--"):
            yield None, word
            continue
        option, sign, value = word[2:].partition("=")
        value = value if sign else next(waiting, "--")
        if not re.fullmatch("[a-z][a-z_-]*", option) or (not sign and value.startswith("--")):
            raise ValueError(f"--{option[:80]} has no value, or is no option")
        yield option, value


def _texts(tree: Any) -> Iterator[str]:
    """Yield each value in a tree as ``_text`` has it, however a command line may say it."""
    waiting = [tree]
    while waiting:
        value = waiting.pop()
        yield _text(value) if isinstance(value, str) else canonical_json(value)
        if isinstance(value, dict):
            # As older commands had it: --title name=text, --experiment name=run,run.
            yield from (_text(f"{name}={_joined(inner)}") for name, inner in value.items())
            waiting += value.values()
        elif isinstance(value, list):
            yield _text(_joined(value))
            waiting += value


def _joined(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _text(word: str) -> str:
    """Return the canonical JSON of a word: of the JSON that it is, else of its text."""
    try:
        return canonical_json(json.loads(word))
    except (ValueError, RecursionError):
        return canonical_json(word)


def _check_stays(word: str) -> None:
    """Check that no path in a word, whatever it may mean, leads out of the working folder."""
    word.encode("utf-8")
    paths = [PurePosixPath(part) for part in re.split(r'[=,"]', word)]
    if "\0" in word or any(path.is_absolute() or ".." in path.parts for path in paths):
        raise ValueError(f"{word!r} leads out of the folder")
