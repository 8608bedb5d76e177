"""The commands of a project's ``audit``; what one of them alone needs is imported when it runs."""

import dataclasses
import json
import shutil
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

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

# Lines of each kind.
_SHOWN = 10
_OUTCOMES = {"identical": 0, "close": 3, "different": 4}

Study = Annotated[Path, typer.Argument(help="Folder of the study, such as results/laptop.")]
Output = Annotated[
    Path, typer.Argument(help="An output, such as results/laptop/tables/scaling.csv.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Clone = Annotated[
    Path | None, typer.Option(help="Clone with its commit; by default the one you are in.")
]


def register(app: typer.Typer, project: Project) -> None:
    """Add the commands below ``audit`` to those of a project."""
    use(project)
    audit = typer.Typer(
        no_args_is_help=True, help="Where an output comes from, and whether it was touched since."
    )
    audit.callback()(print_anything)
    audit.command()(trace)
    # Its options stand in one place, where they need nothing but Python.
    settings = {"allow_extra_args": True, "ignore_unknown_options": True}
    audit.command(context_settings=settings, add_help_option=False)(verify)
    for command in (reproduce, diff, history, export, sign, publish):
        audit.command()(command)
    app.add_typer(audit, name="audit")


def verify(context: typer.Context) -> None:
    """Say of every artefact whether it is what its job wrote (--help has the options)."""
    sys.exit(main(context.args, f"{current().name} audit verify"))


def trace(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE",
            help="A figure, table, file of a run or record; or a PDF, PNG or CSV from anywhere.",
        ),
    ],
    row: Annotated[
        str | None,
        typer.Option(help="Only the runs behind these rows: k=8,depth=4 (columns, or k, L, H, m)."),
    ] = None,
    as_json: AsJson = False,
    html: Annotated[Path | None, typer.Option(help="Write it as a page to this file.")] = None,
    pages: Annotated[
        Path | None, typer.Option(help="Folder to write a page into for each FILE: <name>.html.")
    ] = None,
    in_: Annotated[
        Path, typer.Option("--in", help="Where to look for the record of a file from elsewhere.")
    ] = Path("results"),
) -> None:
    """Show where a file comes from: runs, models, data, seeds, code, environment and machine."""
    from audit_trail.tracing.show import as_page, as_text
    from audit_trail.tracing.trace import Tracer

    if sum(bool(way) for way in (as_json, html, pages)) > 1:
        raise AuditError("--json, --html, --pages: expected one of them")
    if len(files) > 1 and not pages:
        raise AuditError(f"{files[1]}: expected one FILE, or --pages FOLDER for several")
    repository = find_repository()
    tracer = Tracer(in_, current(), repository.folder if repository else None)
    targets = {files[0]: html} if html else {}
    if pages:
        targets = {file: pages / f"{file.stem}.html" for file in files}
    # Some systems take upper and lower case for the same.
    if len({str(page).casefold() for page in targets.values()}) < len(targets):
        raise AuditError(f"--pages {pages}: expected files of different names, for a page each")
    for file, page in targets.items():
        found = tracer.trace(file, row)
        write_text(page, as_page(found, tracer.picture(found), datetime.now(UTC)))
        print(printable(f"{page}: {file}"))
    if not targets:
        found = tracer.trace(files[0], row)
        print(f"{json.dumps(found, indent=1)}\n" if as_json else as_text(found), end="")


def reproduce(
    file: Output,
    deep: Annotated[
        bool, typer.Option("--deep", help="Make every input again, from nothing.")
    ] = False,
    keep: Annotated[
        Path | None, typer.Option(help="Folder to leave the new results in; removed by default.")
    ] = None,
    image: Annotated[
        Path | None, typer.Option(help="The container image, if it ran in one.")
    ] = None,
    python: Annotated[
        Path, typer.Option(help="Interpreter of its environment, if this is another.")
    ] = Path(sys.executable),
    here: Annotated[
        bool, typer.Option("--here", help="Use this environment (or --python), be it another.")
    ] = False,
    device: Annotated[
        str | None, typer.Option(help="Device to use instead of the recorded one, such as cpu.")
    ] = None,
    repository: Clone = None,
    as_json: AsJson = False,
) -> None:
    """Make an output again in an empty folder; 0: the same bytes, 3: nearly, 4: another result.

    What runs is the code of its commit, as the clone has it.
    """
    from audit_trail.reproduction.rebuild import Workshop, make_plan

    def tell(line: str) -> None:
        print(printable(line), file=sys.stderr if as_json else sys.stdout, flush=True)

    study, clone, known = open_study(study_of(file)), find_repository(repository), current()
    if clone is None or clone.problem:
        reason = clone.problem if clone else f"{Path.cwd()}: no clone of {known.name}"
        raise AuditError(f"{reason}; expected to be called in one, or --repository with one")
    if keep is not None and keep.exists():
        raise AuditError(f"{keep}: is there already; expected a new folder for --keep")
    if known.rebuilding is not None and device is not None:
        instead = {**known.rebuilding.instead, "device": lambda _: device}
        rules = dataclasses.replace(known.rebuilding, instead=instead)
        known = dataclasses.replace(known, rebuilding=rules)
    jobs, taken = make_plan(known, study, study.name_of(file), deep)
    seconds = sum(job.record.seconds or 0.0 for job in jobs)
    tell(
        f"{file}: jobs to run {len(jobs)}, {seconds:.0f} s when recorded; inputs taken {len(taken)}"
    )
    tell(f"  the code is that of {clone.folder}")
    with tempfile.TemporaryDirectory(prefix=f"{known.name}-reproduce-") as name:
        folder = Path(name).resolve()
        shop = Workshop(known, study, clone, folder, image, python.absolute(), here)
        for job in jobs:
            shop.prepare(job)
        ran = {}
        for number, job in enumerate(jobs, 1):
            tell(f"  {number} of {len(jobs)}: {job.record.title}")
            ran[job.record.title] = again = shop.run(job)
            same = "the same" if again["identical"] else "other"
            tell(f"      {again['seconds']:.1f} s; {same} bytes")
        outputs = shop.outcomes(jobs[-1])
        if keep is not None:
            shutil.copytree(shop.result(jobs[-1]), keep, symlinks=True)
    verdict = max((one["state"] for one in outputs), key=list(_OUTCOMES).index, default="different")
    result = {"file": str(file), "repository": str(clone.folder), "verdict": verdict}
    if as_json:
        print(json.dumps(result | {"taken": taken, "jobs": ran, "outputs": outputs}, indent=1))
    else:
        unlike = {f"  ({d['text']})": None for again in ran.values() for d in again["differences"]}
        for line in _first(list(unlike)):
            tell(line)
        for one in outputs:
            tell(f"  {one['name']}: {one['detail'] or 'identical bytes'}")
        tell(f"verdict: {verdict}")
    sys.exit(_OUTCOMES[verdict])


def diff(
    before: Annotated[Path, typer.Argument(help="A study, results/<study>/runs/<run>, or a file.")],
    after: Annotated[Path, typer.Argument(help="Another of the same kind.")],
    as_json: AsJson = False,
) -> None:
    """Say what differs: the likeliest cause first, then the numbers."""
    from audit_trail.differences import compare, open_side

    project = current()
    found = compare(open_side(before), open_side(after), project.keys, project.tolerance)
    if as_json:
        print(json.dumps(found, indent=1))
        return
    sections = {
        "only in the first": found["only_before"],
        "only in the second": found["only_after"],
    }
    for cause in found["causes"]:
        jobs = ", ".join(f"{number} {stage}" for stage, number in sorted(cause["jobs"].items()))
        listed = sections.setdefault(f"different {cause['kind']}", [])
        listed.append(f"{cause['text'].removeprefix(cause['kind'] + ' ')}  ({jobs})")
    sections["different numbers"] = [f"{name}: {far}" for name, far in found["tables"].items()]
    jobs = "1 job" if len(found["both"]) == 1 else f"{len(found['both'])} jobs"
    lines = [f"{jobs} on both sides; {len(found['equal'])} of them wrote the same bytes"]
    for title, listed in sections.items():
        lines += [f"{title}:", *_first([f"  {line}" for line in listed])] if listed else []
    if not found["causes"]:
        lines.append("no difference in what their records say")
    print("\n".join(map(printable, lines)))


def history(file: Output, as_json: AsJson = False) -> None:
    """List every version that ever stood there, and what had changed."""
    from audit_trail.differences import versions

    folder = study_of(file)
    name = StudyFolder(folder).name_of(file)
    found = versions(open_history(folder, name), name)
    if as_json:
        print(json.dumps({"file": str(file), **found}, indent=1))
        return
    count = len(found["versions"])
    lines = [f"{file}: {count} version{'s' if count > 1 else ''}; {found['state']}"]
    for row in found["versions"]:
        commit = f"{(row['commit'] or 'none')[:12]}{' + changes' if row['uncommitted'] else ''}"
        lines += [
            f"  line {row['line']}  {row['time'][:19]}  {row['sha256'][:12]}  commit {commit}",
            f"      {row['summary']}",
        ]
    print("\n".join(map(printable, lines)))


def export(
    study: Study,
    crate: Annotated[
        Path | None, typer.Option(help="Write a Workflow Run RO-Crate to this folder.")
    ] = None,
    anonymous: Annotated[
        Path | None, typer.Option(help="Write a copy for double-blind review to this folder.")
    ] = None,
    repository: Clone = None,
    harmless: Annotated[
        list[str] | None,
        typer.Option(help="With --anonymous: a name that gives nobody away; may be repeated."),
    ] = None,
) -> None:
    """Export a study whose bytes are those that were recorded; no target may exist."""
    targets = [path for path in (crate, anonymous) if path is not None]
    if not targets:
        raise AuditError("export: nothing to write; expected --crate or --anonymous")
    for target in targets:
        if target.exists() or target.is_symlink():
            raise AuditError(f"{target}: is there already; expected a new name")
    opened, said = open_study(study), []
    require_intact(verify_study(opened, Checks()))
    if not opened.records:
        raise AuditError(f"{study}: has no record of a job; expected a finished study")
    if crate is not None:
        from audit_trail.export.crate import write_crate

        if (clone := find_repository(repository)) is None:
            raise AuditError(f"{study}: is outside of a clone; expected --repository with one")
        counts = write_crate(opened, clone, current(), crate).items()
        listed = ", ".join(f"{number} {what}" for what, number in counts)
        said.append(f"{crate}: {listed}; code of {clone.folder}")
    if anonymous is not None:
        from audit_trail.export.anonymous import write_anonymous

        left_out = write_anonymous(opened, anonymous, frozenset(harmless or ()))
        said.append(f"{anonymous}: anonymous; {len(left_out)} results were left out")
        said += [f"  {name}: {reason}" for name, reason in left_out.items()]
    print("\n".join(map(printable, said)))


def sign(
    study: Study,
    key: Annotated[Path, typer.Option(help="SSH key to sign with, such as ~/.ssh/id_ed25519.")],
) -> None:
    """Sign the history's newest line with an SSH key, once the bytes of the study are verified."""
    from audit_trail.signature import sign as sign_head

    opened = open_study(study)
    require_intact(verify_study(opened, Checks()))
    print(printable(str(sign_head(opened, key.expanduser()))))


def publish(
    study: Study,
    to: Annotated[
        Path,
        typer.Option(help="Folder to write: a new one, or an earlier copy of the same study."),
    ],
    withhold: Annotated[
        list[str] | None,
        typer.Option(
            help="Pattern of outputs to leave out; may be repeated. By default weights, data sets "
            "and attention matrices."
        ),
    ] = None,
) -> None:
    """Copy a finished, intact study without its large files; the copy verifies by itself."""
    from audit_trail.publish import publish as copy

    left_out = copy(study, to, withhold or ["*.safetensors", "runs/*/attention-*.csv"])
    print(printable(f"{to}: {left_out} outputs withheld, their sha256 is in the history"))


def _first(lines: list[str]) -> list[str]:
    more = len(lines) - _SHOWN
    return lines[:_SHOWN] + ([f"  … and {more} more (--json has all)"] if more > 0 else [])
