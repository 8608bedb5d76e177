"""``logdepth compile``: write down the weights of one run."""

from pathlib import Path
from typing import Annotated

import typer

from logdepth.cli.options import Definition, Record, RunOption, read_settings


def compile_(
    run: RunOption,
    output: Annotated[Path, typer.Option(help="Folder for model.safetensors and run.json.")],
    definition: Definition = "",
    record: Record = None,
) -> None:
    """Write down a transformer that answers hop_k by construction, with the recipe 'compiled'."""
    from logdepth import jobs
    from logdepth.config.run import Run
    from logdepth.errors import UserError
    from logdepth.provenance.record import recorded
    from logdepth.theory.hop_to_weights import compiled
    from logdepth.training.store import write_run

    spec = read_settings(run, Run, "--run")
    if spec.training.is_trained:
        raise UserError(
            f"--run: training.recipe is '{spec.training.recipe}'; expected 'compiled', "
            "or 'logdepth train'"
        )
    files = [output / name for name in ("model.safetensors", "run.json")]
    job = jobs.compile_(spec)
    with recorded(job, inputs=[], outputs=files, record=record, definition=definition):
        write_run(output, spec, compiled(spec).network(), {})
