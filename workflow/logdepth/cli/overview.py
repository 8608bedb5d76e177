"""``logdepth runs, status, gc``: what there is of studies, how far they are, what is of no use."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from logdepth.cli.options import command

if TYPE_CHECKING:
    from logdepth.resolved import ResolvedStudy

Studies = Annotated[
    list[str] | None, typer.Option("--study", help="A study; may be repeated. All by default.")
]
RESULTS = Path("results")
# Of a row of `logdepth runs`, what fits on a terminal; --csv has all.
_SHOWN = ("study", "experiment", "model.depth", "seed", "state")
_NUMBERS = ("step", "loss", "error", "solved")


@command
def runs(
    study: Studies = None,
    results: Annotated[Path, typer.Option(help="Or results/published.")] = RESULTS,
    sort: Annotated[
        str, typer.Option(help="Column to sort by, such as loss or model.depth (--csv has all).")
    ] = "",
    reverse: Annotated[bool, typer.Option("--reverse", help="The largest first.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV, with every setting.")] = False,
) -> None:
    """List all runs: settings, metrics, and whether finished, training, missing or stale."""
    import pandas as pd

    from logdepth import overview
    from logdepth.errors import UserError

    rows = []
    for folder in overview.studies_in(results, study or []):
        opened = overview.opened(folder)
        for experiment, run in overview.runs_of(overview.summary_of(folder)):
            row = {"study": folder.name, "experiment": experiment}
            rows.append(row | overview.run_row(opened, run))
    table = pd.DataFrame(rows)
    if sort and sort not in table:
        raise UserError(
            f"--sort {sort}: no such column; expected one of {', '.join(map(str, table))}"
        )
    if sort:
        table = table.sort_values(sort, ascending=not reverse, kind="stable")
    if csv:
        print(table.to_csv(index=False, float_format="%.6g", lineterminator="\n"), end="")
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    shown = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in _SHOWN:
        shown.add_column("L" if name == "model.depth" else name)
    for name in _NUMBERS:
        shown.add_column(name, justify="right")
    shown.add_column("run", overflow="fold")
    for _, cells in table.iterrows():
        numbers = ("" if pd.isna(cells[name]) else f"{cells[name]:.4g}" for name in _NUMBERS)
        shown.add_row(*(str(cells[name]) for name in _SHOWN), *numbers, cells["run"])
    Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 160).print(shown)


@command
def status(study: Studies = None) -> None:
    """Say how far studies are: jobs done and left, what trains, and how long it takes."""
    from logdepth import overview
    from logdepth.cli.plan import cores
    from logdepth.locking import at_work
    from logdepth.planning.report import duration

    for folder in overview.studies_in(RESULTS, study or []):
        opened, resolved = overview.opened(folder), _resolved(folder)
        if resolved is None:
            continue
        words = at_work(folder.name)
        wanted = overview.wanted(resolved).items()
        states = [overview.state_of(opened, name, job) for name, job in wanted]
        line = f"{folder}: {states.count('finished')} of {len(states)} jobs done, "
        line += f"{states.count('stale')} out of date, {states.count('missing')} missing, "
        line += f"{len(words)} at work on this machine"
        if left := overview.seconds_left(folder, resolved.summary, cores()):
            line += f"; about {duration((left, left))} of training left on {cores()} cores"
        print(line)
        for _, run in overview.runs_of(resolved.summary):
            name = run.identifier
            if overview.run_row(opened, run)["state"] == "training":
                found = overview.training_of(folder, name) or "has a checkpoint"
                here = any(name in word for command in words for word in command)
                print(f"  {name}: {found}{'' if here else ' (not at work on this machine)'}")


@command
def gc(
    study: Studies = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove it; on Slurm wait for its jobs before.")
    ] = False,
) -> None:
    """List what no study refers to: results of jobs it has no more, checkpoints, leftovers."""
    from contextlib import nullcontext

    from audit_trail.writer import append_entry
    from logdepth import overview
    from logdepth.errors import UserError
    from logdepth.locking import undisturbed

    for folder in overview.studies_in(RESULTS, study or []):
        if (resolved := _resolved(folder)) is None:
            continue
        try:
            with undisturbed(folder.name) if remove else nullcontext():
                opened = overview.opened(folder)
                if opened.history.published:
                    raise UserError(f"{folder}: published results")
                files = list(overview.unwanted(opened, resolved))
                size = sum(opened.path(file.name).stat().st_size for file in files)
                for file in files:
                    print(f"{folder}/{file.name}: {file.why}")
                if remove and files:
                    gone = {file.name: file.sha256 for file in files if file.sha256}
                    # First, so that nothing is missing which the history does not tell of.
                    append_entry(folder, {"event": "removed", "withheld": gone})
                    for file in files:
                        opened.path(file.name).unlink()
                        _remove_empty(opened.path(file.name).parent)
        except UserError as error:
            print(f"{error}; left alone", file=sys.stderr)
            continue
        how = "removed" if remove else "that no study refers to; logdepth gc --remove removes them"
        count = f"{len(files)} files, {size / 1e6:.1f} MB, {how}" if files else "nothing to remove"
        print(f"{folder}: {count}")


def _resolved(folder: Path) -> "ResolvedStudy | None":
    """Return the study of a folder; None, and a line, where its settings are not here."""
    from logdepth.config.study import load_study
    from logdepth.errors import UserError
    from logdepth.resolved import resolve_in

    try:
        return resolve_in(load_study(Path("config", f"{folder.name}.yaml")), folder)
    except UserError as error:
        print(f"{folder}: left alone: {error}", file=sys.stderr)
        return None


def _remove_empty(folder: Path) -> None:
    if not any(folder.iterdir()):
        folder.rmdir()
