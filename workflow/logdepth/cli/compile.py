"""``logdepth compile``: write down the weights of one run."""

from pathlib import Path
from typing import Annotated

import typer

from logdepth.cli.options import Definition, Record, RunOption, read_settings
from logdepth.provenance.record import Job, recorded


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("compile")(compile_)


def compile_(
    run: RunOption,
    output: Annotated[Path, typer.Option(help="Folder for model.safetensors and run.json.")],
    definition: Definition = "",
    record: Record = None,
) -> None:
    """Write down a transformer that answers hop_k by construction, with the recipe 'compiled'."""
    from logdepth.canonical import canonical_json
    from logdepth.config.run import CompiledRecipe, Run
    from logdepth.errors import UserError
    from logdepth.files import write_text
    from logdepth.models.store import save_model
    from logdepth.models.transformer import Transformer
    from logdepth.theory.compiled import compile_model

    spec = read_settings(run, Run, "--run")
    if not isinstance(spec.training, CompiledRecipe):
        raise UserError(
            f"--run: training.recipe is '{spec.training.recipe}'; right would be 'compiled', "
            "or 'logdepth train'"
        )
    content = spec.model_dump(mode="json")
    files = [output / name for name in ("model.safetensors", "run.json")]
    job = Job(
        stage="compile",
        record=record,
        definition=definition,
        parameters={"run": content},
        inputs=[],
        outputs=files,
    )
    with recorded(job):
        built = compile_model(spec.task, spec.model)
        model = Transformer(built.spec)
        model.load_state_dict(built.weights)
        save_model(model, spec, files[0])
        write_text(files[1], canonical_json(content) + "\n")
