"""``logdepth depths``: the largest solved k of several experiments, of other studies as well."""

from pathlib import Path
from typing import Annotated

import typer

from logdepth.cli.options import Definition, Output, Record, StudyOption, read_settings


def depths(
    study: StudyOption,
    thresholds: Annotated[Path, typer.Option(help="The study's table thresholds.csv.")],
    output: Output,
    beside: Annotated[
        list[str] | None,
        typer.Option(help="Of another study, as JSON: results, experiment, mode, title."),
    ] = None,
    published: Annotated[
        Path | None, typer.Option(help="Table of the published errors, where the task is theirs.")
    ] = None,
    definition: Definition = "",
    record: Record = None,
) -> None:
    """Write what each depth solves, for this study's experiments and those beside them."""
    import pandas as pd

    from logdepth import jobs
    from logdepth.config.study import OtherStudy
    from logdepth.fitting.depths import depths_beside, own_depths, published_depths
    from logdepth.provenance.record import recorded
    from logdepth.resolved import read_summary
    from logdepth.tables import read_table, write_table

    summary = read_summary(study)
    others = [read_settings(text, OtherStudy, "--beside") for text in beside or []]
    files = [Path(other.results, "tables", "thresholds.csv") for other in others]
    with recorded(
        jobs.depths(summary, others),
        inputs=[thresholds, *dict.fromkeys(files), *([published] if published else [])],
        outputs=[output],
        record=record,
        definition=definition,
        study=study,
    ):
        own = read_table("thresholds", thresholds)
        found = [own_depths(own, summary.titles, summary.compiled)]
        if published:
            errors = read_table("published_errors", published)
            found.append(published_depths(errors, own["threshold"].iloc[0]))
        found += [
            depths_beside(read_table("thresholds", file), other)
            for file, other in zip(files, others, strict=True)
        ]
        write_table("solved_depths", pd.concat(found, ignore_index=True), output)
