"""``logdepth fit``: thresholds and growth laws as tables."""

from pathlib import Path
from typing import Annotated

import typer

from logdepth.cli.options import Definition, Folder, Record, StudyOption, run_files


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("fit")(fit)


def fit(
    study: StudyOption,
    runs: Folder,
    threshold: Annotated[
        list[float], typer.Option(help="Error below which a k is solved; the first one is fitted.")
    ],
    output: Annotated[Path, typer.Option(help="Folder for thresholds.csv and scaling.csv.")],
    bootstrap: Annotated[int, typer.Option(min=10, help="Resamples behind an interval.")] = 500,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the resampling.")] = 0,
    definition: Definition = "",
    record: Record = None,
) -> None:
    """Write what each depth solves, and the laws of its growth."""
    from logdepth import jobs
    from logdepth.evaluation.counts import read_counts
    from logdepth.fitting.tables import Settings, scaling_table, thresholds_table
    from logdepth.provenance.record import recorded
    from logdepth.resolved import read_summary
    from logdepth.tables import write_table

    summary = read_summary(study)
    with recorded(
        jobs.fit(summary, threshold, bootstrap, seed),
        inputs=run_files(runs, summary.runs, "evaluation.csv"),
        outputs=[output / "thresholds.csv", output / "scaling.csv"],
        record=record,
        definition=definition,
        study=study,
    ):
        counts = read_counts(runs, summary.experiments)
        settings = Settings(tuple(threshold), bootstrap, seed)
        thresholds = thresholds_table(counts, settings)
        scaling = scaling_table(counts, settings)
        write_table("thresholds", thresholds, output / "thresholds.csv")
        write_table("scaling", scaling, output / "scaling.csv")
    for row in scaling[scaling["growth"] == "exponential"].itertuples():
        print(
            f"{row.experiment} (mode {row.mode}): log2 k* grows by {row.slope:.2f} "
            f"[{row.slope_low:.2f}, {row.slope_high:.2f}] a layer; {row.verdict}"
        )
