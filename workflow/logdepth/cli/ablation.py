"""``logdepth ablation``: what a model still answers with one of its heads switched off."""

from pathlib import Path
from typing import Annotated

import typer

from logdepth.cli.options import Definition, Device, Output, Record, Threads


def ablation(
    model: Annotated[Path, typer.Option(help="A model.safetensors that train or import wrote.")],
    data: Annotated[Path, typer.Option(help="The frozen evaluation set of its task.")],
    output: Output,
    sequences: Annotated[
        int, typer.Option(min=1, help="Sequences for each k: the first of the set.")
    ] = 10,
    seed: Annotated[int, typer.Option(help="Seed of the order of positions.")] = 0,
    device: Device = "auto",
    threads: Threads = 1,
    definition: Definition = "",
    record: Record = None,
) -> None:
    """Write the errors of a model with each head switched off, and with positions shuffled."""
    from logdepth import jobs
    from logdepth.devices import prepare_device
    from logdepth.errors import UserError
    from logdepth.evaluation.ablation import ablation_table
    from logdepth.provenance.record import recorded
    from logdepth.tables import write_table
    from logdepth.training.store import load_model, load_set, run_of

    run = run_of(model)
    if not run.model.has_attention:
        raise UserError(f"{model}: has no attention heads to switch off")
    where = prepare_device(device, threads)
    with recorded(
        jobs.ablation(run, sequences, seed),
        inputs=[model, data],
        outputs=[output],
        record=record,
        definition=definition,
        device=str(where),
    ):
        trained, _ = load_model(model, where)
        try:
            table = ablation_table(trained, load_set(data), sequences, seed)
        except ValueError as error:
            raise UserError(f"{data}: {error}") from error
        write_table("ablation", table.assign(depth=run.model.depth), output)
