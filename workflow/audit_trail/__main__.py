"""``python -m audit_trail``: verify results with nothing but Python."""

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audit_trail.chain import Checks
from audit_trail.errors import AuditError, printable
from audit_trail.findings import EXIT_CODES, REASONS, Findings, Problem, State, report
from audit_trail.format import HISTORY
from audit_trail.project import current
from audit_trail.repository import Repository, find_repository
from audit_trail.study import look_through, open_study, study_of
from audit_trail.verify import verify


def main(arguments: Sequence[str] | None = None, name: str = "python -m audit_trail") -> int:
    """Verify studies, or files of studies; print what was found and return the exit code.

    Raises:
        AuditError: a path that is no study and no output of one.
    """
    print_anything()
    options = _parser(name).parse_args(arguments)
    allowed = frozenset(options.allow)
    known = [*(state.value for state in State), *REASONS]
    for word in sorted(allowed - set(known)):
        raise AuditError(f"--allow {word}: expected one of {', '.join(known)}")
    repository = find_repository(options.repository, options.image)
    findings = [f for path in options.paths for f in _verify_path(path, repository, options)]
    code, text = report(findings, allowed, options.json)
    print(text)
    return code


def print_anything() -> None:
    """Let output go on where the terminal's encoding lacks a character."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _verify_path(
    path: Path, repository: Repository | None, options: argparse.Namespace
) -> list[Findings]:
    gone = [] if repository is None or path.is_file() else repository.studies(path)
    if not path.exists() and not path.is_symlink() and not gone:
        raise AuditError(f"{path}: no such file or folder")
    if path.exists() and not path.is_dir():
        return [_verify_study(study_of(path), path, repository, options)]
    there = look_through(path)
    found: list[Findings] = []
    for folder in dict.fromkeys((*there, *gone)):
        match there.get(folder):
            case "study":
                found.append(_verify_study(folder, None, repository, options))
            case "link":
                detail = "is a symbolic link to a folder; expected its path among those to verify"
                problem = Problem(State.NOT_CHECKED, "link", detail)
                found.append(Findings(str(folder), {".": [problem]}))
            case None:
                problem = Problem(State.MISSING, "gone", "is gone, but the present commit has it")
                found.append(Findings(str(folder), {HISTORY: [problem]}))
    if not found:
        raise AuditError(f"{path}: no study in it; expected results, or results/<study>")
    if others := [str(inner.relative_to(path)) for inner in there if there[inner] == "other"]:
        found[-1].notes.append(f"no studies, and not looked at, in {path}: {', '.join(others)}")
    return found


def _verify_study(
    folder: Path, file: Path | None, repository: Repository | None, options: argparse.Namespace
) -> Findings:
    study, expected, notes = open_study(folder), None, []
    if repository is not None:
        notes.append(f"commits and code are those of {repository.folder}")
        try:
            expected = current().expected(study, repository)
        except AuditError as error:
            notes.append(f"configuration not compared: {error}")
    checks = Checks(repository, expected, options.signers, options.at_least)
    findings = verify(study, checks, None if file is None else study.name_of(file))
    findings.notes += notes
    return findings


def _parser(name: str) -> argparse.ArgumentParser:
    exits = ", ".join(f"{code} {state}" for state, code in EXIT_CODES.items())
    parser = argparse.ArgumentParser(
        prog=name,
        description="Say of every artefact whether it is what its job wrote, and whether the way "
        "back to what made it is whole.",
        epilog=f"Exit codes, by the worst finding: {exits}; 1 and 2 for a wrong call.",
    )

    def add(option: str, text: str, **settings: Any) -> None:
        parser.add_argument(option, help=text, **settings)

    paths = "a study, a folder of studies, or an output: then it and what it was made from"
    add("paths", paths, nargs="*", type=Path, default=[Path("results")], metavar="PATH")
    add("--json", "print JSON, with every artefact", action="store_true")
    allow = "a state or a reason that does not count, such as stale or uncommitted; repeatable"
    add("--allow", allow, action="append", default=[], metavar="WORD")
    signers = "ask that the newest line of the history is signed by one of those in FILE, which "
    add("--signers", f"{signers}comes from you and not with the results", type=Path, metavar="FILE")
    least = "lines that the history is known to have had: fewer were cut, signed or not"
    add("--at-least", least, type=int, default=0, metavar="LINES")
    image = "the container image, if not in containers/ of the clone"
    add("--image", image, type=Path, metavar="FILE")
    clone = "the clone to compare with; by default the one that this is started from"
    add("--repository", clone, type=Path, metavar="FOLDER")
    return parser


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (AuditError, OSError) as user_error:
        print(f"{current().name} audit: error: {printable(str(user_error))}", file=sys.stderr)
        sys.exit(1)
