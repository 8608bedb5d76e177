"""``logdepth train``: train one run."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from logdepth.cli.options import (
    Definition,
    Device,
    Record,
    RunOption,
    Threads,
    read_settings,
)
from logdepth.provenance.definition import hash_of
from logdepth.provenance.record import Job, recorded


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("train")(train)


def train(
    run: RunOption,
    output: Annotated[
        Path,
        typer.Option(help="Folder for model.safetensors, run.json, steps.csv and hops.csv."),
    ],
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
    definition: Definition = "",
    record: Record = None,
) -> None:
    """Train one run, from its newest checkpoint if it was interrupted."""
    from logdepth.canonical import canonical_json, digest
    from logdepth.config.run import Run
    from logdepth.devices import bfloat16_warning, prepare_device
    from logdepth.files import remove_leftovers, write_text
    from logdepth.models.store import save_model
    from logdepth.training.checkpoint import CheckpointStore
    from logdepth.training.interrupts import InterruptedTraining
    from logdepth.training.loop import train as train_run

    spec = read_settings(run, Run, "--run")
    content = spec.model_dump(mode="json")
    where = prepare_device(device, threads)
    store = CheckpointStore(
        checkpoints or output / "checkpoints", hash_of(definition) or digest(content)
    )
    files = [output / name for name in ("model.safetensors", "run.json", "steps.csv", "hops.csv")]
    job = Job(
        stage="train",
        record=record,
        definition=definition,
        parameters={"run": content, "device": str(where)},
        inputs=[],
        outputs=files,
        seeds={"run": spec.seed},
    )
    for folder in (output, store.folder):
        remove_leftovers(folder)
    if where.type == "cpu" and spec.recipe.precision == "bfloat16" and (line := bfloat16_warning()):
        print(f"logdepth train: {line}", file=sys.stderr)
    try:
        with recorded(job):
            trained = train_run(
                spec,
                device=where,
                checkpoints=store,
                checkpoint_seconds=checkpoint_seconds,
                deterministic=where.type == "cpu" if deterministic is None else deterministic,
            )
            save_model(trained.model, spec, files[0])
            write_text(files[1], canonical_json(content) + "\n")
            for path, table in zip(files[2:], (trained.steps, trained.hops), strict=True):
                write_text(path, table.to_csv(index=False, float_format="%.6g"))
    except InterruptedTraining as interrupted:
        print(f"logdepth train: {interrupted}; run it again to go on", file=sys.stderr)
        sys.exit(128 + interrupted.signum)
    store.clear()
