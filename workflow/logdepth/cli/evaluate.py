"""``logdepth evaluate``: count a model's wrong answers on a frozen set."""

from pathlib import Path
from typing import Annotated

import typer

from logdepth.cli.options import Definition, Device, Output, Record, Threads, checked_mode


def evaluate(
    model: Annotated[Path, typer.Option(help="A model.safetensors that train wrote.")],
    data: Annotated[Path, typer.Option(help="The frozen evaluation set of its task.")],
    output: Output,
    mode: Annotated[
        list[str], typer.Option(help="eval, or train as in the published evaluation; repeatable.")
    ],
    seed: Annotated[int, typer.Option(help="Seed of dropout while evaluating.")] = 0,
    device: Device = "auto",
    threads: Threads = 1,
    definition: Definition = "",
    record: Record = None,
) -> None:
    """Count the wrong answers of a model on every sequence of a frozen set."""
    from logdepth import jobs
    from logdepth.devices import prepare_device
    from logdepth.evaluation import error_rates
    from logdepth.files import write_csv
    from logdepth.provenance.record import recorded
    from logdepth.training.store import load_model, load_set, run_of

    job = jobs.evaluate(run_of(model), [checked_mode(word) for word in mode], seed)
    where = prepare_device(device, threads)
    with recorded(
        job,
        inputs=[model, data],
        outputs=[output],
        record=record,
        definition=definition,
        device=str(where),
    ):
        trained, _ = load_model(model, where)
        write_csv(output, error_rates.evaluate(trained, load_set(data), mode, seed))
