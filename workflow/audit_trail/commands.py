"""The commands of a project's ``audit``; what one of them alone needs is imported when it runs."""

import json
import shutil
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from audit_trail.__main__ import main, print_anything
from audit_trail.chain import Checks
from audit_trail.errors import AuditError, printable
from audit_trail.files import write_text
from audit_trail.findings import require_intact
from audit_trail.project import Project, current, use
from audit_trail.repository import find_repository
from audit_trail.study import StudyFolder, open_history, open_study, study_of
from audit_trail.verify import verify as verify_study

_ANY = "A figure, table, file of a run or record; or a PDF, PNG or CSV from anywhere."
_OUTCOMES = {"identical": 0, "close": 3, "different": 4}


def _option(text: str, *names: str) -> Any:
    return typer.Option(*names, help=text)


Study = Annotated[Path, typer.Argument(help="Folder of the study, such as results/laptop.")]
Output = Annotated[Path, typer.Argument(help="An output: results/laptop/tables/scaling.csv.")]
Side = Annotated[Path, typer.Argument(help="A study, results/<study>/runs/<run>, or a file.")]
AsJson = Annotated[bool, _option("Print JSON.", "--json")]
Clone = Annotated[Path | None, _option("Clone with its commit; by default the one you are in.")]


def register(app: typer.Typer, project: Project) -> None:
    """Add the commands below ``audit`` to those of a project."""
    use(project)
    audit = typer.Typer(
        no_args_is_help=True, help="Where an output comes from, and whether it was touched since."
    )
    audit.callback()(print_anything)
    # Its options stand in one place, where they need nothing but Python.
    settings = {"allow_extra_args": True, "ignore_unknown_options": True}
    audit.command(context_settings=settings, add_help_option=False)(verify)
    for command in (trace, reproduce, diff, history, export, sign, publish):
        audit.command()(command)
    app.add_typer(audit, name="audit")


def verify(context: typer.Context) -> None:
    """Say of every artefact whether it is what its job wrote (--help has the options)."""
    sys.exit(main(context.args, f"{current().name} audit verify"))


def trace(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help=_ANY)],
    row: Annotated[
        str | None, _option("Only the runs behind rows: k=8,depth=4 (columns, or k, L, H, m).")
    ] = None,
    as_json: AsJson = False,
    pages: Annotated[Path | None, _option("Folder for a page of each FILE: <name>.html.")] = None,
) -> None:
    """Show where a file comes from: runs, models, data, seeds, code, environment and machine."""
    from audit_trail.tracing.show import as_page, as_text
    from audit_trail.tracing.trace import Tracer

    if (pages is None and len(files) > 1) or (pages is not None and as_json):
        raise AuditError("expected one FILE, or --pages FOLDER for several and no --json")
    targets = {file: pages / f"{file.stem}.html" for file in files} if pages else {}
    # Some systems take upper and lower case for the same.
    if len({str(page).casefold() for page in targets.values()}) < len(targets):
        raise AuditError(f"--pages {pages}: expected files of different names, for a page each")
    repository = find_repository()
    tracer = Tracer(Path("results"), current(), repository.folder if repository else None)
    for file in dict.fromkeys(files):
        found = tracer.trace(file, row)
        if file in targets:
            page = as_page(found, tracer.picture(found), datetime.now(UTC))
            write_text(targets[file], page)
            _say(f"{targets[file]}: {file}")
        else:
            print(f"{json.dumps(found, indent=1)}\n" if as_json else as_text(found), end="")


def reproduce(
    file: Output,
    deep: Annotated[bool, _option("Make every input again, from nothing.", "--deep")] = False,
    keep: Annotated[Path | None, _option("Folder to leave the new results in.")] = None,
    image: Annotated[Path | None, _option("The container image, if it ran in one.")] = None,
    python: Annotated[Path, _option("Interpreter of its environment, if this is another.")] = Path(
        sys.executable
    ),
    here: Annotated[bool, _option("Use this environment, be it another.", "--here")] = False,
    repository: Clone = None,
) -> None:
    """Make an output again in an empty folder; 0: the same bytes, 3: nearly, 4: another result.

    What runs is the code of its commit, as the clone has it.
    """
    from audit_trail.reproduction.rebuild import Workshop, make_plan

    study, clone = open_study(study_of(file)), find_repository(repository, image)
    known = current()
    if clone is None or clone.problem:
        reason = clone.problem if clone else f"{Path.cwd()}: no clone of {known.name}"
        raise AuditError(f"{reason}; expected to be called in one, or --repository with one")
    if keep is not None and keep.exists():
        raise AuditError(f"{keep}: is there already; expected a new folder for --keep")
    jobs, taken = make_plan(known, study, study.name_of(file), deep)
    took = f"{sum(job.record.seconds or 0.0 for job in jobs):.0f} s when recorded"
    _say(f"{file}: jobs to run {len(jobs)}, {took}; inputs taken {taken}")
    _say(f"  the code is that of {clone.folder}")
    with tempfile.TemporaryDirectory(prefix=f"{known.name}-reproduce-") as name:
        shop = Workshop(known, study, clone, Path(name).resolve(), python.absolute(), here)
        for job in jobs:
            shop.prepare(job)
        for number, job in enumerate(jobs, 1):
            _say(f"  {number} of {len(jobs)}: {job.record.title}")
            _say(*(f"      {line}" for line in shop.run(job)))
        outputs = shop.outcomes(jobs[-1])
        if keep is not None:
            shutil.copytree(shop.result(jobs[-1]), keep, symlinks=True)
    verdict = max((state for state, _ in outputs), key=list(_OUTCOMES).index, default="different")
    _say(*(f"  {detail}" for _, detail in outputs), f"verdict: {verdict}")
    sys.exit(_OUTCOMES[verdict])


def diff(before: Side, after: Side) -> None:
    """Say what differs: the likeliest cause first, then the numbers."""
    from audit_trail.differences import compare, open_side

    sections = compare(open_side(before), open_side(after), current().tolerance)
    for title, listed in sections.items():
        if listed:
            _say(f"{title}:", *(f"  {line}" for line in listed))
        elif not title.startswith(("only", "different")):
            _say(title)


def history(file: Output) -> None:
    """List every version that ever stood there, and what had changed."""
    from audit_trail.differences import versions

    folder = study_of(file)
    name = StudyFolder(folder).name_of(file)
    _say(*versions(open_history(folder, name), name))


def export(
    study: Study,
    crate: Annotated[Path, _option("Folder to write; it must not exist.")],
    repository: Clone = None,
) -> None:
    """Write an intact study as a Workflow Run RO-Crate."""
    from audit_trail.crate import write_crate

    if crate.exists() or crate.is_symlink():
        raise AuditError(f"{crate}: is there already; expected a new name")
    opened = _intact(study)
    if (clone := find_repository(repository)) is None:
        raise AuditError(f"{study}: is outside of a clone; expected --repository with one")
    counts = write_crate(opened, clone, current(), crate).items()
    listed = ", ".join(f"{number} {what}" for what, number in counts)
    _say(f"{crate}: {listed}; code of {clone.folder}")


def sign(
    study: Study, key: Annotated[Path, _option("SSH key, such as ~/.ssh/id_ed25519.")]
) -> None:
    """Sign the history's newest line with an SSH key, once the bytes of the study are verified."""
    from audit_trail.signature import sign as sign_head

    _say(str(sign_head(_intact(study), key.expanduser())))


def publish(
    study: Study,
    to: Annotated[Path, _option("A new folder, or an earlier copy of the same study.")],
) -> None:
    """Copy a finished, intact study without its large files; the copy verifies by itself."""
    from audit_trail.publish import publish as copy

    left_out = copy(study, to, current().withheld)
    _say(f"{to}: {left_out} outputs withheld, their sha256 is in the history")


def _intact(study: Path) -> StudyFolder:
    opened = open_study(study)
    require_intact(verify_study(opened, Checks()))
    return opened


def _say(*lines: str) -> None:
    for line in lines:
        print(printable(line), flush=True)
