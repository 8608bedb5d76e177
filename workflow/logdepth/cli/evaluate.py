"""``logdepth evaluate``: count a model's wrong answers on a frozen set."""

from pathlib import Path
from typing import Annotated

import typer

from logdepth.cli.options import Definition, Device, Output, Record, Threads
from logdepth.provenance.record import Job, recorded


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("evaluate")(evaluate)


def evaluate(
    model: Annotated[Path, typer.Option(help="A model.safetensors that train wrote.")],
    data: Annotated[Path, typer.Option(help="The frozen evaluation set of its task.")],
    output: Output,
    dropout: Annotated[
        list[str], typer.Option(help="off, or on as in the published evaluation; may be repeated.")
    ],
    seed: Annotated[int, typer.Option(help="Seed of dropout while evaluating.")] = 0,
    device: Device = "auto",
    threads: Threads = 1,
    definition: Definition = "",
    record: Record = None,
) -> None:
    """Count the wrong answers of a model on every sequence of a frozen set."""
    import pandas as pd
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from logdepth.devices import prepare_device
    from logdepth.errors import UserError
    from logdepth.evaluation.errors import count_errors
    from logdepth.files import write_text
    from logdepth.models.store import load_model

    if unknown := set(dropout) - {"on", "off"}:
        raise UserError(f"--dropout {unknown.pop()}: right would be on or off")
    where = prepare_device(device, threads)
    job = Job(
        stage="evaluate",
        record=record,
        definition=definition,
        parameters={"dropout": dropout, "device": str(where)},
        inputs=[model, data],
        outputs=[output],
        seeds={"dropout": seed},
    )
    with recorded(job):
        trained, run = load_model(model, where)
        try:
            frozen = load_file(data)
        except SafetensorError as error:
            raise UserError(f"{data}: not an evaluation set, or damaged ({error})") from error
        tables = [
            count_errors(trained, run.task, frozen, dropout=setting == "on", seed=seed).assign(
                dropout=setting
            )
            for setting in dropout
        ]
        table = pd.concat(tables, ignore_index=True)
        columns = ["dropout", "hops", "sequence", "wrong", "symbols"]
        write_text(output, table[columns].to_csv(index=False))
