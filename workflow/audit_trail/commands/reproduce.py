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
        Path, typer.Option(help="Interpreter of its environment, if this is another.")
    ] = Path(sys.executable),
    here: Annotated[
        bool, typer.Option("--here", help="Use this environment (or --python), be it another.")
    ] = False,
    device: Annotated[
        str | None, typer.Option(help="Device to use instead of the recorded one, such as cpu.")
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
    from audit_trail.repository import find_repository
    from audit_trail.reproduction.rebuild import Workshop, make_plan
    from audit_trail.study import open_study, study_of

    def tell(line: str) -> None:
        print(printable(line), file=sys.stderr if as_json else sys.stdout, flush=True)

    study, clone, known = open_study(study_of(file)), find_repository(repository), project.current()
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
            title = job.record.name.removeprefix("provenance/").removesuffix(".json")
            tell(f"  {number} of {len(jobs)}: {title}")
            ran[title] = again = shop.run(job)
            same = "the same" if again["identical"] else "other"
            tell(f"      {again['seconds']:.1f} s; {same} bytes")
        outputs = shop.outcomes(jobs[-1])
        if keep is not None:
            shutil.copytree(shop.result(jobs[-1]), keep, symlinks=True)
    verdict = max((one["state"] for one in outputs), key=list(STATES).index, default="different")
    result = {"file": str(file), "repository": str(clone.folder), "verdict": verdict}
    if as_json:
        print(json.dumps(result | {"taken": taken, "jobs": ran, "outputs": outputs}, indent=1))
    else:
        unlike = {f"  ({d['text']})": None for again in ran.values() for d in again["differences"]}
        for line in [*list(unlike)[:10], *(["  (and more: --json)"] if len(unlike) > 10 else [])]:
            tell(line)
        for one in outputs:
            tell(f"  {one['name']}: {one['detail'] or 'identical bytes'}")
        tell(f"verdict: {verdict}")
    sys.exit(STATES[verdict])
