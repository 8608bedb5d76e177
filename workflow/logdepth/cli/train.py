"""``logdepth train``: train one run, perhaps together with others of its shape."""

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from logdepth.cli.options import Device, Recorded, RunOption, Threads, command, read_settings

if TYPE_CHECKING:
    from logdepth.config.run import Run
    from logdepth.training.checkpoint import CheckpointStore


@command
def train(
    run: RunOption,
    output: Annotated[
        Path,
        typer.Option(help="Folder for model.safetensors, run.json, steps.csv and by_k.csv."),
    ],
    recorded: Recorded,
    checkpoints: Annotated[
        Path | None, typer.Option(help="Folder for checkpoints; <output>/checkpoints by default.")
    ] = None,
    checkpoint_seconds: Annotated[
        float, typer.Option(min=0, help="Least time between two checkpoints.")
    ] = 60.0,
    together: Annotated[
        int, typer.Option(min=1, help="Train so many runs of one shape as one network.")
    ] = 1,
    among: Annotated[
        Path | None,
        typer.Option(
            help="The study.json of the runs that may be trained together; folders of all of them "
            "lie beside those of this one."
        ),
    ] = None,
    device: Device = "auto",
    threads: Threads = 1,
    deterministic: Annotated[
        bool | None,
        typer.Option(
            help="Refuse operations whose result varies from run to run; on a CPU by default."
        ),
    ] = None,
) -> None:
    """Train one run, from its newest checkpoint if it was interrupted."""
    from dataclasses import replace

    from filelock import FileLock

    from logdepth import jobs
    from logdepth.canonical import digest
    from logdepth.config.run import Run
    from logdepth.devices import bfloat16_warning, prepare_device
    from logdepth.errors import UserError
    from logdepth.files import remove_leftovers
    from logdepth.locking import hold_folder
    from logdepth.provenance.definition import hash_of
    from logdepth.training.checkpoint import CheckpointStore
    from logdepth.training.interrupts import InterruptedTraining
    from logdepth.training.loop import train as train_run
    from logdepth.training.store import write_run

    spec = read_settings(run, Run, "--run")
    where = prepare_device(device, threads)
    definition = hash_of(recorded.keywords["definition"]) or digest(spec.content)
    store = CheckpointStore(checkpoints or output / "checkpoints", definition)
    hold_folder(output)
    files = [output / f for f in ("model.safetensors", "run.json", "steps.csv", "by_k.csv")]
    remove_leftovers(output)
    asks_for_halves = spec.training.is_trained and spec.training.precision == "bfloat16"
    if where.type == "cpu" and asks_for_halves and (line := bfloat16_warning()):
        print(f"logdepth train: {line}", file=sys.stderr)
    how: dict[str, Any] = {
        "device": where,
        "checkpoint_seconds": checkpoint_seconds,
        "deterministic": where.type == "cpu" if deterministic is None else deterministic,
    }
    group = _group(spec, among, together)
    try:
        if len(group) > 1:
            # The first of a group that comes trains all of it; the others wait, and find that
            # nothing is left to do, or go on where it was stopped.
            with FileLock(store.folder.parent / f"{group[0].identifier}.lock"):
                _clear_leftovers(store.folder)
                _train_group(spec, group, output, store, how)
        else:
            _clear_leftovers(store.folder)
        note = (store.latest() or {}).get("note", {})
        store = replace(store, note=note)
        noted = partial(recorded, device=str(where), checkpoint=note)
        with noted(jobs.train(spec), inputs=[], outputs=files):
            trained = train_run(spec, checkpoints=store, **how)
            write_run(output, spec, trained.model, {"steps": trained.steps, "by_k": trained.by_k})
    except InterruptedTraining as interrupted:
        print(f"logdepth train: {interrupted}; run it again to go on", file=sys.stderr)
        sys.exit(128 + interrupted.signum)
    except RuntimeError as error:
        # So torch says of a file that it cannot be written.
        if "inline_container" not in str(error):
            raise
        raise UserError(
            f"{store.folder}: a checkpoint cannot be written, perhaps the disk is full; "
            "the one before it stays"
        ) from error
    store.clear()


def _clear_leftovers(folder: Path) -> None:
    from logdepth.files import remove_leftovers

    remove_leftovers(folder)
    # A checkpoint that had not got its whole name is none, and would stay for ever.
    for nameless in folder.glob(f"step-{9 * '[0-9]'}.pt"):
        nameless.unlink()


def _group(spec: "Run", among: Path | None, together: int) -> "list[Run]":
    """Return the runs that a run is trained with."""
    from logdepth.planning.groups import group_of
    from logdepth.resolved import read_summary

    if together == 1 or among is None or not spec.training.is_trained:
        return [spec]
    study = read_summary(among)
    tried = [run for trials in study.trials.values() for runs in trials.values() for run in runs]
    return group_of(spec, [spec, *study.runs.values(), *tried], together)


def _train_group(
    spec: "Run",
    group: "list[Run]",
    output: Path,
    store: "CheckpointStore",
    how: dict[str, Any],
) -> None:
    """Train all runs of a group that are not finished, up to their last checkpoints."""
    from dataclasses import replace

    from logdepth import jobs
    from logdepth.canonical import digest
    from logdepth.errors import UserError
    from logdepth.provenance.image import running_image
    from logdepth.training.loop import train_together

    total = spec.training.trained_steps
    if (store.latest() or {"step": 0})["step"] == total:
        return
    by_hand = store.definition == digest(spec.content)
    image = running_image()

    def definition(run: "Run") -> str:
        return digest(run.content) if by_hand else jobs.train(run).definition(image and image[1])

    left = [
        run
        for run in group
        if run == spec or not (output.parent / run.identifier / "model.safetensors").exists()
    ]
    names = [run.identifier for run in left]
    folder = store.folder.parent
    stores = [
        replace(store, folder=folder / name, definition=definition(run), note={"together": names})
        for name, run in zip(names, left, strict=True)
    ]
    if len(left) == 1 or store.folder != folder / spec.identifier:
        return
    _level(stores)
    try:
        trained = train_together(left, checkpoints=stores, **how)
    except ValueError as error:
        print(f"logdepth train: alone, for {error}", file=sys.stderr)
        return
    for result in trained:
        if isinstance(result, UserError):
            print(f"logdepth train: {result}", file=sys.stderr)


def _level(stores: "list[CheckpointStore]") -> None:
    """Drop checkpoints that only some of a group had got when it was killed.

    The group then goes on together, and ends in the bits that it would have ended in.
    """
    least = min((store.latest() or {"step": 0})["step"] for store in stores)
    for store in stores:
        files = {int(path.name[5:14]): path for path in store.folder.glob("step-*-*.pt")}
        # Of what was never together with one that has none yet, nothing is lost.
        if least in files or (least == 0 and len(files) == 1):
            for step, path in files.items():
                if step > least:
                    path.unlink()
