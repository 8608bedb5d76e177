"""``logdepth attention``: a model's attention against find^j, or its matrices on one string."""

from pathlib import Path
from typing import Annotated

import typer

from logdepth.cli.options import (
    Definition,
    Device,
    ModeOption,
    Output,
    Record,
    Threads,
    checked_mode,
)


def attention(
    model: Annotated[Path, typer.Option(help="A model.safetensors that train or import wrote.")],
    data: Annotated[Path, typer.Option(help="The frozen evaluation set of its task.")],
    output: Output,
    sequences: Annotated[
        int, typer.Option(min=1, help="Sequences to average over: the first of the largest k.")
    ] = 10,
    k: Annotated[
        int | None,
        typer.Option(help="Write the matrices on the first sequence instead, asked for this k."),
    ] = None,
    mode: ModeOption = "eval",
    seed: Annotated[int, typer.Option(help="Seed of dropout.")] = 0,
    device: Device = "auto",
    threads: Threads = 1,
    definition: Definition = "",
    record: Record = None,
) -> None:
    """Compare every head with every find^j, or write the attention matrices on one string."""
    from logdepth import jobs
    from logdepth.devices import prepare_device
    from logdepth.errors import UserError
    from logdepth.evaluation.attention import alignment_table, attention_table, first_sequences
    from logdepth.provenance.record import recorded
    from logdepth.tables import write_table
    from logdepth.training.store import load_model, load_set, run_of

    run = run_of(model)
    if not (run.task.has_pointers and run.model.has_attention):
        raise UserError(f"{model}: has no attention that can be compared with find^j")
    if k is not None and k not in run.task.ks:
        raise UserError(f"--k {k}: expected {run.task.ks.start} to {run.task.ks.stop - 1}")
    job = jobs.attention(run, sequences, k, checked_mode(mode), seed)
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
        try:
            tokens = first_sequences(load_set(data), 1 if k is not None else sequences).to(where)
        except ValueError as error:
            raise UserError(f"{data}: {error}") from error
        depth = run.model.depth
        if k is None:
            table = alignment_table(trained, run.task, tokens, mode=mode, seed=seed)
            write_table("alignment", table.assign(depth=depth), output)
        else:
            table = attention_table(trained, run.task, tokens[0], k, mode=mode, seed=seed)
            write_table("attention", table.assign(depth=depth, k=k), output)
