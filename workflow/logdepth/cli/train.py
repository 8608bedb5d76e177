"""``logdepth train``: train one run."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from logdepth.cli.options import Device, Recorded, RunOption, Threads, command, read_settings


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
    for folder in (output, store.folder):
        remove_leftovers(folder)
    # A checkpoint that had not got its whole name is none, and would stay for ever.
    for nameless in store.folder.glob(f"step-{9 * '[0-9]'}.pt"):
        nameless.unlink()
    asks_for_halves = spec.training.is_trained and spec.training.precision == "bfloat16"
    if where.type == "cpu" and asks_for_halves and (line := bfloat16_warning()):
        print(f"logdepth train: {line}", file=sys.stderr)
    try:
        with recorded(jobs.train(spec), inputs=[], outputs=files, device=str(where)):
            trained = train_run(
                spec,
                device=where,
                checkpoints=store,
                checkpoint_seconds=checkpoint_seconds,
                deterministic=where.type == "cpu" if deterministic is None else deterministic,
            )
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
