"""``python -m audit_trail``: verify results with nothing but Python."""

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audit_trail.chain import Checks
from audit_trail.errors import AuditError, printable
from audit_trail.findings import EXIT_CODES, REASONS, Findings, Problem, State, report, verdict
from audit_trail.format import HISTORY
from audit_trail.project import current
from audit_trail.repository import Repository, find_repository
from audit_trail.study import look_through, open_study, study_of
from audit_trail.verify import CODE, verify


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
    repository = find_repository(options.repository)
    findings = [f for path in options.paths for f in _verify_path(path, repository, options)]
    print(report(findings, allowed, options.json))
    return EXIT_CODES[verdict(findings, allowed)]


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
    there = dict(look_through(path))
    findings = []
    for folder in dict.fromkeys((*there, *gone)):
        match there.get(folder):
            case "study":
                findings.append(_verify_study(folder, None, repository, options))
            case "link":
                detail = "is a symbolic link to a folder; expected its path among those to verify"
                problem = Problem(State.NOT_CHECKED, "link", detail)
                findings.append(Findings(str(folder), {".": [problem]}))
            case None:
                problem = Problem(State.MISSING, "gone", "is gone, but the present commit has it")
                findings.append(Findings(str(folder), {HISTORY: [problem]}))
    if not findings:
        raise AuditError(f"{path}: no study in it; expected results, or results/<study>")
    if others := [str(found.relative_to(path)) for found in there if there[found] == "other"]:
        findings[-1].notes.append(f"no studies, and not looked at, in {path}: {', '.join(others)}")
    return findings


def _verify_study(
    folder: Path, file: Path | None, repository: Repository | None, options: argparse.Namespace
) -> Findings:
    study = open_study(folder)
    project, expected = current(), None
    reason = f"{project.name} audit verify does"
    if repository is not None and project.expected is not None:
        where = repository.folder
        reason = f"{where} is not the clone of the code that runs here, or has no settings"
        try:
            expected = project.expected(study, repository)
        except AuditError as error:
            reason = str(error)
    limits = (options.image, options.signers, options.at_least, options.sample)
    checks = Checks(repository, expected, *limits)
    findings = verify(study, checks, None if file is None else study.name_of(file))
    if repository is None:
        detail = "neither commits nor changes of code looked at: started outside of a clone"
        findings.add(CODE, Problem(State.NOT_CHECKED, "repository", detail))
    else:
        findings.notes.append(f"commits and code are those of {repository.folder}")
        if expected is None:
            findings.notes.append(f"configuration not compared: {reason}")
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

    file: dict[str, Any] = {"type": Path, "metavar": "FILE"}
    paths = "a study, a folder of studies, or an output: then it and what it was made from"
    add("paths", paths, nargs="*", type=Path, default=[Path("results")], metavar="PATH")
    add("--json", "print JSON, with every artefact", action="store_true")
    allow = "a state or a reason that does not count, such as stale or uncommitted; repeatable"
    add("--allow", allow, action="append", default=[], metavar="WORD")
    add("--sample", "hash only N outputs of a study; check all else", type=_count, metavar="N")
    signers = "ask that the newest line of the history is signed by one of those in FILE, which "
    add("--signers", f"{signers}comes from you and not with the results", **file)
    least = "lines that the history is known to have had: fewer were cut, signed or not"
    add("--at-least", least, type=_count, default=0, metavar="LINES")
    add("--image", "the container image (containers/<name>)", **file)
    clone = "the clone to compare with; by default the one that this is started from"
    add("--repository", clone, type=Path, metavar="FOLDER")
    return parser


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected a number from 1 on")
    return value


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (AuditError, OSError) as user_error:
        print(f"{current().name} audit: error: {printable(str(user_error))}", file=sys.stderr)
        sys.exit(1)
