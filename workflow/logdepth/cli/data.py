"""``logdepth data``: write a frozen evaluation set."""

from typing import Annotated

import typer

from logdepth.cli.options import Definition, Output, Record, read_settings
from logdepth.provenance.record import Job, recorded


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("data")(data)


def data(
    task: Annotated[str, typer.Option(help="The task, as JSON.")],
    hops: Annotated[str, typer.Option(help="Values of k, separated by commas.")],
    sequences: Annotated[int, typer.Option(help="Sequences for each k.")],
    seed: Annotated[int, typer.Option(help="Seed of the set.")],
    output: Output,
    definition: Definition = "",
    record: Record = None,
) -> None:
    """Write the frozen evaluation set of a task."""
    from safetensors.torch import save

    from logdepth.config.run import Task
    from logdepth.errors import UserError
    from logdepth.evaluation.errors import evaluation_set
    from logdepth.files import atomic_path

    spec = read_settings(task, Task, "--task")
    values = tuple(int(k) for k in hops.split(",") if k.isdecimal())
    if len(values) < len(hops.split(",")) or max(values) > spec.max_hops:
        raise UserError(f"--hops {hops}: right would be numbers from 0 to {spec.max_hops}: 0,1,2")
    job = Job(
        stage="data",
        record=record,
        definition=definition,
        parameters={"task": spec.model_dump(), "hops": list(values), "sequences": sequences},
        inputs=[],
        outputs=[output],
        seeds={"evaluation set": seed},
    )
    with recorded(job), atomic_path(output) as temporary:
        temporary.write_bytes(save(evaluation_set(spec, values, sequences, seed)))
