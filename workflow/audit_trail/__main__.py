"""``python -m audit_trail COMMAND``: what is asked of results; ``verify`` needs Python alone.

What one of the others needs is imported when it runs.
"""

import io
import json
import os
import shutil
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from audit_trail.errors import AuditError, printable
from audit_trail.files import write_bytes
from audit_trail.findings import REASONS, Findings, Problem, State, report, require_intact
from audit_trail.format import HISTORY
from audit_trail.project import current
from audit_trail.repository import Repository, find_repository, needed_repository
from audit_trail.study import StudyFolder, look_through, open_study, study_of
from audit_trail.verify import verify as verify_study

_OUTCOMES = {"identical": 0, "close": 3, "different": 4}


def main(arguments: Sequence[str] | None = None, name: str = "python -m audit_trail") -> int:
    """Run a command; return its exit code. An AuditError is what the user has to mend."""
    for stream in (sys.stdout, sys.stderr):
        # Output goes on where the terminal's encoding lacks a character.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    options = _parser(name).parse_args(arguments)
    return options.run(options) or 0


def verify(options: Namespace) -> int:
    """Say of every artefact whether it is what its job wrote, and its way back is whole.

    The exit code is that of the worst finding; docs/audit.md has the list.
    """
    repository = find_repository(options.repository, options.image)
    checks = partial(
        verify_study, repository=repository, signers=options.signers, least=options.at_least
    )
    findings = [f for path in options.paths for f in _verify_path(path, repository, checks)]
    code, text = report(findings, options.allow, options.json)
    print(text)
    return code


def trace(options: Namespace) -> None:
    """Show where files come from: runs, models, data, seeds, code, environment and machine."""
    from audit_trail.tracing.show import as_page, as_text
    from audit_trail.tracing.trace import Tracer

    files, pages = [*dict.fromkeys(options.files)], options.pages
    # Some systems take upper and lower case for the same.
    if pages and len({file.stem.casefold() for file in files}) < len(files):
        raise AuditError(f"--pages {pages}: expected files of different names, for a page each")
    repository = find_repository()
    tracer = Tracer(Path("results"), repository.folder if repository else None)
    for file in files:
        found = tracer.trace(file, options.row)
        if pages:
            page = as_page(found, datetime.now(UTC)).encode()
            write_bytes(pages / f"{file.stem}.html", page)
            _say(f"{pages / file.stem}.html: {file}")
        else:
            print(f"{json.dumps(found, indent=1)}\n" if options.json else as_text(found), end="")


def reproduce(options: Namespace) -> int:
    """Make an output again, in an empty checkout of its commit, and compare.

    0: the same bytes, 3: nearly the same numbers, 4: another result.
    """
    from audit_trail.differences import CIRCUMSTANCES, compare
    from audit_trail.reproduce import make_plan, outcomes, rebuild

    file, keep = options.file, options.keep
    study, clone = open_study(study_of(file)), needed_repository(options.repository)
    if keep is not None and keep.exists():
        raise AuditError(f"{keep}: is there already; expected a new folder for --keep")
    jobs, taken = make_plan(study, study.name_of(file), options.deep)
    took = f"{sum(job.seconds or 0.0 for job in jobs):.0f} s when recorded"
    _say(f"{file}: jobs to run {len(jobs)}, {took}; inputs taken {len(taken)}")
    _say(f"  the code is that of {clone.folder}")
    with tempfile.TemporaryDirectory(prefix=f"{current().name}-reproduce-") as name:
        made = rebuild(study, jobs, taken, clone, Path(name).resolve(), options.here)
        before = study, {job.title: job for job in jobs}
        after = made, {job.title: made.records[job.name] for job in jobs}
        # What is here besides, such as a package, changes nothing.
        _list(compare(before, after, lambda d: bool(d.before) and d.kind not in CIRCUMSTANCES))
        found = outcomes(study, made, jobs[0])
        if keep is not None:
            shutil.copytree(made.folder, keep, symlinks=True)
    verdict = max((state for state, _ in found), key=[*_OUTCOMES].index, default="different")
    _say(*(f"  {detail}" for _, detail in found), f"verdict: {verdict}")
    return _OUTCOMES[verdict]


def diff(options: Namespace) -> None:
    """Say what differs: the likeliest cause first, then the numbers."""
    from audit_trail.differences import compare, open_side

    _list(compare(open_side(options.before), open_side(options.after)))


def history(options: Namespace) -> None:
    """List every version that ever stood there, and what had changed."""
    from audit_trail.differences import versions

    folder = study_of(options.file)
    name = StudyFolder(folder).name_of(options.file)
    _say(*versions(open_study(folder, name), name))


def export(options: Namespace) -> None:
    """Write an intact study as a Workflow Run RO-Crate."""
    from audit_trail.crate import write_crate

    crate = options.crate
    if crate.exists() or crate.is_symlink():
        raise AuditError(f"{crate}: is there already; expected a new name")
    study, clone = _intact(options.study), needed_repository(options.repository)
    counts = write_crate(study, clone, crate).items()
    _say(f"{crate}: {', '.join(f'{n} {what}' for what, n in counts)}; code of {clone.folder}")


def sign(options: Namespace) -> None:
    """Sign the history's newest line with an SSH key, once the bytes of the study are verified."""
    from audit_trail.signature import sign as sign_head

    _say(str(sign_head(_intact(options.study), options.key.expanduser())))


def publish(options: Namespace) -> None:
    """Copy a finished, intact study without its large files; the copy verifies by itself."""
    from audit_trail.publish import publish as copy

    left_out = copy(options.study, options.to, current().withheld)
    _say(f"{options.to}: {left_out} outputs withheld, their sha256 is in the history")


def _verify_path(
    path: Path, repository: Repository | None, check: Callable[..., Findings]
) -> list[Findings]:
    """Return what is found in each study at or below a path, or of one output."""
    if path.exists() and not path.is_dir():
        study = open_study(study_of(path))
        return [check(study, only=study.name_of(path))]
    there = look_through(path)
    gone = repository.studies(path) if repository else []
    found: list[Findings] = []
    for folder in dict.fromkeys((*there, *gone)):
        match there.get(folder):
            case "study":
                found.append(check(open_study(folder)))
            case "link":
                detail = "is a symbolic link to a folder; expected its path among those to verify"
                problem = Problem(State.NOT_CHECKED, "link", detail)
                found.append(Findings(str(folder), {".": [problem]}))
            case None:
                problem = Problem(State.MISSING, "gone", "is gone, but the present commit has it")
                found.append(Findings(str(folder), {HISTORY: [problem]}))
    if not found:
        wrong = "no study in it" if os.path.lexists(path) else "no such file or folder"
        raise AuditError(f"{path}: {wrong}; expected results, or results/<study>")
    if others := [str(inner.relative_to(path)) for inner in there if there[inner] == "other"]:
        found[-1].notes.append(f"no studies, and not looked at, in {path}: {', '.join(others)}")
    return found


def _intact(study: Path) -> StudyFolder:
    opened = open_study(study)
    require_intact(verify_study(opened))
    return opened


def _list(sections: dict[str, list[str]]) -> None:
    for title, lines in sections.items():
        _say(title, *(f"  {line}" for line in lines))


def _say(*lines: str) -> None:
    for line in lines:
        print(printable(line), flush=True)


def _path(**more: Any) -> dict[str, Any]:
    return {"type": Path, "metavar": "PATH", **more}


_FLAG = {"action": "store_true"}
_WORDS = {"action": "append", "default": [], "choices": [*State, *REASONS], "metavar": "WORD"}
_LINES = {"type": int, "default": 0, "metavar": "LINES"}
_ARGUMENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "paths": (
        "studies, folders of studies, or outputs: each with what it was made from",
        _path(nargs="*", default=[Path("results")]),
    ),
    "files": ("files of a study; or a PDF, PNG or CSV from anywhere", _path(nargs="+")),
    "file": ("an output, such as results/laptop/tables/errors.csv", _path()),
    "study": ("folder of a study, such as results/laptop", _path()),
    "before": ("a study, results/<study>/runs/<run>, or a file", _path()),
    "after": ("another of these", _path()),
    "--json": ("print JSON, which has everything", _FLAG),
    "--allow": ("a state or a reason that does not count, such as stale; repeatable", _WORDS),
    "--signers": ("who may have signed the newest line: a file of yours, not of theirs", _path()),
    "--at-least": ("lines that the history is known to have had", _LINES),
    "--image": ("the container image, if not in containers/ of the clone", _path()),
    "--repository": ("the clone that has the code; by default the one you are in", _path()),
    "--row": ("the runs behind rows alone: k=8,depth=4 (or L, H, m)", {"metavar": "COLUMN=VALUE"}),
    "--pages": ("folder for a page of each file: <name>.html", _path()),
    "--deep": ("make every input again, from nothing", _FLAG),
    "--keep": ("folder to leave the new results in", _path()),
    "--here": ("use this environment, be it another", _FLAG),
    "--crate": ("folder to write; it must not exist", _path(required=True)),
    "--key": ("SSH key, such as ~/.ssh/id_ed25519", _path(required=True)),
    "--to": ("a new folder, or an earlier copy of the same study", _path(required=True)),
}
_COMMANDS: tuple[tuple[Callable[[Namespace], int | None], str], ...] = (
    (verify, "paths --json --allow --signers --at-least --image --repository"),
    (trace, "files --row --json --pages"),
    (reproduce, "file --deep --keep --here --repository"),
    (diff, "before after"),
    (history, "file"),
    (export, "study --crate --repository"),
    (sign, "study --key"),
    (publish, "study --to"),
)


def _parser(name: str) -> ArgumentParser:
    parser = ArgumentParser(name, description="Where an output comes from, and who touched it.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for run, arguments in _COMMANDS:
        said = str(run.__doc__)
        command = commands.add_parser(run.__name__, help=said.partition("\n")[0], description=said)
        command.set_defaults(run=run)
        for argument in arguments.split():
            text, settings = _ARGUMENTS[argument]
            command.add_argument(argument, help=text, **settings)
    return parser


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (AuditError, OSError) as user_error:
        print(f"{current().name} audit: error: {printable(str(user_error))}", file=sys.stderr)
        sys.exit(1)
