"""``logdepth depths``: the largest solved k of several experiments, of other studies as well."""

from pathlib import Path
from typing import Annotated

import typer

from logdepth.cli.experiments import pairs
from logdepth.cli.options import Definition, Output, Record, read_settings
from logdepth.provenance.record import Job, recorded


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("depths")(depths)


def depths(
    thresholds: Annotated[Path, typer.Option(help="The study's table thresholds.csv.")],
    title: Annotated[list[str], typer.Option(help="EXPERIMENT=TITLE of each to show.")],
    output: Output,
    compiled: Annotated[
        list[str] | None, typer.Option(help="An experiment whose models are compiled.")
    ] = None,
    beside: Annotated[
        list[str] | None,
        typer.Option(help="Of another study, as JSON: results, experiment, dropout, title."),
    ] = None,
    published: Annotated[
        Path | None, typer.Option(help="Table of the published errors, where the task is theirs.")
    ] = None,
    definition: Definition = "",
    record: Record = None,
) -> None:
    """Write what each depth solves, for this study's experiments and those beside them."""
    import pandas as pd

    from logdepth.config.study import Beside
    from logdepth.fitting.depths import depths_beside, own_depths, published_depths
    from logdepth.tables import read_table, write_table

    others = [read_settings(text, Beside, "--beside") for text in beside or []]
    files = [Path(other.results, "tables", "thresholds.csv") for other in others]
    titles = pairs(title, "--title")
    job = Job(
        stage="depths",
        record=record,
        definition=definition,
        parameters={
            "titles": titles,
            "compiled": compiled or [],
            "beside": [other.model_dump(mode="json") for other in others],
        },
        inputs=[thresholds, *dict.fromkeys(files), *([published] if published else [])],
        outputs=[output],
    )
    with recorded(job):
        own = read_table("thresholds", thresholds)
        found = [own_depths(own, titles, compiled or [])]
        if published:
            errors = read_table("published_errors", published)
            found.append(published_depths(errors, own["threshold"].iloc[0]))
        found += [
            depths_beside(read_table("thresholds", file), other)
            for file, other in zip(files, others, strict=True)
        ]
        write_table("solved_depths", pd.concat(found, ignore_index=True), output)
