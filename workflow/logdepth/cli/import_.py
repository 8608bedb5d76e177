"""``logdepth import``: take over models that the paper's authors released."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from logdepth.cli.options import command

if TYPE_CHECKING:
    from logdepth.released import Released


@command
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
    from logdepth import jobs
    from logdepth.errors import UserError
    from logdepth.files import remove_leftovers
    from logdepth.provenance.record import recorded
    from logdepth.released import read_released
    from logdepth.training.store import write_run

    found: dict[str, tuple[Path, Released]] = {}
    for folder in folders:
        released = read_released(folder, samples)
        name = released.run.identifier
        if name in found:
            raise UserError(
                f"{folder}: the same run as {found[name][0]} ({name}); "
                "expected only one of them in a folder"
            )
        there = output / "runs" / name / "model.safetensors"
        if there.exists() and not _holds(there, released):
            raise UserError(
                f"{there}: imported before, with other weights than {folder} has; "
                "expected another --output, or the old model removed first"
            )
        found[name] = folder, released
    for name, (_, released) in found.items():
        run = released.run
        folder = output / "runs" / name
        remove_leftovers(folder)
        with recorded(
            jobs.import_(run),
            inputs=released.paths,
            outputs=[folder / "model.safetensors", folder / "run.json"],
            record=output / "provenance" / "import" / f"{name}.json",
            definition="",
        ):
            network = run.model.build(run.task)
            network.load_state_dict(released.weights)
            write_run(folder, run, network, {})
        print(
            f"{name}: {run.model.label()}, {run.training.trained_steps} steps, "
            f"weights sha256 {released.sha256[:12]}"
        )


def _holds(path: Path, released: "Released") -> bool:
    import torch
    from safetensors.torch import load_file

    weights = load_file(path)
    return weights.keys() == released.weights.keys() and all(
        torch.equal(tensor, released.weights[name]) for name, tensor in weights.items()
    )
