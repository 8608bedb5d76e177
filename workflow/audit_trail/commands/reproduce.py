"""``audit reproduce``: make an output again from its record alone, and compare."""

import dataclasses
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

STATES = {"identical": 0, "close": 3, "different": 4}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("reproduce")(reproduce)


def reproduce(
    file: Annotated[
        Path, typer.Argument(help="An output, such as results/laptop/tables/scaling.csv.")
    ],
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
        Path | None, typer.Option(help="Interpreter of its environment, if this is another.")
    ] = None,
    here: Annotated[
        bool, typer.Option("--here", help="Use this environment (or --python), be it another.")
    ] = False,
    device: Annotated[
        str | None, typer.Option(help="Device to use instead of the recorded one, such as cpu.")
    ] = None,
    commit: Annotated[
        str | None, typer.Option(help="Commit to run instead of the recorded ones.")
    ] = None,
    repository: Annotated[
        Path | None, typer.Option(help="Clone with its commit; by default the one you are in.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make an output again in an empty folder; 0: the same bytes, 3: nearly, 4: another result.

    What runs is the code of its commit, as the clone has it.
    """
    from audit_trail import project
    from audit_trail.errors import AuditError, printable
    from audit_trail.repository import find_repository, git
    from audit_trail.reproduction.plan import make_plan
    from audit_trail.reproduction.workshop import Workshop
    from audit_trail.study import open_study, study_of

    def tell(line: str) -> None:
        print(printable(line), file=sys.stderr if as_json else sys.stdout, flush=True)

    study, clone, known = open_study(study_of(file)), find_repository(repository), project.current()
    if clone is None or clone.problem:
        reason = clone.problem if clone else f"{Path.cwd()}: no clone of {known.name}"
        raise AuditError(f"{reason}; expected to be called in one, or --repository with one")
    if keep is not None and keep.exists():
        raise AuditError(f"{keep}: is there already; expected a new folder for --keep")
    if (rules := known.rebuilding) is None:
        raise AuditError(f"{known.name}: has not said how its commands are run again")
    if device is not None:
        rules = dataclasses.replace(rules, instead={**rules.instead, "device": lambda _: device})
        known = dataclasses.replace(known, rebuilding=rules)
    if commit is not None:
        asked = f"{commit}^{{commit}}"
        found = git(clone.folder, "rev-parse", "--verify", "--end-of-options", asked)
        commit = found.decode().strip()
    jobs, taken = make_plan(known, study, study.name_of(file), deep, commit)
    seconds = sum(record.seconds or 0.0 for record, _ in jobs)
    counts = _number(len(jobs), "job"), _number(len(taken), "input")
    tell(f"{file}: {counts[0]}, {seconds:.0f} s when recorded; {counts[1]} taken as delivered")
    tell(f"  the code is that of {clone.folder}")
    with tempfile.TemporaryDirectory(prefix=f"{known.name}-reproduce-") as name:
        folder, python = Path(name).resolve(), python and python.absolute()
        shop = Workshop(known, rules, study, clone, folder, image, python, here, commit)
        for job in jobs:
            shop.prepare(*job)
        ran = {}
        for number, job in enumerate(jobs, 1):
            title = job[0].name.removeprefix("provenance/").removesuffix(".json")
            tell(f"  {number} of {len(jobs)}: {title}")
            ran[title] = again = shop.run(*job)
            tell(f"      {again.seconds:.1f} s; {'the same' if again.identical else 'other'} bytes")
        outputs = shop.outcomes(*jobs[-1])
        if keep is not None:
            shutil.copytree(shop.result(*jobs[-1]), keep, symlinks=True)
    verdict = max((one.state for one in outputs), key=list(STATES).index, default="different")
    if as_json:
        result = {
            "file": str(file),
            "repository": str(clone.folder),
            "verdict": verdict,
            "taken": sorted(taken),
            "jobs": {title: dataclasses.asdict(again) for title, again in ran.items()},
            "outputs": [dataclasses.asdict(one) for one in outputs],
        }
        print(json.dumps(result, indent=1))
    else:
        unlike = [*dict.fromkeys(f"({d})" for again in ran.values() for d in again.differences)]
        more = [f"(and {len(unlike) - 10} more: --json)"] if len(unlike) > 10 else []
        found_outputs = [f"{one.name}: {one.detail or 'identical bytes'}" for one in outputs]
        for line in [*unlike[:10], *more, *found_outputs]:
            tell(f"  {line}")
        tell(f"verdict: {verdict}")
    sys.exit(STATES[verdict])


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
