"""``logdepth audit reproduce``: make an output again from its record alone, and compare."""

import sys
from pathlib import Path
from typing import Annotated

import typer


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
    repository: Annotated[
        Path | None, typer.Option(help="Clone with its commit; by default that of the file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make an output again in a fresh folder; 0: the same bytes, 3: nearly, 4: another result."""
    import dataclasses
    import json
    import shutil
    import tempfile

    from logdepth.audit.records import Record
    from logdepth.audit.report import printable
    from logdepth.audit.repository import find_repository
    from logdepth.audit.reproduction.environment import launcher, notes
    from logdepth.audit.reproduction.outcome import outcomes
    from logdepth.audit.reproduction.plan import make_plan
    from logdepth.audit.reproduction.rebuild import checkouts, rebuild
    from logdepth.audit.study import open_study, study_of
    from logdepth.errors import UserError

    def tell(line: str) -> None:
        print(line, file=sys.stderr if as_json else sys.stdout, flush=True)

    if keep is not None and keep.exists():
        raise UserError(f"{keep}: is there already; right would be a new folder for --keep")
    study = open_study(study_of(file))
    plan = make_plan(study, study.name_of(file), deep)
    checkout = find_repository(repository or file) or find_repository(Path.cwd())
    if checkout is None:
        raise UserError(
            f"{file}: lies in no clone of the project; right would be --repository with one"
        )
    jobs = "1 job" if len(plan.jobs) == 1 else f"{len(plan.jobs)} jobs"
    tell(f"{file}: {jobs}, {plan.seconds:.0f} s when recorded; {len(plan.reused)} inputs taken")
    record = plan.jobs[-1]
    differing = notes(record)
    for line in differing:
        tell(f"  ({printable(line)})")
    with tempfile.TemporaryDirectory(prefix="logdepth-reproduce-") as folder:
        work = Path(folder) / "work"
        work.mkdir()
        with checkouts(checkout, plan, Path(folder)) as code:
            commands: dict[tuple[str | None, str], list[str]] = {}

            def launch(job: Record, source: Path) -> list[str]:
                key = (job.image.sha256 if job.image else None, str(source))
                if key not in commands:
                    commands[key] = launcher(
                        study, job, source, checkout, image=image, setup=setup, here=here
                    )
                return commands[key]

            made = rebuild(study, plan, code, work, launch, tell)
        found = outcomes(study, record, made)
        if keep is not None:
            keep.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(made, keep)
    identical = all(outcome.identical for outcome in found)
    verdict = "identical" if identical else "close" if all(o.close for o in found) else "other"
    if as_json:
        listed = [dataclasses.asdict(outcome) for outcome in found]
        plain = {"file": str(file), "verdict": verdict, "notes": differing, "outputs": listed}
        print(json.dumps(plain, indent=1))
    else:
        for outcome in found:
            detail = "identical bytes" if outcome.identical else outcome.detail
            print(f"  {outcome.name}: {detail}")
        print(f"verdict: {verdict}")
    sys.exit({"identical": 0, "close": 3, "other": 4}[verdict])
