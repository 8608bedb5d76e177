"""``logdepth audit reproduce``: make an output again from its record alone, and compare."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from audit_trail.reproduction.outcome import Outcome
    from audit_trail.reproduction.rebuild import Again


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("reproduce")(reproduce)


def reproduce(
    file: Annotated[
        Path, typer.Argument(help="An output, such as results/laptop/tables/fits.csv.")
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
    setup: Annotated[
        bool, typer.Option("--setup", help="Build its environment from its lock, where it differs.")
    ] = False,
    here: Annotated[
        bool, typer.Option("--here", help="Use this environment, also where it differs.")
    ] = False,
    commit: Annotated[
        str | None, typer.Option(help="Commit to run instead of the recorded ones.")
    ] = None,
    repository: Annotated[
        Path | None, typer.Option(help="Clone with its commit; by default that of the file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make an output again in a fresh folder; 0: the same bytes, 3: nearly, 4: another result."""
    import json
    import shutil
    import tempfile

    from audit_trail.report import printable
    from audit_trail.repository import find_repository
    from audit_trail.reproduction.environment import Environments
    from audit_trail.reproduction.outcome import outcomes
    from audit_trail.reproduction.plan import make_plan
    from audit_trail.reproduction.rebuild import checkouts, rebuild, resolve
    from audit_trail.study import open_study, study_of
    from logdepth.errors import UserError

    def tell(line: str) -> None:
        print(line, file=sys.stderr if as_json else sys.stdout, flush=True)

    if keep is not None and keep.exists():
        raise UserError(f"{keep}: is there already; expected a new folder for --keep")
    study = open_study(study_of(file))
    checkout = find_repository(repository or file) or find_repository(Path.cwd())
    if checkout is None:
        raise UserError(f"{file}: lies in no clone of the project; expected --repository with one")
    named = None if commit is None else resolve(checkout, commit)
    plan = make_plan(study, study.name_of(file), deep, named)
    environments = Environments(study, checkout, image=image, setup=setup, here=here)
    jobs, taken = _number(len(plan.jobs), "job"), _number(len(plan.reused), "input")
    tell(f"{file}: {jobs}, {plan.seconds:.0f} s when recorded; {taken} taken")
    with tempfile.TemporaryDirectory(prefix="logdepth-reproduce-") as folder:
        work = Path(folder) / "work"
        work.mkdir()
        with checkouts(checkout, plan, Path(folder)) as code:
            places = (Path.cwd(), checkout.folder)
            made, ran = rebuild(study, plan, code, work, environments.command, tell, places)
        found = outcomes(study, plan.jobs[-1], made)
        if keep is not None:
            keep.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(made, keep)
    identical = all(outcome.identical for outcome in found)
    verdict = "identical" if identical else "close" if all(o.close for o in found) else "other"
    if as_json:
        print(json.dumps(_as_json(file, verdict, ran, found), indent=1))
    else:
        for line in _unlike(ran):
            print(f"  ({printable(line)})")
        for outcome in found:
            detail = "identical bytes" if outcome.identical else outcome.detail
            print(f"  {printable(outcome.name)}: {printable(detail)}")
        print(f"verdict: {verdict}")
    sys.exit({"identical": 0, "close": 3, "other": 4}[verdict])


def _unlike(jobs: list["Again"]) -> list[str]:
    """Return what was not as it was when the jobs were recorded, each thing once."""
    differences = {d: None for job in jobs for d in job.differences}
    said = [str(d) for d in differences if d.kind != "package"]
    packages = {d.name for d in differences if d.kind == "package"}
    if packages:
        said.append(f"{_number(len(packages), 'package')} without numerics differ")
    return said


def _as_json(
    file: Path, verdict: str, jobs: list["Again"], found: list["Outcome"]
) -> dict[str, Any]:
    import dataclasses

    return {
        "file": str(file),
        "verdict": verdict,
        "jobs": [dataclasses.asdict(job) for job in jobs],
        "outputs": [dataclasses.asdict(outcome) for outcome in found],
    }


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
