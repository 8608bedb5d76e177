"""``logdepth data``: write a frozen evaluation set."""

import json
from typing import Annotated

import typer

from logdepth.cli.options import Definition, Output, Record
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
    from safetensors.torch import save_file

    from logdepth.config.run import Task
    from logdepth.evaluation.errors import evaluation_set
    from logdepth.files import atomic_path

    values = tuple(int(k) for k in hops.split(","))
    spec = Task.model_validate(json.loads(task))
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
        save_file(evaluation_set(spec, values, sequences, seed), temporary)
