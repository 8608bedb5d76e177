"""``logdepth import``: take over models that the paper's authors released."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from logdepth.provenance.record import Job, recorded

if TYPE_CHECKING:
    from logdepth.models.released import Released


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("import")(import_)


def import_(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="FOLDER", help="Released models: config.yaml and model_<step>.pt each."
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(help="Folder of the study: models go to runs/<run>/, records to provenance/."),
    ] = Path("results/released"),
    samples: Annotated[
        int | None,
        typer.Option(
            min=1, help="Sequences of the training set, if config.yaml has no training.samples."
        ),
    ] = None,
) -> None:
    """Take over released models; none is written unless all can be read."""
    from logdepth.canonical import canonical_json
    from logdepth.errors import UserError
    from logdepth.files import remove_leftovers, write_text
    from logdepth.models.released import read_released
    from logdepth.models.store import save_model
    from logdepth.models.transformer import Transformer, architecture

    found: dict[str, tuple[Path, Released]] = {}
    for folder in folders:
        released = read_released(folder, samples)
        name = released.run.identifier
        if name in found:
            raise UserError(
                f"{folder}: the same run as {found[name][0]} ({name}); "
                "right would be to import only one of them into a folder"
            )
        there = output / "runs" / name / "model.safetensors"
        if there.exists() and not _holds(there, released):
            raise UserError(
                f"{there}: imported before, with other weights than {folder} has; "
                "right would be another --output, or to remove the old model first"
            )
        found[name] = folder, released
    for name, (_, released) in found.items():
        run = released.run
        content = run.model_dump(mode="json")
        files = [output / "runs" / name / part for part in ("model.safetensors", "run.json")]
        job = Job(
            stage="import",
            record=output / "provenance" / "import" / f"{name}.json",
            definition="",
            parameters={"run": content},
            inputs=released.paths,
            outputs=files,
            seeds={"run": run.seed},
        )
        remove_leftovers(files[0].parent)
        with recorded(job):
            model = Transformer(architecture(run.task, run.model))
            model.load_state_dict(released.weights)
            save_model(model, run, files[0])
            write_text(files[1], canonical_json(content) + "\n")
        print(
            f"{name}: depth {run.model.depth}, heads {run.model.heads}, width {run.model.width}, "
            f"{run.training.trained_steps} steps, weights sha256 {released.sha256[:12]}"
        )


def _holds(path: Path, released: "Released") -> bool:
    import torch
    from safetensors.torch import load_file

    weights = load_file(path)
    return weights.keys() == released.weights.keys() and all(
        torch.equal(tensor, released.weights[name]) for name, tensor in weights.items()
    )
