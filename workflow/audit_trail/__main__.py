"""``python -m audit_trail``: verify results with nothing but Python."""

import argparse
import io
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from audit_trail import report
from audit_trail.chain import Checks
from audit_trail.errors import AuditError, printable
from audit_trail.findings import EXIT_CODES, REASONS, Findings, Problem, State
from audit_trail.format import HISTORY
from audit_trail.project import current
from audit_trail.records import Record
from audit_trail.repository import Repository, find_repository
from audit_trail.study import StudyFolder, is_study, look_through, open_study, study_of
from audit_trail.verify import CODE, verify

_EXITS = ", ".join(f"{code} {state}" for state, code in EXIT_CODES.items())


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
    findings: list[Findings] = []
    for path in options.paths:
        findings += _verify_path(path, repository, options)
    if options.json:
        print(json.dumps(report.as_json(findings, allowed), indent=1))
    else:
        print("\n".join(report.as_lines(findings, allowed)))
    return EXIT_CODES[report.verdict(findings, allowed)]


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
        folder = study_of(path)
        # The path as it was typed says where the study is, more readably than the resolved one.
        typed = next((parent for parent in path.parents if is_study(parent)), folder)
        return [_verify_study(typed, path, repository, options)]
    there = look_through(path)
    studies = [found for found, kind in there if kind == "study"]
    links = [found for found, kind in there if kind == "link"]
    findings = [_verify_study(folder, None, repository, options) for folder in studies]
    for link in links:
        detail = "is a symbolic link to a folder; expected its path among those to verify"
        findings.append(_lone(link, ".", Problem(State.NOT_CHECKED, "link", detail)))
    for folder in gone:
        if folder not in studies and folder not in links:
            detail = "the study is gone, but the present commit has it"
            findings.append(_lone(folder, HISTORY, Problem(State.MISSING, "gone", detail)))
    if not findings:
        raise AuditError(f"{path}: no study in it; expected results, or results/<study>")
    others = [found.relative_to(path).as_posix() for found, kind in there if kind == "other"]
    if others:
        findings[-1].notes.append(f"no studies, and not looked at, in {path}: {', '.join(others)}")
    return findings


def _lone(folder: Path, name: str, problem: Problem) -> Findings:
    findings = Findings(str(folder))
    findings.add(name, problem)
    return findings


def _verify_study(
    folder: Path, file: Path | None, repository: Repository | None, options: argparse.Namespace
) -> Findings:
    study = open_study(folder)
    notes: list[str] = []
    checks = Checks(
        repository=repository,
        expected=_expected(study, repository, notes),
        image=options.image,
        signers=options.signers,
        least=options.at_least,
        sample=options.sample,
        seed=options.seed,
    )
    findings = verify(study, checks, None if file is None else study.name_of(file))
    if repository is None:
        detail = "neither commits nor changes of code looked at: started outside of a clone"
        findings.add(CODE, Problem(State.NOT_CHECKED, "repository", detail))
    else:
        findings.notes.append(f"commits and code are those of {repository.folder}")
    findings.notes += notes
    return findings


def _expected(
    study: StudyFolder, repository: Repository | None, notes: list[str]
) -> Callable[[Record], str | None] | None:
    if repository is None:
        return None
    wanted, project = None, current()
    reason = f"{repository.folder} is not the clone of the code that runs here, or has no settings"
    if project.expected is None:
        reason = f"{project.name} audit verify does"
    else:
        try:
            wanted = project.expected(study, repository)
        except AuditError as error:
            reason = str(error)
    if wanted is None:
        notes.append(f"configuration not compared: {reason}")
    return wanted


def _parser(name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=name,
        description="Say of every artefact whether it is what its job wrote, and whether the way "
        "back to what made it is whole.",
        epilog=f"Exit codes, by the worst finding: {_EXITS}; 1 and 2 for a wrong call.",
    )
    parser.add_argument(
        "paths",
        nargs="*",
        type=Path,
        default=[Path("results")],
        metavar="PATH",
        help="a study, a folder of studies, or an output: then it and what it was made from",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, with every artefact")
    parser.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="WORD",
        help="a state or a reason that does not count, such as stale or uncommitted; repeatable",
    )
    parser.add_argument(
        "--sample", type=_count, metavar="N", help="hash only N outputs of a study; check all else"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the choice of --sample (0)")
    parser.add_argument(
        "--signers",
        type=Path,
        metavar="FILE",
        help="ask that the newest line of the history is signed by one of those in FILE, which "
        "comes from you and not with the results",
    )
    parser.add_argument(
        "--at-least",
        type=_count,
        default=0,
        metavar="LINES",
        help="lines that the history is known to have had: fewer were cut, signed or not",
    )
    parser.add_argument(
        "--image", type=Path, metavar="FILE", help="the container image (containers/<name>)"
    )
    parser.add_argument(
        "--repository",
        type=Path,
        metavar="FOLDER",
        help="the clone to compare with; by default the one that this is started from",
    )
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
