"""``logdepth fit``: thresholds and growth laws as tables."""

import math
from pathlib import Path
from typing import Annotated

import typer

from logdepth.cli.options import Definition, Folder, Record, StudyOption, run_files


def fit(
    study: StudyOption,
    runs: Folder,
    threshold: Annotated[
        list[float], typer.Option(help="Error below which a k is solved; may be repeated.")
    ],
    output: Annotated[Path, typer.Option(help="Folder for thresholds.csv and scaling.csv.")],
    definition: Definition = "",
    record: Record = None,
) -> None:
    """Write what each depth solves, and the laws of its growth."""
    from logdepth import jobs
    from logdepth.evaluation.counts import read_counts
    from logdepth.fitting.tables import scaling_table, thresholds_table
    from logdepth.provenance.record import recorded
    from logdepth.resolved import read_summary
    from logdepth.tables import write_table

    summary = read_summary(study)
    with recorded(
        jobs.fit(summary, threshold),
        inputs=run_files(runs, summary.runs, "evaluation.csv"),
        outputs=[output / "thresholds.csv", output / "scaling.csv"],
        record=record,
        definition=definition,
        study=study,
    ):
        counts = read_counts(runs, summary.experiments)
        scaling = scaling_table(counts, threshold)
        write_table("thresholds", thresholds_table(counts, threshold), output / "thresholds.csv")
        write_table("scaling", scaling, output / "scaling.csv")
    for row in scaling[scaling["growth"] == "exponential"].to_dict("records"):
        ends = f"[{row['slope_low']:.2f}, {row['slope_high']:.2f}]"
        grows = f"log2 k* grows by {row['slope']:.2f} {ends} a layer; "
        print(
            f"{row['experiment']} (mode {row['mode']}), error below {row['threshold']:.0%}: "
            f"{'' if math.isnan(row['slope']) else grows}{row['verdict']}: {row['reason']}"
        )
