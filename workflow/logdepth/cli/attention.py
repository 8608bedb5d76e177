"""``logdepth attention``: a model's attention against find^j, or its matrices on one string."""

from pathlib import Path
from typing import Annotated

import typer

from logdepth.cli.options import Definition, Device, Output, Record, Threads
from logdepth.provenance.record import Job, recorded


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("attention")(attention)


def attention(
    model: Annotated[Path, typer.Option(help="A model.safetensors that train or import wrote.")],
    data: Annotated[Path, typer.Option(help="The frozen evaluation set of its task.")],
    output: Output,
    sequences: Annotated[
        int, typer.Option(min=1, help="Strings to average over: the first of the largest k.")
    ] = 10,
    matrices: Annotated[
        int | None,
        typer.Option(help="Write the matrices on the first string instead, asked for this k."),
    ] = None,
    dropout: Annotated[str, typer.Option(help="off, or on as in the published figures.")] = "off",
    seed: Annotated[int, typer.Option(help="Seed of dropout.")] = 0,
    device: Device = "auto",
    threads: Threads = 1,
    definition: Definition = "",
    record: Record = None,
) -> None:
    """Compare every head with every find^j, or write the attention matrices on one string."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from logdepth.devices import prepare_device
    from logdepth.errors import UserError
    from logdepth.evaluation.attention import alignment_table, attention_table
    from logdepth.models.store import load_model
    from logdepth.tables import write_table
    from logdepth.tasks.hop import HopTask

    if dropout not in ("on", "off"):
        raise UserError(f"--dropout {dropout}: right would be on or off")
    where = prepare_device(device, threads)
    job = Job(
        stage="attention",
        record=record,
        definition=definition,
        parameters={
            "sequences": sequences,
            "matrices": matrices,
            "dropout": dropout,
            "device": str(where),
        },
        inputs=[model, data],
        outputs=[output],
        seeds={"dropout": seed},
    )
    with recorded(job):
        trained, run = load_model(model, where)
        hop = HopTask(run.task.context, run.task.alphabet, run.task.max_hops)
        if matrices is not None and not 0 <= matrices <= hop.max_hops:
            raise UserError(f"--matrices {matrices}: right would be 0 to {hop.max_hops}")
        try:
            tokens = load_file(data)["tokens"][-1]
        except (SafetensorError, KeyError) as error:
            raise UserError(f"{data}: not an evaluation set, or damaged ({error})") from error
        if len(tokens) < sequences:
            raise UserError(f"--sequences {sequences}: {data} has {len(tokens)} for each k")
        strings = tokens[:sequences, 1:].long().to(where) - hop.first_symbol
        if matrices is None:
            table = alignment_table(
                trained, run.task, strings, dropout=dropout == "on", seed=seed
            ).assign(depth=run.model.depth)
            write_table("alignment", table, output)
        else:
            table = attention_table(
                trained, run.task, strings[0], matrices, dropout=dropout == "on", seed=seed
            ).assign(depth=run.model.depth, hops=matrices)
            write_table("attention", table, output)
