"""``logdepth data``: write the frozen evaluation set of a task."""

from typing import Annotated

import typer

from logdepth.cli.options import Definition, Output, Record, read_settings


def data(
    task: Annotated[str, typer.Option(help="The task, as JSON.")],
    k: Annotated[list[int], typer.Option(help="A value of k; may be repeated.")],
    sequences: Annotated[int, typer.Option(help="Sequences for each k.")],
    seed: Annotated[int, typer.Option(help="Seed of the set.")],
    stream: Annotated[
        str, typer.Option(help="evaluation, or selection for trials: independent of one another.")
    ],
    output: Output,
    definition: Definition = "",
    record: Record = None,
) -> None:
    """Write the frozen evaluation set of a task."""
    from safetensors.torch import save

    from logdepth import jobs
    from logdepth.config.run import AnyTask
    from logdepth.errors import UserError
    from logdepth.evaluation.error_rates import evaluation_set
    from logdepth.files import atomic_path
    from logdepth.provenance.record import recorded

    spec = read_settings(task, AnyTask, "--task")
    if unknown := set(k) - set(spec.ks):
        known = f"{spec.ks.start} to {spec.ks.stop - 1}"
        raise UserError(f"--k {unknown.pop()}: expected numbers from {known}")
    if stream not in ("evaluation", "selection"):
        raise UserError(f"--stream {stream}: expected evaluation or selection")
    job = jobs.data(spec, k, sequences, seed, stream)
    with (
        recorded(job, inputs=[], outputs=[output], record=record, definition=definition),
        atomic_path(output) as temporary,
    ):
        temporary.write_bytes(save(evaluation_set(spec, tuple(k), sequences, seed, stream)))
