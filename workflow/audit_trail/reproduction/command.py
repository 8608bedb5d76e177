"""The command that makes an output again: built from a record, of which every word is checked.

A record may come from anybody, and its command may ask for more than it declares: to go on from a
checkpoint, to read a file of another job. So the command is not copied. Each of its words must be
one of these:

- the stage, among those that make something; the name of the job, or a recorded text;
- an option that reads or writes, and a declared file or the folder of declared files;
- an option whose value is a recorded parameter or seed; one named after a recorded mapping gets
  that mapping, whatever the command says, as it may have named a file;
- ``--record`` and ``--definition``, as recorded;
- an option for which the project says what the record has in its place: the device and the threads
  as recorded. The folder for checkpoints is left out.

Any other word is refused, and so is an input that no option names. The working folder of the job
holds the declared inputs alone; no path leads out of it.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from audit_trail.errors import AuditError
from audit_trail.files import canonical_json
from audit_trail.project import Project, Rebuilding
from audit_trail.records import BadRecordError, Record, check_name
from audit_trail.study import StudyFolder

STUDY_FILE = "study.json"


@dataclass(frozen=True)
class Command:
    """What to run.

    Attributes:
        folder: of the study, within the working folder.
        arguments: of the project's command, the stage first.
    """

    folder: str
    arguments: tuple[str, ...]


def command_of(project: Project, study: StudyFolder, record: Record) -> Command:
    """Return the command that makes the outputs of a record.

    Raises:
        AuditError: the recorded command has a word that the record does not explain, or an input
            that the command does not name.
    """
    rules = project.rebuilding
    path = study.path(record.name)
    if rules is None or record.command[:2] != (project.name, record.stage):
        raise AuditError(f"{path}: its command is none of {project.name}")
    if record.stage not in rules.stages:
        raise AuditError(
            f"{path}: a job of the stage {record.stage!r} cannot be run again; expected one of "
            + ", ".join(sorted(rules.stages))
        )
    try:
        check_name(record.name)
        if record.stage in rules.build:
            folder = f"results/{study.name}"
            arguments = rules.build[record.stage](record, folder)
        else:
            builder = _Builder(project.sources, rules, record, study.name)
            folder, arguments = builder.folder, builder.arguments()
        for word in (*arguments, *(place_of(resource.name) for resource in record.external)):
            _check_stays(word)
    except (BadRecordError, ValueError) as error:
        raise AuditError(f"{path}: its command cannot be followed: {error}") from error
    return Command(folder, (record.stage, *arguments))


def place_of(name: str) -> str:
    """Return where in the working folder an external input goes, whatever its name says."""
    parts = ["up" if part == ".." else part for part in PurePosixPath(name).parts]
    absolute = PurePosixPath(name).is_absolute()
    return "/".join(["root", *parts[1:]] if absolute else parts) or "nothing"


class _Builder:
    """Accounts for each word of a command; all its errors are ValueErrors."""

    def __init__(self, sources: str, rules: Rebuilding, record: Record, study: str) -> None:
        self._rules, self._record = rules, record
        self._words = list(_pairs(record.command[2:]))
        typed = [_path(value) for option, value in self._words if option == "record"]
        if len(typed) != 1 or not typed[0].endswith(f"/{record.name}"):
            raise ValueError("it does not name this record")
        self._typed = typed[0].removesuffix(f"/{record.name}")
        # As it was typed, for outputs may quote it; but not where that leads elsewhere.
        leads = self._typed.startswith("/") or {"..", sources} & set(self._typed.split("/"))
        self.folder = f"results/{study}" if leads else self._typed
        trees = [record.parameters, record.seeds]
        self._recorded = {text for tree in trees for text in _texts(tree)}
        self._inputs = {i.name: f"{self.folder}/{i.name}" for i in record.inputs}
        self._inputs |= {e.name: place_of(e.name) for e in record.external}
        if record.kept_as("study"):
            self._inputs[STUDY_FILE] = f"{self.folder}/{STUDY_FILE}"
        self._outputs = {o.name: f"{self.folder}/{o.name}" for o in record.outputs}

    def arguments(self) -> list[str]:
        words: list[str] = []
        named: list[str] = []
        for option, value in self._words:
            if option is None:
                words.append(self._title(value))
            elif option in self._rules.instead:
                given = self._rules.instead[option](self._record)
                words += [] if given is None else [f"--{option}={given}"]
            elif option in self._rules.reads:
                named.append(self._within(value))
                words.append(f"--{option}={self._file(option, value, self._inputs)}")
            elif option in self._rules.writes:
                words.append(f"--{option}={self._file(option, value, self._outputs)}")
            else:
                words.append(f"--{option}={self._setting(option, value)}")
        for resource in self._record.inputs:
            if not any(f"{resource.name}/".startswith(f"{name}/") for name in named):
                raise ValueError(f"no option of it reads the input {resource.name}")
        return words

    def _title(self, word: str) -> str:
        title = PurePosixPath(self._record.name).stem
        if word.startswith("-") or (word != title and _text(word) not in self._recorded):
            raise ValueError(f"the record does not explain {word[:80]!r}")
        return word

    def _within(self, value: str) -> str:
        return _path(value).removeprefix(f"{self._typed}/")

    def _file(self, option: str, value: str, declared: dict[str, str]) -> str:
        """Return where a declared file, or a folder of declared files, is in the working folder."""
        name = self._within(value)
        for known, place in declared.items():
            if known == name:
                return place
            if known.startswith(f"{name}/") and place.endswith(known[len(name) :]):
                return place.removesuffix(known[len(name) :])
        raise ValueError(f"--{option} {value[:80]!r} is no file that the record declares")

    def _setting(self, option: str, value: str) -> str:
        record = self._record
        if option == "record":
            return f"{self.folder}/{record.name}"
        if option == "definition" and value.partition("+")[0] == record.definition:
            return value
        if _text(value) in self._recorded:
            return _text(value) if value.lstrip()[:1] in ("{", "[") else value
        if isinstance(known := record.parameters.get(option), dict):
            return canonical_json(known)
        raise ValueError(f"the record does not explain --{option} {value[:80]!r}")


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


def _path(word: str) -> str:
    return PurePosixPath(word).as_posix()


def _check_stays(word: str) -> None:
    """Check that no path in a word, whatever it may mean, leads out of the working folder."""
    word.encode("utf-8")
    paths = [PurePosixPath(part) for part in re.split(r'[=,"]', word)]
    if "\0" in word or any(path.is_absolute() or ".." in path.parts for path in paths):
        raise ValueError(f"{word!r} leads out of the folder")
