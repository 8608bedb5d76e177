"""``python -m audit_trail``: verify results with nothing but Python."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from audit_trail import report
from audit_trail.chain import Checks
from audit_trail.findings import EXIT_CODES, REASONS, Findings, State
from audit_trail.records import Record
from audit_trail.repository import Repository, find_repository
from audit_trail.study import StudyFolder, find_studies, is_study, open_study, study_of
from audit_trail.verify import verify
from logdepth.errors import UserError

_EXITS = ", ".join(f"{code} {state}" for state, code in EXIT_CODES.items())


def main(arguments: Sequence[str] | None = None, name: str = "python -m audit_trail") -> int:
    """Verify studies, or files of studies; print what was found and return the exit code.

    Raises:
        UserError: a path that is no study and no output of one.
    """
    options = _parser(name).parse_args(arguments)
    allowed = frozenset(options.allow)
    known = [*(state.value for state in State), *REASONS]
    for word in sorted(allowed - set(known)):
        raise UserError(f"--allow {word}: expected one of {', '.join(known)}")
    findings: list[Findings] = []
    for path in options.paths:
        findings += _verify_path(path, options)
    if options.json:
        print(json.dumps(report.as_json(findings, allowed), indent=1))
    else:
        print("\n".join(report.as_lines(findings, allowed)))
    return EXIT_CODES[report.verdict(findings, allowed)]


def _verify_path(path: Path, options: argparse.Namespace) -> list[Findings]:
    if not path.exists() and not path.is_symlink():
        raise UserError(f"{path}: no such file or folder")
    if path.is_dir():
        folders = find_studies(path)
        if not folders:
            raise UserError(f"{path}: no study in it; expected results, or results/<study>")
        return [_verify_study(folder, None, options) for folder in folders]
    folder = study_of(path)
    # The path as it was typed says where the study is, more readably than the resolved one.
    typed = next((parent for parent in path.parents if is_study(parent)), folder)
    return [_verify_study(typed, path, options)]


def _verify_study(folder: Path, file: Path | None, options: argparse.Namespace) -> Findings:
    study = open_study(folder)
    repository = find_repository(options.repository or folder)
    notes: list[str] = []
    checks = Checks(
        repository=repository,
        expected=_expected(study, repository, notes),
        image=options.image,
        signers=_signers(options, repository),
        sample=options.sample,
        seed=options.seed,
    )
    findings = verify(study, checks, None if file is None else study.name_of(file))
    findings.notes += notes
    return findings


def _expected(
    study: StudyFolder, repository: Repository | None, notes: list[str]
) -> Callable[[Record], str | None] | None:
    if repository is None:
        return None
    try:
        # By name: the audit knows no science, and does without where there is none.
        module = import_module("logdepth.expected")
    except ImportError as error:
        notes.append(f"configuration not compared: {error.name} is not installed here")
        return None
    expected: Callable[[Record], str | None] | None
    try:
        expected = module.expected_definitions(study, repository)
    except UserError as error:
        notes.append(f"configuration not compared: {error}")
        return None
    if expected is None:
        notes.append(
            f"configuration not compared: {repository.folder} has no config/{study.name}.yaml, or "
            "is not the checkout of the code that runs here"
        )
    return expected


def _signers(options: argparse.Namespace, repository: Repository | None) -> Path | None:
    if options.signers is not None or not options.signed:
        return options.signers if isinstance(options.signers, Path) else None
    if repository is None:
        raise UserError("--signed: expected --signers FILE as well, outside of a checkout")
    return repository.folder / "signers"


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
    parser.add_argument("--sample", type=int, metavar="N", help="hash only N outputs of a study")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of --sample (0)")
    parser.add_argument("--signed", action="store_true", help="ask for a signed history")
    parser.add_argument(
        "--signers", type=Path, metavar="FILE", help="who may sign it (the checkout's file signers)"
    )
    parser.add_argument(
        "--image", type=Path, metavar="FILE", help="the container image (containers/<name>)"
    )
    parser.add_argument(
        "--repository", type=Path, metavar="FOLDER", help="the checkout that the results are from"
    )
    return parser


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (UserError, OSError) as user_error:
        print(f"logdepth audit: error: {user_error}", file=sys.stderr)
        sys.exit(1)
